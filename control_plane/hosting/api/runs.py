"""The doors to the runs of playbooks that configured a hosting, and to the timeline of each."""

from typing import Annotated

from fastapi import APIRouter

from control_plane.hosting import queries
from control_plane.identity.access import DeskDep, may
from control_plane.identity.rules import Actor, NotFound, Permission
from control_plane.kit.envelope import DEFAULT_LIMIT, Cursor, Limit, PageOut, page_out
from control_plane.runs import queries as runs
from control_plane.runs.schemas import RunOut, RunStoryOut
from control_plane.tenancy.queries import require_in_agency

router = APIRouter(prefix="/v1", tags=["runs"])

Reader = Annotated[Actor, may(Permission.RELEASE_READ)]


@router.get("/hostings/{reference}/runs")
def list_runs(
    desk: DeskDep,
    actor: Reader,
    reference: str,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> PageOut[RunOut]:
    """List the runs of playbooks that configured a hosting, the newest first."""
    with desk.reading() as session:
        hosting = queries.get_hosting_for(session, actor, reference, Permission.RELEASE_READ)
        page = runs.list_runs(session, hosting.id, cursor, limit)
    desk.note_read(actor, "runs.listed", hosting.id, hosting.agency_id)
    return page_out(page, RunOut.of)


@router.get("/runs/{run_id}")
def show_run(desk: DeskDep, actor: Reader, run_id: str) -> RunStoryOut:
    """Show a run with its timeline: each task, and how it ended."""
    with desk.reading() as session:
        found = runs.find_run(session, run_id)
        events = list(runs.list_events(session, run_id))
    if found is None:
        raise NotFound(kind="run", id=run_id)
    require_in_agency(actor, Permission.RELEASE_READ, found.agency_id, "run", run_id)
    desk.note_read(actor, "run.read", found.id, found.agency_id)
    return RunStoryOut.told(found, events)
