"""Every SELECT of operations."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, func, select

from control_plane.engine.models import Life, LifeState, TimelineEvent
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import HostingStatus
from control_plane.hostnames.models import Hostname
from control_plane.hostnames.rules import HostnameStatus
from control_plane.identity.rules import Actor, NotFound, Permission
from control_plane.kit.db import database_now
from control_plane.kit.pagination import Page, decode_cursor, page_of
from control_plane.ledger import queries as ledger
from control_plane.tenancy.models import Agency, Region, Reservation
from control_plane.tenancy.queries import require_in_agency
from control_plane.tenancy.rules import RegionState, ReservationState


@dataclass(frozen=True, slots=True)
class LifeFilter:
    """Which lives are wanted; None asks for any."""

    state: LifeState | None = None
    kind: str | None = None
    is_overdue: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """What the gauges show of the database at one moment."""

    lives: Sequence[tuple[str, str, str, int]]  # kind, step, state
    overdue: Sequence[tuple[str, int]]  # kind
    isolation_failed: Sequence[tuple[str, int]]  # region
    regions_unseen: Sequence[tuple[str, float]]  # seconds
    reservations: Sequence[tuple[str, str, int]]  # resource, state
    ledger_lag_s: float
    ledger_unsequenced: int


@dataclass(frozen=True, slots=True)
class Site:
    """A name that is served, for those who watch it from outside."""

    hostname: str
    agency: str
    hosting: str
    region: str


def list_lives(session: Session, wanted: LifeFilter, cursor: str | None, limit: int) -> Page[Life]:
    """Return lives, newest first."""
    query = select(Life)
    if wanted.state is not None:
        query = query.where(col(Life.state) == wanted.state)
    if wanted.kind is not None:
        query = query.where(col(Life.kind) == wanted.kind)
    if wanted.is_overdue:
        query = query.where(
            col(Life.state) == LifeState.LIVE, col(Life.deadline_at) <= database_now(session)
        )
    before = decode_cursor(cursor)
    if before is not None:
        query = query.where(col(Life.id) < before)
    rows = session.exec(query.order_by(col(Life.id).desc()).limit(limit + 1)).all()
    return page_of(rows, limit, lambda life: life.id)


def get_life(session: Session, life_id: str, *, is_locked: bool = False) -> Life:
    """Return a life. Raises: NotFound."""
    query = select(Life).where(col(Life.id) == life_id)
    life = session.exec(query.with_for_update() if is_locked else query).first()
    if life is None:
        raise NotFound(kind="life", id=life_id)
    return life


def get_hosting_for(session: Session, actor: Actor, hosting_id: str) -> Hosting:
    """Return a hosting that the actor may read. Raises: NotFound, Forbidden."""
    hosting = session.get(Hosting, hosting_id)
    if hosting is None:
        raise NotFound(kind="hosting", id=hosting_id)
    permission = Permission.HOSTING_READ
    require_in_agency(actor, permission, hosting.agency_id, "hosting", hosting_id)
    return hosting


def get_request_for(session: Session, actor: Actor, request_id: str) -> Request:
    """Return a request that the actor may read. Raises: NotFound, Forbidden."""
    request = session.get(Request, request_id)
    if request is None:
        raise NotFound(kind="request", id=request_id)
    permission = Permission.HOSTING_READ
    require_in_agency(actor, permission, request.agency_id, "request", request_id)
    return request


def list_events_since(
    session: Session, life_ids: Collection[str], first_id: str
) -> Sequence[TimelineEvent]:
    """Return what happened in some lives from an event id on, for all streams at once."""
    query = select(TimelineEvent).where(
        col(TimelineEvent.life_id).in_(life_ids), col(TimelineEvent.id) >= first_id
    )
    return session.exec(query.order_by(col(TimelineEvent.id))).all()


def load_figures(session: Session) -> Figures:
    """Count what the gauges show."""
    now: datetime = database_now(session)
    is_live = col(Life.state) == LifeState.LIVE
    lives = session.exec(
        select(Life.kind, Life.step, Life.state, func.count())
        .where(col(Life.state) != LifeState.DONE)
        .group_by(col(Life.kind), col(Life.step), col(Life.state))
    ).all()
    overdue = session.exec(
        select(Life.kind, func.count())
        .where(is_live, col(Life.deadline_at) <= now)
        .group_by(col(Life.kind))
    ).all()
    failed = session.exec(
        select(Region.name, func.count(col(Hosting.id)))
        .join(
            Hosting,
            (col(Hosting.region_id) == col(Region.id))
            & (col(Hosting.status) == HostingStatus.QUARANTINED),
            isouter=True,
        )
        .group_by(col(Region.name))
    ).all()
    reservations = session.exec(
        select(Reservation.resource, Reservation.state, func.sum(Reservation.amount))
        .where(col(Reservation.state) != ReservationState.RELEASED)
        .group_by(col(Reservation.resource), col(Reservation.state))
    ).all()
    return Figures(
        lives=lives,
        overdue=overdue,
        isolation_failed=failed,
        regions_unseen=_regions_unseen(session, now),
        reservations=reservations,
        ledger_lag_s=ledger.lag_seconds(session),
        ledger_unsequenced=ledger.count_unsequenced(session),
    )


def _regions_unseen(session: Session, now: datetime) -> list[tuple[str, float]]:
    query = select(Region).where(col(Region.state) != RegionState.RETIRED)
    return [
        (region.name, max(0.0, (now - (region.observed_at or region.created_at)).total_seconds()))
        for region in session.exec(query)
    ]


def list_sites(session: Session) -> Sequence[Site]:
    """Return every name that is served at present."""
    query = (
        select(Hostname.name, Agency.slug, Hosting.name, Region.name)
        .join(Hosting, col(Hosting.id) == col(Hostname.hosting_id))
        .join(Agency, col(Agency.id) == col(Hostname.agency_id))
        .join(Region, col(Region.id) == col(Hosting.region_id))
        .where(col(Hostname.status) == HostnameStatus.SERVING)
    )
    rows = session.exec(query.order_by(col(Hostname.name))).all()
    return [Site(*row) for row in rows]
