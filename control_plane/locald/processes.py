"""Processes around the daemon: orphans to reap, and strays of a daemon that was killed."""

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

from control_plane.locald.commands import MARK, SPAWNING, is_waited_for

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_REAP_EVERY_S = 0.5


def become_subreaper() -> None:
    """Have containers' processes as children once runc ended: not every PID 1 reaps."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def reap_for_ever() -> None:
    """Take the exit status of orphans; programs that a thread waits for are left to it."""
    while True:
        time.sleep(_REAP_EVERY_S)
        reap()


def reap() -> None:
    """Take the exit status of all orphans that have ended."""
    for pid in _children():
        with SPAWNING, contextlib.suppress(ChildProcessError):
            if not is_waited_for(pid):
                os.waitpid(pid, os.WNOHANG)


def _children() -> list[int]:
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [int(pid) for pid in path.read_text().split()]
    return found


def kill_strays(instance: str) -> int:
    """Kill programs that an earlier daemon of this instance started; return how many there were.

    A daemon that was killed leaves them running, and they would work against the new one.
    """
    wanted = f"{MARK}={instance}".encode()
    killed = 0
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            is_stray = wanted in path.read_bytes().split(b"\0")
        except OSError:
            continue  # it ended, or is none of ours
        if is_stray:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(path.parts[2]), signal.SIGKILL)
                killed += 1
    return killed
