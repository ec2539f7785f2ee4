"""What is done with agencies, their means, and the space they get."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, update

from control_plane.engine import lives
from control_plane.identity import actions as people
from control_plane.identity.models import Person, RoleGrant
from control_plane.identity.queries import find_person_by_email
from control_plane.identity.rules import Role
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.kit.money import EXPONENTS, HOURS_PER_MONTH, Money
from control_plane.ledger import actions as ledger
from control_plane.ledger.rules import SYSTEM
from control_plane.tenancy import queries
from control_plane.tenancy.actions.regions import (
    drop_other_regions,
    ensure_region,
    set_agency_regions,
    set_region_state,
)
from control_plane.tenancy.models import (
    Agency,
    Allocation,
    Budget,
    Quota,
    Reservation,
    Tenant,
)
from control_plane.tenancy.rules import (
    QUARANTINE,
    TENANT_LIFE,
    AgencySuspended,
    BudgetExceeded,
    CurrencyUnfit,
    QuotaExceeded,
    RegionNotOpen,
    RegionState,
    ReservationState,
    Resource,
    SlugTaken,
    TenantEnding,
    TenantStatus,
    addresses_of,
)

__all__ = ["drop_other_regions", "ensure_region", "set_agency_regions", "set_region_state"]


@dataclass(frozen=True, slots=True)
class NewAgency:
    """An institution to be served from now on."""

    slug: str
    name_ar: str
    name_en: str
    currency: str = "IQD"


@dataclass(frozen=True, slots=True)
class NewMember:
    """Somebody to get a role; `password_hash` is for a person who isn't known yet."""

    email: str
    role: Role
    name: str | None = None
    locale: str = "ar"
    password_hash: str | None = None


def create_agency(session: Session, actor_id: str, new: NewAgency) -> Agency:
    """Take an agency in; it may have nothing until it gets a quota and a budget.

    Raises: SlugTaken, CurrencyUnfit.
    """
    if queries.find_agency(session, new.slug) is not None:
        raise SlugTaken(slug=new.slug)
    if new.currency not in EXPONENTS:
        raise CurrencyUnfit(currency=new.currency, expected=", ".join(EXPONENTS))
    agency = Agency(
        id=new_id("agy"),
        slug=new.slug,
        name_ar=new.name_ar,
        name_en=new.name_en,
        currency=new.currency,
        created_at=clock.now(),
    )
    session.add(agency)
    session.flush()
    _log(session, actor_id, "agency.created", agency.id, agency.id, slug=new.slug)
    return agency


def add_member(
    session: Session, actor_id: str, agency_id: str, new: NewMember
) -> tuple[RoleGrant, Person, bool]:
    """Give somebody a role in an agency; return the grant, the person, and whether they are new."""
    person = find_person_by_email(session, new.email)
    is_new = person is None
    if person is None:
        name = new.name or new.email.partition("@")[0]
        wish = people.NewPerson(new.email, name, new.locale, new.password_hash)
        person = people.create_person(session, actor_id, wish)
    grant = people.grant_role(session, actor_id, person.id, new.role, agency_id)
    return grant, person, is_new


def remove_member(
    session: Session, actor_id: str, agency_id: str, person_id: str, role: Role
) -> None:
    """Take a role away. Raises: NotFound; LastHolder for the only owner."""
    queries.lock_agency(session, agency_id)  # two owners could remove each other at once
    people.revoke_role(session, actor_id, person_id, role, agency_id)


def set_quota(
    session: Session, actor_id: str, agency_id: str, amounts: Mapping[Resource, int]
) -> None:
    """Say how much an agency may have at once of each resource given; others stay."""
    queries.lock_agency(session, agency_id)
    for resource, amount in amounts.items():
        session.merge(Quota(agency_id=agency_id, resource=resource.value, amount=amount))
    _log(
        session,
        actor_id,
        "quota.set",
        agency_id,
        agency_id,
        **{resource.value: amount for resource, amount in amounts.items()},
    )


def set_budget(session: Session, actor_id: str, agency_id: str, budget: Money) -> None:
    """Say what an agency's hostings may cost together per hour. Raises: CurrencyUnfit."""
    agency = queries.lock_agency(session, agency_id)
    if budget.currency != agency.currency:
        raise CurrencyUnfit(currency=budget.currency, expected=agency.currency)
    session.merge(
        Budget(agency_id=agency_id, currency=budget.currency, micros_per_hour=budget.micros)
    )
    _log(
        session,
        actor_id,
        "budget.set",
        agency_id,
        agency_id,
        currency=budget.currency,
        micros_per_hour=budget.micros,
    )


def reserve(
    session: Session,
    agency_id: str,
    subject_id: str,
    amounts: Mapping[Resource, int],
    *,
    actor_id: str = SYSTEM,
) -> None:
    """Hold what a hosting will take, all of it or nothing, until committed or released.

    Locks the agency, so that of many at once exactly those that fit get it. Reserving again for
    the same subject replaces what it held. Raises: AgencySuspended, QuotaExceeded, BudgetExceeded.
    """
    agency = queries.lock_agency(session, agency_id)
    if agency.suspended_at is not None:
        raise AgencySuspended(agency=agency.slug)
    used = queries.used_by(session, agency_id, without_subject=subject_id)
    taken = {resource: sum(used[resource].values()) for resource in Resource}
    _refuse_over_quota(queries.quotas_of(session, agency_id), taken, amounts)
    _refuse_over_budget(session, agency, taken[Resource.COST], amounts.get(Resource.COST, 0))
    _hold(session, agency_id, subject_id, amounts, actor_id)


def take_over(
    session: Session, subject_id: str, amounts: Mapping[Resource, int], *, of: str, actor_id: str
) -> None:
    """Let a hosting have the amounts from now on, for which `of` held what it had not already.

    Not checked against quota and budget again: what was held can't be refused any more.
    """
    present = queries.list_reservations(session, subject_id)
    release_reservation(session, of, actor_id=actor_id)
    _hold(session, present[0].agency_id, subject_id, amounts, actor_id)
    commit_reservation(session, subject_id, actor_id=actor_id)


def commit_reservation(session: Session, subject_id: str, *, actor_id: str = SYSTEM) -> None:
    """Mark what was held as used: the hosting is active. Idempotent."""
    _change_reservation(session, subject_id, ReservationState.COMMITTED, actor_id)


def release_reservation(session: Session, subject_id: str, *, actor_id: str = SYSTEM) -> None:
    """Give back what a hosting held or used. Idempotent."""
    _change_reservation(session, subject_id, ReservationState.RELEASED, actor_id)


def allocate(
    session: Session, region_id: str, subject_id: str, *, actor_id: str = SYSTEM
) -> Allocation:
    """Give a hosting the lowest free serial of the region, from which its addresses derive.

    Idempotent; locks the region. Raises: RegionFull.
    """
    queries.lock_region(session, region_id)
    present = queries.find_allocation(session, subject_id)
    if present is not None:
        return present
    now = clock.now()
    row = queries.find_free_allocation(session, region_id, now)
    if row is None:
        addresses = addresses_of(queries.highest_serial(session, region_id) + 1)
        row = Allocation(
            id=new_id("alc"),
            region_id=region_id,
            serial=addresses.serial,
            uid_base=addresses.uid_base,
            v4=str(addresses.server_v4),
            allocated_at=now,
        )
    row.subject_id, row.allocated_at, row.free_after = subject_id, now, None
    session.add(row)
    session.flush()
    _log(session, actor_id, "allocation.given", subject_id, None, serial=row.serial, v4=row.v4)
    return row


def quarantine(session: Session, subject_id: str, *, actor_id: str = SYSTEM) -> None:
    """Take a hosting's serial back; nobody gets it for a while. Idempotent."""
    row = queries.find_allocation(session, subject_id)
    if row is None:
        return
    row.subject_id, row.free_after = None, clock.now() + QUARANTINE
    session.add(row)
    session.flush()
    _log(session, actor_id, "allocation.taken_back", subject_id, None, serial=row.serial)


def ensure_tenant_row(
    session: Session, agency_id: str, region_id: str, name: str, *, actor_id: str = SYSTEM
) -> Tenant:
    """Return the agency's tenant of this name; a new one is only a row. Raises: TenantEnding.

    It is written down with the first request for it, and made when that one is approved.
    """
    queries.lock_agency(session, agency_id)  # two at once would both find none
    tenant = queries.find_tenant(session, agency_id, region_id, name)
    if tenant is not None:
        if tenant.status == TenantStatus.ENDING:
            raise TenantEnding(tenant=name)
        return tenant
    region = queries.lock_region(session, region_id)  # which an operator may just be closing
    if region.state != RegionState.OPEN:
        raise RegionNotOpen(region=region.name, state=region.state)
    tenant = Tenant(
        id=new_id("ten"),
        agency_id=agency_id,
        region_id=region_id,
        name=name,
        status=TenantStatus.BUILDING,
        created_at=clock.now(),
    )
    session.add(tenant)
    session.flush()
    _log(session, actor_id, "tenant.wished", tenant.id, agency_id, name=name, region=region_id)
    return tenant


def begin_tenant(session: Session, tenant_id: str, *, actor_id: str = SYSTEM) -> None:
    """Let the tenant's life begin: something in it was approved. Idempotent; locks the agency."""
    tenant = session.get_one(Tenant, tenant_id)
    queries.lock_agency(session, tenant.agency_id)  # two at once would both find no life
    if lives.find_life(session, TENANT_LIFE.kind, tenant_id) is not None:
        return
    lives.start_life(session, TENANT_LIFE, tenant_id, tenant.agency_id)
    _log(session, actor_id, "tenant.begun", tenant_id, tenant.agency_id, name=tenant.name)


def _hold(
    session: Session,
    agency_id: str,
    subject_id: str,
    amounts: Mapping[Resource, int],
    actor_id: str,
) -> None:
    now = clock.now()
    present = {row.resource: row for row in queries.list_reservations(session, subject_id)}
    for resource in Resource:
        amount = amounts.get(resource, 0)
        row = present.get(resource.value)
        if row is None:
            if not amount:
                continue
            row = Reservation(
                id=new_id("rsv"),
                agency_id=agency_id,
                subject_id=subject_id,
                resource=resource.value,
                amount=amount,
                state=ReservationState.HELD,
                created_at=now,
                changed_at=now,
            )
        row.amount, row.state, row.changed_at = amount, ReservationState.HELD, now
        session.add(row)
    session.flush()
    _log(
        session,
        actor_id,
        "reservation.held",
        subject_id,
        agency_id,
        **{resource.value: amount for resource, amount in amounts.items()},
    )


def _refuse_over_quota(
    quotas: Mapping[Resource, int], taken: Mapping[Resource, int], amounts: Mapping[Resource, int]
) -> None:
    over = [
        {"resource": resource.value, "need": amounts[resource], "left": quota - taken[resource]}
        for resource, quota in quotas.items()
        if amounts.get(resource, 0) > 0 and amounts[resource] > quota - taken[resource]
    ]
    if over:
        first: dict[str, Any] = {**over[0], "left": max(0, int(str(over[0]["left"])))}
        raise QuotaExceeded(**first, exceeded=over)


def _refuse_over_budget(session: Session, agency: Agency, taken: int, cost: int) -> None:
    budget = queries.find_budget(session, agency.id)
    left = (budget.micros_per_hour if budget else 0) - taken
    if cost <= 0 or cost <= left:
        return
    currency = agency.currency
    raise BudgetExceeded(
        need=str(Money(currency, cost * HOURS_PER_MONTH).rounded()),
        left=str(Money(currency, max(0, left) * HOURS_PER_MONTH).rounded()),
        currency=currency,
        need_micros_per_hour=cost,
        left_micros_per_hour=max(0, left),
    )


def _change_reservation(
    session: Session, subject_id: str, state: ReservationState, actor_id: str
) -> None:
    changed = (
        session.connection()
        .execute(
            update(Reservation)
            .where(
                col(Reservation.subject_id) == subject_id,
                col(Reservation.state) != state,
                col(Reservation.state) != ReservationState.RELEASED,
            )
            .values(state=state, changed_at=clock.now())
            .returning(col(Reservation.agency_id))
        )
        .first()
    )
    if changed is not None:
        _log(session, actor_id, f"reservation.{state.value}", subject_id, changed[0])


def _log(
    session: Session,
    actor_id: str,
    action: str,
    subject_id: str,
    agency_id: str | None,
    **payload: Any,
) -> None:
    ledger.append(
        session,
        actor_id=actor_id,
        action=action,
        subject_id=subject_id,
        agency_id=agency_id,
        payload=payload,
    )


def end_tenant(session: Session, tenant_id: str) -> None:
    """Let the life of a tenant end in which nothing is left. Idempotent; locks the agency."""
    tenant = session.get_one(Tenant, tenant_id)
    queries.lock_agency(session, tenant.agency_id)
    lives.request_ending(session, TENANT_LIFE.kind, tenant_id)
