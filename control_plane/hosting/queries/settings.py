"""Every SELECT on settings and on the key to which secrets are sealed."""

from collections.abc import Sequence

from sqlmodel import Session, col, select

from control_plane.hosting.models import RecipientKey, Setting
from control_plane.kit.sending import Recipient


def list_settings(session: Session, hosting_id: str) -> Sequence[Setting]:
    """Return a hosting's settings, by name."""
    query = select(Setting).where(col(Setting.hosting_id) == hosting_id)
    return session.exec(query.order_by(col(Setting.name))).all()


def find_recipient(session: Session) -> Recipient | None:
    """Return the newest key to which secrets are sealed."""
    query = select(RecipientKey).order_by(col(RecipientKey.key_id).desc()).limit(1)
    row = session.exec(query).first()
    return Recipient(row.key_id, row.public_key) if row is not None else None
