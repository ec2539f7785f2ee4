"""Deployments are asked for: numbered per hosting, one wish at a time, a rollback is one too.

The hosting's row is locked by the caller, so that numbers are in the order of the wishes.
"""

import secrets
from dataclasses import dataclass

from sqlmodel import Session

from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.ledger import actions as ledger
from control_plane.releases import queries
from control_plane.releases.actions.deploying import cancel_deployment
from control_plane.releases.models import Deployment, Release
from control_plane.releases.rules import (
    DEPLOYABLE,
    DeploymentRefused,
    DeploymentStatus,
    NothingToRollBackTo,
    ReleaseTooLarge,
)

PLACEHOLDER = 0  # the number of the page that a hosting shows until its first release
_WAS_LIVE = frozenset({DeploymentStatus.LIVE, DeploymentStatus.SUPERSEDED})


@dataclass(frozen=True, slots=True)
class Place:
    """What is known here of the hosting to deploy to, which a room above has locked."""

    hosting_id: str
    agency_id: str
    status: str
    live_deployment_id: str | None
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Who wants it, and why."""

    actor_id: str
    text: str = ""


def create_deployment(
    session: Session,
    place: Place,
    release: Release,
    reason: Reason,
    rollback_of: int | None = None,
) -> Deployment:
    """Queue a release for a hosting; what was queued before and hasn't begun is cancelled.

    Raises: DeploymentRefused, ReleaseTooLarge.
    """
    require_deployable(place)
    if release.total_bytes > place.disk_bytes:
        raise ReleaseTooLarge(count=release.total_bytes, limit=place.disk_bytes)
    number = max(queries.highest_number(session, place.hosting_id), PLACEHOLDER) + 1
    queued = [DeploymentStatus.QUEUED]
    for waiting in queries.list_with_status(session, place.hosting_id, queued):
        if waiting.number != PLACEHOLDER:  # always first: what the first release can fall back to
            overtaken = {"code": "overtaken", "by": number}
            cancel_deployment(session, reason.actor_id, waiting, overtaken)
    deployment = _new(place.hosting_id, place.agency_id, number, reason)
    deployment.release_id, deployment.rollback_of = release.id, rollback_of
    return _add(session, deployment, release.manifest_digest)


def create_placeholder_deployment(
    session: Session, hosting_id: str, agency_id: str, actor_id: str
) -> Deployment:
    """Queue number 0 of a new hosting: its blueprint's own page."""
    reason = Reason(actor_id)
    return _add(session, _new(hosting_id, agency_id, PLACEHOLDER, reason), manifest=None)


def require_deployable(place: Place) -> None:
    """Raise DeploymentRefused unless a hosting takes a deployment in its present state."""
    if place.status not in DEPLOYABLE:
        raise DeploymentRefused(status=place.status)


def get_rollback_target(session: Session, place: Place, to: int | None) -> Deployment:
    """Return the deployment to go back to: the number named, else the last that was live.

    Raises: NothingToRollBackTo, also for the placeholder and for what is live now.
    """
    live = queries.find_deployment(session, place.live_deployment_id or "")
    target = (
        queries.find_live_before(session, place.hosting_id, live.number if live else None)
        if to is None
        else queries.find_deployment_number(session, place.hosting_id, to)
    )
    if (
        target is None
        or target.release_id is None
        or target.status not in _WAS_LIVE
        or target.id == place.live_deployment_id
    ):
        raise NothingToRollBackTo(to=to)
    return target


def _new(hosting_id: str, agency_id: str, number: int, reason: Reason) -> Deployment:
    return Deployment(
        id=new_id("dep"),
        agency_id=agency_id,
        hosting_id=hosting_id,
        number=number,
        nonce=secrets.token_hex(32),
        status=DeploymentStatus.QUEUED,
        reason=reason.text,
        actor_id=reason.actor_id,
        created_at=clock.now(),
    )


def _add(session: Session, deployment: Deployment, manifest: str | None) -> Deployment:
    session.add(deployment)
    session.flush()
    ledger.append(
        session,
        actor_id=deployment.actor_id,
        action="deployment.requested",
        subject_id=deployment.id,
        agency_id=deployment.agency_id,
        payload={
            "hosting": deployment.hosting_id,
            "number": deployment.number,
            "release": deployment.release_id,
            "manifest": manifest,
            "rollback_of": deployment.rollback_of,
            "reason": deployment.reason,
        },
    )
    return deployment
