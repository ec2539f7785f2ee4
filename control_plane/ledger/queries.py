"""Every SELECT of the ledger."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, func, or_, select

from control_plane.kit import clock
from control_plane.ledger import merkle
from control_plane.ledger.merkle import Frontier, Place, Span
from control_plane.ledger.models import LedgerCheckpoint, LedgerEntry, LedgerLog, LedgerNode
from control_plane.ledger.rules import LOG_ID, CheckpointUnknown, EntryUnknown

DEFAULT_LIMIT = 50


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries are wanted; None asks for any."""

    subject_id: str | None = None
    agency_id: str | None = None
    actor_id: str | None = None
    action: str | None = None

    def conditions(self) -> list[Any]:
        """Return the WHERE clauses."""
        wanted = {
            col(LedgerEntry.subject_id): self.subject_id,
            col(LedgerEntry.agency_id): self.agency_id,
            col(LedgerEntry.actor_id): self.actor_id,
            col(LedgerEntry.action): self.action,
        }
        return [column == value for column, value in wanted.items() if value is not None]


def find_log(session: Session) -> LedgerLog | None:
    """Return the installation's log."""
    return session.get(LedgerLog, LOG_ID)


def find_vkey(session: Session) -> str | None:
    """Return the public key to verify with; None until the worker has signed for the first time."""
    log = find_log(session)
    return None if log is None else log.vkey


def get_entry(session: Session, entry_id: str) -> LedgerEntry:
    """Return an entry, sequenced or not. Raises: EntryUnknown."""
    entry = session.get(LedgerEntry, entry_id)
    if entry is None:
        raise EntryUnknown(entry=entry_id)
    return entry


def list_entries(
    session: Session,
    wanted: EntryFilter,
    *,
    after: int | None = None,
    limit: int = DEFAULT_LIMIT,
    newest_first: bool = False,
) -> Sequence[LedgerEntry]:
    """Return sequenced entries behind the leaf index `after`, in the tree's order or reversed."""
    index = col(LedgerEntry.leaf_index)
    query = select(LedgerEntry).where(index.is_not(None), *wanted.conditions())
    if after is not None:
        query = query.where(index < after if newest_first else index > after)
    return session.exec(query.order_by(index.desc() if newest_first else index).limit(limit)).all()


def list_span(session: Session, span: Span) -> Sequence[LedgerEntry]:
    """Return the entries of a span in their order."""
    index = col(LedgerEntry.leaf_index)
    query = select(LedgerEntry).where(index >= span.start, index < span.end)
    return session.exec(query.order_by(index)).all()


def list_subjects(session: Session, span: Span, action: str) -> Sequence[str]:
    """Return what the entries of a span with this action were done to."""
    index = col(LedgerEntry.leaf_index)
    return session.exec(
        select(LedgerEntry.subject_id).where(
            index >= span.start, index < span.end, col(LedgerEntry.action) == action
        )
    ).all()


def list_pending(session: Session, limit: int) -> Sequence[LedgerEntry]:
    """Return the oldest entries that have no place in the tree yet, in the order they will get."""
    query = select(LedgerEntry).where(col(LedgerEntry.leaf_index).is_(None))
    in_order = query.order_by(col(LedgerEntry.created_at), col(LedgerEntry.id))
    return session.exec(in_order.limit(limit)).all()


def latest_checkpoint(session: Session) -> LedgerCheckpoint | None:
    """Return the signed checkpoint of the largest tree."""
    query = select(LedgerCheckpoint).where(col(LedgerCheckpoint.note).is_not(None))
    return session.exec(query.order_by(col(LedgerCheckpoint.tree_size).desc()).limit(1)).first()


def find_unsigned_checkpoint(session: Session) -> LedgerCheckpoint | None:
    """Return the checkpoint that is committed but not signed yet: the newest, if any."""
    query = select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.tree_size).desc()).limit(1)
    newest = session.exec(query).first()
    return newest if newest is not None and newest.note is None else None


def list_checkpoints(session: Session, span: Span) -> Sequence[LedgerCheckpoint]:
    """Return the signed checkpoints with a size in the span, in order."""
    size = col(LedgerCheckpoint.tree_size)
    query = select(LedgerCheckpoint).where(
        size >= span.start, size < span.end, col(LedgerCheckpoint.note).is_not(None)
    )
    return session.exec(query.order_by(size)).all()


def tree_size(session: Session) -> int:
    """Return how many entries have a place in the tree, signed or not."""
    return session.exec(select(func.max(col(LedgerCheckpoint.tree_size)))).one() or 0


def signed_size(session: Session) -> int:
    """Return how many entries are covered by a signed checkpoint."""
    newest = latest_checkpoint(session)
    return 0 if newest is None else newest.tree_size


def load_nodes(session: Session, places: Collection[Place]) -> dict[Place, bytes]:
    """Return the hashes of subtrees that are complete."""
    if not places:
        return {}
    by_key = {(place.last_leaf, place.level): place for place in places}
    # By leaf alone, and the few rows too many dropped: for pairs SQLite would read every row.
    wanted = col(LedgerNode.last_leaf).in_({place.last_leaf for place in places})
    rows = session.exec(select(LedgerNode).where(wanted)).all()
    keyed = ((by_key.get((row.last_leaf, row.level)), row.hash) for row in rows)
    return {place: node for place, node in keyed if place is not None}


def list_nodes(session: Session, span: Span) -> dict[int, list[str]]:
    """Return, by leaf of the span, the hashes of the subtrees it completed, leaf first, in hex."""
    leaf = col(LedgerNode.last_leaf)
    query = select(LedgerNode.last_leaf, LedgerNode.hash).where(leaf >= span.start, leaf < span.end)
    nodes: dict[int, list[str]] = {}
    for last_leaf, node in session.exec(query.order_by(leaf, col(LedgerNode.level))):
        nodes.setdefault(last_leaf, []).append(node.hex())
    return nodes


def load_frontier(session: Session, size: int) -> Frontier:
    """Return the right edge of the tree at a size that it has or had."""
    peaks = merkle.list_peaks(size)
    nodes = load_nodes(session, peaks)
    return Frontier(size, tuple(nodes[place] for place in peaks))


def load_proof(session: Session, spans: Sequence[Span]) -> list[bytes]:
    """Return the hashes of a proof, read with one query."""
    places = [place for span in spans for place in merkle.span_places(span)]
    return merkle.proof_from(spans, load_nodes(session, places))


def load_consistency_proof(session: Session, old: int) -> tuple[LedgerCheckpoint, list[bytes]]:
    """Return the latest checkpoint and the proof that its tree begins with the tree of size `old`.

    Raises: CheckpointUnknown where the tree isn't that large.
    """
    newest = latest_checkpoint(session)
    if newest is None or not 0 <= old <= newest.tree_size:
        raise CheckpointUnknown(size=old)
    return newest, load_proof(session, merkle.consistency_spans(old, newest.tree_size))


def count_unsequenced(session: Session) -> int:
    """Return how many entries wait for a place in the tree."""
    query = select(func.count()).where(col(LedgerEntry.leaf_index).is_(None))
    return session.exec(query).one()


def lag_seconds(session: Session) -> float:
    """Return the age of the oldest entry that no signed checkpoint covers; 0 if all are."""
    index = col(LedgerEntry.leaf_index)
    uncovered = or_(index.is_(None), index >= signed_size(session))
    query = select(func.min(LedgerEntry.created_at)).where(uncovered)
    oldest: datetime | None = session.exec(query).one()
    return 0.0 if oldest is None else max(0.0, (clock.now() - oldest).total_seconds())
