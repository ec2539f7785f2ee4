"""Signed notes and checkpoints, as c2sp.org/signed-note and c2sp.org/tlog-checkpoint define them.

Only Ed25519 (signature type 0x01). This module verifies; signing is the keyring's, which gives the
64 bytes of a signature over a note's text.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from control_plane.ledger.merkle import HASH_BYTES

ED25519 = b"\x01"  # the signature type's byte
KEY_ID_BYTES = 4
SIGNATURE_BYTES = 64
MAX_SIGNATURES = 100  # more than the 16 that the specification asks a verifier to accept
MAX_NOTE_CHARACTERS = 1 << 20
_DASH = "\N{EM DASH} "
_TREE_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")  # decimal, no leading zero, below 2 ** 63


class NoteInvalid(ValueError):
    """A key, note or checkpoint is malformed, or its signature does not verify."""


def _decode(text: str) -> bytes:
    """Decode base64 of which exactly one spelling is accepted."""
    try:
        raw = b64decode(text, validate=True)
    except (Base64Error, ValueError) as broken:
        message = f"not base64: {text!r}"
        raise NoteInvalid(message) from broken
    if b64encode(raw).decode() != text:
        message = f"base64 with stray bits: {text!r}"
        raise NoteInvalid(message)
    return raw


def _check_name(name: str) -> None:
    # isprintable() also keeps out what can't be encoded: lone surrogates.
    if not name.isprintable() or not name or "+" in name or any(c.isspace() for c in name):
        message = f"not a key name: {name!r}"
        raise NoteInvalid(message)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A log's public key under the log's name; `str()` is the vkey that one hands to others."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.public_key) != HASH_BYTES:
            message = f"an Ed25519 public key has 32 bytes, not {len(self.public_key)}"
            raise NoteInvalid(message)

    @property
    def key_id(self) -> bytes:
        """The four bytes that a signature line starts with."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:4]

    def __str__(self) -> str:
        key = b64encode(ED25519 + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a vkey. Raises: NoteInvalid, also when the id is not that of the key."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = _decode(encoded)
        if raw[:1] != ED25519:
            message = "not an Ed25519 verifier key"
            raise NoteInvalid(message)
        key = cls(name, raw[1:])
        if str(key) != text or key.key_id.hex() != key_id:
            message = f"key id {key_id!r} does not belong to this key and name"
            raise NoteInvalid(message)
        return key

    def is_signed(self, text: str, signature: bytes) -> bool:
        """Whether the signature is this key's over the note's text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line, verified or not."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note; its text must not be used before a signature of a known key was verified."""

    text: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log's tree, as signed."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def parse_note(note: str) -> Note:
    """Read a note strictly. Raises: NoteInvalid."""
    if len(note) > MAX_NOTE_CHARACTERS or any(c < " " and c != "\n" for c in note):
        message = "a note is short and has no control characters"
        raise NoteInvalid(message)
    body, separator, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not separator or not body or lines.pop() or not lines:
        message = "a note is a text, an empty line and signature lines, each ending in a newline"
        raise NoteInvalid(message)
    if len(lines) > MAX_SIGNATURES:
        message = f"more than {MAX_SIGNATURES} signatures"
        raise NoteInvalid(message)
    return Note(body + "\n", tuple(_parse_signature(line) for line in lines))


def _parse_signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        message = f"not a signature line: {line!r}"
        raise NoteInvalid(message)
    _check_name(name)
    raw = _decode(encoded)
    if len(raw) <= KEY_ID_BYTES:
        message = "a signature line without a signature"
        raise NoteInvalid(message)
    return Signature(name, raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


def open_note(note: str, key: VerifierKey) -> str:
    """Return the text of a note that `key` signed; signatures of unknown keys are passed over.

    Raises: NoteInvalid, also if one of several signatures of this key does not verify.
    """
    parsed = parse_note(note)
    known = (key.name, key.key_id)
    ours = [s.signature for s in parsed.signatures if (s.name, s.key_id) == known]
    if not ours:
        message = f"not signed by {key}"
        raise NoteInvalid(message)
    if not all(key.is_signed(parsed.text, signature) for signature in ours):
        message = f"the signature of {key.name} does not verify"
        raise NoteInvalid(message)
    return parsed.text


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text strictly; extension lines are allowed and passed over."""
    origin, *rest = text.removesuffix("\n").split("\n")
    if not text.endswith("\n") or len(rest) < 2 or not all([origin, *rest]):  # noqa: PLR2004 - size, root
        message = "a checkpoint has an origin, a size and a root, and no empty line"
        raise NoteInvalid(message)
    size, root = rest[0], _decode(rest[1])
    if not _TREE_SIZE.fullmatch(size):
        message = f"not a tree size: {size!r}"
        raise NoteInvalid(message)
    if len(root) != HASH_BYTES:
        message = f"a root has {HASH_BYTES} bytes, not {len(root)}"
        raise NoteInvalid(message)
    return Checkpoint(origin, int(size), root)


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint of the log named by `key` that this note signs. Raises: NoteInvalid."""
    checkpoint = parse_checkpoint(open_note(note, key))
    if checkpoint.origin != key.name:
        message = f"a checkpoint of {checkpoint.origin!r}, not of {key.name!r}"
        raise NoteInvalid(message)
    return checkpoint


def signed_note(text: str, key: VerifierKey, signature: bytes) -> str:
    """Return the note for a text and the signature that the keyring made.

    Raises: NoteInvalid if the signature is not this key's: a note that nobody could open must not
    be stored.
    """
    if len(signature) != SIGNATURE_BYTES or not key.is_signed(text, signature):
        message = f"the keyring's signature is not of {key}"
        raise NoteInvalid(message)
    return f"{text}\n{_DASH}{key.name} {b64encode(key.key_id + signature).decode()}\n"
