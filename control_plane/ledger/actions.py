"""What rooms do with the ledger: append an entry to their own transaction, and redact one.

Appending is one INSERT without any lock; the entry gets its place in the tree from the ledger's
life within a second. It is sealed only then: what somebody with write access to the database
changes before that shows in no proof. Nor does a second history signed with the stolen key, to
those who never compare checkpoints. Both stay so until a witness cosigns.
"""

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session

from control_plane.engine import lives
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.ledger import queries
from control_plane.ledger.leaf import canonical_payload, commit, new_salt
from control_plane.ledger.models import LedgerEntry, LedgerLog
from control_plane.ledger.note import VerifierKey
from control_plane.ledger.rules import BIRTH, LOG_ID, REDACTED

_APPENDED = "ledger_entries"


def append(
    session: Session,
    *,
    actor_id: str,
    action: str,
    subject_id: str,
    agency_id: str | None,
    payload: Mapping[str, Any],
) -> str:
    """Write an entry in the caller's transaction and return its id.

    `action` is a constant such as `hosting.requested`. What may have to be forgotten one day
    belongs into `payload`; everything else stays for ever. Raises: PayloadInvalid for a payload
    that is not plain JSON.
    """
    text, salt = canonical_payload(payload), new_salt()
    entry = LedgerEntry(
        id=new_id("ent"),
        created_at=clock.now(),
        actor_id=actor_id,
        action=action,
        subject_id=subject_id,
        agency_id=agency_id,
        payload=text,
        salt=salt,
        commitment=commit(text, salt),
        leaf_hash=b"",
    )
    entry.leaf_hash = entry.leaf().hash()
    session.add(entry)
    session.flush()
    session.info.setdefault(_APPENDED, []).append((entry.id, actor_id))
    lives.ring_life(session, BIRTH.kind, LOG_ID)
    return entry.id


def list_appended(session: Session, actor_id: str) -> list[str]:
    """Return the entries of this transaction in an actor's name: what proves what they did."""
    return [entry for entry, actor in session.info.get(_APPENDED, ()) if actor == actor_id]


def redact(session: Session, *, actor_id: str, entry_id: str, reason: str) -> str:
    """Have an entry's payload erased for good; return the id of the entry that says so.

    The payload goes once this second entry is signed, in the same transaction, so that whoever
    finds a payload missing finds the reason too. Raises: EntryUnknown.
    """
    entry = queries.get_entry(session, entry_id)
    return append(
        session,
        actor_id=actor_id,
        action=REDACTED,
        subject_id=entry.id,
        agency_id=entry.agency_id,
        payload={"reason": reason},
    )


def ensure_log(session: Session, origin: str) -> None:
    """Open the installation's log under a name of its own, such as `example.iq/ledger`, for ever.

    Idempotent: an open log keeps its name. Raises: NoteInvalid for a name that no key can have.
    """
    if queries.find_log(session) is not None:
        return
    VerifierKey(origin, bytes(32))  # the name must be good; the worker brings the key
    session.add(LedgerLog(id=LOG_ID, origin=origin, created_at=clock.now()))
    session.flush()
    lives.start_life(session, BIRTH, LOG_ID)
