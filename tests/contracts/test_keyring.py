"""What every keyring keeps: one suite, both adapters."""

import ssl
import stat
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from control_plane.kit import clock
from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.sending import seal_to
from control_plane.ports.keyring.files import FileKeyring
from control_plane.ports.keyring.memory import MemoryKeyring
from control_plane.ports.keyring.port import IssuedCertificate, Keyring, Sealed

ZONE = "edubba.localhost"


@pytest.fixture(params=["memory", "files"])
def keyring(request: pytest.FixtureRequest, tmp_path: Path) -> FileKeyring | MemoryKeyring:
    if request.param == "memory":
        return MemoryKeyring(ZONE)
    return FileKeyring(tmp_path / "keys", ZONE)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.code


def verify(keyring: Keyring, issued: IssuedCertificate, name: str, folder: Path) -> int:
    """Ask OpenSSL, as a visitor's machine would; 0 is trusted."""
    (folder / "ca.pem").write_text(keyring.ca_certificate_pem())
    (folder / "leaf.pem").write_text(issued.chain_pem)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    command += ["-verify_hostname", name, "-CAfile", "ca.pem", "leaf.pem"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode


def test_a_checkpoint_is_signed_with_the_ledgers_key(keyring: Keyring) -> None:
    signature = keyring.sign_checkpoint(b"edubba\n42\nroot\n")
    public = Ed25519PublicKey.from_public_bytes(keyring.ledger_public_key())
    public.verify(signature, b"edubba\n42\nroot\n")
    with pytest.raises(InvalidSignature):
        public.verify(signature, b"edubba\n43\nroot\n")
    assert len(signature) == 64
    assert keyring.ledger_public_key() == keyring.ledger_public_key()


def test_a_wildcard_is_trusted_for_a_host_of_the_zone(keyring: Keyring, tmp_path: Path) -> None:
    issued = keyring.issue_certificate([f"*.{ZONE}", ZONE], 30)
    assert verify(keyring, issued, f"health.{ZONE}", tmp_path) == 0
    assert verify(keyring, issued, ZONE, tmp_path) == 0
    assert verify(keyring, issued, f"a.b.{ZONE}", tmp_path) != 0
    assert timedelta(days=29) < issued.not_after - clock.now() <= timedelta(days=30)


def test_another_cas_certificate_is_not_trusted(keyring: Keyring, tmp_path: Path) -> None:
    foreign = MemoryKeyring(ZONE).issue_certificate([f"*.{ZONE}"], 30)
    assert verify(keyring, foreign, f"health.{ZONE}", tmp_path) != 0


def test_a_certificate_and_its_key_belong_together(keyring: Keyring, tmp_path: Path) -> None:
    issued = keyring.issue_certificate([f"*.{ZONE}"], 90)
    pem = tmp_path / "both.pem"
    pem.write_text(issued.chain_pem + issued.key_pem)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pem)


def test_the_ca_lives_ten_years_and_speaks_for_its_zone_only(keyring: Keyring) -> None:
    authority = x509.load_pem_x509_certificate(keyring.ca_certificate_pem().encode())
    assert timedelta(days=3650) < authority.not_valid_after_utc - clock.now()
    limits = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert limits.value.permitted_subtrees == [x509.DNSName(ZONE)]
    assert len(limits.value.excluded_subtrees or []) == 2


@pytest.mark.parametrize(
    ("names", "days", "code"),
    [
        ([], 30, "certificate_without_names"),
        ([f"*.{ZONE}"], 91, "certificate_days"),
        ([f"*.{ZONE}"], 0, "certificate_days"),
        (["moh.gov.iq"], 30, "name_outside_zone"),
        ([f"evil{ZONE}"], 30, "name_outside_zone"),
        ([f"health.{ZONE}", "*.gov.iq"], 30, "name_outside_zone"),
        ([f"*.*.{ZONE}"], 30, "name_malformed"),
        ([f"Health.{ZONE}"], 30, "name_malformed"),
        (["صحة.edubba.localhost"], 30, "name_malformed"),
    ],
)
def test_a_wrong_wish_for_a_certificate_is_refused(
    keyring: Keyring, names: list[str], days: int, code: str
) -> None:
    assert refusal(lambda: keyring.issue_certificate(names, days)) == code


def test_a_leaf_never_outlives_the_ca(keyring: Keyring) -> None:
    keyring.ca_certificate_pem()
    authority = x509.load_pem_x509_certificate(keyring.ca_certificate_pem().encode())
    with clock.shifted(timedelta(days=3640)):
        issued = keyring.issue_certificate([ZONE], 90)
    assert issued.not_after == authority.not_valid_after_utc
    with clock.shifted(timedelta(days=3700)):
        assert refusal(lambda: keyring.issue_certificate([ZONE], 90)) == "authority_expired"


def test_what_was_sealed_opens_with_its_context_only(keyring: Keyring) -> None:
    sealed = keyring.seal(b"a password", "hosting:hst_1")
    assert keyring.open(sealed, "hosting:hst_1") == b"a password"
    assert b"a password" not in sealed.ciphertext
    assert refusal(lambda: keyring.open(sealed, "hosting:hst_2")) == "wrong_context"


def test_what_is_sent_is_opened_by_its_keyring_alone_and_for_what_it_was_sealed(
    keyring: FileKeyring | MemoryKeyring,
) -> None:
    recipient = keyring.recipient()
    ciphertext = seal_to(recipient, b"a password", "hosting:hst_1")
    sent = Sealed(recipient.key_id, 1, ciphertext)
    assert b"a password" not in ciphertext
    assert keyring.open_sent(sent, "hosting:hst_1") == b"a password"
    assert refusal(lambda: keyring.open_sent(sent, "hosting:hst_2")) == "wrong_context"
    assert refusal(lambda: MemoryKeyring(ZONE).open_sent(sent, "hosting:hst_1")) == "unknown_key"
    for damaged in (ciphertext[:-1], b"", bytes(32)):
        wrong = Sealed(recipient.key_id, 1, damaged)
        assert refusal(partial(keyring.open_sent, wrong, "hosting:hst_1")) == "wrong_context"
    later = Sealed(recipient.key_id, 2, ciphertext)
    assert refusal(lambda: keyring.open_sent(later, "hosting:hst_1")) == "unknown_version"
    assert keyring.rotate_recipient_key() == keyring.recipient().key_id > recipient.key_id
    assert keyring.open_sent(sent, "hosting:hst_1") == b"a password"


def test_sealing_twice_gives_two_ciphertexts(keyring: Keyring) -> None:
    assert keyring.seal(b"x", "c").ciphertext != keyring.seal(b"x", "c").ciphertext


def test_damage_and_false_claims_are_refused(keyring: Keyring) -> None:
    sealed = keyring.seal(b"a password", "c")
    flipped = sealed.ciphertext[:-1] + bytes([sealed.ciphertext[-1] ^ 1])
    for damaged in (flipped, sealed.ciphertext[:5], b""):
        wrong = Sealed(sealed.key_id, sealed.version, damaged)
        assert refusal(partial(keyring.open, wrong, "c")) == "wrong_context"
    later = Sealed(sealed.key_id, 2, sealed.ciphertext)
    assert refusal(lambda: keyring.open(later, "c")) == "unknown_version"
    for key_id in ("mk0009-00000000", "../ledger.key", ""):
        lost = Sealed(key_id, sealed.version, sealed.ciphertext)
        assert refusal(partial(keyring.open, lost, "c")) == "unknown_key"


def test_after_a_rotation_old_secrets_open_and_new_ones_use_the_new_key(
    keyring: FileKeyring | MemoryKeyring,
) -> None:
    old = keyring.seal(b"old", "c")
    newest = old.key_id
    for _ in range(3):
        newest = keyring.rotate_master_key()
        new = keyring.seal(b"new", "c")
        assert new.key_id == newest > old.key_id
        assert keyring.open(new, "c") == b"new"
    assert keyring.open(old, "c") == b"old"
    swapped = Sealed(newest, old.version, old.ciphertext)
    assert refusal(lambda: keyring.open(swapped, "c")) == "wrong_context"


def test_keys_are_the_same_after_a_restart(tmp_path: Path) -> None:
    first = FileKeyring(tmp_path / "keys", ZONE)
    sealed = first.seal(b"x", "c")
    second = FileKeyring(tmp_path / "keys", ZONE)
    assert second.ledger_public_key() == first.ledger_public_key()
    assert second.ca_certificate_pem() == first.ca_certificate_pem()
    assert second.open(sealed, "c") == b"x"


def test_processes_that_start_at_once_share_one_set_of_keys(tmp_path: Path) -> None:
    def start(_: int) -> tuple[bytes, str]:
        keyring = FileKeyring(tmp_path / "keys", ZONE)
        return keyring.ledger_public_key(), keyring.ca_certificate_pem()

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(start, range(16)))) == 1
    assert not list((tmp_path / "keys").rglob(".*"))


def test_only_the_owner_can_read_the_keys(tmp_path: Path) -> None:
    keyring = FileKeyring(tmp_path / "keys", ZONE)
    keyring.seal(keyring.ledger_public_key() + keyring.ca_certificate_pem().encode(), "c")
    paths = [tmp_path / "keys", *(tmp_path / "keys").rglob("*")]
    assert len(paths) == 5
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in paths)


def test_a_keyring_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o750)
    keyring = FileKeyring(tmp_path / "keys", ZONE)
    assert refusal(keyring.ledger_public_key) == "keyring_exposed"
    (tmp_path / "keys").chmod(0o700)
    assert keyring.ledger_public_key()


def test_a_directory_that_cannot_be_made_is_worth_another_try(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    keyring = FileKeyring(tmp_path / "file" / "keys", ZONE)
    with pytest.raises(Unavailable):
        keyring.seal(b"x", "c")
    (tmp_path / "file").unlink()
    assert keyring.open(keyring.seal(b"x", "c"), "c") == b"x"


def test_without_a_zone_any_name_may_be_issued(tmp_path: Path) -> None:
    for keyring in (MemoryKeyring(), FileKeyring(tmp_path / "keys")):
        issued = keyring.issue_certificate(["moh.gov.iq"], 30)
        assert verify(keyring, issued, "moh.gov.iq", tmp_path) == 0
