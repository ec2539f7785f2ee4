"""What is remembered in a server: fences on its disk, runs and its process until it is off.

A fence is the highest counter seen of a life: who comes with a lower one has lost its lease. A
ticket lets a run command this server, until it is closed or its time is over.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

KEPT = Path("/var/lib/edubba/guest")
PASSING = Path("/run/edubba")
_ID = re.compile(r"[a-z]{3}_[0-9a-z]{26}")
_RUN = re.compile(r"run_[0-9a-z]{26}")
_CLOSE_S = 10.0  # a command sees within a tenth of a second that it is not wanted any more
_STEP_S = 0.05


class Refusal(Exception):
    """Why something is not done: a code, and facts."""

    def __init__(self, code: str, **facts: str | int) -> None:
        super().__init__(code)
        self.code, self.facts = code, facts


class Trouble(Exception):
    """What may go well another time: a code, and facts."""

    def __init__(self, code: str, **facts: str | int) -> None:
        super().__init__(code)
        self.code, self.facts = code, facts


def write_durably(path: Path, content: str) -> None:
    """Replace a file; after a crash or a power cut it has its old or its new content."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    with new.open("w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock that ends with this process, not with what it starts."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class Fence:
    """The lease under which a change is asked for."""

    life: str
    counter: int

    def __post_init__(self) -> None:
        """Refuse what is no name of a life: it becomes part of a path."""
        if not _ID.fullmatch(self.life) or not 0 <= self.counter < 1 << 63:
            raise Refusal("bad_request", field="fence")


def look(fence: Fence) -> int:
    """Return the counter that is remembered, or -1. Raises Refusal (`stale_fence`)."""
    path = KEPT / "fences" / fence.life
    seen = int(path.read_text()) if path.is_file() else -1
    if fence.counter < seen:
        raise Refusal("stale_fence", life=fence.life, counter=fence.counter, seen=seen)
    return seen


def check(fence: Fence) -> None:
    """Remember the counter. Raises Refusal (`stale_fence`) where a higher one was seen."""
    with locked(KEPT / ".fences.lock"):
        if fence.counter > look(fence):
            write_durably(KEPT / "fences" / fence.life, str(fence.counter))


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a run may do: command this server under a fence, until a second of the epoch."""

    life: str
    counter: int
    until: int
    is_open: bool = True

    @property
    def is_valid(self) -> bool:
        """Whether the run may go on."""
        return self.is_open and time.time() < self.until


def _run_path(run: str) -> Path:
    if not _RUN.fullmatch(run):
        raise Refusal("bad_request", field="run")
    return PASSING / "runs" / run


def find_ticket(run: str) -> Ticket | None:
    """Return what a run may do here."""
    try:
        return Ticket(**json.loads(_run_path(run).read_text()))
    except FileNotFoundError:
        return None


def _save(run: str, ticket: Ticket) -> None:
    write_durably(_run_path(run), json.dumps(asdict(ticket)))


def open_run(run: str, fence: Fence, until: int) -> None:
    """Let a run command this server; repeated, it prolongs the time and renews the fence."""
    with locked(_run_path(run).with_suffix(".change")):
        check(fence)
        known = find_ticket(run)
        if known and known.is_valid and known.life != fence.life:
            raise Refusal("run_of_another_life", run=run)
        _save(run, Ticket(fence.life, fence.counter, until))


def close_run(run: str, fence: Fence) -> None:
    """Let nothing more be done for a run; when this returns, no command of it is left.

    Raises Trouble (`run_still_ending`) where one outlives the wait.
    """
    with locked(_run_path(run).with_suffix(".change")):
        check(fence)
        _save(run, Ticket(fence.life, fence.counter, 0, is_open=False))
    end = time.monotonic() + _CLOSE_S
    while True:
        try:
            with locked(_run_path(run).with_suffix(".lock"), fcntl.LOCK_EX | fcntl.LOCK_NB):
                return
        except BlockingIOError:
            if time.monotonic() > end:
                raise Trouble("run_still_ending", run=run) from None
            time.sleep(_STEP_S)


@contextmanager
def commanding(run: str) -> Iterator[None]:
    """Hold a run's ticket while a command is under way.

    Raises Refusal: `run_not_open` for one that is unknown, closed or over, `stale_fence` where its
    life was claimed again since.
    """
    with locked(_run_path(run).with_suffix(".lock"), fcntl.LOCK_SH):
        if not is_wanted(run):
            raise Refusal("run_not_open", run=run)
        ticket = find_ticket(run)
        if ticket is not None:
            look(Fence(ticket.life, ticket.counter))
        yield


def is_wanted(run: str) -> bool:
    """Whether a command that is under way may go on."""
    ticket = find_ticket(run)
    return ticket is not None and ticket.is_valid


def find_process() -> int | None:
    """Return the image's process, in whose rooms commands work, if it runs."""
    try:
        pid = int((PASSING / "process").read_text())
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid
