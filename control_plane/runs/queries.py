"""Every SELECT of runs."""

from collections.abc import Sequence

from sqlmodel import Session, col, func, select

from control_plane.kit.pagination import Page, decode_cursor, page_of
from control_plane.ports.automation.port import RunState
from control_plane.runs.models import Run, RunEvent
from control_plane.runs.rules import UNFINISHED

_FAILURES = (RunState.FAILED, RunState.LOST)


def find_run(session: Session, run_id: str) -> Run | None:
    """Return a run by its id."""
    return session.get(Run, run_id)


def find_unfinished(session: Session, hosting_id: str) -> Run | None:
    """Return the run of a hosting that is not over; there is one at most."""
    query = select(Run).where(col(Run.hosting_id) == hosting_id, col(Run.status).in_(UNFINISHED))
    return session.exec(query.order_by(col(Run.id).desc()).limit(1)).first()


def find_latest(session: Session, hosting_id: str) -> Run | None:
    """Return a hosting's newest run."""
    query = select(Run).where(col(Run.hosting_id) == hosting_id)
    return session.exec(query.order_by(col(Run.id).desc()).limit(1)).first()


def find_latest_success(session: Session, hosting_id: str) -> Run | None:
    """Return the newest run of a hosting that succeeded."""
    query = select(Run).where(
        col(Run.hosting_id) == hosting_id, col(Run.status) == RunState.SUCCEEDED
    )
    return session.exec(query.order_by(col(Run.id).desc()).limit(1)).first()


def count_failures(session: Session, hosting_id: str, wish_digest: str) -> int:
    """Return how often in a row the newest runs of a hosting failed at the same wish."""
    query = select(func.max(Run.id)).where(
        col(Run.hosting_id) == hosting_id,
        col(Run.wish_digest) == wish_digest,
        col(Run.status).not_in(_FAILURES),
    )
    other = session.exec(query).one()
    failures = select(func.count()).where(
        col(Run.hosting_id) == hosting_id,
        col(Run.wish_digest) == wish_digest,
        col(Run.status).in_(_FAILURES),
        col(Run.id) > (other or ""),
    )
    return session.exec(failures).one()


def highest_event(session: Session, run_id: str) -> int:
    """Return the number of the newest event of a run that was kept; 0 before the first."""
    query = select(func.max(RunEvent.number)).where(col(RunEvent.run_id) == run_id)
    return session.exec(query).one() or 0


def list_runs(session: Session, hosting_id: str, cursor: str | None, limit: int) -> Page[Run]:
    """Return a hosting's runs, the newest first."""
    query = select(Run).where(col(Run.hosting_id) == hosting_id)
    before = decode_cursor(cursor)
    if before is not None:
        query = query.where(col(Run.id) < before)
    rows = session.exec(query.order_by(col(Run.id).desc()).limit(limit + 1)).all()
    return page_of(rows, limit, lambda run: run.id)


def list_events(session: Session, run_id: str) -> Sequence[RunEvent]:
    """Return a run's timeline, in order; an automation bounds how long it can be."""
    query = select(RunEvent).where(col(RunEvent.run_id) == run_id)
    return session.exec(query.order_by(col(RunEvent.number))).all()
