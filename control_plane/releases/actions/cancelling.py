"""Deployments that nobody will carry out any more: their hosting came to nothing, or ends."""

from sqlmodel import Session, col, select

from control_plane.kit import clock
from control_plane.ledger import actions as ledger
from control_plane.releases.models import Deployment
from control_plane.releases.rules import DeploymentStatus, move

_UNFINISHED = (DeploymentStatus.QUEUED, DeploymentStatus.RUNNING)


def cancel_unfinished(session: Session, actor_id: str, hosting_id: str) -> None:
    """Cancel what is queued or running for a hosting. Idempotent."""
    query = select(Deployment).where(
        col(Deployment.hosting_id) == hosting_id, col(Deployment.status).in_(_UNFINISHED)
    )
    for deployment in session.exec(query).all():
        deployment.status = move(deployment.status, DeploymentStatus.CANCELLED)
        deployment.finished_at = clock.now()
        deployment.outcome = {"code": "hosting_gone"}
        session.add(deployment)
        ledger.append(
            session,
            actor_id=actor_id,
            action="deployment.cancelled",
            subject_id=deployment.id,
            agency_id=deployment.agency_id,
            payload={"hosting": hosting_id, "number": deployment.number},
        )
