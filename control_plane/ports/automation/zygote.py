"""The warm process: has Ansible imported, and forks for each run.

`python -I -m control_plane.ports.automation.zygote FOLDER`, with a control socket on standard
input. The runner hands over a run's secrets there, as a handle on memory; a launcher comes to
`FOLDER/zygote.sock` with its terminal. For each run there is a *leader*, from which all of the run
descends, and which ends last: when it is gone, nothing of the run is left. It ends the run when
its launcher or this process does; this process ends when the runner does. What a leader that was
killed left behind falls to this process, which kills it.
"""

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from control_plane.locald.processes import become_subreaper
from control_plane.ports.automation.launcher import NO_ANSWER
from control_plane.ports.automation.playbook import run_playbook
from control_plane.ports.automation.processes import (
    find_process,
    hide_memory,
    kill_descendants,
    kill_tree,
    list_children,
)
from control_plane.ports.automation.settings import HANDLE_VARIABLE, LEADER_FILE, SWEEP

MESSAGE_MAX = 1 << 16
_CONTROL = 0
_MIB = 1 << 20
_LAUNCHER_S = 5.0  # it speaks first, and has nothing else to do
# A fork uses some 60 MiB; a hostile answer of the largest size that is read, ten times that.
_LIMITS = {
    resource.RLIMIT_DATA: 1024 * _MIB,
    resource.RLIMIT_FSIZE: 64 * _MIB,
    resource.RLIMIT_CORE: 0,  # memory has secrets in it
}


def _begin_playbook(wish: dict[str, Any], folder: Path, handles: dict[str, int]) -> NoReturn:
    """Run the playbook in the process that was forked for it, and end."""
    code = NO_ANSWER
    try:
        for kind, most in _LIMITS.items():
            resource.setrlimit(kind, (most, most))
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, handle in enumerate((nothing, handles["out"], handles["err"])):
            os.dup2(handle, number)
        os.environ.update(wish["environment"])
        os.environ[HANDLE_VARIABLE] = str(handles["secrets"])
        os.chdir(wish["cwd"])
        code = run_playbook(wish["arguments"], folder / "tmp")
    finally:
        os._exit(code)  # no clean-up that was meant for the parent


def _lead(playbook: int, launcher: socket.socket, alive: int) -> NoReturn:
    """Wait for the playbook, or for the end of who wants it; leave nothing behind."""
    code = NO_ANSWER
    try:
        handle = os.pidfd_open(playbook)
        ready, _, _ = select.select([handle, launcher.fileno(), alive], [], [])
        if handle in ready:
            code = os.waitstatus_to_exitcode(os.waitpid(playbook, 0)[1])
        kill_descendants(os.getpid())
        with contextlib.suppress(ChildProcessError):
            while os.wait():
                pass
        with contextlib.suppress(OSError):
            launcher.send(str(code if code >= 0 else NO_ANSWER).encode())
    finally:
        os._exit(0)


class Zygote:
    """Forks leaders; knows them, and which run's secrets wait for their launcher."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._secrets: dict[str, int] = {}
        self._leaders: set[int] = set()
        self._control = socket.socket(fileno=os.dup(_CONTROL))
        # Its writing end is nowhere but here: whoever reads the end of it has lost this process.
        self._alive, self._life = os.pipe()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = folder / "zygote.sock"
        path.unlink(missing_ok=True)
        self._listener.bind(str(path))
        self._listener.listen(64)

    def serve(self) -> None:
        """Fork for whoever comes, until the runner is gone."""
        self._control.send(b"ready")
        while True:
            ready, _, _ = select.select([self._control, self._listener], [], [], 1.0)
            self._sweep()
            if self._control in ready and not self._take_order():
                return
            if self._listener in ready:
                self._take_launcher()

    def _sweep(self) -> None:
        """Reap what has ended, and kill what lost its leader."""
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitpid(-1, os.WNOHANG)[0]:
                self._leaders.discard(ended)
        for child in list_children(os.getpid()):
            if child.pid not in self._leaders:
                kill_tree(child)

    def _take_order(self) -> bool:
        data, handles, _, _ = socket.recv_fds(self._control, MESSAGE_MAX, 1)
        if data == SWEEP:
            self._sweep()
            self._control.send(SWEEP)
        elif data and handles:
            self._forget(data.decode())
            self._secrets[data.decode()] = handles[0]
        return bool(data)

    def _forget(self, run_id: str) -> None:
        known = self._secrets.pop(run_id, None)
        if known is not None:
            os.close(known)

    def _take_launcher(self) -> None:
        launcher, _ = self._listener.accept()
        with launcher:
            launcher.settimeout(_LAUNCHER_S)
            try:
                data, handles, _, _ = socket.recv_fds(launcher, MESSAGE_MAX, 2)
            except OSError:
                return  # it was ended, or is too late
            wish = json.loads(data) if data else {}
            try:
                if wish.get("run_id") in self._secrets and len(handles) == 2:  # noqa: PLR2004
                    self._fork(wish, launcher, handles)
            finally:
                for handle in handles:
                    os.close(handle)
                self._forget(wish.get("run_id", ""))

    def _fork(self, wish: dict[str, Any], launcher: socket.socket, given: list[int]) -> None:
        run_id = wish["run_id"]
        handles = {"out": given[0], "err": given[1], "secrets": self._secrets[run_id]}
        folder = self._folder / "runs" / run_id
        gate_read, gate_write = os.pipe()
        leader = os.fork()
        if leader == 0:
            os.close(gate_write)
            if not os.read(gate_read, 1):
                os._exit(NO_ANSWER)  # it was not put on record
            self._become_leader(wish, folder, launcher, handles)
        os.close(gate_read)
        self._leaders.add(leader)
        found = find_process(leader)
        if found:
            record = folder / LEADER_FILE
            record.write_text(json.dumps({"pid": found.pid, "began": found.began}))
            # Only now may it begin: what is not on record could not be found again.
            os.write(gate_write, b"1")
        os.close(gate_write)

    def _become_leader(
        self, wish: dict[str, Any], folder: Path, launcher: socket.socket, handles: dict[str, int]
    ) -> NoReturn:
        try:
            os.setsid()
            become_subreaper()
            self._listener.close()
            self._control.close()
            os.close(self._life)
            os.dup2(os.open(os.devnull, os.O_RDWR), _CONTROL)
            playbook = os.fork()
            if playbook == 0:
                launcher.close()
                _begin_playbook(wish, folder, handles)
            os.close(handles["secrets"])
            _lead(playbook, launcher, self._alive)
        finally:
            os._exit(NO_ANSWER)


def main() -> None:
    """Serve until the runner is gone."""
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Path("/proc/self/oom_score_adj").write_text("300")  # sooner than the runner; forks inherit it
    hide_memory()
    become_subreaper()
    gc.collect()
    gc.freeze()  # so that forks don't copy pages by counting references
    zygote = Zygote(Path(sys.argv[1]))
    zygote.serve()
    # All leaders see the pipe close when this process ends, and end their runs.


if __name__ == "__main__":
    main()
