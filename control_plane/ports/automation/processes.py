"""Processes that must be dead before others begin: recognised beyond doubt, killed with all theirs.

A process id alone proves nothing, since the kernel gives it out again; with the moment of its
start it does. A group alone is not all of a run: Ansible puts each task into a session of its own.
"""

import ctypes
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_DUMPABLE = 4  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class Process:
    """A process and, in the kernel's clock ticks since boot, when it began."""

    pid: int
    began: int

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; what has ended and was not waited for yet does not."""
        found = _look(self.pid)
        return found is not None and found.began == self.began and found.state not in "ZX"


@dataclass(frozen=True, slots=True)
class _Look:
    state: str
    parent: int
    began: int


def _look(pid: int) -> _Look | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # proc(5): the third field on
    return _Look(state=fields[0], parent=int(fields[1]), began=int(fields[19]))


def find_process(pid: int) -> Process | None:
    """Return the process that has this id now."""
    found = _look(pid)
    return Process(pid, found.began) if found else None


def _list_by_parent() -> dict[int, list[Process]]:
    children: dict[int, list[Process]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        found = _look(int(path.name))
        if found and found.state not in "ZX":
            children.setdefault(found.parent, []).append(Process(int(path.name), found.began))
    return children


def list_children(pid: int) -> list[Process]:
    """Return a process's children that have not ended."""
    return _list_by_parent().get(pid, [])


def list_descendants(pid: int) -> list[Process]:
    """Return all that descend from a process, itself not among them."""
    children = _list_by_parent()
    queue, descendants = [pid], list[Process]()
    while queue:
        below = children.get(queue.pop(), [])
        descendants += below
        queue += [process.pid for process in below]
    return descendants


def kill_descendants(pid: int, timeout_s: float = 10.0) -> bool:
    """Kill all that descend from a process; whether nothing of it is left in time.

    All are stopped first: what stands still makes no children while it is counted.
    """
    end = time.monotonic() + timeout_s
    while found := list_descendants(pid):
        if time.monotonic() > end:
            return False
        stopped = set[Process]()
        while fresh := set(found) - stopped:
            _send(fresh, signal.SIGSTOP)
            stopped |= fresh
            found = list_descendants(pid)
        _send(stopped, signal.SIGKILL)
        _await_end(stopped, end)
    return True


def kill_tree(root: Process, timeout_s: float = 10.0) -> bool:
    """Kill a process and all that descend from it; whether all are dead in time."""
    end = time.monotonic() + timeout_s
    _send([root], signal.SIGSTOP)
    is_empty = not root.is_alive or kill_descendants(root.pid, timeout_s)
    _send([root], signal.SIGKILL)
    _await_end([root], end)
    return is_empty and not root.is_alive


def kill_by_command(part: str) -> int:
    """Kill what was started with this text in its command line; return how many there were."""
    killed = 0
    for path in Path("/proc").glob("[0-9]*"):
        process = find_process(int(path.name))
        if process and process.pid != os.getpid() and part in _command(process.pid):
            killed += 1
            kill_tree(process)
    return killed


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""  # it has ended


@contextmanager
def _handle(process: Process) -> Iterator[int | None]:
    """Hold a process so that its id can't pass to another; None where it is gone."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield handle if process.is_alive else None
    finally:
        os.close(handle)


def _send(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        with _handle(process) as handle, suppress(ProcessLookupError):
            if handle is not None:
                signal.pidfd_send_signal(handle, number)


def _await_end(processes: Iterable[Process], end: float) -> None:
    for process in processes:
        with _handle(process) as handle:
            if handle is not None:
                poller = select.poll()
                poller.register(handle, select.POLLIN)
                poller.poll(1000 * max(0.0, end - time.monotonic()))


def hide_memory() -> None:
    """Let no other process of this user read this one's memory or environment."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
