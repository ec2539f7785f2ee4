"""The ledger: entries and receipts for those they concern, proofs for everybody."""

import tempfile
from collections.abc import Iterator
from threading import BoundedSemaphore
from typing import IO, Annotated, cast

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from sqlmodel import Session

from control_plane.identity.access import DeskDep, may, open_to_all
from control_plane.identity.rules import Actor, Forbidden, Permission
from control_plane.kit.envelope import PageOut, page_out
from control_plane.kit.pagination import CursorInvalid, decode_cursor, page_of
from control_plane.ledger import exports
from control_plane.ledger import queries as ledger
from control_plane.ledger.models import LedgerEntry
from control_plane.ledger.queries import EntryFilter
from control_plane.ledger.rules import CheckpointUnknown, EntryUnknown
from control_plane.operations.rules import AgencyNeeded, TooManyStreams
from control_plane.operations.schemas import (
    CheckpointOut,
    ConsistencyOut,
    EntriesQuery,
    EntryOut,
    KeyOut,
)
from control_plane.tenancy.queries import get_agency_for

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])

Myself = Annotated[Actor, may(Permission.SELF_READ)]
Reader = Annotated[Actor, may(Permission.LEDGER_READ)]
_EXPORTS_AT_ONCE = BoundedSemaphore(2)  # each reads the whole ledger
_PIECE = 1 << 16


@router.get("/entries")
def list_entries(
    desk: DeskDep, actor: Reader, asked: Annotated[EntriesQuery, Query()]
) -> PageOut[EntryOut]:
    """List entries that have their place, newest first: an owner's agency's, or all."""
    with desk.reading() as session:
        agency_id = _agency_of(session, actor, asked.agency)
        wanted = EntryFilter(asked.subject, agency_id, asked.by, asked.action)
        after, most = _index_of(asked.cursor), asked.limit + 1
        rows = ledger.list_entries(session, wanted, after=after, limit=most, newest_first=True)
    desk.note_read(actor, "ledger.read", "ledger", agency_id)
    page = page_of(rows, asked.limit, lambda entry: str(entry.leaf_index))
    return page_out(page, EntryOut.of)


@router.get("/receipts/{entry_id}")
def show_receipt(desk: DeskDep, actor: Myself, entry_id: str) -> Response:
    """Give an entry with its proof: to whoever did it, and to the owners of its agency."""
    with desk.reading() as session:
        entry = ledger.get_entry(session, entry_id)
        if not _may_prove(actor, entry):
            raise EntryUnknown(entry=entry_id)
        receipt = exports.receipt(session, entry_id)
    if entry.actor_id != actor.person_id:
        desk.note_read(actor, "ledger.receipt_read", entry_id, entry.agency_id)
    return Response(receipt.encode(), media_type="application/json")


@router.get("/checkpoints/latest", dependencies=[open_to_all()])
def show_checkpoint(desk: DeskDep) -> CheckpointOut:
    """Give the latest signed head of the tree: it tells only how many entries there are."""
    with desk.reading() as session:
        newest = ledger.latest_checkpoint(session)
        vkey = ledger.find_vkey(session)
    if newest is None or newest.note is None:
        raise CheckpointUnknown(size=0)
    return CheckpointOut(tree_size=newest.tree_size, note=newest.note, vkey=vkey)


@router.get("/checkpoints/{size}/proof", dependencies=[open_to_all()])
def show_consistency(
    desk: DeskDep, size: Annotated[int, Path(ge=0, le=(1 << 62))]
) -> ConsistencyOut:
    """Prove that the latest tree begins with the one of this size."""
    with desk.reading() as session:
        newest, proof = ledger.load_consistency_proof(session, size)
    return ConsistencyOut(
        old_size=size,
        tree_size=newest.tree_size,
        note=newest.note or "",
        proof=[node.hex() for node in proof],
    )


@router.get("/key", dependencies=[open_to_all()])
def show_key(desk: DeskDep) -> KeyOut:
    """Give the public key to verify with."""
    with desk.reading() as session:
        return KeyOut(vkey=ledger.find_vkey(session))


@router.get("/export", response_class=StreamingResponse)
def export(desk: DeskDep, actor: Reader) -> StreamingResponse:
    """Give the whole ledger as JSON lines, for `edubba ledger verify`."""
    if not actor.may(Permission.LEDGER_READ):
        raise Forbidden(permission=Permission.LEDGER_READ.value)
    desk.note_read(actor, "ledger.exported", "ledger", None)
    # Written out at once and sent from the file: a slow reader must not hold a connection.
    if not _EXPORTS_AT_ONCE.acquire(blocking=False):
        raise TooManyStreams(retry_after_s=30)
    try:
        with desk.reading() as session:
            spool = _spool(exports.export_lines(session))
    finally:
        _EXPORTS_AT_ONCE.release()
    return StreamingResponse(_pieces(spool), media_type="application/x-ndjson")


def _agency_of(session: Session, actor: Actor, slug: str | None) -> str | None:
    """Return the agency whose entries are meant; None: all, for the data centre only."""
    if slug is not None:
        return get_agency_for(session, actor, slug, Permission.LEDGER_READ).id
    own = actor.agencies_with(Permission.LEDGER_READ)
    if own is None:
        return None
    if len(own) != 1:
        raise AgencyNeeded
    return next(iter(own))


def _may_prove(actor: Actor, entry: LedgerEntry) -> bool:
    return entry.actor_id == actor.person_id or actor.may(Permission.LEDGER_READ, entry.agency_id)


def _index_of(cursor: str | None) -> int | None:
    key = decode_cursor(cursor)
    if key is None:
        return None
    if not key.isascii() or not key.isdecimal() or len(key) > len(str(1 << 62)):
        raise CursorInvalid
    return int(key)


def _spool(lines: Iterator[bytes]) -> IO[bytes]:
    spool = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115  # `_pieces` closes it
    try:
        spool.writelines(lines)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return spool


def _pieces(spool: IO[bytes]) -> Iterator[bytes]:
    with spool:
        while piece := spool.read(_PIECE):
            yield piece
