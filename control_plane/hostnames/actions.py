"""What happens to hostnames: claimed with a request, served, and free again at the end."""

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from control_plane.hostnames import queries
from control_plane.hostnames.models import Hostname
from control_plane.hostnames.rules import (
    HostnameLookalike,
    HostnameStatus,
    HostnameTaken,
    Name,
    move,
)
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.ledger import actions as ledger


def claim(session: Session, actor_id: str, agency_id: str, hosting_id: str, name: Name) -> Hostname:
    """Take a name for a hosting. Idempotent for the same hosting.

    Names below the zone are proven by being below it. Raises: HostnameTaken, HostnameLookalike.
    """
    present = queries.find_claimed(session, name.ascii)
    if present is not None:
        if present.hosting_id == hosting_id:
            return present
        raise HostnameTaken(hostname=name.ascii)
    if queries.find_lookalike(session, name.look) is not None:
        raise HostnameLookalike(hostname=name.ascii)
    now = clock.now()
    row = Hostname(
        id=new_id("hnm"),
        agency_id=agency_id,
        hosting_id=hosting_id,
        name=name.ascii,
        look=name.look,
        status=HostnameStatus.CLAIMED,
        created_at=now,
        proven_at=now,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:  # somebody else was quicker: the indexes decide
        if "hostname" not in str(error.orig):
            raise
        raise HostnameTaken(hostname=name.ascii) from None
    _log(session, actor_id, "hostname.claimed", row)
    return row


def mark_serving(session: Session, actor_id: str, hosting_id: str) -> None:
    """Say that the hosting's name was seen through the edge. Idempotent."""
    row = queries.find_of_hosting(session, hosting_id)
    if row is None or row.status == HostnameStatus.SERVING:
        return
    _set_status(session, actor_id, row, HostnameStatus.SERVING)


def release(session: Session, actor_id: str, hosting_id: str) -> None:
    """Let others have the hosting's name. Idempotent."""
    row = queries.find_of_hosting(session, hosting_id)
    if row is None:
        return
    row.released_at = clock.now()
    _set_status(session, actor_id, row, HostnameStatus.RELEASED)


def _set_status(session: Session, actor_id: str, row: Hostname, to: HostnameStatus) -> None:
    row.status = move(row.status, to)
    session.add(row)
    session.flush()
    _log(session, actor_id, f"hostname.{to.value}", row)


def _log(session: Session, actor_id: str, action: str, row: Hostname) -> None:
    ledger.append(
        session,
        actor_id=actor_id,
        action=action,
        subject_id=row.id,
        agency_id=row.agency_id,
        payload={"name": row.name, "hosting": row.hosting_id},
    )
