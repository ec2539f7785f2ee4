"""What goes in and out of operations over HTTP."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from control_plane.engine.models import EnginePause, Life, LifeState, TimelineEvent
from control_plane.identity.schemas import In
from control_plane.kit.pagination import DEFAULT_LIMIT, MAX_LIMIT
from control_plane.kit.text import translate
from control_plane.ledger.models import LedgerEntry
from control_plane.operations.rules import stop_of

CURSOR = Field(default=None, max_length=200, description="`next_cursor` of the page before")
LIMIT = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="How many items at most")
Reason = Annotated[str, Field(min_length=1, max_length=500)]
Kind = Annotated[str, Field(pattern=r"^([a-z_]{1,32}|\*)$", examples=["hosting"])]


class ReasonIn(In):
    """Why somebody steps in."""

    reason: Reason = Field(examples=["the disk was full and is not any more"])


class PauseIn(In):
    """Which lives are to rest (`*`: all), and why."""

    kind: Kind
    reason: Reason


class ResumeIn(In):
    """Which lives are to go on."""

    kind: Kind


class LivesQuery(In):
    """Which lives are asked for."""

    state: LifeState | None = Field(default=None, description="Only lives in this state")
    kind: str | None = Field(default=None, max_length=32, pattern=r"^[a-z_]+$")
    overdue: bool = Field(default=False, description="Only lives past their deadline")
    cursor: str | None = CURSOR
    limit: int = LIMIT


class EntriesQuery(In):
    """Which entries are asked for."""

    agency: str | None = Field(default=None, max_length=40, description="Its short name")
    subject: str | None = Field(default=None, max_length=64, description="An id")
    by: str | None = Field(default=None, max_length=64, description="Who did it")
    action: str | None = Field(default=None, max_length=64, examples=["hosting.requested"])
    cursor: str | None = CURSOR
    limit: int = LIMIT


class FailureOut(BaseModel):
    """Why a life stopped, for people, in the reader's language."""

    code: str
    happened: str
    following: str = Field(description="What is tried next, and when")
    mend: str = Field(description="What the owner can do")
    facts: dict[str, Any]

    @classmethod
    def of(cls, code: str, facts: dict[str, Any], locale: str) -> "FailureOut":
        """Show a stop code."""
        stop, known = stop_of(code), {**facts, "code": code}
        return cls(
            code=code,
            happened=translate(stop.happened, locale, **known),
            following=translate(stop.following, locale, **known),
            mend=translate(stop.mend, locale, **known),
            facts=facts,
        )


class LifeOut(BaseModel):
    """The engine's row behind a resource."""

    id: str
    kind: str
    subject_id: str
    agency_id: str | None
    step: str
    state: LifeState
    attempts: int
    why: str | None = Field(description="What it waits for, if it tries the step again")
    created_at: datetime
    entered_at: datetime
    due_at: datetime
    deadline_at: datetime
    alerted_at: datetime | None
    ending_at: datetime | None
    failure: FailureOut | None

    @classmethod
    def of(cls, life: Life, locale: str) -> "LifeOut":
        """Show a row."""
        failure = None
        if life.failure_code is not None:
            failure = FailureOut.of(life.failure_code, life.failure_facts or {}, locale)
        shown = life.model_dump(include=set(cls.model_fields))
        return cls.model_validate({**shown, "failure": failure})


class PauseOut(BaseModel):
    """A pause in force."""

    kind: str
    since: datetime
    actor_id: str
    reason: str

    @classmethod
    def of(cls, pause: EnginePause) -> "PauseOut":
        """Show a row."""
        return cls.model_validate(pause.model_dump())


class PausesOut(BaseModel):
    """All pauses in force."""

    items: list[PauseOut]


class OrphanOut(BaseModel):
    """An object of a region that carries our tag, but that no row claims."""

    region: str
    facts: dict[str, Any]


class OrphansOut(BaseModel):
    """All of them, as last observed."""

    items: list[OrphanOut]


class EventOut(BaseModel):
    """One thing that happened in a life; `event` is a constant in the past tense."""

    id: str
    at: datetime
    step: str
    event: str
    attempt: int
    facts: dict[str, Any]

    @classmethod
    def of(cls, event: TimelineEvent) -> "EventOut":
        """Show a row."""
        shown = event.model_dump(include=set(cls.model_fields))
        return cls.model_validate({**shown, "facts": event.facts or {}})


class EventsOut(BaseModel):
    """A life's story from its beginning, or behind the event asked for."""

    items: list[EventOut]


class EntryOut(BaseModel):
    """An entry of the ledger; `facts` is null once redacted."""

    id: str
    index: int | None = Field(description="Its place in the tree, and the order")
    at: datetime
    actor_id: str
    action: str
    subject_id: str
    agency_id: str | None
    facts: dict[str, Any] | None

    @classmethod
    def of(cls, entry: LedgerEntry) -> "EntryOut":
        """Show a row."""
        return cls(
            id=entry.id,
            index=entry.leaf_index,
            at=entry.created_at,
            actor_id=entry.actor_id,
            action=entry.action,
            subject_id=entry.subject_id,
            agency_id=entry.agency_id,
            facts=entry.facts,
        )


class CheckpointOut(BaseModel):
    """A signed head of the tree: keep it, it is what later ones are compared with."""

    tree_size: int
    note: str
    vkey: str | None


class ConsistencyOut(BaseModel):
    """The proof that the latest tree begins with an older one."""

    old_size: int
    tree_size: int
    note: str
    proof: list[str] = Field(description="Hashes in hexadecimal (RFC 6962, section 2.1.2)")


class KeyOut(BaseModel):
    """The ledger's public key in C2SP's form; null until something was signed."""

    vkey: str | None


class HealthOut(BaseModel):
    """Whether the process can serve, and what keeps it from that."""

    status: str
    checks: dict[str, bool]


class TargetsOut(BaseModel):
    """One group of Prometheus's HTTP service discovery."""

    targets: list[str]
    labels: dict[str, str]
