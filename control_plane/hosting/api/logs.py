"""The doors to what a hosting's services wrote: read from the store, never from a server."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from control_plane.hosting import actions, queries
from control_plane.hosting.models import Hosting
from control_plane.identity.access import DeskDep, may
from control_plane.identity.rules import Actor, Permission
from control_plane.kit.pagination import Page
from control_plane.logs import queries as logs
from control_plane.logs.rules import is_asked
from control_plane.logs.schemas import CollectionOut, LogLineOut, LogPageOut, LogQuery

router = APIRouter(prefix="/v1/hostings/{reference}/logs", tags=["logs"])

Reader = Annotated[Actor, may(Permission.LOG_READ)]


@router.get("")
def list_lines(
    desk: DeskDep, actor: Reader, reference: str, chosen: Annotated[LogQuery, Query()]
) -> LogPageOut:
    """List what a hosting's services wrote, the newest first; with `after`, what came since."""
    with desk.reading() as session:
        hosting = queries.get_hosting_for(session, actor, reference, Permission.LOG_READ)
        wanted = logs.Wanted(hosting.id, chosen.service)
        if chosen.after is None:
            page = logs.list_lines(session, wanted, chosen.cursor, chosen.limit)
        else:
            page = Page(logs.list_lines_after(session, wanted, chosen.after, chosen.limit), None)
        collected_at = logs.find_collected_at(session, hosting.id)
    items = [LogLineOut.of(line) for line in page.items]
    return LogPageOut(items=items, next_cursor=page.next_cursor, collected_at=collected_at)


@router.post("/collections", status_code=202)
def collect(desk: DeskDep, actor: Reader, reference: str) -> CollectionOut:
    """Have the worker fetch what is new; however often it is asked, a server is seldom bothered."""
    with desk.reading() as session:
        hosting = queries.get_hosting_for(session, actor, reference, Permission.LOG_READ)
        shown = _collection(hosting, logs.find_collected_at(session, hosting.id))
        may_ask = actions.may_ask_for_logs(session, hosting)
    if may_ask:
        with desk.writing() as session:
            hosting = actions.ask_for_logs(session, hosting.id)
            shown = _collection(hosting, logs.find_collected_at(session, hosting.id))
    return shown


def _collection(hosting: Hosting, collected_at: datetime | None) -> CollectionOut:
    return CollectionOut(
        collected_at=collected_at,
        asked_at=hosting.logs_asked_at,
        is_under_way=is_asked(collected_at, hosting.logs_asked_at),
    )
