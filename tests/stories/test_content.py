"""Real content: the manual of Python as Debian ships it, served as it was released."""

import gzip
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.hosted import Site, digest_of
from tests.stories.sites import ARABIC, ARABIC_PAGE, NOT_FOUND_PAGE, files_of, random_file
from tests.stories.visitor import Visitor

pytestmark = pytest.mark.root
PAGE = "library/asyncio-task.html"


@pytest.fixture(scope="module")
def released(library: Site, manual: Path) -> Site:
    """Give the library's site with the manual live on it."""
    assert library.deploy_as_pipeline(manual)["status"] == "live"
    return library


@pytest.fixture
def visitor(released: Site) -> Iterator[Visitor]:
    visitor = released.visitor()
    yield visitor
    visitor.close()


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
    released: Site, visitor: Visitor, manual: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(manual, changed, copy_function=os.link)
    names = ("index.html", PAGE, ARABIC)
    for name in names:
        text = (manual / name).read_bytes()
        (changed / name).unlink()
        (changed / name).write_bytes(text + b"<!-- 2 -->\n")
    told = released.deploy_as_pipeline(changed)
    sizes = [(changed / name).stat().st_size for name in names]
    assert told["uploaded"] == {"blobs": 3, "bytes": sum(sizes)}
    for path, file in files_of(changed).items():
        if path != "404.html":
            assert visitor.get("/" + path).body == file.read_bytes(), path


def test_a_file_of_200_mb_is_served(released: Site, visitor: Visitor, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("large")
    large = random_file(tmp_path / "archive.tar", mib=200)
    assert released.deploy_as_pipeline(tmp_path)["status"] == "live"
    assert visitor.digest("/archive.tar") == (200 << 20, digest_of(large))
