"""A wish becomes a request: all that it takes is reserved, claimed and written at once."""

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from control_plane.blueprints import queries as blueprints
from control_plane.blueprints.models import BlueprintVersion
from control_plane.blueprints.rules import check_inputs
from control_plane.engine import lives
from control_plane.hosting import queries
from control_plane.hosting.actions.filing import add_request, decide_by_policy
from control_plane.hosting.actions.terms import Terms
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import (
    ENDABLE,
    LIFE,
    Draft,
    HostingStatus,
    ImageMissing,
    Making,
    NameTaken,
    NewHosting,
    NotEndable,
    Placement,
    RequestKind,
    RequestOpen,
    new_create_plan,
    new_end_plan,
)
from control_plane.hostnames import actions as hostnames
from control_plane.hostnames.rules import Name, parse_hostname
from control_plane.identity.rules import Actor, Permission
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.kit.money import Money
from control_plane.ledger import actions as ledger
from control_plane.releases.actions import create_placeholder_deployment
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy import queries as tenancy_queries
from control_plane.tenancy.models import Agency, Region
from control_plane.tenancy.rules import (
    Place,
    PlacedBy,
    RegionState,
    Resource,
    choose_place,
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A wish that could be asked for as it stands, and what it comes to; nothing is written."""

    agency: Agency
    region: Region
    placed_by: PlacedBy
    version: BlueprintVersion
    hostname: Name
    making: Making
    draft: Draft

    @property
    def needs(self) -> dict[Resource, int]:
        """What it takes of quota and budget."""
        size = self.making.blueprint.size(self.making.size)
        return {**size.needs, Resource.COST: self.making.price.micros}


def propose(session: Session, actor: Actor, wish: NewHosting, terms: Terms) -> Proposal:
    """Return what a wish comes to, without quota, budget and what others have taken.

    Raises: NotFound, Forbidden, BlueprintUnknown, SizeUnknown, InputInvalid, PriceUnknown,
    ImageMissing, NameTaken, what `choose_place` does, and what is wrong with the hostname.
    """
    agency = tenancy_queries.get_agency_for(session, actor, wish.agency, Permission.HOSTING_REQUEST)
    version = blueprints.get_current(session, wish.blueprint)
    blueprint = blueprints.blueprint_of(version)
    blueprint.size(wish.size)
    inputs = check_inputs(blueprint, wish.inputs)
    price = blueprints.price_at(session, blueprint.name, wish.size, agency.currency, clock.now())
    region, placed_by = _place(session, agency, wish, blueprint.image)
    image = queries.find_image(session, region.id, blueprint.image)
    if image is None:
        raise ImageMissing(region=region.name, image=blueprint.image)
    present = queries.find_present(session, agency.id, wish.name)
    if present is not None:
        raise NameTaken(name=wish.name, hosting=present.id)
    hostname = parse_hostname(wish.hostname or default_label(wish.name, agency.slug), terms.zone)
    place = Placement(agency.slug, region.name, wish.tenant, wish.name, hostname.ascii)
    making = Making(blueprint, wish.size, inputs, image.digest, price)
    draft = new_create_plan(place, making)
    return Proposal(agency, region, placed_by, version, hostname, making, draft)


def default_label(name: str, slug: str) -> str:
    """Return the label that a hosting gets if none is wished."""
    return slug if name == slug else f"{name}-{slug}"


def submit_create(session: Session, actor: Actor, wish: NewHosting, terms: Terms) -> Request:
    """Ask for a new hosting: in one transaction all rows, claims, reservations and the life.

    The policy may decide at once. Raises: what `propose` does, QuotaExceeded, BudgetExceeded,
    AgencySuspended, TenantEnding, HostnameTaken, HostnameLookalike.
    """
    agency = tenancy_queries.get_agency_for(session, actor, wish.agency, Permission.HOSTING_REQUEST)
    tenancy_queries.lock_agency(session, agency.id)  # of two with one name, one is refused
    proposal = propose(session, actor, wish, terms)
    hosting = _add_hosting(session, actor, wish, proposal)
    hostnames.claim(session, actor.person_id, agency.id, hosting.id, proposal.hostname)
    tenancy.reserve(session, agency.id, hosting.id, proposal.needs, actor_id=actor.person_id)
    deployment = create_placeholder_deployment(session, hosting.id, agency.id, actor.person_id)
    hosting.wished_deployment_id = deployment.id
    session.add(hosting)
    lives.start_life(session, LIFE, hosting.id, agency.id)
    wanted = RequestKind.CREATE, wish.reason, _plain(wish, proposal)
    request = add_request(session, actor, hosting, wanted, proposal.draft)
    decide_by_policy(session, actor, request, proposal.making.price, terms)
    return request


def submit_end(
    session: Session, actor: Actor, reference: str, reason: str, terms: Terms
) -> Request:
    """Ask for a hosting's end. Raises: NotFound, Forbidden, NotEndable, RequestOpen."""
    hosting = queries.get_hosting_for(session, actor, reference, Permission.HOSTING_END)
    lives.signal_life(session, LIFE.kind, hosting.id)  # locks the life first, as its steps do
    session.refresh(hosting, with_for_update=True)
    if hosting.status not in ENDABLE:
        raise NotEndable(present=hosting.status)
    pending = queries.find_open_request(session, hosting.id, RequestKind.END)
    if pending is not None:
        raise RequestOpen(request=pending.id)
    plan = queries.find_latest_plan(session, hosting.id)
    saves = Money(plan.currency, plan.micros_per_hour) if plan else Money("IQD", 0)
    place = queries.placement_of(session, hosting)
    draft = new_end_plan(place, saves, terms.retention_days)
    request = add_request(session, actor, hosting, (RequestKind.END, reason, {}), draft)
    decide_by_policy(session, actor, request, draft.price, terms)
    return request


def _place(
    session: Session, agency: Agency, wish: NewHosting, family: str
) -> tuple[Region, PlacedBy]:
    """Choose the region; what is reserved in each counts, whoever it is for."""
    regions = {region.name: region for region in tenancy_queries.list_regions(session)}
    named = tenancy_queries.list_tenants_named(session, agency.id, wish.tenant)
    inside = {tenant.region_id for tenant in named}
    reserved = queries.memory_by_region(session)
    kept = tenancy_queries.regions_of(session, agency.id)
    places = [
        Place(
            region.name,
            RegionState(region.state),
            region.is_served,
            region.id in inside,
            queries.find_image(session, region.id, family) is not None,
            (region.memory_mib or 0) - reserved.get(region.id, 0),
            is_allowed=not kept or region.id in kept,
            is_default=kept.get(region.id, False),
        )
        for region in regions.values()
    ]
    place, why = choose_place(places, wish.region)
    return regions[place.region], why


def _add_hosting(session: Session, actor: Actor, wish: NewHosting, proposal: Proposal) -> Hosting:
    tenant = tenancy.ensure_tenant_row(
        session,
        proposal.agency.id,
        proposal.region.id,
        wish.tenant,
        actor_id=actor.person_id,
    )
    hosting = Hosting(
        id=new_id("hst"),
        agency_id=proposal.agency.id,
        region_id=proposal.region.id,
        tenant_id=tenant.id,
        name=wish.name,
        title=wish.title,
        blueprint_version_id=proposal.version.id,
        size=wish.size,
        inputs=dict(proposal.making.inputs),
        image_digest=proposal.making.image,
        status=HostingStatus.REQUESTED,
        created_at=clock.now(),
    )
    session.add(hosting)
    session.flush()
    ledger.append(
        session,
        actor_id=actor.person_id,
        action="hosting.requested",
        subject_id=hosting.id,
        agency_id=hosting.agency_id,
        payload={"name": hosting.name, "tenant": tenant.id, **_where(proposal)},
    )
    return hosting


def _where(proposal: Proposal) -> dict[str, str]:
    return {"region": proposal.region.id, "placed_by": proposal.placed_by.value}


def _plain(wish: NewHosting, proposal: Proposal) -> dict[str, Any]:
    return {
        "name": wish.name,
        "title": wish.title,
        "blueprint": wish.blueprint,
        "size": wish.size,
        "inputs": dict(wish.inputs),
        "region": wish.region,
        "tenant": wish.tenant,
        "hostname": wish.hostname,
        "placed_by": proposal.placed_by.value,
    }
