"""Content goes: what no release that may still be deployed uses, and nobody has a lease on."""

from collections.abc import Mapping, Sequence

from sqlalchemy import delete
from sqlmodel import Session, col, select

from control_plane.engine import lives
from control_plane.kit import clock
from control_plane.releases import queries
from control_plane.releases.models import AgencyBlob, Blob
from control_plane.releases.rules import GC_BIRTH

GC_SUBJECT = "gc"  # there is one store, and one life that collects in it


def ensure_gc_life(session: Session) -> None:
    """Start the life that collects garbage, if there is none yet."""
    if lives.find_life(session, GC_BIRTH.kind, GC_SUBJECT) is None:
        lives.start_life(session, GC_BIRTH, GC_SUBJECT)


def forget_blobs(session: Session, unused: Mapping[str, Sequence[str]]) -> None:
    """Forget what agencies (by id) no longer use, and blobs that no agency has any more.

    What got a lease since it was found unused stays.
    """
    now = clock.now()
    connection = session.connection()
    for agency_id, digests in unused.items():
        for batch in queries.batches(digests):
            connection.execute(
                delete(AgencyBlob).where(
                    col(AgencyBlob.agency_id) == agency_id,
                    col(AgencyBlob.digest).in_(batch),
                    col(AgencyBlob.leased_until) <= now,
                )
            )
            claimed = select(AgencyBlob.digest).where(col(AgencyBlob.digest) == col(Blob.digest))
            connection.execute(delete(Blob).where(col(Blob.digest).in_(batch), ~claimed.exists()))
