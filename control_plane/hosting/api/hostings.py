"""The doors to what is done with a hosting that is there: changed, closed, ended, brought back."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Request as HttpRequest
from sqlmodel import Session

from control_plane.hosting import actions, queries
from control_plane.hosting.api.requests import point_to, show, show_whole, terms_of
from control_plane.hosting.models import Request
from control_plane.hosting.schemas import (
    ChangeIn,
    EndIn,
    HostingDetailOut,
    RequestDetailOut,
    RestoreIn,
    ResumeIn,
    SuspendIn,
)
from control_plane.identity.access import DeskDep, may
from control_plane.identity.rules import Actor, Permission
from control_plane.kit.envelope import require_match

router = APIRouter(prefix="/v1/hostings/{reference}", tags=["hosting"])

Requester = Annotated[Actor, may(Permission.HOSTING_REQUEST)]
Ender = Annotated[Actor, may(Permission.HOSTING_END)]
Suspender = Annotated[Actor, may(Permission.HOSTING_SUSPEND)]


@router.post("/change", status_code=202)
def change_hosting(  # each is one thing that the framework gives
    desk: DeskDep,
    actor: Requester,
    http: HttpRequest,
    response: Response,
    reference: str,
    body: ChangeIn,
) -> RequestDetailOut:
    """Ask for another size, title, other inputs or the newest image; all content stays."""

    def act(session: Session) -> Request:
        _match(session, actor, http, reference, Permission.HOSTING_REQUEST)
        return actions.submit_change(session, actor, body.change(reference), terms_of(desk))

    made = desk.once(http, actor, body, _shown(act))
    point_to(response, made)
    return made


@router.post("/end", status_code=202)
def end_hosting(  # each is one thing that the framework gives
    desk: DeskDep,
    actor: Ender,
    http: HttpRequest,
    response: Response,
    reference: str,
    body: EndIn,
) -> RequestDetailOut:
    """Ask for a hosting's end: out of service when approved, destroyed after its time."""

    def act(session: Session) -> Request:
        _match(session, actor, http, reference, Permission.HOSTING_END)
        return actions.submit_end(session, actor, reference, body.reason, terms_of(desk))

    made = desk.once(http, actor, body, _shown(act))
    point_to(response, made)
    return made


@router.post("/restore", status_code=202)
def restore_hosting(  # each is one thing that the framework gives
    desk: DeskDep,
    actor: Requester,
    http: HttpRequest,
    response: Response,
    reference: str,
    body: RestoreIn,
) -> RequestDetailOut:
    """Ask for a hosting that has ended to come back, with its content and its name."""

    def act(session: Session) -> Request:
        return actions.submit_restore(session, actor, reference, body.reason, terms_of(desk))

    made = desk.once(http, actor, body, _shown(act))
    point_to(response, made)
    return made


@router.post("/suspend", status_code=202)
def suspend_hosting(
    desk: DeskDep, actor: Suspender, http: HttpRequest, reference: str, body: SuspendIn
) -> HostingDetailOut:
    """Close a hosting for a while: visitors get a page that says so, and all data stays."""

    def act(session: Session) -> HostingDetailOut:
        _match(session, actor, http, reference, Permission.HOSTING_SUSPEND)
        return show_whole(session, actions.suspend(session, actor, reference, body.reason))

    return desk.once(http, actor, body, act)


@router.post("/resume", status_code=202)
def resume_hosting(
    desk: DeskDep, actor: Suspender, http: HttpRequest, reference: str, body: ResumeIn
) -> HostingDetailOut:
    """Open a hosting again; what the data centre has closed, only the data centre opens."""

    def act(session: Session) -> HostingDetailOut:
        _match(session, actor, http, reference, Permission.HOSTING_SUSPEND)
        return show_whole(session, actions.resume(session, actor, reference, body.reason))

    return desk.once(http, actor, body, act)


def _shown(act: Callable[[Session], Request]) -> Callable[[Session], RequestDetailOut]:
    return lambda session: show(session, act(session))


def _match(
    session: Session, actor: Actor, http: HttpRequest, reference: str, permission: Permission
) -> None:
    if "if-match" in http.headers:
        hosting = queries.get_hosting_for(session, actor, reference, permission)
        require_match(http.headers.get("if-match"), hosting.generation)
