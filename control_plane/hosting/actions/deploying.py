"""A hosting's wish for content: a release put live, or one that was so before."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlmodel import Session

from control_plane.blueprints import queries as blueprints
from control_plane.engine import lives
from control_plane.hosting import queries
from control_plane.hosting.models import Hosting
from control_plane.hosting.rules import LIFE
from control_plane.identity.rules import Actor, Permission
from control_plane.releases import actions as releases
from control_plane.releases import queries as release_queries
from control_plane.releases.actions import Place, Reason
from control_plane.releases.models import Deployment, Release
from control_plane.releases.rules import Manifest

ReadManifest = Callable[[Release], Manifest]
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class DeployWish:
    """A release to be put live on a hosting (`hst_…` or `agency:name`), and why."""

    hosting: str
    release_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RollbackWish:
    """The number of a deployment to go back to (None: the one before the present), and why."""

    hosting: str
    number: int | None
    reason: str = ""


def deploy(
    session: Session, actor: Actor, wish: DeployWish, read_manifest: ReadManifest
) -> Deployment:
    """Wish for a release to be live; the hosting's life carries it out.

    Raises: NotFound, Forbidden, DeploymentRefused, ReleaseTooLarge, ReleaseExpired.
    """
    hosting = _locked(session, actor, wish.hosting)
    release = release_queries.get_release(session, hosting.agency_id, wish.release_id)
    return _wish(session, actor, hosting, (release, None), wish.reason, read_manifest)


def roll_back(
    session: Session, actor: Actor, wish: RollbackWish, read_manifest: ReadManifest
) -> Deployment:
    """Wish for a release to be live again; that is a deployment of its own.

    Raises: NotFound, Forbidden, DeploymentRefused, NothingToRollBackTo, ReleaseExpired.
    """
    hosting = _locked(session, actor, wish.hosting)
    target = releases.get_rollback_target(session, _place(session, hosting), wish.number)
    release = session.get_one(Release, target.release_id)
    return _wish(session, actor, hosting, (release, target.number), wish.reason, read_manifest)


def _locked(session: Session, actor: Actor, reference: str) -> Hosting:
    hosting = queries.get_hosting_for(session, actor, reference, Permission.RELEASE_WRITE)
    session.refresh(hosting, with_for_update=True)  # numbers are in the order of the wishes
    return hosting


def _wish(  # all of one wish
    session: Session,
    actor: Actor,
    hosting: Hosting,
    content: tuple[Release, int | None],
    reason: str,
    read_manifest: ReadManifest,
) -> Deployment:
    release, rollback_of = content
    place = _place(session, hosting)
    releases.require_deployable(place)
    releases.keep_content(session, hosting.agency_id, read_manifest(release))
    why = Reason(actor.person_id, reason)
    deployment = releases.create_deployment(session, place, release, why, rollback_of)
    hosting.wished_deployment_id = deployment.id
    hosting.generation += 1
    session.add(hosting)
    session.flush()
    lives.signal_life(session, LIFE.kind, hosting.id)
    return deployment


def _place(session: Session, hosting: Hosting) -> Place:
    blueprint = blueprints.get_blueprint(session, hosting.blueprint_version_id)
    return Place(
        hosting_id=hosting.id,
        agency_id=hosting.agency_id,
        status=hosting.status,
        live_deployment_id=hosting.live_deployment_id,
        disk_bytes=blueprint.size(hosting.size).disk_mib * _MIB,
    )
