"""Which flows this process knows; a life carries the version of the flow that it was born with."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from sqlmodel import Session

from control_plane.engine.birth import DEFAULT_DEADLINE, Birth
from control_plane.engine.outcome import Outcome
from control_plane.ports.bundle import Ports
from control_plane.ports.cloud.port import Fence

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a step may know of the life that it moves, as it was when claimed."""

    life_id: str
    kind: str
    flow_version: int
    subject_id: str
    agency_id: str | None
    step: str
    counter: int
    signals: int
    attempts: int
    entered_at: datetime
    is_overdue: bool
    is_ending: bool


class Ctx(Protocol):
    """What a step is given: its claim, the ports for effects, short reads of the database."""

    @property
    def claim(self) -> Claim:
        """The life as claimed."""

    @property
    def ports(self) -> Ports:
        """The outside world."""

    @property
    def fence(self) -> Fence:
        """The lease, for calls that change the outside world."""

    def load(self, read: Callable[[Session], Loaded]) -> Loaded:
        """Run `read` in a short read transaction that is over when this returns."""

    def holds_lease(self) -> bool:
        """Whether the lease is still ours, read anew: ask before destroying anything."""


StepFunction = Callable[[Ctx], Outcome]
Lane = Callable[[Session, str], str | None]


def no_lane(_session: Session, _subject_id: str) -> str | None:
    """Return the lane of what depends on nothing that others don't depend on, too: none."""
    return None


@dataclass(frozen=True, slots=True)
class Step:
    """A step and how long a life may stay in it before a human is told."""

    run: StepFunction
    deadline: timedelta = DEFAULT_DEADLINE


@dataclass(frozen=True, slots=True)
class Flow:
    """The steps of one kind of life: how it is born, and where it goes when asked to end.

    `on_stopped` writes into rows that a life has stopped (in the same transaction). `lane` names
    what outside a subject depends on; it never changes for a subject.
    """

    birth: Birth
    ending: str
    steps: Mapping[str, Step]
    on_stopped: Callable[[Session, Claim, str, Mapping[str, object]], None] | None = None
    lane: Lane = no_lane

    def __post_init__(self) -> None:
        missing = {self.birth.start, self.ending} - set(self.steps)
        if missing:
            raise ValueError(f"flow {self.kind} has no step {sorted(missing)}")

    @property
    def kind(self) -> str:
        """The kind of life that this flow moves."""
        return self.birth.kind

    @property
    def version(self) -> int:
        """The version that lives carry which were born with this flow."""
        return self.birth.version


class Registry:
    """The flows of a process, by kind and version. Raises ValueError on a doubled one."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._flows: dict[tuple[str, int], Flow] = {}
        for flow in flows:
            if (flow.kind, flow.version) in self._flows:
                raise ValueError(f"flow {flow.kind} version {flow.version} is there twice")
            self._flows[flow.kind, flow.version] = flow

    def find(self, kind: str, version: int) -> Flow | None:
        """Return the flow, or None where this process is too old or too new for it."""
        return self._flows.get((kind, version))

    def list_flows(self) -> Iterable[Flow]:
        """Return all flows."""
        return self._flows.values()
