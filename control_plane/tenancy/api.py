"""The doors to agencies, their means and members, and to the regions."""

import hashlib
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response
from sqlmodel import Session

from control_plane.identity import queries as people
from control_plane.identity.access import DeskDep, may
from control_plane.identity.actions import keystone
from control_plane.identity.rules import Actor, Permission, Role
from control_plane.kit import passwords
from control_plane.kit.envelope import (
    DEFAULT_LIMIT,
    Cursor,
    IfMatch,
    Limit,
    PageOut,
    page_out,
    require_match,
    set_tag,
)
from control_plane.kit.money import Money
from control_plane.tenancy import actions, queries
from control_plane.tenancy.models import Agency
from control_plane.tenancy.rules import Resource
from control_plane.tenancy.schemas import (
    AgencyDetailOut,
    AgencyIn,
    AgencyOut,
    AgencyRegionsDocument,
    BudgetDocument,
    BudgetOut,
    ForeignId,
    MemberIn,
    MemberOut,
    MeOut,
    ProjectIn,
    ProjectOut,
    QuotaDocument,
    RegionOut,
    RegionsOut,
    RegionStateIn,
    TenantOut,
    UsageOut,
)

router = APIRouter(prefix="/v1", tags=["tenancy"])

Myself = Annotated[Actor, may(Permission.SELF_READ)]
Reader = Annotated[Actor, may(Permission.AGENCY_READ)]
Mender = Annotated[Actor, may(Permission.OPERATION_WRITE)]
Writer = Annotated[Actor, may(Permission.AGENCY_WRITE)]
MemberWriter = Annotated[Actor, may(Permission.MEMBER_WRITE)]


@router.get("/me", tags=["identity"])
def show_me(desk: DeskDep, actor: Myself) -> MeOut:
    """Show who one is, with one's roles."""
    with desk.reading() as session:
        person = people.get_person(session, actor.person_id)
        agencies = queries.list_agencies_by_id(session, list(actor.agency_roles))
    return MeOut.of(actor, person, agencies)


@router.get("/regions")
def list_regions(desk: DeskDep, _actor: Reader) -> RegionsOut:
    """List the clouds in which hostings can be."""
    with desk.reading() as session:
        regions = queries.list_regions(session)
    return RegionsOut(items=[RegionOut.of(region) for region in regions])


@router.get("/tenants")
def list_tenants(
    desk: DeskDep,
    actor: Reader,
    agency: Annotated[str | None, Query(max_length=40, description="Only of this agency")] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> PageOut[TenantOut]:
    """List tenants, the newest first; those that are over too."""
    among = actor.agencies_with(Permission.AGENCY_READ)
    with desk.reading() as session:
        if agency is not None:
            permission = Permission.AGENCY_READ
            among = frozenset({queries.get_agency_for(session, actor, agency, permission).id})
        page = queries.list_tenants(session, among, cursor, limit)
    for agency_id in among if among is not None else (None,):
        desk.note_read(actor, "tenants.listed", agency_id or "agencies", agency_id)
    return page_out(page, lambda row: TenantOut.of(*row))


@router.get("/tenants/{tenant_id}")
def show_tenant(desk: DeskDep, actor: Reader, tenant_id: str) -> TenantOut:
    """Show a tenant: it comes with its first hosting, and goes after its last."""
    with desk.reading() as session:
        found = queries.get_tenant_for(session, actor, tenant_id, Permission.AGENCY_READ)
    desk.note_read(actor, "tenant.read", tenant_id, found[0].agency_id)
    return TenantOut.of(*found)


@router.get("/regions/{name}")
def show_region(desk: DeskDep, _actor: Reader, name: str) -> RegionOut:
    """Show a region."""
    with desk.reading() as session:
        return RegionOut.of(queries.get_region(session, name))


@router.put("/regions/{name}/state")
def set_region_state(desk: DeskDep, actor: Mender, name: str, body: RegionStateIn) -> RegionOut:
    """Open a region to new tenants, close it, or retire it for good; what runs there goes on."""
    with desk.writing() as session:
        person_id = actor.person_id
        region = actions.set_region_state(session, person_id, name, body.state, body.reason)
        return RegionOut.of(region)


@router.get("/agencies")
def list_agencies(
    desk: DeskDep, actor: Reader, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> PageOut[AgencyOut]:
    """List the agencies that one belongs to; the data centre sees all."""
    among = actor.agencies_with(Permission.AGENCY_READ)
    with desk.reading() as session:
        page = queries.list_agencies(session, among, cursor, limit)
    if among is None:
        desk.note_read(actor, "agencies.listed", "agencies", None)
    return page_out(page, AgencyOut.of)


@router.post("/agencies", status_code=201)
def create_agency(
    desk: DeskDep, actor: Writer, request: Request, response: Response, body: AgencyIn
) -> AgencyOut:
    """Take an agency in; it has nothing until it gets a quota and a budget."""
    new = actions.NewAgency(body.slug, body.name_ar, body.name_en, body.currency)
    made = desk.once(
        request,
        actor,
        body,
        lambda session: AgencyOut.of(actions.create_agency(session, actor.person_id, new)),
    )
    response.headers["Location"] = f"/v1/agencies/{made.slug}"
    return made


@router.get("/agencies/{slug}")
def show_agency(desk: DeskDep, actor: Reader, response: Response, slug: str) -> AgencyDetailOut:
    """Show an agency with its quota and budget; the ETag guards a change of these."""
    with desk.reading() as session:
        agency = queries.get_agency_for(session, actor, slug, Permission.AGENCY_READ)
        shown = _detail(session, agency)
    desk.note_read(actor, "agency.read", agency.id, agency.id)
    set_tag(response, _version(shown))
    return shown


@router.put("/agencies/{slug}/quota")
def set_quota(  # each is one thing that the framework gives
    desk: DeskDep,
    actor: Writer,
    response: Response,
    slug: str,
    body: QuotaDocument,
    if_match: IfMatch = None,
) -> AgencyDetailOut:
    """Say how much the agency may have at once; less than it has takes nothing away."""
    with desk.writing() as session:
        agency = _changeable(session, actor, if_match, slug)
        actions.set_quota(session, actor.person_id, agency.id, body.amounts())
        shown = _detail(session, agency)
    set_tag(response, _version(shown))
    return shown


@router.put("/agencies/{slug}/budget")
def set_budget(  # each is one thing that the framework gives
    desk: DeskDep,
    actor: Writer,
    response: Response,
    slug: str,
    body: BudgetDocument,
    if_match: IfMatch = None,
) -> AgencyDetailOut:
    """Say what the agency's hostings may cost together."""
    with desk.writing() as session:
        agency = _changeable(session, actor, if_match, slug)
        budget = Money(body.currency, body.micros_per_hour)
        actions.set_budget(session, actor.person_id, agency.id, budget)
        shown = _detail(session, agency)
    set_tag(response, _version(shown))
    return shown


@router.put("/agencies/{slug}/regions")
def set_agency_regions(  # each is one thing that the framework gives
    desk: DeskDep,
    actor: Writer,
    response: Response,
    slug: str,
    body: AgencyRegionsDocument,
    if_match: IfMatch = None,
) -> AgencyDetailOut:
    """Say which regions the agency's new tenants may be in, and where first; what it has stays."""
    with desk.writing() as session:
        agency = _changeable(session, actor, if_match, slug)
        wish = body.allowed, body.default
        actions.set_agency_regions(session, actor.person_id, agency.id, *wish)
        shown = _detail(session, agency)
    set_tag(response, _version(shown))
    return shown


@router.get("/agencies/{slug}/usage")
def show_usage(desk: DeskDep, actor: Reader, slug: str) -> UsageOut:
    """Show what the agency takes of its quota and budget, and what is left."""
    with desk.reading() as session:
        agency = queries.get_agency_for(session, actor, slug, Permission.AGENCY_READ)
        budget = queries.find_budget(session, agency.id)
        limits = queries.quotas_of(session, agency.id)
        limits[Resource.COST] = budget.micros_per_hour if budget else 0
        used = queries.used_by(session, agency.id)
    desk.note_read(actor, "usage.read", agency.id, agency.id)
    return UsageOut.of(agency, limits, used)


@router.get("/agencies/{slug}/members")
def list_members(
    desk: DeskDep, actor: Reader, slug: str, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> PageOut[MemberOut]:
    """List who has which role in the agency."""
    with desk.reading() as session:
        agency = queries.get_agency_for(session, actor, slug, Permission.AGENCY_READ)
        page = people.list_members(session, agency.id, cursor, limit)
    desk.note_read(actor, "members.read", agency.id, agency.id)
    return page_out(page, lambda row: MemberOut.of(*row))


@router.post("/agencies/{slug}/members", status_code=201)
def add_member(
    desk: DeskDep, actor: MemberWriter, request: Request, slug: str, body: MemberIn
) -> MemberOut:
    """Give somebody a role in the agency; who isn't known yet gets a first password, told once."""
    with desk.reading() as session:
        agency = queries.get_agency_for(session, actor, slug, Permission.MEMBER_WRITE)
        is_known = people.find_person_by_email(session, body.email) is not None
    # Hashed here: inside the transaction it would hold up every other writer.
    password = None if is_known else passwords.new_password()
    stored = None if password is None else passwords.hash_password(password)
    new = actions.NewMember(body.email, Role(body.role), body.name, body.locale, stored)

    def act(session: Session) -> MemberOut:
        grant, person, is_new = actions.add_member(session, actor.person_id, agency.id, new)
        return MemberOut.of(grant, person, password if is_new else None)

    return desk.once(request, actor, body, act)


@router.delete("/agencies/{slug}/members/{person_id}/{role}", status_code=204)
def remove_member(
    desk: DeskDep, actor: MemberWriter, slug: str, person_id: str, role: Role
) -> None:
    """Take a role in the agency away from somebody."""
    with desk.writing() as session:
        agency = queries.get_agency_for(session, actor, slug, Permission.MEMBER_WRITE)
        actions.remove_member(session, actor.person_id, agency.id, person_id, role)


@router.get("/agencies/{slug}/projects")
def list_projects(
    desk: DeskDep, actor: Reader, slug: str, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> PageOut[ProjectOut]:
    """List the projects of Keystone whose members act for the agency."""
    with desk.reading() as session:
        agency = queries.get_agency_for(session, actor, slug, Permission.AGENCY_READ)
        page = people.list_keystone_projects(session, agency.id, cursor, limit)
    desk.note_read(actor, "projects.read", agency.id, agency.id)
    return page_out(page, ProjectOut.of)


@router.put("/agencies/{slug}/projects/{project_id}")
def map_project(
    desk: DeskDep, actor: Writer, slug: str, project_id: ForeignId, body: ProjectIn
) -> ProjectOut:
    """Let the members of a project of Keystone act for the agency, by their roles there."""
    with desk.writing() as session:
        agency = queries.get_agency_for(session, actor, slug, Permission.AGENCY_WRITE)
        roles = {name: Role(role) for name, role in body.roles.items()}
        wish = keystone.Mapping(project_id, body.domain_id, agency.id, roles)
        return ProjectOut.of(keystone.map_project(session, actor.person_id, wish))


@router.delete("/agencies/{slug}/projects/{project_id}", status_code=204)
def unmap_project(desk: DeskDep, actor: Writer, slug: str, project_id: ForeignId) -> None:
    """Let a project of Keystone act for the agency no more."""
    with desk.writing() as session:
        agency = queries.get_agency_for(session, actor, slug, Permission.AGENCY_WRITE)
        keystone.unmap_project(session, actor.person_id, project_id, agency.id)


def _detail(session: Session, agency: Agency) -> AgencyDetailOut:
    kept = queries.regions_of(session, agency.id)
    named = {one.name: one.id for one in queries.list_regions(session) if one.id in kept}
    default = next((name for name, region_id in named.items() if kept[region_id]), None)
    return AgencyDetailOut(
        **AgencyOut.of(agency).model_dump(),
        quota=QuotaDocument.of(queries.quotas_of(session, agency.id)),
        budget=BudgetOut.of(agency, queries.find_budget(session, agency.id)),
        regions=AgencyRegionsDocument(allowed=list(named), default=default),
    )


def _changeable(session: Session, actor: Actor, if_match: str | None, slug: str) -> Agency:
    agency = queries.get_agency_for(session, actor, slug, Permission.AGENCY_WRITE)
    queries.lock_agency(session, agency.id)
    require_match(if_match, _version(_detail(session, agency)))
    return agency


def _version(shown: AgencyDetailOut) -> str:
    means = shown.model_dump(mode="json", include={"quota", "budget", "regions"})
    return hashlib.sha256(orjson.dumps(means, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
