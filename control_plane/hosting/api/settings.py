"""The doors to a hosting's settings: open ones are shown, secrets go in and never come out."""

from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Request as HttpRequest
from sqlmodel import Session

from control_plane.hosting import actions, queries
from control_plane.hosting.models import Hosting
from control_plane.hosting.schemas import SettingOut, SettingsIn, SettingsOut
from control_plane.identity.access import DeskDep, may
from control_plane.identity.rules import Actor, Permission
from control_plane.kit.envelope import require_match, set_tag

router = APIRouter(prefix="/v1/hostings/{reference}/settings", tags=["hosting"])

Reader = Annotated[Actor, may(Permission.RELEASE_READ)]
Writer = Annotated[Actor, may(Permission.RELEASE_WRITE)]


@router.get("")
def show_settings(desk: DeskDep, actor: Reader, response: Response, reference: str) -> SettingsOut:
    """Show a hosting's variables; of secrets only that they are there, since when, by whom."""
    with desk.reading() as session:
        hosting = queries.get_hosting_for(session, actor, reference, Permission.RELEASE_READ)
        shown = _show(session, hosting)
    desk.note_read(actor, "settings.read", hosting.id, hosting.agency_id)
    set_tag(response, shown.generation)
    return shown


@router.patch("")
def change_settings(
    desk: DeskDep, actor: Writer, http: HttpRequest, reference: str, body: SettingsIn
) -> SettingsOut:
    """Set and remove variables. Safe to repeat: no key is needed, and no secret kept for one."""
    with desk.writing() as session:
        if "if-match" in http.headers:
            found = queries.get_hosting_for(session, actor, reference, Permission.RELEASE_WRITE)
            require_match(http.headers.get("if-match"), found.generation)
        changes = actions.SettingChanges(body.settings, body.secrets)
        return _show(session, actions.change_settings(session, actor, reference, changes))


def _show(session: Session, hosting: Hosting) -> SettingsOut:
    items = [SettingOut.of(row) for row in queries.list_settings(session, hosting.id)]
    return SettingsOut(generation=hosting.generation, items=items)
