"""What a hosting's life writes down while it puts a deployment live; each can be repeated."""

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session

from control_plane.releases import queries
from control_plane.releases.actions.recording import set_status
from control_plane.releases.models import Deployment
from control_plane.releases.rules import FINAL, DeploymentStatus

MAX_OUTPUT = 4_096  # characters of a check's output that people get to see
_S = DeploymentStatus


def start_deployment(session: Session, actor_id: str, deployment_id: str) -> None:
    """Write that a queued deployment is being delivered."""
    deployment = session.get_one(Deployment, deployment_id)
    if deployment.status == _S.QUEUED:
        set_status(session, actor_id, deployment, _S.RUNNING)


def note_progress(session: Session, deployment_id: str, progress: Mapping[str, Any]) -> None:
    """Write how far the delivery is, such as `{"blobs": 12, "of_blobs": 40, …}`. No new state."""
    deployment = session.get_one(Deployment, deployment_id)
    deployment.progress = dict(progress)
    session.add(deployment)


def finish_deployment(session: Session, actor_id: str, deployment_id: str) -> None:
    """Write that its nonce was read through the edge; what was live before is superseded."""
    deployment = session.get_one(Deployment, deployment_id)
    if deployment.status == _S.QUEUED:
        set_status(session, actor_id, deployment, _S.RUNNING)
    for before in queries.list_with_status(session, deployment.hosting_id, [_S.LIVE]):
        if before.id != deployment_id:
            set_status(session, actor_id, before, _S.SUPERSEDED)
    if deployment.status == _S.RUNNING:
        set_status(session, actor_id, deployment, _S.LIVE)


def fail_deployment(
    session: Session, actor_id: str, deployment_id: str, code: str, output: str = ""
) -> None:
    """Write that it didn't go live, and what its check said; the one before stays live."""
    deployment = session.get_one(Deployment, deployment_id)
    if deployment.status in {_S.QUEUED, _S.RUNNING}:
        outcome = {"code": code, "output": output[:MAX_OUTPUT]}
        set_status(session, actor_id, deployment, _S.FAILED, outcome)


def cancel_deployment(
    session: Session, actor_id: str, deployment: Deployment, outcome: dict[str, Any]
) -> None:
    """Write that it isn't wished any more; nothing happens if it came to an end already."""
    if deployment.status not in FINAL and deployment.status != _S.LIVE:
        set_status(session, actor_id, deployment, _S.CANCELLED, outcome)


def cancel_unfinished(session: Session, actor_id: str, hosting_id: str) -> None:
    """Cancel what is queued or running for a hosting that ends, or came to nothing. Idempotent."""
    for unfinished in queries.list_with_status(session, hosting_id, [_S.QUEUED, _S.RUNNING]):
        cancel_deployment(session, actor_id, unfinished, {"code": "hosting_gone"})
