"""Every SELECT on attachments."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, or_, select

from control_plane.hosting.models import Attachment, Hosting


@dataclass(frozen=True, slots=True)
class AttachmentView:
    """An attachment, and the names of what it joins."""

    attachment: Attachment
    client: str
    target: str


def list_unfinished_attachments(session: Session, hosting_id: str) -> Sequence[Attachment]:
    """Return the attachments of a hosting, from it and to it, that one of two sides still knows.

    Or is to know: what is wished and not ready yet is among them.
    """
    query = select(Attachment).where(
        or_(col(Attachment.hosting_id) == hosting_id, col(Attachment.target_id) == hosting_id),
        or_(
            col(Attachment.detached_at).is_(None),
            col(Attachment.target_knows),
            col(Attachment.client_knows),
            col(Attachment.has_way),
        ),
    )
    return session.exec(query.order_by(col(Attachment.id))).all()


def find_attachment(session: Session, attachment_id: str) -> Attachment | None:
    """Return an attachment by its id."""
    return session.get(Attachment, attachment_id)


def find_wished_attachment(session: Session, hosting_id: str, variable: str) -> Attachment | None:
    """Return the attachment that gives a hosting this variable, or will."""
    query = select(Attachment).where(
        col(Attachment.hosting_id) == hosting_id,
        col(Attachment.variable) == variable,
        col(Attachment.detached_at).is_(None),
    )
    return session.exec(query).first()


def view_attachments(session: Session, rows: Sequence[Attachment]) -> list[AttachmentView]:
    """Return attachments with the names of what they join."""
    ids = {one for row in rows for one in (row.hosting_id, row.target_id)}
    named = session.exec(select(Hosting.id, Hosting.name).where(col(Hosting.id).in_(ids)))
    names = dict(named.all())
    return [AttachmentView(row, names[row.hosting_id], names[row.target_id]) for row in rows]
