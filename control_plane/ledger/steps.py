"""The ledger's life: gives entries their places, and signs one checkpoint a batch.

A checkpoint's body is committed before it is signed, so that a crash between the two signs the
same body again (Ed25519 gives the same signature) and never a second root for one size. The order
of a batch is by time and id among the entries visible then; places given never change.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import bindparam, insert, update
from sqlmodel import Session, col

from control_plane.engine.outcome import Go, Outcome
from control_plane.engine.registry import Ctx, Flow, Step
from control_plane.kit import clock
from control_plane.kit.errors import Refused
from control_plane.ledger import queries
from control_plane.ledger.merkle import Frontier, Place, Span
from control_plane.ledger.models import LedgerCheckpoint, LedgerEntry, LedgerLog, LedgerNode
from control_plane.ledger.note import Checkpoint, NoteInvalid, VerifierKey, signed_note
from control_plane.ledger.rules import BIRTH, LOG_ID, REDACTED

BATCH = 1000  # entries a checkpoint: some 50 ms of writes on two slow cores
REST = timedelta(milliseconds=50)  # so short that a ring seldom comes during it


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries about to get their places, and the tree with them in it."""

    entry_ids: tuple[str, ...]
    nodes: tuple[tuple[Place, bytes], ...]
    frontier: Frontier

    @property
    def start(self) -> int:
        """The place of the first entry."""
        return self.frontier.size - len(self.entry_ids)


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to do: a checkpoint to sign, or else a batch (perhaps empty) to place."""

    origin: str
    vkey: str | None
    unsigned: Checkpoint | None
    batch: Batch


def seal(ctx: Ctx) -> Outcome:
    """Sign the checkpoint that waits for it, or else place the entries that wait for it."""
    work = ctx.load(find_work)
    if work.unsigned is not None:
        key = _verifier_key(work, ctx.ports.keyring.ledger_public_key())
        text = work.unsigned.text()
        signature = ctx.ports.keyring.sign_checkpoint(text.encode())
        try:
            note = signed_note(text, key, signature)
        except NoteInvalid as broken:
            raise Refused("ledger_signature_wrong", key=str(key)) from broken
        return Go("seal", writes=partial(_store_note, work.unsigned.size, note, str(key)))
    if work.batch.entry_ids:
        return Go("seal", writes=partial(_place, work.batch))
    return Go("seal", after=REST)


def find_work(session: Session) -> Work:
    """Read what is to be done next; the tree's new hashes are computed here, outside any lock."""
    log = session.get_one(LedgerLog, LOG_ID)
    waiting = queries.find_unsigned_checkpoint(session)
    if waiting is not None:
        unsigned = Checkpoint(log.origin, waiting.tree_size, waiting.root)
        return Work(log.origin, log.vkey, unsigned, Batch((), (), Frontier()))
    frontier = queries.load_frontier(session, queries.tree_size(session))
    pending = queries.list_pending(session, BATCH)
    nodes: list[tuple[Place, bytes]] = []
    for entry in pending:
        frontier, completed = frontier.append(entry.leaf_hash)
        nodes += completed
    batch = Batch(
        tuple(entry.id for entry in pending),
        tuple(nodes),
        frontier,
    )
    return Work(log.origin, log.vkey, None, batch)


def _verifier_key(work: Work, public_key: bytes) -> VerifierKey:
    key = VerifierKey(work.origin, public_key)
    if work.vkey not in {None, str(key)}:
        # Signing on with another key would look like a fork to everybody who holds a checkpoint.
        raise Refused("ledger_key_changed", expected=work.vkey, found=str(key))
    return key


def _place(batch: Batch, session: Session) -> None:
    """Record a batch; the fence around it and the keys of the tables keep every place single."""
    if queries.tree_size(session) != batch.start:
        msg = f"the tree grew beside its life, at {batch.start}"
        raise RuntimeError(msg)
    connection = session.connection()
    placed = connection.execute(
        update(LedgerEntry)
        .where(col(LedgerEntry.id) == bindparam("entry"), col(LedgerEntry.leaf_index).is_(None))
        .values(leaf_index=bindparam("place")),
        [{"entry": e, "place": batch.start + n} for n, e in enumerate(batch.entry_ids)],
    )
    if placed.rowcount != len(batch.entry_ids):
        msg = f"{len(batch.entry_ids)} entries were to be placed, {placed.rowcount} were there"
        raise RuntimeError(msg)
    connection.execute(
        insert(LedgerNode),
        [{"last_leaf": p.last_leaf, "level": p.level, "hash": node} for p, node in batch.nodes],
    )
    frontier = batch.frontier
    session.add(
        LedgerCheckpoint(tree_size=frontier.size, root=frontier.root(), created_at=clock.now())
    )


def _store_note(size: int, note: str, vkey: str, session: Session) -> None:
    """Keep the signature, and erase what the entries now signed have redacted."""
    newly_signed = Span(queries.signed_size(session), size)
    redacted = queries.list_subjects(session, newly_signed, REDACTED)
    session.connection().execute(
        update(LedgerEntry).where(col(LedgerEntry.id).in_(redacted)).values(payload=None, salt=None)
    )
    session.get_one(LedgerCheckpoint, size).note = note
    session.get_one(LedgerLog, LOG_ID).vkey = vkey


FLOW = Flow(
    birth=BIRTH,
    ending="seal",  # a ledger doesn't end
    steps={"seal": Step(seal, deadline=BIRTH.deadline)},
)
