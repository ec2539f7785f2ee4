"""Every SELECT on hostnames."""

from collections.abc import Sequence

from sqlmodel import Session, col, select

from control_plane.hostnames.models import Hostname
from control_plane.hostnames.rules import HostnameStatus


def find_claimed(session: Session, name: str) -> Hostname | None:
    """Return who has a name at present."""
    query = select(Hostname).where(
        col(Hostname.name) == name, col(Hostname.status) != HostnameStatus.RELEASED
    )
    return session.exec(query).first()


def find_lookalike(session: Session, look: str) -> Hostname | None:
    """Return a present name with this look."""
    query = select(Hostname).where(
        col(Hostname.look) == look, col(Hostname.status) != HostnameStatus.RELEASED
    )
    return session.exec(query).first()


def find_of_hosting(session: Session, hosting_id: str) -> Hostname | None:
    """Return the present name of a hosting."""
    query = select(Hostname).where(
        col(Hostname.hosting_id) == hosting_id, col(Hostname.status) != HostnameStatus.RELEASED
    )
    return session.exec(query).first()


def find_latest_of_hosting(session: Session, hosting_id: str) -> Hostname | None:
    """Return the present or else the last name of a hosting."""
    query = select(Hostname).where(col(Hostname.hosting_id) == hosting_id)
    return session.exec(query.order_by(col(Hostname.id).desc()).limit(1)).first()


def list_latest(session: Session, hosting_ids: Sequence[str]) -> dict[str, Hostname]:
    """Return the present or last name of each of these hostings, by hosting."""
    query = select(Hostname).where(col(Hostname.hosting_id).in_(hosting_ids))
    rows = session.exec(query.order_by(col(Hostname.id))).all()
    return {row.hosting_id: row for row in rows}
