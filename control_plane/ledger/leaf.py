"""What the tree holds of an entry: who did what to which thing when, and a salted commitment.

The leaf's bytes are a format byte and canonical JSON (RFC 8785). The payload is not in it, only a
hash over a random salt and the payload: when personal data must go, payload and salt are erased,
nothing can be guessed from what remains, and every proof still holds.
"""

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, StringConstraints

from control_plane.kit.canonical import canonical_json
from control_plane.ledger import merkle

FORMAT = b"\x01"  # the first byte of a leaf; another layout takes another byte
SALT_BYTES = 32
_PAYLOAD_DOMAIN = b"edubba.ledger.payload.v1\n"

Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]


class PayloadInvalid(ValueError):
    """A payload has no unique canonical form: a bug of the caller, who must use plain JSON."""


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 form. Raises: ValueError for what is not JSON."""
    return canonical_json(value)


def canonical_payload(payload: Mapping[str, Any]) -> str:
    """Return a payload as it is stored and committed to.

    Integers stay within 2 ** 53 (money beyond that goes as text), as in every JSON reader.
    Raises: PayloadInvalid.
    """
    try:
        text = canonical(dict(payload))
        again = canonical(json.loads(text))
    except (ValueError, TypeError) as broken:
        raise PayloadInvalid(str(broken)) from broken
    if again != text:  # such as a float that reads back as an integer beyond 2 ** 53
        raise PayloadInvalid(text.decode())
    return text.decode()


def new_salt() -> bytes:
    """Return fresh randomness that keeps a payload from being guessed from its commitment."""
    return secrets.token_bytes(SALT_BYTES)


def commit(payload: str, salt: bytes) -> bytes:
    """Return the commitment to a canonical payload."""
    return sha256(_PAYLOAD_DOMAIN + salt + payload.encode()).digest()


def format_time(moment: datetime) -> str:
    """Return a moment as leaves spell it: UTC, microseconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Leaf(BaseModel):
    """One entry as the tree holds it; `commitment` is in hexadecimal."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    id: str
    at: str
    actor: str
    action: str
    subject: str
    agency: str | None
    commitment: Hex32

    def document(self) -> dict[str, str | None]:
        """Return the JSON object that is hashed."""
        return cast("dict[str, str | None]", self.model_dump())

    def data(self) -> bytes:
        """Return the leaf's bytes."""
        return FORMAT + canonical(self.document())

    def hash(self) -> bytes:
        """Return the leaf's hash in the tree."""
        return merkle.leaf_hash(self.data())

    def opens(self, payload: Mapping[str, Any], salt: str) -> bool:
        """Whether this is the payload that was committed to; the salt is in hexadecimal."""
        return (
            commit(canonical(dict(payload)).decode(), bytes.fromhex(salt)).hex() == self.commitment
        )
