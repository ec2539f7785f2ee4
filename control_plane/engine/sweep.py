"""The sweep: finds all work again from rows alone, and tells of waits that went on too long."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import tuple_
from sqlmodel import Session, col, select, update

from control_plane.engine.lives import add_event, is_claimable
from control_plane.engine.models import Life, LifeState
from control_plane.engine.registry import Registry
from control_plane.kit.db import Database, database_now
from control_plane.kit.log import get_log

log = get_log("engine")
BATCH = 500  # lives woken per sweep; the next one, a second later, takes the rest


def find_due_lives(db: Database, registry: Registry, limit: int = BATCH) -> Sequence[str]:
    """Return the lives that could be claimed now by a process with these flows, longest due first.

    What is paused or of another version is left out: it would crowd out what can be moved.
    """
    known = [(flow.kind, flow.version) for flow in registry.list_flows()]
    with db.read() as session:
        now = database_now(session)
        query = (
            select(Life.id)
            .where(
                tuple_(Life.kind, Life.flow_version).in_(known),
                is_claimable(now),
            )
            .order_by(col(Life.due_at))
            .limit(limit)
        )
        return session.exec(query).all()


def wake_resting_lives(db: Database) -> int:
    """Make every life due that rests, for a moment after which nothing may be as it was.

    Returns how many there were.
    """
    with db.begin() as session:
        now = database_now(session)
        resting = [col(Life.state) == LifeState.LIVE, col(Life.due_at) > now]
        query = update(Life).where(*resting).values(due_at=now).returning(col(Life.id))
        return len(session.connection().execute(query).all())


def alert_overdue_lives(db: Database, limit: int = BATCH) -> Sequence[str]:
    """Mark lives past their deadline, once a wait, wake them and say so; return their ids."""
    with db.read() as session:
        if not session.exec(_overdue(database_now(session)).limit(1)).first():
            return ()
    with db.begin() as session:
        now = database_now(session)
        query = _overdue(now).limit(limit).with_for_update(skip_locked=True)
        lives = session.exec(query).all()
        for life in lives:
            mark_overdue(session, life, now)
        return [life.id for life in lives]


def mark_overdue(session: Session, life: Life, now: datetime) -> None:
    """Wake one life whose deadline has passed, and write that down where people look."""
    add_event(session, life.id, life.step, "deadline_passed", attempt=life.attempts)
    log.error(
        "deadline_passed", life=life.id, kind=life.kind, step=life.step, subject=life.subject_id
    )
    # An update of these columns alone: a running step may be changing the others.
    session.connection().execute(
        update(Life)
        .where(col(Life.id) == life.id)
        .values(alerted_at=now, due_at=now, signals=col(Life.signals) + 1)
    )


def _overdue(now: datetime) -> Any:
    return select(Life).where(
        col(Life.state) == LifeState.LIVE,
        col(Life.deadline_at) <= now,
        col(Life.alerted_at).is_(None),
    )
