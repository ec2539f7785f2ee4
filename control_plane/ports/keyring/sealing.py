"""Sealing as pure functions: AES-256-GCM, bound to a context, a key's id and a version."""

import re
import secrets
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from control_plane.kit import sending
from control_plane.kit.errors import Refused
from control_plane.kit.sending import Recipient
from control_plane.ports.keyring.port import Sealed

VERSION = 1
_NONCE_BYTES = 12  # what GCM is made for; random, so at most 2^32 seals a key (NIST SP 800-38D)


_KEY_ID = re.compile(r"(?:mk|rk)([0-9]{4})-[0-9a-f]{8}")
MASTER, RECIPIENT = "mk", "rk"


def new_key_id(known: Iterable[str], kind: str = MASTER) -> str:
    """Return an id that sorts after all known ones of its kind, whatever the clock says.

    The random part keeps two keys apart that were made from one restored copy of a keyring.
    """
    newest = _KEY_ID.fullmatch(max(known, default=""))
    number = int(newest[1]) + 1 if newest else 1
    return f"{kind}{number:04d}-{secrets.token_hex(4)}"


def is_key_id(text: str) -> bool:
    """Whether `text` has the form of a key's id."""
    return _KEY_ID.fullmatch(text) is not None


def new_master_key() -> bytes:
    """Return 32 random bytes."""
    return AESGCM.generate_key(bit_length=256)


def seal_with(master_key: bytes, key_id: str, plaintext: bytes, context: str) -> Sealed:
    """Encrypt; the ciphertext starts with its nonce."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    bound = _bound(key_id, VERSION, context)
    return Sealed(key_id, VERSION, nonce + AESGCM(master_key).encrypt(nonce, plaintext, bound))


def open_with(master_key: bytes, sealed: Sealed, context: str) -> bytes:
    """Decrypt. Raises Refused: `wrong_context` (also for damage), `unknown_version`."""
    if sealed.version != VERSION:
        raise Refused("unknown_version", version=sealed.version)
    nonce, ciphertext = sealed.ciphertext[:_NONCE_BYTES], sealed.ciphertext[_NONCE_BYTES:]
    bound = _bound(sealed.key_id, sealed.version, context)
    try:
        return AESGCM(master_key).decrypt(nonce, ciphertext, bound)
    except (InvalidTag, ValueError) as error:  # ValueError: cut shorter than its nonce
        raise Refused("wrong_context", key_id=sealed.key_id) from error


def new_recipient_key() -> bytes:
    """Return the 32 bytes of a private X25519 key."""
    return X25519PrivateKey.generate().private_bytes_raw()


def recipient_of(private_key: bytes, key_id: str) -> Recipient:
    """Return the public half of a recipient's key."""
    public = X25519PrivateKey.from_private_bytes(private_key).public_key()
    return Recipient(key_id, public.public_bytes_raw())


def open_sent_with(private_key: bytes, sealed: Sealed, context: str) -> bytes:
    """Decrypt what was sent. Raises Refused: `wrong_context` (damage too), `unknown_version`."""
    if sealed.version != sending.VERSION:
        raise Refused("unknown_version", version=sealed.version)
    private = X25519PrivateKey.from_private_bytes(private_key)
    bound = sending.bound_to(sealed.key_id, sealed.version, context)
    try:
        return sending.SUITE.decrypt(sealed.ciphertext, private, bound)
    except (InvalidTag, ValueError) as error:  # ValueError: cut shorter than its key
        raise Refused("wrong_context", key_id=sealed.key_id) from error


def _bound(key_id: str, version: int, context: str) -> bytes:
    # The context comes last: it is the only part that may hold any character.
    return f"edubba-sealed\x00{version}\x00{key_id}\x00{context}".encode()
