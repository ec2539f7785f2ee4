"""An SSH certificate authority: keys that live for minutes, each for one server.

Servers trust the authority's public key and nothing else. Its private key never leaves the
worker's directory; what goes to a runner is a key and a certificate for one run on one server.
"""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_private_key,
)

from control_plane.kit import clock

_FILE = "ssh_authority"
_SKEW = timedelta(minutes=1)  # of a server's clock


@dataclass(frozen=True, slots=True)
class Key:
    """A private key and what signs for it, as OpenSSH's files have them."""

    private: str = field(repr=False)
    certificate: str


class Authority:
    """Signs for `sources` alone: a certificate is of no use from elsewhere."""

    def __init__(self, directory: Path, sources: Sequence[IPv4Network]) -> None:
        self._sources = ",".join(str(one) for one in sources)
        self._key = _read_or_make(directory / _FILE)

    @property
    def public_key(self) -> str:
        """Return what servers trust, as a line of OpenSSH's."""
        return _public(self._key)

    def issue(self, principal: str, name: str, lasts: timedelta, command: str | None = None) -> Key:
        """Return a fresh key that opens one server, for one command if that is given."""
        own, now = Ed25519PrivateKey.generate(), clock.now()
        builder = (
            SSHCertificateBuilder()
            .public_key(own.public_key())
            .type(SSHCertificateType.USER)
            .serial(secrets.randbits(63))
            .key_id(name.encode())
            .valid_principals([principal.encode()])
            .valid_after(int((now - _SKEW).timestamp()))
            .valid_before(int((now + lasts).timestamp()))
            .add_critical_option(b"source-address", self._sources.encode())
        )
        if command is not None:
            builder = builder.add_critical_option(b"force-command", command.encode())
        certificate = builder.sign(self._key).public_bytes().decode()
        return Key(_private(own), certificate + "\n")


def _read_or_make(path: Path) -> Ed25519PrivateKey:
    """Return the key in the file; of two processes that start at once, both get the same."""
    if not path.exists():
        new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(_private(Ed25519PrivateKey.generate()))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(new)
        except FileExistsError:
            pass  # the other process was faster
        finally:
            new.unlink()
    key = load_ssh_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{path} holds no Ed25519 key")
    return key


def _private(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
