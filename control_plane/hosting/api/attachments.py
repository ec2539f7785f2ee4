"""The doors to attachments: an application reaches one port of a database of its tenant."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from sqlmodel import Session

from control_plane.hosting import actions, queries
from control_plane.hosting.models import Attachment
from control_plane.hosting.schemas import AttachmentIn, AttachmentOut
from control_plane.identity.access import DeskDep, may
from control_plane.identity.rules import Actor, Permission
from control_plane.kit.envelope import PageOut

router = APIRouter(prefix="/v1", tags=["attachments"])

Reader = Annotated[Actor, may(Permission.RELEASE_READ)]
Requester = Annotated[Actor, may(Permission.HOSTING_REQUEST)]


@router.post("/hostings/{reference}/attachments", status_code=202)
def attach(  # each is one thing that the framework gives
    desk: DeskDep,
    actor: Requester,
    request: Request,
    response: Response,
    reference: str,
    body: AttachmentIn,
) -> AttachmentOut:
    """Attach an application to a database of its tenant; it gets the variable when all is ready."""

    def act(session: Session) -> AttachmentOut:
        return _show(session, actions.attach(session, actor, reference, body.target))

    made = desk.once(request, actor, body, act)
    response.headers["Location"] = f"/v1/hostings/{made.hosting}/attachments"
    return made


@router.get("/hostings/{reference}/attachments")
def list_attachments(desk: DeskDep, actor: Reader, reference: str) -> PageOut[AttachmentOut]:
    """List the attachments of a hosting that are not over, from it and to it."""
    with desk.reading() as session:
        hosting = queries.get_hosting_for(session, actor, reference, Permission.RELEASE_READ)
        rows = queries.list_unfinished_attachments(session, hosting.id)
        items = [AttachmentOut.of(view) for view in queries.view_attachments(session, rows)]
    desk.note_read(actor, "attachments.listed", hosting.id, hosting.agency_id)
    return PageOut(items=items, next_cursor=None)


@router.delete("/attachments/{attachment_id}", status_code=202)
def detach(desk: DeskDep, actor: Requester, attachment_id: str) -> AttachmentOut:
    """Detach: the port is shut, and the user that the application had is closed for ever."""
    with desk.writing() as session:
        return _show(session, actions.detach(session, actor, attachment_id))


def _show(session: Session, row: Attachment) -> AttachmentOut:
    session.flush()
    return AttachmentOut.of(queries.view_attachments(session, [row])[0])
