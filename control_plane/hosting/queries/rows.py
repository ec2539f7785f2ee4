"""Every SELECT on hostings, requests, plans and decisions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, func, select

from control_plane.hosting.models import Decision, Hosting, Request
from control_plane.hosting.rules import (
    GONE,
    OPEN,
    Placement,
    RequestKind,
)
from control_plane.hostnames import queries as hostnames
from control_plane.identity.rules import Actor, NotFound, Permission
from control_plane.kit.ids import is_id
from control_plane.kit.pagination import Page, decode_cursor, page_of
from control_plane.tenancy import queries as tenancy
from control_plane.tenancy.models import Agency, Region, RegionImage, Reservation, Tenant
from control_plane.tenancy.rules import ReservationState, Resource


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed to; `agencies` None: all of them."""

    agencies: Collection[str] | None
    status: str | None = None


def get_hosting(session: Session, hosting_id: str) -> Hosting:
    """Return a hosting that a row refers to, and so exists."""
    return session.get_one(Hosting, hosting_id)


def get_hosting_for(
    session: Session, actor: Actor, reference: str, permission: Permission
) -> Hosting:
    """Return a hosting by `hst_…` or `agency:name` if the actor may do this with it.

    A name means the hosting that bears it now, else the last that did. Raises: NotFound,
    Forbidden.
    """
    hosting = find_hosting(session, reference)
    if hosting is None:
        raise NotFound(kind="hosting", id=reference)
    tenancy.require_in_agency(actor, permission, hosting.agency_id, "hosting", reference)
    return hosting


def find_hosting(session: Session, reference: str) -> Hosting | None:
    """Return a hosting by `hst_…` or `agency:name`."""
    if is_id(reference, "hst"):
        return session.get(Hosting, reference)
    slug, _, name = reference.partition(":")
    agency = tenancy.find_agency(session, slug)
    if agency is None:
        return None
    present = find_present(session, agency.id, name)
    if present is not None:
        return present
    query = select(Hosting).where(col(Hosting.agency_id) == agency.id, col(Hosting.name) == name)
    return session.exec(query.order_by(col(Hosting.id).desc()).limit(1)).first()


def find_present(session: Session, agency_id: str, name: str) -> Hosting | None:
    """Return the agency's hosting that bears this name now."""
    query = select(Hosting).where(
        col(Hosting.agency_id) == agency_id,
        col(Hosting.name) == name,
        col(Hosting.status).not_in(GONE),
    )
    return session.exec(query).first()


def list_present(
    session: Session, agency_id: str, tenant: str, region: str | None
) -> Sequence[Hosting]:
    """Return what bears a name now in an agency's tenants of this name, by name."""
    query = (
        select(Hosting)
        .join(Tenant, col(Tenant.id) == col(Hosting.tenant_id))
        .join(Region, col(Region.id) == col(Hosting.region_id))
        .where(
            col(Hosting.agency_id) == agency_id,
            col(Hosting.status).not_in(GONE),
            col(Tenant.name) == tenant,
        )
    )
    if region is not None:
        query = query.where(col(Region.name) == region)
    return session.exec(query.order_by(col(Hosting.name))).all()


def list_hostings(
    session: Session, filters: Filters, cursor: str | None, limit: int
) -> Page[Hosting]:
    """Return hostings, the newest first."""
    query = select(Hosting)
    if filters.agencies is not None:
        query = query.where(col(Hosting.agency_id).in_(filters.agencies))
    if filters.status is not None:
        query = query.where(col(Hosting.status) == filters.status)
    before = decode_cursor(cursor)
    if before is not None:
        query = query.where(col(Hosting.id) < before)
    rows = session.exec(query.order_by(col(Hosting.id).desc()).limit(limit + 1)).all()
    return page_of(rows, limit, lambda hosting: hosting.id)


def has_hostings(session: Session, tenant_id: str) -> bool:
    """Whether something of a tenant's hostings may still be in the cloud."""
    query = select(func.count()).where(
        col(Hosting.tenant_id) == tenant_id, col(Hosting.status).not_in(("cancelled", "purged"))
    )
    return session.exec(query).one() > 0


def count_probe_failures(session: Session, hosting: Hosting, since: datetime) -> tuple[int, int]:
    """Return how many others of its region failed their probe since then, and of how many."""
    query = select(func.count()).where(
        col(Hosting.region_id) == hosting.region_id,
        col(Hosting.id) != hosting.id,
        col(Hosting.active_at).is_not(None),
        col(Hosting.status).not_in(GONE),
    )
    failed = session.exec(query.where(col(Hosting.probe_failed_at) >= since)).one()
    return failed, session.exec(query).one()


def get_request_for(
    session: Session, actor: Actor, request_id: str, permission: Permission
) -> Request:
    """Return a request if the actor may do this with it. Raises: NotFound, Forbidden."""
    request = session.get(Request, request_id)
    if request is None:
        raise NotFound(kind="request", id=request_id)
    tenancy.require_in_agency(actor, permission, request.agency_id, "request", request_id)
    return request


def lock_request(session: Session, request: Request) -> Request:
    """Return the request read anew and locked until the caller's commit."""
    session.refresh(request, with_for_update=True)
    return request


def list_requests(
    session: Session, filters: Filters, cursor: str | None, limit: int
) -> Page[Request]:
    """Return requests, the newest first."""
    query = select(Request)
    if filters.agencies is not None:
        query = query.where(col(Request.agency_id).in_(filters.agencies))
    if filters.status is not None:
        query = query.where(col(Request.status) == filters.status)
    before = decode_cursor(cursor)
    if before is not None:
        query = query.where(col(Request.id) < before)
    rows = session.exec(query.order_by(col(Request.id).desc()).limit(limit + 1)).all()
    return page_of(rows, limit, lambda request: request.id)


def find_open_request(
    session: Session, hosting_id: str, kind: RequestKind | None = None
) -> Request | None:
    """Return the request about a hosting that is submitted or being carried out."""
    query = select(Request).where(
        col(Request.hosting_id) == hosting_id, col(Request.status).in_(OPEN)
    )
    if kind is not None:
        query = query.where(col(Request.kind) == kind)
    return session.exec(query.order_by(col(Request.id).desc()).limit(1)).first()


def get_create_request(session: Session, hosting_id: str) -> Request:
    """Return the request that a hosting was born with."""
    query = select(Request).where(
        col(Request.hosting_id) == hosting_id, col(Request.kind) == RequestKind.CREATE
    )
    return session.exec(query).one()


def find_end_request(session: Session, hosting_id: str) -> Request | None:
    """Return the last request to end a hosting."""
    query = select(Request).where(
        col(Request.hosting_id) == hosting_id, col(Request.kind) == RequestKind.END
    )
    return session.exec(query.order_by(col(Request.id).desc()).limit(1)).first()


def list_decisions(session: Session, request_id: str) -> Sequence[Decision]:
    """Return all decisions on a request, the first first."""
    query = select(Decision).where(col(Decision.request_id) == request_id)
    return session.exec(query.order_by(col(Decision.id))).all()


def placement_of(session: Session, hosting: Hosting) -> Placement:
    """Return whose a hosting is and where, by names."""
    hostname = hostnames.find_latest_of_hosting(session, hosting.id)
    return Placement(
        agency=session.get_one(Agency, hosting.agency_id).slug,
        region=session.get_one(Region, hosting.region_id).name,
        tenant=session.get_one(Tenant, hosting.tenant_id).name,
        hosting=hosting.name,
        hostname=hostname.name if hostname is not None else "",
    )


def memory_by_region(session: Session) -> dict[str, int]:
    """Return how much memory (MiB) is reserved in each region, by id, of all agencies."""
    query = (
        select(Hosting.region_id, func.sum(Reservation.amount))
        .join(Reservation, col(Reservation.subject_id) == col(Hosting.id))
        .where(
            col(Reservation.resource) == Resource.MEMORY_MIB,
            col(Reservation.state) != ReservationState.RELEASED,
        )
        .group_by(col(Hosting.region_id))
    )
    return {region_id: int(amount) for region_id, amount in session.exec(query)}


def find_image(session: Session, region_id: str, family: str) -> RegionImage | None:
    """Return the region's newest image of a family."""
    query = select(RegionImage).where(
        col(RegionImage.region_id) == region_id,
        col(RegionImage.family) == family,
        col(RegionImage.is_current),
    )
    return session.exec(query.order_by(col(RegionImage.first_seen_at).desc()).limit(1)).first()
