"""Images are made by roles and named by what is in them.

That they are made again alike is seen where `make up` makes one: tests/stories.
"""

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.images import MAKE_IMAGE, find_images, prepare_images, prepared_images

FAMILIES = sorted(path.stem for path in (MAKE_IMAGE.parent / "families").glob("*.json"))

root = pytest.mark.root


@pytest.fixture(params=FAMILIES)
def image(request: pytest.FixtureRequest) -> Path:
    """The image of each family, as an installation has it."""
    family: str = request.param
    folder = prepared_images(family)
    return folder / family / str(find_images(folder.parent, family)[0]["digest"])[7:]


@root
def test_an_image_that_is_there_is_not_made_again() -> None:
    state = prepared_images().parent
    said = prepare_images(state, "static-site")
    assert "changed=0" in said
    assert "A fresh root" in said


@root
def test_an_image_tells_which_packages_it_is_made_of(image: Path) -> None:
    record = json.loads(image.with_suffix(".json").read_text())
    installed = (image / "var/lib/dpkg/status").read_text()
    assert record["packages"]["libc6"] in installed
    assert len(record["packages"]) == installed.count("\nPackage: ") + 1


@root
def test_nothing_of_its_making_is_left_in_an_image(image: Path) -> None:
    for name in ("usr/sbin/policy-rc.d", "etc/resolv.conf", "etc/machine-id", "root/.ansible"):
        assert not (image / name).exists()
    for name in ("dev", "run", "tmp", "var/log", "proc", "sys"):
        assert list((image / name).iterdir()) == []


@root
def test_nothing_in_an_image_makes_another_user_of_who_executes_it(image: Path) -> None:
    files = (path for path in image.rglob("*") if path.is_file() and not path.is_symlink())
    bits = stat.S_ISUID | stat.S_ISGID
    assert [path for path in files if path.stat().st_mode & bits] == []


@root
def test_nothing_in_an_image_can_be_changed_by_everybody(image: Path) -> None:
    everybodys = [
        path
        for path in image.rglob("*")
        if not path.is_symlink()
        and path.stat().st_mode & stat.S_IWOTH
        and path.relative_to(image).parts[-1:] != ("tmp",)
        and path.relative_to(image).parts[:1] not in {("dev",), ("run",)}
    ]
    assert everybodys == []


@root
def test_no_key_of_an_image_is_in_each_server_that_is_made_from_it(image: Path) -> None:
    keys = [*image.glob("etc/ssl/private/*"), *image.glob("etc/ssh/*key*")]
    assert keys == []


@root
def test_what_came_to_nothing_leaves_nothing_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared_images()  # the base is there
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody answers
    with pytest.raises(AssertionError, match=r"static-site could not be made(.|\n)*web server"):
        prepare_images(tmp_path, "static-site")
    assert [p for p in (tmp_path / "images").rglob("*") if p.name != ".lock" and p.is_file()] == []
    assert not list((tmp_path / "images" / "static-site").glob(".making-*"))


def test_a_family_that_is_not_there_is_refused_by_name() -> None:
    argv = ["/usr/bin/python3", "-IS", str(MAKE_IMAGE), "find", "--family=mainframe"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode != 0
    assert "no family" in done.stderr
    assert "mainframe" in done.stderr
