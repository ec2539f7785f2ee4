"""What a step returns: values, never control flow by exceptions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlmodel import Session

Writes = Callable[[Session], None]


def nothing(_session: Session) -> None:
    """Write nothing along with the outcome."""


def all_of(*several: Writes) -> Writes:
    """Return what makes several writes, in their order."""

    def write(session: Session) -> None:
        for one in several:
            one(session)

    return write


@dataclass(frozen=True, slots=True)
class Go:
    """This step is done: go on at `step`, at once or `after` a rest that a signal ends early."""

    step: str
    after: timedelta = timedelta()
    writes: Writes = nothing


@dataclass(frozen=True, slots=True)
class Again:
    """Not yet: try the same step again, `after` a while or with back-off if that is None.

    `why` is an event constant for the timeline (`waiting_for_tenant`); repeats are not recorded.
    """

    why: str
    after: timedelta | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    writes: Writes = nothing


@dataclass(frozen=True, slots=True)
class Failed:
    """It can't go on without a person: the life stops, keeps everything, and says `code`."""

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    writes: Writes = nothing


@dataclass(frozen=True, slots=True)
class Done:
    """The life is over."""

    writes: Writes = nothing


Outcome = Go | Again | Failed | Done
