"""Running one command inside one server: bounded in time and output, ended when time is up."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from control_plane.locald import cgroups
from control_plane.locald.bundle import ROOT_CAPABILITIES, new_process
from control_plane.locald.commands import release, spawn
from control_plane.locald.containers import Containers
from control_plane.locald.names import Names

OUTPUT_MAX = 1 << 20
_CHUNK = 1 << 16
_AFTER_END_S = 0.5  # for output that is still on its way when the command has ended
_POLL_S = 0.1


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, as which uid inside, for how long, and whether somebody still wants it."""

    argv: Sequence[str]
    uid: int
    gid: int
    timeout_s: float
    is_wanted: Callable[[], bool] = _always


@dataclass(frozen=True, slots=True)
class Streams:
    """Handles of pipes that the caller gave; without `stdout` the output is collected."""

    stdin: int | None = None
    stdout: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended; what it wrote beyond OUTPUT_MAX is lost."""

    code: int
    timed_out: bool
    out: bytes
    err: bytes


def _session(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _kill_session(names: Names, server_id: str, pid_file: Path) -> None:
    """Kill a command and what it started, which runc put into a session of its own.

    What left that session stays, inside the server and within its limits.
    """
    try:
        leader = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return
    for pid in cgroups.list_processes(names.cgroup(server_id)):
        if pid == leader or _session(pid) == leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def kill_leftovers(names: Names) -> None:
    """End commands that a daemon before this one started and nobody waits for."""
    for pid_file in names.exec_dir.glob("*.pid"):
        _kill_session(names, pid_file.name.partition(".")[0], pid_file)
    for path in names.exec_dir.glob("*"):
        path.unlink(missing_ok=True)


class _Collector:
    """Reads pipes until they close, keeping the first OUTPUT_MAX bytes of each."""

    def __init__(self, *pipes: IO[bytes] | None) -> None:
        self._selector = selectors.DefaultSelector()
        self.texts = {pipe: b"" for pipe in pipes if pipe}
        for pipe in self.texts:
            self._selector.register(pipe, selectors.EVENT_READ)

    @property
    def is_open(self) -> bool:
        return bool(self._selector.get_map())

    def read(self, timeout_s: float) -> None:
        """Take what comes within the time."""
        for key, _ in self._selector.select(timeout_s):
            chunk = os.read(key.fd, _CHUNK)
            pipe = key.fileobj
            if not chunk:
                self._selector.unregister(pipe)
            for known, text in self.texts.items():
                if known is pipe and len(text) < OUTPUT_MAX:
                    self.texts[known] = (text + chunk)[:OUTPUT_MAX]


def _collect(process: subprocess.Popen[bytes], command: Command) -> tuple[bool, _Collector]:
    """Read until the command has ended; return whether it did in time."""
    collector = _Collector(process.stdout, process.stderr)
    end = time.monotonic() + command.timeout_s
    while process.poll() is None and time.monotonic() < end and command.is_wanted():
        if collector.is_open:
            collector.read(_POLL_S)
        else:
            time.sleep(0.005)
    has_ended = process.poll() is not None
    last = time.monotonic() + _AFTER_END_S
    while has_ended and collector.is_open and time.monotonic() < last:
        collector.read(_POLL_S)
    return has_ended, collector


class Execution:
    """Commands in one instance's servers."""

    def __init__(self, names: Names, containers: Containers) -> None:
        self._names, self._containers = names, containers

    @contextmanager
    def _files(self, server_id: str, command: Command) -> Iterator[tuple[Path, Path]]:
        folder = self._names.exec_dir
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = f"{server_id}.{uuid.uuid4().hex}"
        process, pid_file = folder / f"{mark}.json", folder / f"{mark}.pid"
        capabilities = ROOT_CAPABILITIES if command.uid == 0 else ()
        wish = new_process(command.argv, command.uid, command.gid, capabilities)
        process.write_text(json.dumps(wish))
        try:
            yield process, pid_file
        finally:
            process.unlink(missing_ok=True)
            pid_file.unlink(missing_ok=True)

    def run(self, server_id: str, command: Command, streams: Streams) -> Outcome:
        """Run a command to its end, until its time is up, or until nobody wants it any more."""
        pipe = subprocess.PIPE
        with self._files(server_id, command) as (process_file, pid_file):
            process = spawn(
                self._containers.exec_argv(server_id, process_file, pid_file),
                stdin=subprocess.DEVNULL if streams.stdin is None else streams.stdin,
                stdout=pipe if streams.stdout is None else streams.stdout,
                stderr=pipe,
            )
            for handle in (streams.stdin, streams.stdout):
                if handle is not None:
                    os.close(handle)  # so that the other end sees when the command's own closes
            try:
                in_time, collector = _collect(process, command)
                if not in_time:
                    _kill_session(self._names, server_id, pid_file)
                    process.kill()
                code = process.wait()
            finally:
                release(process)
                for stream in (process.stdout, process.stderr):
                    if stream:
                        stream.close()
        texts = collector.texts
        out = texts[process.stdout] if process.stdout else b""
        err = texts[process.stderr] if process.stderr else b""
        return Outcome(code, not in_time, out, err)
