"""A folder that could mean something else than it shows is refused whole, with every path."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.cli.walking import read_folder
from control_plane.releases.rules import (
    MAX_FILES,
    MAX_RELEASE_BYTES,
    ManifestRefused,
    ReleaseTooLarge,
    TooManyFiles,
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "docs").mkdir(parents=True)
    (folder / "index.html").write_text("hello")
    (folder / "docs" / "guide.html").write_text("guide")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("not for visitors")
    return folder


def paths_of(site: Path) -> set[str]:
    return {file.path for file in read_folder(site, 2).manifest.files}


def offences_of(site: Path) -> dict[str, str]:
    with pytest.raises(ManifestRefused) as refused:
        read_folder(site, 2)
    return {offence["path"]: offence["reason"] for offence in refused.value.facts["offences"]}


def test_links_that_stay_inside_are_followed(site: Path) -> None:
    (site / "start.html").symlink_to("index.html")
    (site / "guides").symlink_to("docs")
    expected = {"index.html", "docs/guide.html", "start.html", "guides/guide.html"}
    assert paths_of(site) == expected


@pytest.mark.parametrize(
    "target",
    ["../secret/key", "../secret", "/etc/passwd", "docs/../../secret/key", "nowhere", "link", "."],
)
def test_a_link_that_leaves_the_folder_dangles_or_never_ends_is_refused(
    site: Path, target: str
) -> None:
    (site / "link").symlink_to(target)
    assert offences_of(site) == {"link": "link"}


def test_a_link_behind_a_link_that_leaves_the_folder_is_refused(site: Path) -> None:
    (site / "docs" / "out").symlink_to("../../secret")
    (site / "in").symlink_to("docs/out/key")
    assert offences_of(site) == {"docs/out": "link", "in": "link"}


@pytest.fixture
def listener(site: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(site / "socket"))
        yield site / "socket"


def test_devices_pipes_and_sockets_are_refused_and_never_opened(site: Path, listener: Path) -> None:
    os.mkfifo(site / "pipe")  # opening it would wait for ever
    (site / "zero").symlink_to("/dev/zero")
    assert offences_of(site) == {"pipe": "device", listener.name: "device", "zero": "link"}


@pytest.mark.root
def test_a_device_node_is_refused(site: Path) -> None:
    os.mknod(site / "zero", 0o20644, os.makedev(1, 5))
    assert offences_of(site) == {"zero": "device"}


def test_names_that_are_one_name_elsewhere_are_refused(site: Path) -> None:
    for name in ("Logo.png", "logo.png", "caf\u00e9.html", "CAF\u00c9.html"):
        (site / name).write_text(name)
    assert set(offences_of(site).values()) == {"collides"}
    assert len(offences_of(site)) == 2


def test_two_unicode_forms_of_one_name_are_refused(site: Path) -> None:
    for name in ("caf\u00e9.html", "cafe\u0301.html"):
        (site / name).write_text(name)
    assert offences_of(site) == {"caf\u00e9.html": "doubled"}


def test_a_name_in_the_other_unicode_form_is_released_in_the_usual_one(site: Path) -> None:
    (site / "cafe\u0301.html").write_text("as macOS names it")
    assert "caf\u00e9.html" in paths_of(site)


def test_ten_gigabytes_are_refused_before_a_byte_is_read(site: Path) -> None:
    with (site / "huge.iso").open("wb") as file:
        file.truncate(10_000_000_000)
    with pytest.raises(ReleaseTooLarge) as refused:
        read_folder(site, 2)
    assert refused.value.facts["limit"] == MAX_RELEASE_BYTES
    assert refused.value.facts["count"] > 10_000_000_000


@pytest.mark.slow
def test_two_hundred_thousand_files_are_refused_with_limit_and_count(site: Path) -> None:
    for number in range(500):
        (site / "docs" / f"{number}.html").touch()
    for number in range(400):  # each shows the same folder once more
        (site / f"copy{number}").symlink_to("docs")
    with pytest.raises(TooManyFiles) as refused:
        read_folder(site, 2)
    assert refused.value.facts == {"count": 501 * 401 + 1, "limit": MAX_FILES}
