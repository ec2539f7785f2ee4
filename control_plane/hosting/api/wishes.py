"""The doors to declared wishes: what a tenant.yml comes to, and asking for it."""

from typing import Annotated

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from sqlmodel import Session

from control_plane.hosting import actions, queries
from control_plane.hosting.api.requests import remaining_of, terms_of
from control_plane.hosting.rules import HostingStatus, JoinVerdict, RequestStatus, TenantFile
from control_plane.hosting.schemas import (
    CostOut,
    DifferenceOut,
    JoinOut,
    RequestOut,
    UndeclaredOut,
    WishesOut,
    WishOut,
)
from control_plane.identity.access import DeskDep, may
from control_plane.identity.rules import Actor, Permission
from control_plane.tenancy import queries as tenancy

router = APIRouter(prefix="/v1/wishes", tags=["wishes"])

Requester = Annotated[Actor, may(Permission.HOSTING_REQUEST)]


@router.post("/plan")
def plan_wishes(desk: DeskDep, actor: Requester, http: HttpRequest, body: TenantFile) -> WishesOut:
    """Say what a tenant.yml would ask for, and what it would cost; nothing is kept of it."""

    def act(session: Session) -> WishesOut:
        # Done in earnest and undone, so that the answer is what `apply` would come to.
        with session.begin_nested() as trial:
            applied = actions.plan_wishes(session, actor, body, terms_of(desk))
            answer = _wishes(session, actor, body, applied)
            before = {one.wished.name: one.before for one in applied.hostings}
            trial.rollback()
        return _before_it_happens(answer, before)

    return desk.once(http, actor, body, act)


@router.post("/apply", status_code=202)
def apply_wishes(desk: DeskDep, actor: Requester, http: HttpRequest, body: TenantFile) -> WishesOut:
    """Ask for all of a tenant.yml that isn't there; applied again it asks for nothing."""

    def act(session: Session) -> WishesOut:
        applied = actions.apply_wishes(session, actor, body, terms_of(desk))
        return _wishes(session, actor, body, applied)

    return desk.once(http, actor, body, act)


def _wishes(
    session: Session, actor: Actor, file: TenantFile, applied: actions.Applied
) -> WishesOut:
    agency = tenancy.get_agency_for(session, actor, file.agency, Permission.HOSTING_REQUEST)
    items = [_wish(session, one) for one in applied.hostings]
    declared = {wished.name for wished in file.hostings}
    present = queries.list_present(session, agency.id, file.tenant, file.region)
    return WishesOut(
        agency=agency.slug,
        changed=sum(item.request is not None for item in items),
        items=items,
        undeclared=[
            UndeclaredOut(name=one.name, hosting=one.id, status=HostingStatus(one.status))
            for one in present
            if one.name not in declared
        ],
        attachments=[_join(one) for one in applied.attachments],
        cost=CostOut.of(agency.currency, sum(max(0, _more(item)) for item in items)),
        saves=CostOut.of(agency.currency, sum(max(0, -_more(item)) for item in items)),
        remaining=remaining_of(session, agency),
    )


def _more(item: WishOut) -> int:
    """Return the micro-units an hour by which a wish makes an agency's hostings dearer."""
    if item.plan is None:
        return 0
    body = item.plan.body
    before = body.get("before") or body.get("saves") or {"micros_per_hour": 0}
    more: int = body["cost"]["micros_per_hour"] - before["micros_per_hour"]
    return more


def _wish(session: Session, granted: actions.Granted) -> WishOut:
    hosting = granted.hosting
    request = None
    if granted.request is not None:
        request = RequestOut.of(queries.view_requests(session, [granted.request])[0])
    is_approved = request is not None and request.status == RequestStatus.APPROVED
    return WishOut(
        name=granted.wished.name,
        verdict=granted.verdict,
        hosting=hosting.id if hosting else None,
        status=HostingStatus(hosting.status) if hosting else None,
        request=request,
        plan=request.plan if request else None,
        approved_by=request.policy.rule if request and is_approved and request.policy else None,
        differences=[DifferenceOut.of(difference) for difference in granted.differences],
    )


def _join(joined: actions.Joined) -> JoinOut:
    return JoinOut(
        hosting=joined.hosting,
        target=joined.target,
        variable=joined.variable,
        verdict=joined.verdict,
        attachment=joined.row.id if joined.row else None,
    )


def _before_it_happens(answer: WishesOut, before: dict[str, HostingStatus | None]) -> WishesOut:
    items = [
        item.model_copy(
            update={
                "request": None,
                "status": before[item.name],
                "hosting": item.hosting if before[item.name] else None,
            }
        )
        for item in answer.items
    ]
    attachments = [
        one.model_copy(update={"attachment": None}) if one.verdict == JoinVerdict.ATTACH else one
        for one in answer.attachments
    ]
    return answer.model_copy(update={"items": items, "attachments": attachments})
