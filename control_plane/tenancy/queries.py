"""Every SELECT of tenancy."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlmodel import Session, col, func, select
from sqlmodel.sql.expression import Select

from control_plane.identity.rules import Actor, Forbidden, NotFound, Permission
from control_plane.kit.pagination import Page, decode_cursor, page_of
from control_plane.tenancy.models import (
    Agency,
    AgencyRegion,
    Allocation,
    Budget,
    Quota,
    Region,
    Reservation,
    Tenant,
)
from control_plane.tenancy.rules import ReservationState, Resource, TenantStatus

_TAKES = (ReservationState.HELD, ReservationState.COMMITTED)


def find_agency(session: Session, slug: str) -> Agency | None:
    """Return the agency with this short name."""
    return session.exec(select(Agency).where(col(Agency.slug) == slug)).first()


def get_agency_for(session: Session, actor: Actor, slug: str, permission: Permission) -> Agency:
    """Return the agency if the actor may do this in it.

    Raises: NotFound for an agency that isn't there or in which the actor has no role at all,
    Forbidden for one in which they have too little.
    """
    agency = find_agency(session, slug)
    if agency is None:
        raise NotFound(kind="agency", id=slug)
    require_in_agency(actor, permission, agency.id, "agency", slug)
    return agency


def require_in_agency(
    actor: Actor, permission: Permission, agency_id: str, kind: str, name: str
) -> None:
    """Let the actor go on with a thing of an agency; foreign things look absent.

    Raises: NotFound, Forbidden.
    """
    if actor.may(permission, agency_id):
        return
    if actor.centre_roles or agency_id in actor.agency_roles:
        raise Forbidden(permission=permission.value)
    raise NotFound(kind=kind, id=name)


def list_agencies(
    session: Session, among: Collection[str] | None, cursor: str | None, limit: int
) -> Page[Agency]:
    """Return agencies by short name; `among` None: all."""
    query = select(Agency)
    if among is not None:
        query = query.where(col(Agency.id).in_(among))
    after = decode_cursor(cursor)
    if after is not None:
        query = query.where(col(Agency.slug) > after)
    rows = session.exec(query.order_by(col(Agency.slug)).limit(limit + 1)).all()
    return page_of(rows, limit, lambda agency: agency.slug)


def list_agencies_by_id(session: Session, ids: Collection[str]) -> Sequence[Agency]:
    """Return these agencies by short name."""
    query = select(Agency).where(col(Agency.id).in_(ids))
    return session.exec(query.order_by(col(Agency.slug))).all()


def lock_agency(session: Session, agency_id: str) -> Agency:
    """Return the agency, locked: what it uses doesn't change until the caller's commit."""
    query = select(Agency).where(col(Agency.id) == agency_id).with_for_update()
    return session.exec(query).one()


def lock_region(session: Session, region_id: str) -> Region:
    """Return the region, locked: its serials don't change until the caller's commit."""
    query = select(Region).where(col(Region.id) == region_id).with_for_update()
    return session.exec(query).one()


def list_regions(session: Session) -> Sequence[Region]:
    """Return all regions by name."""
    return session.exec(select(Region).order_by(col(Region.name))).all()


def find_region(session: Session, name: str) -> Region | None:
    """Return the region with this name."""
    return session.exec(select(Region).where(col(Region.name) == name)).first()


def get_region(session: Session, name: str) -> Region:
    """Return the region with this name. Raises: NotFound."""
    region = find_region(session, name)
    if region is None:
        raise NotFound(kind="region", id=name)
    return region


def regions_of(session: Session, agency_id: str) -> dict[str, bool]:
    """Return the regions (by id) that an agency is kept to, and which it prefers; empty: any."""
    query = select(AgencyRegion).where(col(AgencyRegion.agency_id) == agency_id)
    return {row.region_id: row.is_default for row in session.exec(query)}


def count_tenants(session: Session, region_id: str) -> int:
    """Return how many tenants are in a region, those on their way included."""
    query = select(func.count()).where(
        col(Tenant.region_id) == region_id, col(Tenant.status) != TenantStatus.ENDED
    )
    return session.exec(query).one()


def list_tenants_named(session: Session, agency_id: str, name: str) -> Sequence[Tenant]:
    """Return the agency's present tenants of this name, at most one a region."""
    query = select(Tenant).where(
        col(Tenant.agency_id) == agency_id,
        col(Tenant.name) == name,
        col(Tenant.status) != TenantStatus.ENDED,
    )
    return session.exec(query).all()


def quotas_of(session: Session, agency_id: str) -> dict[Resource, int]:
    """Return the agency's quota of every counted resource; what has no row is 0."""
    rows = session.exec(select(Quota).where(col(Quota.agency_id) == agency_id)).all()
    known = {Resource(row.resource): row.amount for row in rows}
    return {r: known.get(r, 0) for r in Resource if r != Resource.COST}


def find_budget(session: Session, agency_id: str) -> Budget | None:
    """Return the agency's budget; None: it may spend nothing."""
    return session.get(Budget, agency_id)


def used_by(
    session: Session, agency_id: str, *, without_subject: str | None = None
) -> dict[Resource, dict[ReservationState, int]]:
    """Return what is held and committed of every resource, leaving one subject's own part out."""
    query = select(Reservation.resource, Reservation.state, func.sum(Reservation.amount)).where(
        col(Reservation.agency_id) == agency_id, col(Reservation.state).in_(_TAKES)
    )
    if without_subject is not None:
        query = query.where(col(Reservation.subject_id) != without_subject)
    query = query.group_by(col(Reservation.resource), col(Reservation.state))
    used = {resource: dict.fromkeys(_TAKES, 0) for resource in Resource}
    for resource, state, amount in session.exec(query):
        used[Resource(resource)][ReservationState(state)] = int(amount)
    return used


def list_reservations(session: Session, subject_id: str) -> Sequence[Reservation]:
    """Return what one hosting takes or took."""
    query = select(Reservation).where(col(Reservation.subject_id) == subject_id)
    return session.exec(query.order_by(col(Reservation.resource))).all()


def find_allocation(session: Session, subject_id: str) -> Allocation | None:
    """Return the serial and addresses that a hosting has."""
    query = select(Allocation).where(col(Allocation.subject_id) == subject_id)
    return session.exec(query).first()


def find_free_allocation(session: Session, region_id: str, now: datetime) -> Allocation | None:
    """Return the lowest serial of the region that was given back and is out of quarantine."""
    query = select(Allocation).where(
        col(Allocation.region_id) == region_id,
        col(Allocation.subject_id).is_(None),
        col(Allocation.free_after) <= now,
    )
    return session.exec(query.order_by(col(Allocation.serial)).limit(1)).first()


def highest_serial(session: Session, region_id: str) -> int:
    """Return the highest serial that the region ever gave out; 0: none."""
    query = select(func.max(col(Allocation.serial))).where(col(Allocation.region_id) == region_id)
    return session.exec(query).one() or 0


def list_tenants(
    session: Session, among: Collection[str] | None, cursor: str | None, limit: int
) -> Page[tuple[Tenant, Agency, Region]]:
    """Return tenants of these agencies (None: of all), the newest first, with where they are."""
    query = _tenants()
    if among is not None:
        query = query.where(col(Tenant.agency_id).in_(among))
    before = decode_cursor(cursor)
    if before is not None:
        query = query.where(col(Tenant.id) < before)
    rows = session.exec(query.order_by(col(Tenant.id).desc()).limit(limit + 1)).all()
    return page_of(rows, limit, lambda row: row[0].id)


def get_tenant_for(
    session: Session, actor: Actor, tenant_id: str, permission: Permission
) -> tuple[Tenant, Agency, Region]:
    """Return a tenant if the actor may do this in its agency. Raises: NotFound, Forbidden."""
    found = session.exec(_tenants().where(col(Tenant.id) == tenant_id)).first()
    if found is None:
        raise NotFound(kind="tenant", id=tenant_id)
    require_in_agency(actor, permission, found[0].agency_id, "tenant", tenant_id)
    return found


def _tenants() -> Select[Tenant, Agency, Region]:
    return (
        select(Tenant, Agency, Region)
        .join(Agency, col(Agency.id) == col(Tenant.agency_id))
        .join(Region, col(Region.id) == col(Tenant.region_id))
    )


def find_tenant(session: Session, agency_id: str, region_id: str, name: str) -> Tenant | None:
    """Return the agency's present tenant of this name in the region."""
    query = select(Tenant).where(
        col(Tenant.agency_id) == agency_id,
        col(Tenant.region_id) == region_id,
        col(Tenant.name) == name,
        col(Tenant.status) != TenantStatus.ENDED,
    )
    return session.exec(query).first()
