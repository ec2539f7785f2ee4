"""Signed notes against the reference implementation's vector, and strictness in reading them."""

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from control_plane.ledger import note
from control_plane.ledger.merkle import EMPTY_ROOT
from control_plane.ledger.note import Checkpoint, NoteInvalid, VerifierKey

# golang.org/x/mod/sumdb/note, note_test.go: the reference that c2sp.org/signed-note grew from.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_SIGNATURE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6"
    "KE6RyyBwJnAM=\n"
)
GO_NOTE = f"{GO_TEXT}\n{GO_SIGNATURE}"
# The example of c2sp.org/tlog-checkpoint; its key is not published, so it is parsed only.
C2SP_CHECKPOINT = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q"
    "1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = VerifierKey("edubba.test/ledger", PRIVATE.public_key().public_bytes_raw())
CHECKPOINT = Checkpoint(KEY.name, 7, EMPTY_ROOT)
NOTE = note.signed_note(CHECKPOINT.text(), KEY, PRIVATE.sign(CHECKPOINT.text().encode()))


def test_the_reference_note_opens_with_the_reference_key() -> None:
    assert note.open_note(GO_NOTE, VerifierKey.parse(GO_VKEY)) == GO_TEXT


def test_signing_the_reference_text_gives_the_reference_note() -> None:
    private = Ed25519PrivateKey.from_private_bytes(GO_SEED)
    key = VerifierKey("PeterNeumann", private.public_key().public_bytes_raw())
    assert str(key) == GO_VKEY
    assert note.signed_note(GO_TEXT, key, private.sign(GO_TEXT.encode())) == GO_NOTE


def test_the_specifications_checkpoint_is_read() -> None:
    parsed = note.parse_note(C2SP_CHECKPOINT)
    checkpoint = note.parse_checkpoint(parsed.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text() == parsed.text
    assert [(s.name, len(s.signature)) for s in parsed.signatures] == [(checkpoint.origin, 64)]


@given(st.integers(0, len(GO_VKEY)), st.integers(0, len(GO_VKEY)))
def test_a_piece_of_a_vkey_is_no_vkey(start: int, end: int) -> None:
    if (start, end) != (0, len(GO_VKEY)):
        with pytest.raises(NoteInvalid):
            VerifierKey.parse(GO_VKEY[start:end])


@given(st.integers(0, len(GO_VKEY) - 1), st.characters(codec="utf-8"))
def test_a_vkey_with_another_character_is_no_vkey(at: int, character: str) -> None:
    if character != GO_VKEY[at]:
        with pytest.raises(NoteInvalid):
            VerifierKey.parse(GO_VKEY[:at] + character + GO_VKEY[at + 1 :])


@pytest.mark.parametrize(
    "vkey",
    [  # the reference's two: a key too long and an unknown algorithm, each with the matching id
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_a_key_of_the_wrong_kind_is_refused(vkey: str) -> None:
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(vkey)


@given(st.integers(0, len(NOTE) - 1), st.characters(codec="utf-8"))
def test_a_note_with_another_character_does_not_open(at: int, character: str) -> None:
    if character != NOTE[at]:
        with pytest.raises(NoteInvalid):
            note.open_checkpoint(NOTE[:at] + character + NOTE[at + 1 :], KEY)


@given(st.integers(0, len(NOTE) - 1))
def test_a_note_cut_short_does_not_open(end: int) -> None:
    with pytest.raises(NoteInvalid):
        note.open_checkpoint(NOTE[:end], KEY)


def test_a_cosignature_of_an_unknown_key_is_passed_over() -> None:
    cosigned = NOTE + GO_SIGNATURE
    assert note.open_checkpoint(cosigned, KEY) == CHECKPOINT
    assert note.open_checkpoint(NOTE.replace("\n\n", "\n\n" + GO_SIGNATURE), KEY) == CHECKPOINT


def test_a_second_signature_of_the_key_must_verify_too() -> None:
    forged = b64encode(KEY.key_id + bytes(64)).decode()
    with pytest.raises(NoteInvalid, match="does not verify"):
        note.open_note(f"{NOTE}— {KEY.name} {forged}\n", KEY)


def test_another_key_under_the_same_name_does_not_open_it() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    with pytest.raises(NoteInvalid, match="not signed by"):
        note.open_note(NOTE, VerifierKey(KEY.name, other))


def test_a_checkpoint_of_another_log_signed_with_this_key_is_refused() -> None:
    text = Checkpoint("edubba.test/other", 7, EMPTY_ROOT).text()
    signed = note.signed_note(text, KEY, PRIVATE.sign(text.encode()))
    with pytest.raises(NoteInvalid, match=r"of 'edubba\.test/other'"):
        note.open_checkpoint(signed, KEY)


def test_a_signature_that_nobody_could_verify_is_not_made_into_a_note() -> None:
    with pytest.raises(NoteInvalid):
        note.signed_note(CHECKPOINT.text(), KEY, bytes(64))


ROOT = b64encode(EMPTY_ROOT).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"log\n07\n{ROOT}\n",
        f"log\n+7\n{ROOT}\n",
        f"log\n٧\n{ROOT}\n",
        f"log\n-1\n{ROOT}\n",
        f"log\n{10**19}\n{ROOT}\n",
        f"log\n7\n{ROOT}",
        f"log\n7\n{ROOT}\n\n",
        f"\n7\n{ROOT}\n",
        "log\n7\n",
        "log\n7\nAAAA\n",
        f"log\n7\n{ROOT[:-2]}V=\n",
        f"log\n7\n {ROOT}\n",
    ],
)
def test_a_sloppy_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        note.parse_checkpoint(text)


def test_extension_lines_are_passed_over() -> None:
    assert note.parse_checkpoint(f"log\n0\n{ROOT}\nanything\n") == Checkpoint("log", 0, EMPTY_ROOT)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\tb", "a\nb", "\ud800"])
def test_a_name_that_a_signature_line_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(NoteInvalid):
        VerifierKey(name, bytes(32))


@pytest.mark.parametrize(
    "broken",
    [
        GO_TEXT,
        GO_TEXT + GO_SIGNATURE,
        "\n\n" + GO_SIGNATURE,
        GO_NOTE.replace("— ", "- "),
        GO_NOTE.replace("you think", "you\tthink"),
        GO_NOTE + GO_SIGNATURE * 100,
        GO_TEXT + "\n— PeterNeumann x08gow==\n",
        GO_TEXT * 20_000 + "\n" + GO_SIGNATURE,
    ],
)
def test_what_is_no_note_is_refused(broken: str) -> None:
    with pytest.raises(NoteInvalid):
        note.parse_note(broken)
