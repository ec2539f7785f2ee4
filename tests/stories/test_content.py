"""Real content: the manual of Python as Debian ships it, served as it was released."""

import gzip
import os
import shutil
from pathlib import Path

import pytest

from tests.stories.hosted import Site, digest_of
from tests.stories.installation import Installation
from tests.stories.sites import ARABIC, ARABIC_PAGE, NOT_FOUND_PAGE, files_of, random_file
from tests.stories.visitor import Visitor

pytestmark = [pytest.mark.root, pytest.mark.exhaustive]
PAGE = "library/asyncio-task.html"


@pytest.fixture(scope="module")
def released(library: Site, manual: Path) -> Site:
    """Give the library's site with the manual live on it."""
    ended = library.end_of(library.begin_deployment(library.release(manual)), 120)
    assert ended["status"] == "live", ended
    return library


@pytest.fixture
def visitor(released: Site) -> Visitor:
    return released.visitor()


def test_every_file_is_served_byte_for_byte(visitor: Visitor, manual: Path) -> None:
    files = files_of(manual)
    assert len(files) > 1000
    wrong = [
        path
        for path, file in files.items()
        if path != "404.html" and visitor.get("/" + path).body != file.read_bytes()
    ]
    assert wrong == []


def test_a_browser_that_has_the_page_gets_304(visitor: Visitor) -> None:
    first = visitor.get("/" + PAGE)
    again = visitor.get("/" + PAGE, {"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert visitor.get("/" + PAGE, {"If-None-Match": '"other"'}).status == 200


def test_a_part_of_a_file_can_be_asked_for(visitor: Visitor, manual: Path) -> None:
    whole = (manual / PAGE).read_bytes()
    part = visitor.get("/" + PAGE, {"Range": "bytes=100-299"})
    assert (part.status, part.body) == (206, whole[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(whole)}"
    assert visitor.get("/" + PAGE, {"Range": f"bytes={len(whole)}-"}).status == 416


def test_text_is_compressed_for_who_asks(visitor: Visitor, manual: Path) -> None:
    packed = visitor.get("/" + PAGE, {"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < (manual / PAGE).stat().st_size / 2
    assert gzip.decompress(packed.body) == (manual / PAGE).read_bytes()


def test_what_is_missing_shows_the_sites_own_page(visitor: Visitor) -> None:
    reply = visitor.get("/not/here.html")
    assert (reply.status, reply.body.decode()) == (404, NOT_FOUND_PAGE)


def test_a_page_with_an_arabic_name_is_served(visitor: Visitor) -> None:
    reply = visitor.get("/" + ARABIC)
    assert (reply.status, reply.body.decode()) == (200, ARABIC_PAGE)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"


def test_a_release_with_three_files_changed_uploads_three_blobs(
    installation: Installation, released: Site, manual: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(manual, changed, copy_function=os.link)
    for name in ("index.html", PAGE, ARABIC):
        text = (manual / name).read_bytes()
        (changed / name).unlink()
        (changed / name).write_bytes(text + b"<!-- 2 -->\n")
    told = installation.cli(released.owner.account).ask(
        "deploy", str(changed), "--hosting", f"{released.agency}:manual", "--wait"
    )
    assert told["uploaded"] == {"blobs": 3, "bytes": pytest.approx(0, abs=10_000_000)}
    visitor = released.visitor()
    for path, file in list(files_of(changed).items())[::10]:
        if path != "404.html":
            assert visitor.get("/" + path).body == file.read_bytes(), path


def test_a_file_of_200_mb_is_served(released: Site, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("large")
    large = random_file(tmp_path / "archive.tar", mib=200)
    ended = released.end_of(released.begin_deployment(released.release(tmp_path)), 120)
    assert ended["status"] == "live", ended
    assert released.visitor().digest("/archive.tar") == (200 << 20, digest_of(large))
