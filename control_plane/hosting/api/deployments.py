"""The doors to what is put live on a hosting, and back."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Request, Response
from sqlmodel import Session

from control_plane.hosting import actions, queries
from control_plane.identity.access import Desk, DeskDep, may
from control_plane.identity.rules import Actor, NotFound, Permission
from control_plane.kit.envelope import DEFAULT_LIMIT, Cursor, Limit, PageOut, page_out
from control_plane.kit.errors import Refused
from control_plane.kit.http import locale_of
from control_plane.releases import queries as releases
from control_plane.releases.actions import read_manifest
from control_plane.releases.models import Release
from control_plane.releases.rules import Manifest, ReleaseExpired
from control_plane.releases.schemas import DeploymentIn, DeploymentOut, RollbackIn
from control_plane.tenancy.queries import require_in_agency

router = APIRouter(prefix="/v1", tags=["deployments"])

Reader = Annotated[Actor, may(Permission.RELEASE_READ)]
Deployer = Annotated[Actor, may(Permission.RELEASE_WRITE)]


@router.post("/hostings/{reference}/deployments", status_code=202)
def deploy(  # each is one thing that the framework gives
    desk: DeskDep,
    actor: Deployer,
    request: Request,
    response: Response,
    reference: str,
    body: DeploymentIn,
) -> DeploymentOut:
    """Put a release live; what was queued before and hasn't begun is overtaken."""

    def act(session: Session) -> DeploymentOut:
        wish = actions.DeployWish(reference, body.release, body.reason)
        made = actions.deploy(session, actor, wish, partial(_read, desk))
        return DeploymentOut.of(made, locale_of(request))

    made = desk.once(request, actor, body, act)
    response.headers["Location"] = f"/v1/deployments/{made.id}"
    return made


@router.post("/hostings/{reference}/rollback", status_code=202)
def roll_back(  # each is one thing that the framework gives
    desk: DeskDep,
    actor: Deployer,
    request: Request,
    response: Response,
    reference: str,
    body: RollbackIn,
) -> DeploymentOut:
    """Put the release live again that was so before, or the one of the number given."""

    def act(session: Session) -> DeploymentOut:
        wish = actions.RollbackWish(reference, body.to, body.reason)
        made = actions.roll_back(session, actor, wish, partial(_read, desk))
        return DeploymentOut.of(made, locale_of(request))

    made = desk.once(request, actor, body, act)
    response.headers["Location"] = f"/v1/deployments/{made.id}"
    return made


@router.get("/hostings/{reference}/deployments")
def list_deployments(  # each is one thing that the framework gives
    desk: DeskDep,
    actor: Reader,
    request: Request,
    reference: str,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> PageOut[DeploymentOut]:
    """List a hosting's deployments, the newest first; number 0 is its blueprint's own page."""
    with desk.reading() as session:
        hosting = queries.get_hosting_for(session, actor, reference, Permission.RELEASE_READ)
        page = releases.list_deployments(session, hosting.id, cursor, limit)
    desk.note_read(actor, "deployments.listed", hosting.id, hosting.agency_id)
    return page_out(page, partial(DeploymentOut.of, locale=locale_of(request)))


@router.get("/deployments/{deployment_id}")
def show_deployment(
    desk: DeskDep, actor: Reader, request: Request, deployment_id: str
) -> DeploymentOut:
    """Show a deployment, how far it is, and what came of it."""
    with desk.reading() as session:
        found = releases.find_deployment(session, deployment_id)
    if found is None:
        raise NotFound(kind="deployment", id=deployment_id)
    permission = Permission.RELEASE_READ
    require_in_agency(actor, permission, found.agency_id, "deployment", deployment_id)
    desk.note_read(actor, "deployment.read", found.id, found.agency_id)
    return DeploymentOut.of(found, locale_of(request))


def _read(desk: Desk, release: Release) -> Manifest:
    try:
        return read_manifest(desk.blobs, release.manifest_digest)
    except Refused as gone:
        raise ReleaseExpired from gone
