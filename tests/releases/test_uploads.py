"""Bad content over HTTP gets a clear answer, leaves nothing behind, and nothing else is lost."""

import hashlib
import io
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import zstandard
from httpx2 import Response

from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.ports.blobs.files import FileBlobs
from tests.api import User, a_person, an_agency, an_api
from tests.serving import served
from tests.waiting import wait_until

GOOD = b"<h1>hello</h1>"
STORE = "/v1/agencies/health"
ZSTD = {"Content-Encoding": "zstd"}


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Place:
    """An agency's owner, the files of the store, and the address of a real server."""

    owner: User
    root: Path
    url: str

    def put(self, digest: str, body: Any, size: int, **headers: str) -> Response:
        path = f"{STORE}/blobs/{digest}?size={size}"
        return self.owner.request("PUT", path, content=body, headers=headers)

    def release(self, *files: dict[str, Any]) -> Response:
        return self.owner.post(f"{STORE}/releases", {"files": list(files)})

    def missing(self, *contents: bytes) -> list[str]:
        answer = self.owner.post(
            f"{STORE}/blobs/missing", {"digests": [digest_of(content) for content in contents]}
        )
        found: list[str] = answer.json()["missing"]
        return found

    def stored(self) -> list[str]:
        """Return every file of the store, also unfinished ones."""
        return sorted(path.name for path in self.root.rglob("*") if path.is_file())


def file_at(path: str, content: bytes = GOOD, **changes: Any) -> dict[str, Any]:
    return {"path": path, "digest": digest_of(content), "size": len(content), **changes}


@pytest.fixture
def place(sqlite_db: Database, tmp_path: Path) -> Iterator[Place]:
    """Give a store with one good file in it, which is still there when the test is over."""
    root = tmp_path / "blobs"
    with an_api(sqlite_db, blobs=FileBlobs(root)) as api, served(api.app) as url:
        owner = a_person(api, Role.OWNER, an_agency(sqlite_db))
        made = Place(owner, root, url)
        assert made.put(digest_of(GOOD), GOOD, len(GOOD)).status_code == 200
        yield made
        assert made.missing(GOOD) == []
        assert made.release(file_at("index.html")).status_code == 201


def test_other_bytes_than_the_digest_names_are_refused_and_not_kept(place: Place) -> None:
    answer = place.put(digest_of(b"what it should be"), b"something else...", 17)
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    assert digest_of(b"something else...") in answer.json()["title"]
    assert place.missing(b"what it should be") == [digest_of(b"what it should be")]
    assert place.stored() == [digest_of(GOOD)]


def test_a_bomb_is_stopped_at_the_size_that_it_claimed(place: Place) -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(1 << 30))
    assert len(bomb) < 100_000
    answer = place.put(digest_of(b"small"), bomb, 200_000, **ZSTD)
    assert (answer.status_code, answer.json()["code"]) == (413, "blob_too_large")
    assert answer.json()["facts"]["limit"] == 200_000
    assert place.stored() == [digest_of(GOOD)]


def test_more_bytes_than_announced_are_refused_and_not_kept(place: Place) -> None:
    answer = httpx2.put(
        f"{place.url}{STORE}/blobs/{digest_of(b'x')}?size=1000",
        content=(bytes(1 << 16) for _ in range(1000)),
        headers={"Authorization": f"Bearer {place.owner.secret}"},
        trust_env=False,
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "blob_too_large")
    assert place.stored() == [digest_of(GOOD)]


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"this is no frame", ZSTD, "encoding_invalid"),
        (zstandard.compress(GOOD)[:-3], ZSTD, "digest_mismatch"),
        (b"x", {"Content-Encoding": "gzip"}, "encoding_unknown"),
    ],
)
def test_what_cannot_be_decompressed_is_said_to_be_so(
    place: Place, body: bytes, headers: dict[str, str], code: str
) -> None:
    answer = place.put(digest_of(b"y"), body, 100, **headers)
    assert answer.json()["code"] == code
    assert answer.json()["mend"]
    assert place.stored() == [digest_of(GOOD)]


def test_a_claim_of_ten_gigabytes_is_refused_before_a_byte_is_sent(place: Place) -> None:
    def never() -> Iterator[bytes]:
        yield b""

    answer = place.put(digest_of(b"z"), never(), 10_000_000_000)
    assert (answer.status_code, answer.json()["code"]) == (422, "payload_invalid")
    assert "size" in str(answer.json()["facts"])
    claimed = place.release(file_at("index.html"), file_at("huge.iso", b"z", size=10_000_000_000))
    assert (claimed.status_code, claimed.json()["code"]) == (422, "release_too_large")
    assert claimed.json()["facts"]["limit"] == 4 << 30


def test_an_upload_cut_half_way_leaves_nothing_and_can_be_sent_again(place: Place) -> None:
    content = os.urandom(4 << 20)
    digest = digest_of(content)
    host, port = place.url.removeprefix("http://").split(":")
    head = [
        f"PUT {STORE}/blobs/{digest}?size={len(content)} HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {place.owner.secret}",
        f"Content-Length: {len(content)}",
    ]
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        connection.sendall(content[: len(content) // 2])
    wait_until(lambda: place.stored() == [digest_of(GOOD)])
    assert place.missing(content) == [digest]
    assert place.put(digest, content, len(content)).status_code == 200
    assert place.missing(content) == []


@pytest.mark.slow
def test_a_list_of_two_hundred_thousand_files_is_refused_with_limit_and_count(
    place: Place,
) -> None:
    answer = place.release(*(file_at(f"{number}.html") for number in range(200_000)))
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_files")
    assert answer.json()["facts"] == {"count": 200_000, "limit": 100_000}


def test_names_that_lead_out_or_collide_are_all_listed_in_the_readers_language(
    place: Place,
) -> None:
    bad = {
        "../up.html": "outside",
        "/etc/passwd": "absolute",
        "Logo.png": None,
        "logo.png": "collides",
        "cafe\u0301.html": "form",
        "docs": None,
        "docs/index.html": "file_and_folder",
    }
    answer = place.release(*map(file_at, bad))
    assert (answer.status_code, answer.json()["code"]) == (422, "manifest_refused")
    offences = answer.json()["facts"]["offences"]
    found = {offence["path"]: offence["reason"] for offence in offences}
    assert found == {path: reason for path, reason in bad.items() if reason}
    arabic = place.owner.post(
        f"{STORE}/releases",
        {"files": [file_at(path) for path in bad]},
        headers={"Accept-Language": "ar"},
    )
    assert arabic.json()["title"] != answer.json()["title"]
    assert arabic.json()["mend"] != answer.json()["mend"]


@pytest.mark.parametrize(
    "changes", [{"mode": "0777"}, {"mode": "4755"}, {"kind": "device"}, {"target": "/etc/passwd"}]
)
def test_a_file_can_be_nothing_but_a_plain_file(place: Place, changes: dict[str, Any]) -> None:
    answer = place.release(file_at("index.html", **changes))
    assert (answer.status_code, answer.json()["code"]) == (422, "payload_invalid")
    assert next(iter(changes)) in json.dumps(answer.json()["facts"])


def test_a_release_of_content_that_was_not_sent_says_what_is_missing(place: Place) -> None:
    answer = place.release(file_at("index.html"), file_at("new.html", b"never sent"))
    assert (answer.status_code, answer.json()["code"]) == (409, "blobs_missing")
    assert answer.json()["facts"]["missing"] == [digest_of(b"never sent")]


def test_a_store_without_room_says_so_and_keeps_what_it_has(
    sqlite_db: Database, tmp_path: Path
) -> None:
    root = tmp_path / "blobs"
    FileBlobs(root).put(digest_of(GOOD), io.BytesIO(GOOD), 100)
    with an_api(sqlite_db, blobs=FileBlobs(root, kept_free_bytes=1 << 60)) as api:
        place = Place(a_person(api, Role.OWNER, an_agency(sqlite_db)), root, "")
        answer = place.put(digest_of(b"new"), b"new", 3)
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
        assert place.stored() == [digest_of(GOOD)]
