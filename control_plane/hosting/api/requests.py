"""The doors to requests and hostings."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi import Request as HttpRequest
from sqlmodel import Session

from control_plane.hosting import actions, queries
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.queries import Filters
from control_plane.hosting.rules import (
    OPEN,
    HostingStatus,
    RequestStatus,
)
from control_plane.hosting.schemas import (
    ApproveIn,
    HostingDetailOut,
    HostingOut,
    RejectIn,
    RequestDetailOut,
    RequestIn,
    RequestOut,
    WithdrawIn,
)
from control_plane.identity.access import Desk, DeskDep, may
from control_plane.identity.rules import Actor, Permission
from control_plane.kit.envelope import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    PageOut,
    require_match,
    set_tag,
)
from control_plane.kit.pagination import Page
from control_plane.tenancy import queries as tenancy
from control_plane.tenancy.models import Agency
from control_plane.tenancy.rules import Resource
from control_plane.tenancy.schemas import ResourceUse, UsageOut

router = APIRouter(prefix="/v1", tags=["hosting"])

Reader = Annotated[Actor, may(Permission.HOSTING_READ)]
Requester = Annotated[Actor, may(Permission.HOSTING_REQUEST)]
Decider = Annotated[Actor, may(Permission.REQUEST_DECIDE)]
OfAgency = Annotated[str | None, Query(max_length=40, description="Only of this agency")]


@router.post("/requests", status_code=202)
def submitshow(
    desk: DeskDep, actor: Requester, http: HttpRequest, response: Response, body: RequestIn
) -> RequestDetailOut:
    """Ask for a new hosting; the policy may approve it at once."""

    def act(session: Session) -> RequestDetailOut:
        request = actions.submit_create(session, actor, body.wish(), terms_of(desk))
        return show(session, request)

    made = desk.once(http, actor, body, act)
    point_to(response, made)
    return made


@router.get("/requests")
def list_requests(  # each is one thing that the framework gives
    desk: DeskDep,
    actor: Reader,
    agency: OfAgency = None,
    status: RequestStatus | None = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> PageOut[RequestOut]:
    """List requests, the newest first."""
    with desk.reading() as session:
        filters = _filters(session, actor, agency, status)
        page = queries.list_requests(session, filters, cursor, limit)
        views = queries.view_requests(session, page.items)
    _note_list(desk, actor, "requests.listed", filters)
    return PageOut(items=[RequestOut.of(view) for view in views], next_cursor=page.next_cursor)


@router.get("/requests/{request_id}")
def showshow(desk: DeskDep, actor: Reader, response: Response, request_id: str) -> RequestDetailOut:
    """Show a request with its plan, its cost, all decisions, and what remains to its agency."""
    with desk.reading() as session:
        request = queries.get_request_for(session, actor, request_id, Permission.HOSTING_READ)
        shown = show(session, request)
    desk.note_read(actor, "request.read", request.id, request.agency_id)
    set_tag(response, _version(request))
    return shown


@router.post("/requests/{request_id}/approve")
def approveshow(
    desk: DeskDep, actor: Decider, http: HttpRequest, request_id: str, body: ApproveIn
) -> RequestDetailOut:
    """Approve exactly the plan whose hash is sent; nobody approves what they asked for."""

    def act(session: Session) -> RequestDetailOut:
        _match(session, actor, http, request_id)
        return show(
            session, actions.approve(session, actor, request_id, body.plan_hash, body.reason)
        )

    return desk.once(http, actor, body, act)


@router.post("/requests/{request_id}/reject")
def rejectshow(
    desk: DeskDep, actor: Decider, http: HttpRequest, request_id: str, body: RejectIn
) -> RequestDetailOut:
    """Say no, and why; what was reserved and claimed is free again."""

    def act(session: Session) -> RequestDetailOut:
        _match(session, actor, http, request_id)
        return show(
            session, actions.reject(session, actor, request_id, body.reason, body.plan_hash)
        )

    return desk.once(http, actor, body, act)


@router.post("/requests/{request_id}/withdraw")
def withdrawshow(
    desk: DeskDep, actor: Requester, http: HttpRequest, request_id: str, body: WithdrawIn
) -> RequestDetailOut:
    """Take a request of one's agency back that nobody has decided on."""

    def act(session: Session) -> RequestDetailOut:
        _match(session, actor, http, request_id)
        return show(session, actions.withdraw(session, actor, request_id, body.reason))

    return desk.once(http, actor, body, act)


@router.get("/hostings")
def list_hostings(  # each is one thing that the framework gives
    desk: DeskDep,
    actor: Reader,
    agency: OfAgency = None,
    status: HostingStatus | None = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> PageOut[HostingOut]:
    """List hostings, the newest first; those that are over too."""
    with desk.reading() as session:
        filters = _filters(session, actor, agency, status)
        page: Page[Hosting] = queries.list_hostings(session, filters, cursor, limit)
        views = queries.view_hostings(session, page.items)
    _note_list(desk, actor, "hostings.listed", filters)
    return PageOut(items=[HostingOut.of(view) for view in views], next_cursor=page.next_cursor)


@router.get("/hostings/{reference}")
def show_hosting(
    desk: DeskDep, actor: Reader, response: Response, reference: str
) -> HostingDetailOut:
    """Show a hosting by its id or as `agency:name`."""
    with desk.reading() as session:
        hosting = queries.get_hosting_for(session, actor, reference, Permission.HOSTING_READ)
        shown = show_whole(session, hosting)
    desk.note_read(actor, "hosting.read", hosting.id, hosting.agency_id)
    set_tag(response, hosting.generation)
    return shown


def terms_of(desk: Desk) -> actions.Terms:
    """Return the terms on which this installation takes requests."""
    return actions.Terms(desk.zone, desk.retention_days, actions.installed_policy())


def remaining_of(session: Session, agency: Agency) -> list[ResourceUse]:
    """Return what an agency takes of its quota and budget, and what is left."""
    budget = tenancy.find_budget(session, agency.id)
    limits = tenancy.quotas_of(session, agency.id)
    limits[Resource.COST] = budget.micros_per_hour if budget else 0
    return UsageOut.of(agency, limits, tenancy.used_by(session, agency.id)).resources


def _filters(session: Session, actor: Actor, slug: str | None, status: str | None) -> Filters:
    if slug is None:
        return Filters(actor.agencies_with(Permission.HOSTING_READ), status)
    agency = tenancy.get_agency_for(session, actor, slug, Permission.HOSTING_READ)
    return Filters({agency.id}, status)


def _note_list(desk: Desk, actor: Actor, action: str, filters: Filters) -> None:
    if filters.agencies is None:
        desk.note_read(actor, action, "agencies", None)
        return
    for agency_id in filters.agencies:
        desk.note_read(actor, action, agency_id, agency_id)


def _match(session: Session, actor: Actor, http: HttpRequest, request_id: str) -> None:
    if "if-match" not in http.headers:
        return  # the plan's hash, or the request's state, guards the change already
    request = queries.get_request_for(session, actor, request_id, Permission.HOSTING_READ)
    if request.status in OPEN:
        require_match(http.headers.get("if-match"), _version(request))


def _version(request: Request) -> str:
    return f"{request.version}-{request.status}"


def point_to(response: Response, made: RequestDetailOut) -> None:
    """Say where a request that was made is found."""
    response.headers["Location"] = f"/v1/requests/{made.id}"


def show(session: Session, request: Request) -> RequestDetailOut:
    """Show a request with all that belongs to it."""
    agency = session.get_one(Agency, request.agency_id)
    return RequestDetailOut.whole(
        queries.view_requests(session, [request])[0],
        queries.list_decisions(session, request.id),
        remaining_of(session, agency),
    )


def show_whole(session: Session, hosting: Hosting) -> HostingDetailOut:
    """Show a hosting with all that belongs to it."""
    place = queries.placement_of(session, hosting)
    pending = queries.find_open_request(session, hosting.id)
    return HostingDetailOut(
        **HostingOut.of(queries.view_hostings(session, [hosting])[0]).model_dump(),
        region=place.region,
        tenant=place.tenant,
        image_digest=hosting.image_digest,
        open_request=pending.id if pending is not None else None,
    )
