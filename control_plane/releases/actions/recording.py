"""The only place that writes a deployment's status: each move is checked, and leaves an entry."""

from typing import Any

from sqlmodel import Session

from control_plane.kit import clock
from control_plane.ledger import actions as ledger
from control_plane.releases.models import Deployment
from control_plane.releases.rules import FINAL, DeploymentStatus, move


def set_status(
    session: Session,
    actor_id: str,
    deployment: Deployment,
    to: DeploymentStatus,
    outcome: dict[str, Any] | None = None,
) -> None:
    """Move a deployment, with what came of it. Raises: TransitionRefusedError."""
    before = deployment.status
    deployment.status = move(before, to)
    now = clock.now()
    if to == DeploymentStatus.RUNNING:
        deployment.started_at = now
    if to == DeploymentStatus.LIVE or (to in FINAL and deployment.finished_at is None):
        deployment.finished_at = now
    if outcome is not None:
        deployment.outcome = outcome
    session.add(deployment)
    session.flush()
    ledger.append(
        session,
        actor_id=actor_id,
        action=f"deployment.{to.value}",
        subject_id=deployment.id,
        agency_id=deployment.agency_id,
        payload={
            "hosting": deployment.hosting_id,
            "number": deployment.number,
            "before": before,
            "code": (outcome or {}).get("code"),
        },
    )
