"""A keyring that lives as long as its process; the same cryptography, nothing on a disk."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane.kit import clock
from control_plane.kit.errors import Refused
from control_plane.kit.sending import Recipient
from control_plane.ports.keyring import authority, sealing
from control_plane.ports.keyring.port import IssuedCertificate, Sealed


class MemoryKeyring:
    """Implements `Keyring`; `zone` constrains its CA, as in `FileKeyring`."""

    def __init__(self, zone: str | None = None) -> None:
        self._ledger_key = Ed25519PrivateKey.generate()
        self._authority_pem = authority.new_authority(zone, clock.now())
        self._master_keys: dict[str, bytes] = {}
        self._recipient_keys: dict[str, bytes] = {}
        self.rotate_master_key()
        self.rotate_recipient_key()

    def ledger_public_key(self) -> bytes:
        """Return the 32 bytes of the ledger's Ed25519 public key."""
        return self._ledger_key.public_key().public_bytes_raw()

    def sign_checkpoint(self, body: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of a checkpoint's body."""
        return self._ledger_key.sign(body)

    def ca_certificate_pem(self) -> str:
        """Return the internal CA's certificate."""
        return authority.certificate_of(self._authority_pem)

    def issue_certificate(self, names: list[str], days: int) -> IssuedCertificate:
        """Issue a server certificate; see `authority.issue` for what is refused."""
        return authority.issue(self._authority_pem, names, days, clock.now())

    def seal(self, plaintext: bytes, context: str) -> Sealed:
        """Encrypt with the newest master key."""
        key_id = max(self._master_keys)
        return sealing.seal_with(self._master_keys[key_id], key_id, plaintext, context)

    def open(self, sealed: Sealed, context: str) -> bytes:
        """Decrypt with the master key that sealed it. Raises Refused (`unknown_key` too)."""
        if sealed.key_id not in self._master_keys:
            raise Refused("unknown_key", key_id=sealed.key_id)
        return sealing.open_with(self._master_keys[sealed.key_id], sealed, context)

    def recipient(self) -> Recipient:
        """Return the newest public key to which others seal what only this keyring opens."""
        key_id = max(self._recipient_keys)
        return sealing.recipient_of(self._recipient_keys[key_id], key_id)

    def open_sent(self, sealed: Sealed, context: str) -> bytes:
        """Decrypt what was sealed to a recipient of this keyring."""
        if sealed.key_id not in self._recipient_keys:
            raise Refused("unknown_key", key_id=sealed.key_id)
        return sealing.open_sent_with(self._recipient_keys[sealed.key_id], sealed, context)

    def rotate_recipient_key(self) -> str:
        """Let others seal to a new key from now on; older ones still open what they got."""
        key_id = sealing.new_key_id(self._recipient_keys, sealing.RECIPIENT)
        self._recipient_keys[key_id] = sealing.new_recipient_key()
        return key_id

    def rotate_master_key(self) -> str:
        """Seal with a new key from now on; what older ones sealed stays readable."""
        key_id = sealing.new_key_id(self._master_keys)
        self._master_keys[key_id] = sealing.new_master_key()
        return key_id
