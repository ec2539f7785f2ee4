"""Lives: what moves, what stopped, and what an operator can do about it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlmodel import Session

from control_plane.engine.lives import list_pauses
from control_plane.identity.access import DeskDep, may
from control_plane.identity.rules import Actor, Permission
from control_plane.kit.envelope import PageOut, page_out
from control_plane.kit.http import locale_of
from control_plane.operations import actions, queries
from control_plane.operations.queries import LifeFilter
from control_plane.operations.schemas import (
    LifeOut,
    LivesQuery,
    OrphanOut,
    OrphansOut,
    PauseIn,
    PauseOut,
    PausesOut,
    ReasonIn,
    ResumeIn,
)
from control_plane.tenancy.queries import list_regions

router = APIRouter(prefix="/v1/operations", tags=["operations"])

Watcher = Annotated[Actor, may(Permission.OPERATION_READ)]
Mender = Annotated[Actor, may(Permission.OPERATION_WRITE)]


@router.get("/lives")
def list_lives(
    desk: DeskDep, actor: Watcher, request: Request, asked: Annotated[LivesQuery, Query()]
) -> PageOut[LifeOut]:
    """List lives, newest first, with what a stopped one says."""
    wanted = LifeFilter(asked.state, asked.kind, asked.overdue)
    with desk.reading() as session:
        page = queries.list_lives(session, wanted, asked.cursor, asked.limit)
    desk.note_read(actor, "lives.listed", "lives", None)
    locale = locale_of(request)
    return page_out(page, lambda life: LifeOut.of(life, locale))


@router.get("/lives/{life_id}")
def show_life(desk: DeskDep, actor: Watcher, request: Request, life_id: str) -> LifeOut:
    """Show one life."""
    with desk.reading() as session:
        life = queries.get_life(session, life_id)
    desk.note_read(actor, "life.read", life.id, life.agency_id)
    return LifeOut.of(life, locale_of(request))


@router.post("/lives/{life_id}/retry")
def retry_life(
    desk: DeskDep, actor: Mender, request: Request, life_id: str, body: ReasonIn
) -> LifeOut:
    """Let a stopped life try its step again, at once."""

    def act(session: Session) -> LifeOut:
        life = actions.retry_life(session, actor.person_id, life_id, body.reason)
        return LifeOut.of(life, locale_of(request))

    return desk.once(request, actor, body, act)


@router.post("/lives/{life_id}/abandon")
def abandon_life(
    desk: DeskDep, actor: Mender, request: Request, life_id: str, body: ReasonIn
) -> LifeOut:
    """Give up a stopped life whose resource never was in service."""

    def act(session: Session) -> LifeOut:
        life = actions.abandon_life(session, actor.person_id, life_id, body.reason)
        return LifeOut.of(life, locale_of(request))

    return desk.once(request, actor, body, act)


@router.get("/pauses")
def show_pauses(desk: DeskDep, _actor: Watcher) -> PausesOut:
    """List what is paused, since when and why."""
    with desk.reading() as session:
        return _pauses(session)


@router.post("/pause")
def pause(desk: DeskDep, actor: Mender, request: Request, body: PauseIn) -> PausesOut:
    """Let lives of a kind (`*`: all) rest; steps under way finish."""

    def act(session: Session) -> PausesOut:
        actions.pause(session, actor.person_id, body.kind, body.reason)
        return _pauses(session)

    return desk.once(request, actor, body, act)


@router.post("/resume")
def resume(desk: DeskDep, actor: Mender, request: Request, body: ResumeIn) -> PausesOut:
    """Let them go on."""

    def act(session: Session) -> PausesOut:
        actions.resume(session, actor.person_id, body.kind)
        return _pauses(session)

    return desk.once(request, actor, body, act)


@router.get("/orphans")
def list_orphans(desk: DeskDep, _actor: Watcher) -> OrphansOut:
    """List what lies in a region with our tag, though no row claims it."""
    with desk.reading() as session:
        regions = list_regions(session)
    return OrphansOut(
        items=[
            OrphanOut(region=region.name, facts=orphan)
            for region in regions
            for orphan in region.orphans or ()
        ]
    )


def _pauses(session: Session) -> PausesOut:
    session.flush()
    return PausesOut(items=[PauseOut.of(row) for row in list_pauses(session)])
