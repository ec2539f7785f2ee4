"""The keyring: private keys that never leave it. Only the worker composes one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from control_plane.kit.sending import Recipient


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A leaf issued by the internal CA: chain (leaf first) and key in PEM."""

    chain_pem: str
    key_pem: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ciphertext with the key that made it; bound to the context given when it was sealed."""

    key_id: str
    version: int
    ciphertext: bytes


class Keyring(Protocol):
    """Raises `Unavailable` or `Refused`."""

    def ledger_public_key(self) -> bytes:
        """Return the 32 bytes of the ledger's Ed25519 public key."""

    def sign_checkpoint(self, body: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of a checkpoint's body."""

    def ca_certificate_pem(self) -> str:
        """Return the internal CA's certificate, which visitors' machines are told to trust."""

    def issue_certificate(self, names: list[str], days: int) -> IssuedCertificate:
        """Issue a server certificate for DNS names (wildcards allowed)."""

    def seal(self, plaintext: bytes, context: str) -> Sealed:
        """Encrypt; `context` (owner and row id) must be given again to open it."""

    def recipient(self) -> Recipient:
        """Return the newest public key to which others seal what only this keyring opens."""

    def open_sent(self, sealed: Sealed, context: str) -> bytes:
        """Decrypt what was sealed to a recipient of this keyring. Raises `Refused` as `open`."""

    def open(self, sealed: Sealed, context: str) -> bytes:
        """Decrypt. Raises `Refused` (`wrong_context`) if it was sealed for something else."""
