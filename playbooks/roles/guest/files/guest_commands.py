"""Commands in the rooms: each ends when its time is over or nobody wants it, with all it started.

A command's first process adopts what its children leave behind and outlives them, so that nothing
gets away from the tree; where the cloud lets this server have control groups, one of them holds
the tree together even against a command that kills that first process.
"""

import contextlib
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import guest_groups as groups
import guest_kernel as kernel
from guest_rooms import ALL, ENVIRONMENT, OOM_SCORE, OPEN_FILES
from guest_state import Trouble, find_process

TIMED_OUT = 124  # as timeout(1) says it
UNREACHABLE = 69  # EX_UNAVAILABLE, sysexits.h
_POLL_S = 0.1
_END_S = 5.0
_STEP_S = 0.01


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Command:
    """What to run in the rooms, as whom, for how long, and whether somebody still wants it."""

    argv: Sequence[str]
    uid: int
    gid: int
    timeout_s: float
    is_wanted: Callable[[], bool] = _always


def prepare(uid: int, gid: int) -> None:
    """Be, from now on, one of those who may do little in here. Raises OSError."""
    Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    os.umask(0o022)
    kernel.become(uid, gid, kernel.OF_RUNS if uid == 0 else ())


def _execute(command: Command) -> NoReturn:
    try:
        os.setsid()
        os.chdir("/")
        prepare(command.uid, command.gid)
        os.execve(command.argv[0], list(command.argv), ENVIRONMENT)  # a path, no shell
    except OSError as error:
        os.write(2, f"{command.argv[0]}: {error.strerror}\n".encode())
    os._exit(126)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in path.read_text().split()]
    return found


def _reap() -> dict[int, int]:
    """Take the status of all children that have ended."""
    ended = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended


def _end_tree() -> None:
    """Kill all descendants: what loses its parent becomes this process's own child."""
    end = time.monotonic() + _END_S
    while (waiting := _children(os.getpid())) and time.monotonic() < end:
        while waiting:
            pid = waiting.pop()
            waiting += _children(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap()
        time.sleep(_STEP_S)


def _lead(command: Command, wanted: int) -> NoReturn:
    """Start the command as the tree's first process; end the tree when it ends or is not wanted."""
    kernel.adopt_orphans()
    child = os.fork()
    if child == 0:
        _execute(command)
    ended: dict[int, int] = {}
    handle = os.pidfd_open(child)
    while child not in ended:
        ready = select.select([wanted, handle], [], [], _POLL_S)[0]
        ended |= _reap()
        if wanted in ready:
            break
    _end_tree()
    code = ended.get(child, TIMED_OUT)
    os._exit(code if code >= 0 else 128 - code)


def _go_in(process: int, command: Command, wanted: int) -> NoReturn:
    """Enter the rooms, let the tree's first process begin there, and end as it does."""
    try:
        kernel.enter(process, ALL)
    except OSError as error:
        os.write(2, f"the server's process has gone: {error.strerror}\n".encode())
        os._exit(UNREACHABLE)
    leader = os.fork()
    if leader == 0:
        _lead(command, wanted)
    code = os.waitstatus_to_exitcode(os.waitpid(leader, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


def _has_gone() -> bool:
    """Whether who asked hears nothing any more."""
    poll = select.poll()
    poll.register(1, 0)  # errors and hang-ups alone
    return bool(poll.poll(0))


def _watch(pid: int, end: float, is_wanted: Callable[[], bool]) -> int | None:
    """Wait for a child; return its status, or None where that was not waited for."""
    handle = os.pidfd_open(pid)
    try:
        while time.monotonic() < end and is_wanted():
            if select.select([handle], [], [], _POLL_S)[0]:
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                return code if code >= 0 else 128 - code
    finally:
        os.close(handle)
    return None


@contextlib.contextmanager
def _group() -> Iterator[Path | None]:
    """Make a group for one command where that can be; at the end, nothing is left in it."""
    found = groups.find_any()
    group = found / f"edubba-{os.getpid()}" if found else None
    if group is not None:
        group.mkdir(exist_ok=True)
    try:
        yield group
    finally:
        if group is not None and not groups.end(group):
            raise Trouble("command_still_ending")


def run(command: Command) -> int:
    """Run a command in the rooms to its end, until its time is up, or until it is not wanted.

    Input, output and errors are this process's own. Raises Trouble (`server_unreachable`,
    `command_still_ending`).
    """
    process = find_process()
    if process is None:
        raise Trouble("server_unreachable")
    with _group() as group:
        return _run(command, process, group)


def _run(command: Command, process: int, group: Path | None) -> int:
    wanted, held = os.pipe2(os.O_CLOEXEC)
    begin, go = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.close(held)
        os.close(go)
        os.read(begin, 1)  # until this process is in its group
        _go_in(process, command, wanted)
    os.close(wanted)
    os.close(begin)
    try:
        if group is not None:
            (group / "cgroup.procs").write_text(str(pid))
        os.close(go)
        end = time.monotonic() + command.timeout_s
        code = _watch(pid, end, lambda: command.is_wanted() and not _has_gone())
    finally:
        os.close(held)  # its other end becomes readable: the tree is ended
    if code is not None:
        return code
    if _watch(pid, time.monotonic() + 2 * _END_S, lambda: True) is None and group is None:
        raise Trouble("command_still_ending")
    return TIMED_OUT
