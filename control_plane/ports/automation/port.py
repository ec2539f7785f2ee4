"""The automation: playbooks are run on servers, watched, cancelled and forgotten.

A run has an id that the caller chose and committed before. What comes out of a server is hostile:
everything that an adapter hands back is bounded, and its texts are cleaned of control characters
and of the run's secrets.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from control_plane.kit.errors import Refused
from control_plane.kit.ids import is_id
from control_plane.ports.cloud.port import Access, Fence

SERVERS_MAX = 16
VARIABLES_MAX = 256 * 1024  # bytes as JSON; a thousand settings of a page each are 4 MB, and wrong
SECRETS_MAX = 2 * 1024 * 1024  # all settings of a hosting, each byte escaped in JSON
RESULT_MAX = 16 * 1024
TEXT_MAX = 2_000  # characters of one event's text
OUTPUT_MAX = 16_000  # characters of what people read when it went wrong
EVENTS_MAX = 2_000
TIMEOUT_MAX = timedelta(hours=1)
WAIT_MAX = timedelta(seconds=10)
PLAYBOOK = re.compile(r"hosting_[a-z][a-z0-9_]{0,60}")
_VARIABLE = re.compile(r"[a-z][a-z0-9_]{0,60}")
_RESERVED = re.compile(r"(ansible|edubba|run)_.*")


class RunState(StrEnum):
    """Where a run is; the last five are over."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # `reason` says why
    CANCELLED = "cancelled"
    LOST = "lost"  # the runner was restarted; nothing of the run lives on
    ABSENT = "absent"  # never heard of, or forgotten

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self not in {RunState.QUEUED, RunState.RUNNING}


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One execution of one playbook.

    `variables` are the play's as they are: no text of theirs is ever read as a template. `secrets`
    (any JSON) are the variable `run_secrets`; they are in no log, argument, event or file.
    """

    run_id: str
    playbook: str  # hosting_<blueprint>, of the installed ones
    servers: Sequence[Access]
    variables: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout: timedelta = timedelta(minutes=10)
    is_check: bool = False  # say what would change, and change nothing


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tasks ended how, on all servers together."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    unreachable: int = 0


class EventKind(StrEnum):
    """What an event tells."""

    TASK = "task"  # begins
    OK = "ok"
    CHANGED = "changed"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    NOTICE = "notice"  # a warning, or that something was cut off


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One line of the timeline that people read; numbers begin at 1 and have no gap."""

    number: int
    at: datetime
    kind: EventKind
    task: str = ""
    server_id: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class RunFact:
    """What was seen of a run.

    `pid` is the process that all of the run descends from, once there is one; `heartbeat_at` is
    when it was last seen alive. `result` is the one dict that the play declared with `set_stats`.
    """

    run_id: str
    state: RunState
    reason: str = ""  # one word: task_failed, unreachable, timed_out, …
    pid: int | None = None
    heartbeat_at: datetime | None = None
    counts: Counts = Counts()
    result: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""
    events: tuple[RunEvent, ...] = ()


class Automation(Protocol):
    """What runs playbooks. Raises `Unavailable` or `Refused`; safe to call from several threads."""

    def start(self, spec: RunSpec, fence: Fence) -> None:
        """Begin a run, or adopt it: one id is one run, however often it is started.

        Raises Refused: `playbook_missing`, `variables_too_large`, `secrets_too_large`,
        `run_malformed`, `run_differs` (the id is taken by another wish), `stale_fence`;
        Unavailable: `runner_full`.
        """

    def observe(self, run_id: str, after_event: int = 0, wait: timedelta = timedelta()) -> RunFact:
        """Say what is known, with the events that came after the one of that number.

        One that is being carried out may be waited for: the answer comes when it is over, or after
        `wait` (at most WAIT_MAX).
        """

    def cancel(self, run_id: str, fence: Fence) -> RunFact:
        """End a run; when this returns, each of its processes is dead.

        Nothing happens if it is over. Raises Unavailable (`run_still_ending`).
        """

    def forget(self, run_id: str, fence: Fence) -> None:
        """Remove all that is kept of a run that is over; nothing happens if nothing is.

        Raises Refused (`run_not_over`).
        """


def check(spec: RunSpec) -> None:
    """Raise Refused where a wish is not one that any adapter takes."""
    if not is_id(spec.run_id, "run"):
        raise Refused("run_malformed", field="run_id")
    if not PLAYBOOK.fullmatch(spec.playbook):
        raise Refused("playbook_missing", playbook=spec.playbook[:80])
    if not 1 <= len(spec.servers) <= SERVERS_MAX:
        raise Refused("run_malformed", field="servers")
    if not timedelta(seconds=1) <= spec.timeout <= TIMEOUT_MAX:
        raise Refused("run_malformed", field="timeout")
    for name in spec.variables:
        if not _VARIABLE.fullmatch(name) or _RESERVED.fullmatch(name):
            raise Refused("run_malformed", field=name[:80])
    _check_size("variables_too_large", spec.variables, VARIABLES_MAX)
    _check_size("secrets_too_large", spec.secrets, SECRETS_MAX)


def _check_size(code: str, value: Mapping[str, Any], most: int) -> None:
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError):
        raise Refused("run_malformed", field=code.partition("_")[0]) from None
    if size > most:
        raise Refused(code, size=size, most=most)
