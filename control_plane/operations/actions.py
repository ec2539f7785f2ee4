"""What operators do with lives, so that no row is ever edited by hand."""

from threading import Lock

from prometheus_client import generate_latest
from sqlmodel import Session

from control_plane.engine import lives
from control_plane.engine.models import Life, LifeState
from control_plane.hosting import actions as hosting_actions
from control_plane.hosting.models import Hosting
from control_plane.kit import metrics
from control_plane.ledger import actions as ledger
from control_plane.operations import queries
from control_plane.operations.queries import Figures
from control_plane.operations.rules import (
    GIVEN_UP,
    LifeHoldsData,
    LifeNotGivenUp,
    LifeNotStopped,
    NotPaused,
)

_scraping = Lock()  # the gauges are emptied and filled anew: two scrapes at once would mix


def retry_life(session: Session, actor_id: str, life_id: str, reason: str) -> Life:
    """Let a stopped life try its step again. Raises: NotFound, LifeNotStopped."""
    life = _stopped(session, life_id)
    lives.retry_life(session, life_id)
    _log(session, actor_id, "life.retried", life, reason)
    session.refresh(life)
    return life


def abandon_life(session: Session, actor_id: str, life_id: str, reason: str) -> Life:
    """Give up a stopped life whose resource never was in service: it winds down and ends.

    Raises: NotFound, LifeNotStopped, LifeNotGivenUp, LifeHoldsData.
    """
    life = _stopped(session, life_id)
    if life.kind not in GIVEN_UP:
        raise LifeNotGivenUp(kind=life.kind)
    hosting = session.get_one(Hosting, life.subject_id)
    if hosting.active_at is not None:
        raise LifeHoldsData(hosting=hosting.id)
    hosting_actions.abandon(session, actor_id, hosting.id, reason)
    lives.add_event(session, life.id, life.step, "life_abandoned", {"reason": reason})
    _log(session, actor_id, "life.abandoned", life, reason)
    session.refresh(life)
    return life


def pause(session: Session, actor_id: str, kind: str, reason: str) -> None:
    """Claim no more lives of a kind (`*`: any) until resumed; running steps finish."""
    lives.pause_engine(session, kind, actor_id, reason)
    ledger.append(
        session,
        actor_id=actor_id,
        action="engine.paused",
        subject_id=f"kind:{kind}",
        agency_id=None,
        payload={"reason": reason},
    )


def resume(session: Session, actor_id: str, kind: str) -> None:
    """Claim them again. Raises: NotPaused."""
    if not lives.resume_engine(session, kind):
        raise NotPaused(kind=kind)
    ledger.append(
        session,
        actor_id=actor_id,
        action="engine.resumed",
        subject_id=f"kind:{kind}",
        agency_id=None,
        payload={},
    )


def render_metrics(figures: Figures) -> bytes:
    """Return this process's metrics and the gauges of the database in Prometheus's text form."""
    with _scraping:
        _fill_gauges(figures)
        return generate_latest(metrics.REGISTRY)


def _fill_gauges(figures: Figures) -> None:
    for gauge in (
        metrics.LIVES,
        metrics.LIVES_OVERDUE,
        metrics.ISOLATION_FAILED,
        metrics.REGION_UNSEEN_SECONDS,
        metrics.RESERVATIONS,
    ):
        gauge.clear()
    for kind, step, state, count in figures.lives:
        metrics.LIVES.labels(kind, step, state).set(count)
        metrics.LIVES_OVERDUE.labels(kind).set(0)  # an alert needs the zero to fall back to
    for kind, count in figures.overdue:
        metrics.LIVES_OVERDUE.labels(kind).set(count)
    for region, count in figures.isolation_failed:
        metrics.ISOLATION_FAILED.labels(region).set(count)
    for region, unseen_s in figures.regions_unseen:
        metrics.REGION_UNSEEN_SECONDS.labels(region).set(unseen_s)
    for resource, state, amount in figures.reservations:
        metrics.RESERVATIONS.labels(resource, state).set(float(amount))
    metrics.LEDGER_LAG_SECONDS.set(figures.ledger_lag_s)
    metrics.LEDGER_UNSEQUENCED.set(figures.ledger_unsequenced)


def _stopped(session: Session, life_id: str) -> Life:
    life = queries.get_life(session, life_id, is_locked=True)
    if life.state != LifeState.STOPPED:
        raise LifeNotStopped(state=life.state)
    return life


def _log(session: Session, actor_id: str, action: str, life: Life, reason: str) -> None:
    ledger.append(
        session,
        actor_id=actor_id,
        action=action,
        subject_id=life.subject_id,
        agency_id=life.agency_id,
        payload={"life": life.id, "kind": life.kind, "step": life.step, "reason": reason},
    )
