"""The verbs on lives that rooms use: start, signal, ask to end, retry, pause; and their story.

Each takes the caller's session and commits nothing. What must be woken is remembered in the
session (`rung`), and the caller's transaction rings the bell for it after the commit.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, literal
from sqlmodel import Session, and_, col, func, or_, select, update

from control_plane.engine.birth import DEFAULT_DEADLINE, Birth
from control_plane.engine.models import EnginePause, Life, LifeState, TimelineEvent
from control_plane.kit.db import UtcDateTime, database_now
from control_plane.kit.ids import new_id

_RUNG = "rung_lives"
EVERY_KIND = "*"


def start_life(
    session: Session, birth: Birth, subject_id: str, agency_id: str | None = None
) -> str:
    """Start the one life of a resource, due at once; return its id."""
    now = database_now(session)
    life = Life(
        id=new_id("lif"),
        kind=birth.kind,
        flow_version=birth.version,
        subject_id=subject_id,
        agency_id=agency_id,
        step=birth.start,
        created_at=now,
        entered_at=now,
        due_at=now,
        deadline_at=now + birth.deadline,
    )
    session.add(life)
    session.flush()
    _ring(session, life.id)
    return life.id


def find_life(session: Session, kind: str, subject_id: str) -> Life | None:
    """Return the life of a resource."""
    query = select(Life).where(col(Life.kind) == kind, col(Life.subject_id) == subject_id)
    return session.exec(query).first()


def is_claimable(now: datetime) -> ColumnElement[bool]:
    """Return the condition of lives that are due, that nobody has and nobody paused."""
    return and_(
        col(Life.state) == LifeState.LIVE,
        col(Life.due_at) <= now,
        or_(col(Life.lease_until).is_(None), col(Life.lease_until) <= now),
        ~exists().where(col(EnginePause.kind).in_([col(Life.kind), literal(EVERY_KIND)])),
    )


def signal_life(session: Session, kind: str, subject_id: str) -> bool:
    """Wake the life because its wish changed; not lost if a step is running. Is there one?"""
    return _wake(session, kind, subject_id, {})


def hasten_life(session: Session, kind: str, subject_id: str) -> None:
    """Let the life look now that would look later: a hint from outside, of which none counts.

    A step that runs is left alone, and so is a life that is stopped.
    """
    now = database_now(session)
    row = (
        session.connection()
        .execute(
            update(Life)
            .where(
                col(Life.kind) == kind,
                col(Life.subject_id) == subject_id,
                col(Life.state) == LifeState.LIVE,
                col(Life.due_at) > now,
                or_(col(Life.lease_until).is_(None), col(Life.lease_until) <= now),
            )
            .values(due_at=now)
            .returning(col(Life.id))
        )
        .first()
    )
    if row is not None:
        _ring(session, row[0])


def ring_life(session: Session, kind: str, subject_id: str) -> None:
    """Ring for the life without touching its row: no lock, but it runs only if it is due anyway.

    For a life that many transactions at once have work for.
    """
    query = select(Life.id).where(col(Life.kind) == kind, col(Life.subject_id) == subject_id)
    life_id = session.exec(query).first()
    if life_id is not None:
        _ring(session, life_id)


def request_ending(session: Session, kind: str, subject_id: str) -> bool:
    """Ask the life to end: looked at before its next step, also if it had stopped."""
    now = database_now(session)
    changes = {
        "ending_at": func.coalesce(col(Life.ending_at), literal(now, UtcDateTime)),
        "state": LifeState.LIVE,
        "deadline_at": now + DEFAULT_DEADLINE,
        "alerted_at": None,
        "attempts": 0,
        "failure_code": None,
        "failure_facts": None,
    }
    return _wake(session, kind, subject_id, changes)


def revive_life(
    session: Session, kind: str, subject_id: str, *, resting_at: str, step: str
) -> bool:
    """Let a life that winds down and rests go on at `step`, as if it had never been asked to end.

    False, and nothing happens, if it is past that rest. A step of it that runs at this moment is
    fenced: its outcome won't count.
    """
    now = database_now(session)
    values = {
        "step": step,
        "ending_at": None,
        "is_winding_down": False,
        "entered_at": now,
        "due_at": now,
        "deadline_at": now + DEFAULT_DEADLINE,
        "alerted_at": None,
        "attempts": 0,
        "why": None,
        "lease_until": None,
        "lease_holder": None,
        "lease_counter": col(Life.lease_counter) + 1,
        "signals": col(Life.signals) + 1,
    }
    row = (
        session.connection()
        .execute(
            update(Life)
            .where(
                col(Life.kind) == kind,
                col(Life.subject_id) == subject_id,
                col(Life.state) == LifeState.LIVE,
                col(Life.is_winding_down),
                col(Life.step) == resting_at,
            )
            .values(**values)
            .returning(col(Life.id))
        )
        .first()
    )
    if row is None:
        return False
    add_event(session, row[0], resting_at, "ending_revoked")
    _ring(session, row[0])
    return True


def retry_life(session: Session, life_id: str) -> bool:
    """Let a stopped life try its step again. Was it stopped?"""
    now = database_now(session)
    row = (
        session.connection()
        .execute(
            update(Life)
            .where(col(Life.id) == life_id, col(Life.state) == LifeState.STOPPED)
            .values(
                state=LifeState.LIVE,
                due_at=now,
                entered_at=now,
                deadline_at=now + DEFAULT_DEADLINE,
                alerted_at=None,
                attempts=0,
                failure_code=None,
                failure_facts=None,
                signals=col(Life.signals) + 1,
            )
            .returning(col(Life.step))
        )
        .first()
    )
    if row is None:
        return False
    add_event(session, life_id, row[0], "retried")
    _ring(session, life_id)
    return True


def pause_engine(session: Session, kind: str, actor_id: str, reason: str) -> None:
    """Claim no more lives of the kind (`*`: of any) until resumed; running steps finish."""
    session.merge(
        EnginePause(kind=kind, since=database_now(session), actor_id=actor_id, reason=reason)
    )


def resume_engine(session: Session, kind: str) -> bool:
    """Claim them again. Was it paused?"""
    pause = session.get(EnginePause, kind)
    if pause is None:
        return False
    session.delete(pause)
    return True


def list_pauses(session: Session) -> Sequence[EnginePause]:
    """Return what is paused."""
    return session.exec(select(EnginePause)).all()


def list_events(
    session: Session, life_id: str, after: str | None = None, limit: int = 200
) -> Sequence[TimelineEvent]:
    """Return a life's story from its beginning, or behind the event `after`."""
    query = select(TimelineEvent).where(col(TimelineEvent.life_id) == life_id)
    if after is not None:
        query = query.where(col(TimelineEvent.id) > after)
    return session.exec(query.order_by(col(TimelineEvent.id)).limit(limit)).all()


def add_event(
    session: Session,
    life_id: str,
    step: str,
    event: str,
    facts: Mapping[str, Any] | None = None,
    attempt: int = 0,
) -> None:
    """Add to a life's story; `event` is a constant in the past tense."""
    session.add(
        TimelineEvent(
            id=new_id("evt"),
            life_id=life_id,
            at=database_now(session),
            step=step,
            event=event,
            attempt=attempt,
            facts=dict(facts) if facts else None,
        )
    )


def rung_lives(session: Session) -> frozenset[str]:
    """Return the lives that this transaction wants woken once it is committed."""
    return frozenset(session.info.get(_RUNG, ()))


def _wake(session: Session, kind: str, subject_id: str, changes: dict[str, Any]) -> bool:
    row = (
        session.connection()
        .execute(
            update(Life)
            .where(
                col(Life.kind) == kind,
                col(Life.subject_id) == subject_id,
                col(Life.state) != LifeState.DONE,
            )
            .values(signals=col(Life.signals) + 1, due_at=database_now(session), **changes)
            .returning(col(Life.id))
        )
        .first()
    )
    if row is None:
        return False
    _ring(session, row[0])
    return True


def _ring(session: Session, life_id: str) -> None:
    session.info.setdefault(_RUNG, set()).add(life_id)
