"""The doors to blueprints: what can be asked for, with which inputs, in which sizes."""

from typing import Annotated

from fastapi import APIRouter, Response
from sqlmodel import Session

from control_plane.blueprints import queries
from control_plane.blueprints.models import BlueprintVersion
from control_plane.blueprints.schemas import BlueprintOut, BlueprintsOut
from control_plane.identity.access import DeskDep, may
from control_plane.identity.rules import Actor, NotFound, Permission
from control_plane.kit import clock
from control_plane.kit.envelope import set_tag

router = APIRouter(prefix="/v1", tags=["blueprints"])

Reader = Annotated[Actor, may(Permission.BLUEPRINT_READ)]


@router.get("/blueprints")
def list_blueprints(desk: DeskDep, _actor: Reader) -> BlueprintsOut:
    """List what can be asked for."""
    with desk.reading() as session:
        shown = [_show(session, version) for version in queries.list_current(session)]
    return BlueprintsOut(items=shown)


@router.get("/blueprints/{name}")
def show_blueprint(desk: DeskDep, _actor: Reader, response: Response, name: str) -> BlueprintOut:
    """Show a kind of hosting: its inputs as JSON Schema, its sizes, and what they cost now."""
    with desk.reading() as session:
        version = queries.find_current(session, name)
        if version is None:
            raise NotFound(kind="blueprint", id=name)
        shown = _show(session, version)
    set_tag(response, version.digest)
    return shown


def _show(session: Session, version: BlueprintVersion) -> BlueprintOut:
    prices = queries.list_present_prices(session, version.name, clock.now())
    return BlueprintOut.of(version, queries.blueprint_of(version), prices)
