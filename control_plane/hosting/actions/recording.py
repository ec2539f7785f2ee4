"""The only places that write a status: each move is checked, and leaves a ledger entry."""

from typing import Any

from sqlmodel import Session

from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import HostingStatus, RequestStatus, move_hosting, move_request
from control_plane.kit import clock
from control_plane.ledger import actions as ledger


def set_hosting_status(
    session: Session, actor_id: str, hosting: Hosting, to: HostingStatus, **payload: Any
) -> None:
    """Move a hosting. Raises: HostingMoveRefused."""
    before = hosting.status
    hosting.status = move_hosting(before, to)
    session.add(hosting)
    session.flush()
    ledger.append(
        session,
        actor_id=actor_id,
        action=f"hosting.{to.value}",
        subject_id=hosting.id,
        agency_id=hosting.agency_id,
        payload={"name": hosting.name, "before": before, **payload},
    )


def set_request_status(
    session: Session, actor_id: str, request: Request, to: RequestStatus, **payload: Any
) -> str:
    """Move a request and return the ledger entry's id. Raises: RequestMoveRefused."""
    before = request.status
    request.status = move_request(before, to)
    is_open = to in {RequestStatus.SUBMITTED, RequestStatus.APPROVED}
    request.closed_at = None if is_open else clock.now()
    session.add(request)
    session.flush()
    return ledger.append(
        session,
        actor_id=actor_id,
        action=f"request.{to.value}",
        subject_id=request.id,
        agency_id=request.agency_id,
        payload={
            "kind": request.kind,
            "hosting": request.hosting_id,
            "version": request.version,
            "before": before,
            **payload,
        },
    )
