"""The warm process, seen from the runner: started when needed, given each run's data in memory."""

import os
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path

from control_plane.kit.errors import Unavailable
from control_plane.ports.automation.execution import LAUNCH, callbacks_folder
from control_plane.ports.automation.processes import kill_by_command
from control_plane.ports.automation.settings import SWEEP, new_environment

PROGRAM = "control_plane.ports.automation.zygote"
_OURS = ("PYTHONPATH",)  # in a checkout; an installed product is isolated from it
_SWEEP_S = 20.0  # as long as killing may take
_START_S = 60.0  # a second on a quiet machine


class Warm:
    """One warm process and its control socket; safe to use from several threads."""

    def __init__(self, folder: Path, playbooks: Path) -> None:
        self._folder = folder
        ours = {name: os.environ[name] for name in _OURS if name in os.environ}
        self._environment = ours | new_environment(playbooks, folder, callbacks_folder())
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._is_stopped = False

    @property
    def mark(self) -> str:
        """What stands in the command line of the process and of all its forks, of no other's."""
        return "\0".join((PROGRAM, str(self._folder)))

    def program(self, run_id: str) -> tuple[str, ...]:
        """Return what ansible-runner shall start in the place of `ansible-playbook`."""
        return (*LAUNCH, str(self._folder / "zygote.sock"), run_id)

    def start(self) -> None:
        """See that the process is there and ready. Raises Unavailable (`runner_not_ready`)."""
        with self._lock:
            self._ensure()

    def hand_over(self, run_id: str, data: bytes) -> None:
        """Give a run's data to the process, in memory. Raises Unavailable."""
        handle = os.memfd_create(run_id, os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(handle), "wb") as file:
                file.write(data)
            with self._lock:
                socket.send_fds(self._ensure(), [run_id.encode()], [handle])
        except OSError as error:
            raise Unavailable("runner_not_ready", why=str(error)) from error
        finally:
            os.close(handle)

    def sweep(self) -> None:
        """Return when nothing is left of runs whose leader is gone. Raises Unavailable."""
        with self._lock:
            control = self._ensure()
            control.send(SWEEP)
            ready, _, _ = select.select([control], [], [], _SWEEP_S)
            if not ready or control.recv(16) != SWEEP:
                self._end()

    def stop(self) -> None:
        """End the process and, with it, all runs; it is not started again."""
        with self._lock:
            self._is_stopped = True
            self._end()

    def _end(self) -> None:
        if self._control:
            self._control.close()
        if self._process:
            self._await_end(self._process)
            kill_by_command(self.mark)  # what it left: leaders that have not seen it yet
        self._control = self._process = None

    def _await_end(self, process: "subprocess.Popen[bytes]") -> None:
        try:
            process.wait(_SWEEP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ensure(self) -> socket.socket:
        if self._control and self._process and self._process.poll() is None:
            return self._control
        self._end()
        if self._is_stopped:
            raise Unavailable("runner_not_ready", why="the runner is being stopped")
        isolated = ("-I",) if sys.flags.isolated else ()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, *isolated, "-m", PROGRAM, str(self._folder)),
                env=self._environment,
                stdin=theirs.fileno(),
                cwd="/",
                start_new_session=True,
            )
        self._control = ours
        ready, _, _ = select.select([ours], [], [], _START_S)
        if not ready or ours.recv(16) != b"ready":
            self._process.kill()
            self._end()
            raise Unavailable("runner_not_ready", why="the warm process did not start")
        return ours
