import hashlib
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.ports.cloud.port import ReleaseFile
from control_plane.releases.rules import (
    MAX_FILES,
    ManifestRefused,
    ReleaseTooLarge,
    TooManyFiles,
    check_manifest,
    decode_manifest,
    encode_manifest,
)
from control_plane.releases.rules.manifest import REASONS

DIGEST = hashlib.sha256(b"content").hexdigest()


def files_at(paths: Iterable[str]) -> list[ReleaseFile]:
    return [ReleaseFile(path, DIGEST, 7) for path in paths]


def reasons_of(files: list[ReleaseFile]) -> list[tuple[str, str]]:
    with pytest.raises(ManifestRefused) as refused:
        check_manifest(files)
    return [(o["path"], o["reason"]) for o in refused.value.facts["offences"]]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../etc/passwd", "outside"),
        ("css/../../etc/passwd", "outside"),
        ("./index.html", "outside"),
        ("/etc/passwd", "absolute"),
        ("css\\site.css", "backslash"),
        ("..\\..\\windows", "backslash"),
        ("a\nb", "control"),
        ("a\x00b", "control"),
        ("a\x7fb", "control"),
        ("invoice\u202efdp.exe", "control"),
        ("css//site.css", "empty"),
        ("css/", "empty"),
        ("", "empty"),
        ("cafe\u0301.html", "form"),
        ("a" * 256, "long"),
        ("/".join(["d" * 100] * 12), "long"),
        ("/".join(["d"] * 40), "deep"),
        ("bad\udcff", "text"),
        (".well-known/edubba/deployment", "reserved"),
        (".WELL-KNOWN/Edubba/deployment", "reserved"),
        (".well-known/edubba", "reserved"),
    ],
)
def test_a_path_that_could_mean_something_else_is_refused_with_its_reason(
    path: str, reason: str
) -> None:
    assert [found for _, found in reasons_of(files_at(["index.html", path]))] == [reason]


@pytest.mark.parametrize(
    "path",
    [
        "index.html",
        "دليل-اللقاحات/جدول اللقاحات.html",
        ".well-known/security.txt",
        ".well-known/edubba2/x",
        "a.b..c/...",
        "مي\u200cخواهم.html",
        "日本語/ファイル.txt",
    ],
)
def test_names_in_any_language_are_welcome(path: str) -> None:
    assert check_manifest(files_at([path])).files[0].path == path


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("Logo.png", "logo.png", "collides"),
        ("STRASSE", "straße", "collides"),
        ("ﬁle", "file", "collides"),
        ("Å.html", "å.html", "collides"),
        ("CSS/a.css", "css/b.css", "collides"),
        ("index.html", "index.html", "doubled"),
        ("docs", "docs/index.html", "file_and_folder"),
        ("docs/index.html", "docs", "file_and_folder"),
        ("Docs", "docs/index.html", "file_and_folder"),
    ],
)
def test_two_names_that_are_one_somewhere_are_refused(first: str, second: str, reason: str) -> None:
    assert [found for _, found in reasons_of(files_at([first, second]))] == [reason]


def test_only_plain_modes_sound_digests_and_true_sizes_are_accepted() -> None:
    files = [
        ReleaseFile("setuid", DIGEST, 7, 0o4755),
        ReleaseFile("writable", DIGEST, 7, 0o666),
        ReleaseFile("short", "abc", 7),
        ReleaseFile("upper", DIGEST.upper(), 7),
        ReleaseFile("negative", "0" * 64, -1),
        ReleaseFile("one", "1" * 64, 7),
        ReleaseFile("other", "1" * 64, 8),
    ]
    assert reasons_of(files) == [
        ("setuid", "mode"),
        ("writable", "mode"),
        ("short", "digest"),
        ("upper", "digest"),
        ("negative", "size"),
        ("other", "size"),
    ]


def test_the_first_twenty_offences_are_listed_and_all_are_counted() -> None:
    with pytest.raises(ManifestRefused) as refused:
        check_manifest(files_at(f"/{number}" for number in range(55)))
    assert refused.value.facts["count"] == 55
    assert len(refused.value.facts["offences"]) == 20


def test_an_offending_name_is_shown_without_its_control_characters() -> None:
    assert reasons_of(files_at(["a\x1b[2Jb\u202e"])) == [("a\\x1b[2Jb\\u202e", "control")]


def test_a_release_without_files_is_refused() -> None:
    assert reasons_of([]) == [("", "empty")]


def test_two_hundred_thousand_files_are_refused_with_limit_and_count() -> None:
    with pytest.raises(TooManyFiles) as refused:
        check_manifest(files_at(f"{number}.html" for number in range(200_000)))
    assert refused.value.facts == {"count": 200_000, "limit": MAX_FILES}


def test_a_claim_of_ten_gigabytes_is_refused_with_limit_and_count() -> None:
    with pytest.raises(ReleaseTooLarge) as refused:
        check_manifest([ReleaseFile("huge.iso", DIGEST, 10_000_000_000)])
    assert refused.value.facts == {"count": 10_000_000_000, "limit": 4 << 30}


def test_a_disk_smaller_than_the_release_is_named() -> None:
    with pytest.raises(ReleaseTooLarge) as refused:
        check_manifest([ReleaseFile("a", DIGEST, 101)], max_bytes=100)
    assert refused.value.facts == {"count": 101, "limit": 100}


def test_every_reason_that_a_path_can_be_refused_for_has_its_words() -> None:
    assert all(REASONS.values())


@given(st.sets(st.integers(0, 10_000), min_size=1, max_size=40), st.randoms())
def test_the_order_in_which_files_are_listed_does_not_change_the_digest(
    numbers: set[int], random: Random
) -> None:
    files = files_at(f"{number % 7}/{number}.html" for number in numbers)
    shuffled = list(files)
    random.shuffle(shuffled)
    assert check_manifest(files).digest == check_manifest(shuffled).digest


@given(st.integers(0, 1 << 30), st.sampled_from([0o644, 0o755]))
def test_a_manifest_reads_back_as_it_was_written(size: int, mode: int) -> None:
    manifest = check_manifest(
        [ReleaseFile("دليل/x", DIGEST, size, mode), ReleaseFile("a", "0" * 64, 0)]
    )
    encoded = encode_manifest(manifest)
    assert decode_manifest(encoded) == manifest
    assert hashlib.sha256(encoded).hexdigest() == manifest.digest


def test_something_else_is_not_read_as_a_manifest() -> None:
    with pytest.raises(ValueError, match="not a manifest"):
        decode_manifest(b'{"format":"other","files":[]}')
