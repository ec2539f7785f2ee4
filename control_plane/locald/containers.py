"""runc's life cycle of one container: look, make, start, change limits, remove."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.locald import cgroups
from control_plane.locald.commands import attempt, release, run, spawn
from control_plane.locald.faults import Trouble
from control_plane.locald.names import Names
from control_plane.locald.waiting import wait_until

CREATE_TIMEOUT_S = 20.0
GRACE_S = 10.0  # for a server's process to end by itself


@dataclass(frozen=True, slots=True)
class Container:
    """What runc says of a container: `status` is created, running, paused or stopped."""

    status: str
    pid: int


class Containers:
    """The containers of one instance; a server's id is its container's."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def _runc(self, *arguments: str) -> list[str]:
        return ["runc", "--root", str(self._names.runc_root), *arguments]

    def find(self, server_id: str) -> Container | None:
        """Return the container, if runc knows it whole."""
        if not (self._names.runc_root / server_id).exists():
            return None
        finished = attempt(self._runc("state", server_id))
        if finished.code:
            return None
        state = json.loads(finished.out)
        return Container(str(state["status"]), int(state["pid"]))

    def create(self, server_id: str, bundle: Path, console: Path) -> Container:
        """Make the container without starting its process. Raises Trouble with runc's reason."""
        log = bundle / "runc.log"
        log.unlink(missing_ok=True)
        argv = self._runc("--log", str(log), "create", "--bundle", str(bundle), server_id)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        output = os.open(console, flags, 0o600)
        try:
            process = spawn(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        finally:
            os.close(output)
        try:
            code = process.wait(CREATE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        finally:
            release(process)
        made = self.find(server_id)
        if code or made is None:
            why = log.read_text()[-800:] if log.is_file() else f"exit {code}"
            raise Trouble("container_not_created", server=server_id, why=why)
        return made

    def start(self, server_id: str) -> None:
        """Let the container's process run."""
        run(self._runc("start", server_id))

    def update(self, server_id: str, resources: Mapping[str, Any]) -> None:
        """Change the limits of a running container."""
        run(self._runc("update", "--resources", "-", server_id), json.dumps(resources))

    def terminate(self, server_id: str) -> None:
        """Ask the container's process to end, and wait for it a little."""
        attempt(self._runc("kill", server_id, "TERM"))

        def is_over() -> bool:
            found = self.find(server_id)
            return found is None or found.status == "stopped"

        wait_until(is_over, GRACE_S)

    def remove(self, server_id: str) -> None:
        """Remove the container, whatever is left of it. Raises Trouble while it is dying."""
        known = self._names.runc_root / server_id
        if known.exists():
            attempt(self._runc("delete", "--force", server_id))
        group = self._names.cgroup(server_id)

        def is_gone() -> bool:
            cgroups.kill_processes(group)
            return cgroups.remove(group)

        if not wait_until(is_gone, GRACE_S):
            raise Trouble("container_still_dying", server=server_id)
        if known.exists():  # runc died while it made this, and can't remove it any more
            shutil.rmtree(known)

    def exec_argv(self, server_id: str, process: Path, pid_file: Path) -> list[str]:
        """Return the command that runs one more process in the container."""
        options = ("--process", str(process), "--pid-file", str(pid_file))
        return self._runc("exec", *options, server_id)

    def network_namespace(self, server_id: str) -> Path:
        """Return the handle of a running server's network. Raises Trouble if it is not running."""
        found = self.find(server_id)
        if found is None or found.status not in {"created", "running"}:
            raise Trouble("server_unreachable", server=server_id)
        return Path(f"/proc/{found.pid}/ns/net")
