"""A keyring in a directory that only the worker's uid can enter.

Every key is made on first use and atomically: of two processes that start at once, one writes,
and both read what it wrote. The directory is not part of the database's backup.
"""

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane.kit import clock
from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.sending import Recipient
from control_plane.ports.keyring import authority, sealing
from control_plane.ports.keyring.port import IssuedCertificate, Sealed

_LEDGER_KEY = "ledger.key"  # 32 raw bytes
_AUTHORITY = "authority.pem"  # certificate and key in one file, so that they can't differ
_MASTER_KEYS = "master"  # one file of 32 raw bytes a key, named by its id
_RECIPIENT_KEYS = "recipient"  # likewise


class FileKeyring:
    """Implements `Keyring`. `zone` constrains the CA when it is made, and not later."""

    def __init__(self, directory: Path, zone: str | None = None) -> None:
        self._directory = directory
        self._zone = zone

    def ledger_public_key(self) -> bytes:
        """Return the 32 bytes of the ledger's Ed25519 public key."""
        return self._ledger_key().public_key().public_bytes_raw()

    def sign_checkpoint(self, body: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of a checkpoint's body."""
        return self._ledger_key().sign(body)

    def ca_certificate_pem(self) -> str:
        """Return the internal CA's certificate."""
        return authority.certificate_of(self._authority_pem())

    def issue_certificate(self, names: list[str], days: int) -> IssuedCertificate:
        """Issue a server certificate; see `authority.issue` for what is refused."""
        return authority.issue(self._authority_pem(), names, days, clock.now())

    def seal(self, plaintext: bytes, context: str) -> Sealed:
        """Encrypt with the newest master key."""
        key_id = max(self._list_keys(_MASTER_KEYS), default="") or self.rotate_master_key()
        return sealing.seal_with(self._key(_MASTER_KEYS, key_id), key_id, plaintext, context)

    def open(self, sealed: Sealed, context: str) -> bytes:
        """Decrypt with the master key that sealed it. Raises Refused (`unknown_key` too)."""
        return sealing.open_with(self._key(_MASTER_KEYS, sealed.key_id), sealed, context)

    def recipient(self) -> Recipient:
        """Return the newest public key to which others seal what only this keyring opens."""
        key_id = max(self._list_keys(_RECIPIENT_KEYS), default="") or self.rotate_recipient_key()
        return sealing.recipient_of(self._key(_RECIPIENT_KEYS, key_id), key_id)

    def open_sent(self, sealed: Sealed, context: str) -> bytes:
        """Decrypt what was sealed to a recipient of this keyring."""
        return sealing.open_sent_with(self._key(_RECIPIENT_KEYS, sealed.key_id), sealed, context)

    def rotate_recipient_key(self) -> str:
        """Let others seal to a new key from now on; older ones still open what they got."""
        key_id = sealing.new_key_id(self._list_keys(_RECIPIENT_KEYS), sealing.RECIPIENT)
        self._ensure(f"{_RECIPIENT_KEYS}/{key_id}", sealing.new_recipient_key)
        return key_id

    def rotate_master_key(self) -> str:
        """Seal with a new key from now on; what older ones sealed stays readable."""
        key_id = sealing.new_key_id(self._list_keys(_MASTER_KEYS))
        self._ensure(f"{_MASTER_KEYS}/{key_id}", sealing.new_master_key)
        return key_id

    def _ledger_key(self) -> Ed25519PrivateKey:
        made = self._ensure(_LEDGER_KEY, lambda: Ed25519PrivateKey.generate().private_bytes_raw())
        return Ed25519PrivateKey.from_private_bytes(made)

    def _authority_pem(self) -> bytes:
        return self._ensure(_AUTHORITY, lambda: authority.new_authority(self._zone, clock.now()))

    def _list_keys(self, folder: str) -> list[str]:
        try:
            names = [path.name for path in self._folder(folder).iterdir()]
        except OSError as error:
            raise Unavailable("keyring_unreadable", reason=str(error)) from error
        return [name for name in names if sealing.is_key_id(name)]

    def _key(self, folder: str, key_id: str) -> bytes:
        if not sealing.is_key_id(key_id):  # it comes from a row, and becomes a path
            raise Refused("unknown_key", key_id=key_id)
        try:
            return (self._folder(folder) / key_id).read_bytes()
        except FileNotFoundError as error:
            raise Refused("unknown_key", key_id=key_id) from error
        except OSError as error:
            raise Unavailable("keyring_unreadable", reason=str(error)) from error

    def _ensure(self, name: str, new: Callable[[], bytes]) -> bytes:
        path = self._folder(str(Path(name).parent)) / Path(name).name
        try:
            if not path.exists():
                _write_once(path, new())
            return path.read_bytes()
        except OSError as error:
            raise Unavailable("keyring_unreadable", reason=str(error)) from error

    def _folder(self, name: str) -> Path:
        """Return a folder of the keyring, made if need be. Raises Refused if others can enter."""
        folder = self._directory / name
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            found = self._directory.stat()
        except OSError as error:
            raise Unavailable("keyring_unreadable", reason=str(error)) from error
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise Refused("keyring_exposed", directory=str(self._directory))
        return folder


def _write_once(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; an existing one wins."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # another process made the key first, and both use that one
        _sync_folder(path.parent)
    finally:
        draft.unlink()


def _sync_folder(folder: Path) -> None:
    # A key that sealed something must not be lost with the folder's entry in a power cut.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
