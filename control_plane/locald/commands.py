"""Running the machine's own programs: bounded in time and output, and recognisable afterwards."""

import os
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
MARK = "EDUBBA_LOCALD"  # in the environment of every program we start, with the instance's name
TIMEOUT_S = 30.0  # the slowest one, e2fsck after a crash, takes less than a second here
_SHOWN = 2000  # characters of a program's complaint that are worth passing on

# The reaper must not take the exit status of a program that somebody here waits for.
SPAWNING = threading.Lock()
_waited_for: set[int] = set()


class CommandFailed(Exception):
    """A program ended with an error, or not in time."""

    def __init__(self, argv: Sequence[str], complaint: str) -> None:
        self.argv, self.complaint = tuple(argv), complaint.strip()[-_SHOWN:]
        super().__init__(f"{' '.join(self.argv[:6])}: {self.complaint}")


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended."""

    code: int
    out: str
    err: str


def is_waited_for(pid: int) -> bool:
    """Whether a thread of this process waits for `pid`; ask only while holding SPAWNING."""
    return pid in _waited_for


def environment() -> dict[str, str]:
    """Return what programs get to know: nothing of our own environment but the mark."""
    return {"PATH": PATH, "LC_ALL": "C", MARK: os.environ.get(MARK, "none")}


def spawn(argv: Sequence[str], *, stdin: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    """Start a program; `release` must be called once it was waited for."""
    with SPAWNING:
        process = subprocess.Popen(
            list(argv), env=environment(), cwd="/", stdin=stdin, stdout=stdout, stderr=stderr
        )
        _waited_for.add(process.pid)
    return process


def release(process: subprocess.Popen[bytes]) -> None:
    """Forget a program that has ended."""
    with SPAWNING:
        _waited_for.discard(process.pid)


def attempt(argv: Sequence[str], text: str = "", timeout_s: float = TIMEOUT_S) -> Finished:
    """Run a program to its end and return how it ended. Raises CommandFailed if it hangs."""
    pipe = subprocess.PIPE
    process = spawn(argv, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        out, err = process.communicate(text.encode(), timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise CommandFailed(argv, f"no end after {timeout_s} s") from None
    finally:
        release(process)
    return Finished(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def run(argv: Sequence[str], text: str = "", timeout_s: float = TIMEOUT_S) -> str:
    """Run a program and return its output. Raises CommandFailed if it complains."""
    finished = attempt(argv, text, timeout_s)
    if finished.code:
        raise CommandFailed(argv, finished.err or finished.out or f"exit {finished.code}")
    return finished.out
