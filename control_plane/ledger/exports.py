"""What of the ledger leaves the house: the whole as JSON lines, streamed, and single receipts.

With the public key and a checkpoint kept, `verifier` and `receipts` judge them without us.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from typing import Any

from sqlmodel import Session

from control_plane.ledger import merkle, queries
from control_plane.ledger.leaf import canonical_payload
from control_plane.ledger.lines import (
    CheckpointLine,
    EndLine,
    EntryLine,
    HeaderLine,
    Line,
)
from control_plane.ledger.merkle import Span
from control_plane.ledger.models import LedgerEntry
from control_plane.ledger.receipts import Receipt
from control_plane.ledger.rules import REDACTED, CheckpointUnknown, EntryNotSealed

PAGE = 500  # entries held in memory at once


def export_lines(session: Session) -> Iterator[bytes]:
    """Yield the export up to the latest signed checkpoint, newline included.

    Uses the session until it is exhausted. Raises: CheckpointUnknown before anything was signed.
    """
    vkey = queries.find_vkey(session)
    if vkey is None:
        raise CheckpointUnknown(size=0)
    digest = sha256()
    entries = checkpoints = 0
    for line in _lines(session, vkey):
        entries += isinstance(line, EntryLine)
        checkpoints += isinstance(line, CheckpointLine)
        encoded = line.encode()
        digest.update(encoded)
        yield encoded
    end = EndLine(entries=entries, checkpoints=checkpoints, sha256=digest.hexdigest())
    yield end.encode()


def receipt(session: Session, entry_id: str) -> Receipt:
    """Return an entry with its proof against the latest signed checkpoint.

    Raises: EntryUnknown; EntryNotSealed while no signed checkpoint covers the entry.
    """
    entry = queries.get_entry(session, entry_id)
    newest = queries.latest_checkpoint(session)
    index = entry.leaf_index
    if newest is None or newest.note is None or index is None or index >= newest.tree_size:
        raise EntryNotSealed(entry=entry_id)
    proof = queries.load_proof(session, merkle.inclusion_spans(index, newest.tree_size))
    return Receipt.model_construct(
        index=index,
        leaf=entry.leaf(),
        payload=_payload_of(entry),
        salt=_salt_of(entry),
        proof=[node.hex() for node in proof],
        checkpoint=newest.note,
    )


def _lines(session: Session, vkey: str) -> Iterator[Line]:
    yield HeaderLine(vkey=vkey)
    start, missing, explained = 0, set[str](), set[str]()
    while (end := queries.signed_size(session)) > start:
        for line in _span_lines(session, Span(start, end)):
            if isinstance(line, EntryLine):
                missing |= {line.leaf.id} if line.payload is None else set()
                explained |= {line.leaf.subject} if line.leaf.action == REDACTED else set()
            yield line
        start = end
        if missing <= explained:
            return
        # Without one view of the data (PostgreSQL's default), a payload may go while earlier pages
        # are out; the entry that says so is then behind the checkpoint that we began with.


def _span_lines(session: Session, span: Span) -> Iterator[Line]:
    for start in range(span.start, span.end, PAGE):
        page = Span(start, min(start + PAGE, span.end))
        nodes = queries.list_nodes(session, page)
        after = Span(page.start + 1, page.end + 1)  # a checkpoint's size is the next leaf's index
        notes = {c.tree_size: c.note for c in queries.list_checkpoints(session, after)}
        for entry in queries.list_span(session, page):
            yield _entry_line(entry, nodes)
            note = notes.get((entry.leaf_index or 0) + 1)
            if note is not None:
                yield CheckpointLine(note=note)
        session.expunge_all()


def _entry_line(entry: LedgerEntry, nodes: dict[int, list[str]]) -> EntryLine:
    index = entry.leaf_index or 0
    # Built without checks: what was altered in the database must reach the verifier as it is.
    return EntryLine.model_construct(
        index=index,
        leaf=entry.leaf(),
        nodes=nodes.get(index, []),
        payload=_payload_of(entry),
        salt=_salt_of(entry),
    )


def _salt_of(entry: LedgerEntry) -> str | None:
    return None if entry.salt is None else entry.salt.hex()


def _payload_of(entry: LedgerEntry) -> Any:
    """Return the payload as an object; as bare text, which no verifier takes, if it was altered."""
    if entry.payload is None:
        return None
    with suppress(ValueError, TypeError):  # not JSON, or not an object
        payload = json.loads(entry.payload)
        if canonical_payload(payload) == entry.payload:
            return payload
    return entry.payload
