"""Exports made without a database: honest ones, and those of somebody who rewrites history."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane.ledger.leaf import Leaf, canonical_payload, commit
from control_plane.ledger.lines import CheckpointLine, EndLine, EntryLine, HeaderLine
from control_plane.ledger.merkle import Frontier
from control_plane.ledger.note import Checkpoint, VerifierKey, signed_note

ORIGIN = "edubba.test/ledger"


@dataclass(frozen=True)
class Entry:
    """What an entry says; `is_redacted` leaves out its payload."""

    number: int
    action: str = "hosting.requested"
    subject: str = "hst_1"
    payload: dict[str, Any] = field(default_factory=lambda: {"name": "موقع", "size": 2})
    is_redacted: bool = False

    @property
    def id(self) -> str:
        return f"ent_{self.number}"

    @property
    def salt(self) -> bytes:
        return sha256(self.number.to_bytes(8)).digest()

    def leaf(self) -> Leaf:
        return Leaf(
            id=self.id,
            at=f"2026-11-24T04:00:00.{self.number:06}Z",
            actor="psn_1",
            action=self.action,
            subject=self.subject,
            agency=None if self.number % 3 else "agy_1",
            commitment=commit(canonical_payload(self.payload), self.salt).hex(),
        )


@dataclass(frozen=True)
class Signer:
    """A key that signs checkpoints under the log's name."""

    seed: bytes = bytes(range(32))

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def key(self) -> VerifierKey:
        return VerifierKey(ORIGIN, self.private.public_key().public_bytes_raw())

    def sign(self, size: int, root: bytes) -> str:
        text = Checkpoint(ORIGIN, size, root).text()
        return signed_note(text, self.key, self.private.sign(text.encode()))


LOG, STRANGER = Signer(), Signer(bytes(32))


@dataclass
class Forged:
    """An export and the checkpoints in it."""

    lines: list[bytes]
    notes: list[str]

    @property
    def newest(self) -> str:
        return self.notes[-1]


def forge(
    entries: Sequence[Entry],
    sizes: Sequence[int],
    *,
    signer: Signer = LOG,
    notes: dict[int, str] | None = None,
) -> Forged:
    """Write an export with everything recomputed; checkpoints of `sizes`, signed or given."""
    frontier, lines, used = Frontier(), [HeaderLine(vkey=str(LOG.key)).encode()], []
    for index, entry in enumerate(entries):
        leaf = entry.leaf()
        frontier, completed = frontier.append(leaf.hash())
        line = EntryLine(
            index=index,
            leaf=leaf,
            nodes=[node.hex() for _, node in completed],
            payload=None if entry.is_redacted else entry.payload,
            salt=None if entry.is_redacted else entry.salt.hex(),
        )
        lines.append(line.encode())
        if frontier.size in sizes:
            note = (notes or {}).get(frontier.size) or signer.sign(frontier.size, frontier.root())
            lines.append(CheckpointLine(note=note).encode())
            used.append(note)
    return Forged(sealed(lines), used)


def sealed(lines: Sequence[bytes]) -> list[bytes]:
    """Write a new last line, which fits whatever stands above it."""
    end = EndLine(
        entries=sum(b'"kind":"entry"' in line for line in lines),
        checkpoints=sum(b'"kind":"checkpoint"' in line for line in lines),
        sha256=sha256(b"".join(lines)).hexdigest(),
    )
    return [*lines, end.encode()]


def entries_of(count: int) -> list[Entry]:
    return [Entry(number) for number in range(count)]


def notes_by_size(sizes: Sequence[int], notes: Sequence[str]) -> dict[int, str]:
    return dict(zip(sorted(sizes), notes, strict=True))


def edited(entry: Entry) -> Entry:
    return replace(entry, payload={**entry.payload, "size": 3})


def other_base64(raw: bytes) -> str:
    return b64encode(bytes([raw[0] ^ 1]) + raw[1:]).decode()
