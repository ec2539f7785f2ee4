"""Receipts: one entry, its proof and a signed checkpoint in one document, judged without us.

A receipt proves that the log's key signed a tree with this entry in it. That everybody is shown
the same tree is proved by comparing checkpoints: `verifier.verify` on an export, `has_grown` on two
checkpoints and a proof of consistency.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from control_plane.ledger import merkle
from control_plane.ledger.leaf import Hex32, Leaf, canonical
from control_plane.ledger.note import NoteInvalid, VerifierKey, open_checkpoint


class ReceiptInvalid(ValueError):
    """The receipt proves nothing; the message says why."""


class Receipt(BaseModel):
    """The document; `payload` and `salt` are null once redacted, all hashes in hexadecimal."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    format: Literal["edubba-ledger-receipt/1"] = "edubba-ledger-receipt/1"
    index: int = Field(ge=0)
    leaf: Leaf
    payload: dict[str, Any] | None
    salt: Hex32 | None
    proof: list[Hex32]
    checkpoint: str

    def encode(self) -> bytes:
        """Return the document's bytes, one line of canonical JSON."""
        return canonical(self.model_dump()) + b"\n"


def verify_receipt(document: bytes | str, vkey: str) -> Receipt:
    """Return the receipt if it proves its entry against the log's public key.

    Raises: ReceiptInvalid; NoteInvalid only for a `vkey` that is none.
    """
    key = VerifierKey.parse(vkey)
    receipt = _parse(document)
    try:
        checkpoint = open_checkpoint(receipt.checkpoint, key)
    except NoteInvalid as broken:
        raise ReceiptInvalid(f"its checkpoint is not this log's: {broken}") from broken
    proof = [bytes.fromhex(node) for node in receipt.proof]
    leaf = receipt.leaf.hash()
    if not merkle.is_included(receipt.index, checkpoint.size, leaf, proof, checkpoint.root):
        raise ReceiptInvalid("the entry, its place or its proof was altered")
    if (receipt.payload is None) != (receipt.salt is None):
        raise ReceiptInvalid("half of its payload is gone")
    if receipt.payload is not None and not receipt.leaf.opens(receipt.payload, receipt.salt or ""):
        raise ReceiptInvalid("its payload was altered")
    return receipt


def _parse(document: bytes | str) -> Receipt:
    try:
        parsed = json.loads(document)
        canonical(parsed)  # what has no canonical form can't have been hashed
        return Receipt.model_validate(parsed)
    except (ValidationError, ValueError, RecursionError) as broken:
        raise ReceiptInvalid(f"not a receipt: {broken}") from broken


def has_grown(old: str, new: str, proof: Sequence[str], vkey: str) -> bool:
    """Whether a proof (hexadecimal) shows that the checkpoint `new` only adds to `old`.

    Raises: NoteInvalid for a checkpoint that this key did not sign; ValueError for a proof that is
    not in hexadecimal.
    """
    key = VerifierKey.parse(vkey)
    before, after = open_checkpoint(old, key), open_checkpoint(new, key)
    hashes = [bytes.fromhex(node) for node in proof]
    return merkle.is_consistent((before.size, before.root), (after.size, after.root), hashes)
