"""Sealing for a process that alone can open it: HPKE (RFC 9180), base mode.

Who seals needs a public key and no secret: the web process takes secrets in and can never read
them again.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
VERSION = 1  # of the suite and of what is bound to a ciphertext


@dataclass(frozen=True, slots=True)
class Recipient:
    """The public half (32 bytes, X25519) of a key that never leaves its keyring."""

    key_id: str
    public_key: bytes


def seal_to(recipient: Recipient, plaintext: bytes, context: str) -> bytes:
    """Encrypt for the recipient; `context` (owner and row id) must be given again to open it."""
    public = X25519PublicKey.from_public_bytes(recipient.public_key)
    return SUITE.encrypt(plaintext, public, bound_to(recipient.key_id, VERSION, context))


def bound_to(key_id: str, version: int, context: str) -> bytes:
    """Return HPKE's `info`: what a ciphertext is good for, and nothing else."""
    # The context comes last: it is the only part that may hold any character.
    return f"edubba-sent\x00{version}\x00{key_id}\x00{context}".encode()
