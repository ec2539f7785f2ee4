"""A server gets another image of its kind: what it serves stays, what it starts from is new."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from control_plane.ports.cloud.memory import STATIC_SITE
from control_plane.ports.cloud.port import ServerSpec
from tests.contracts.clouds import Stage
from tests.contracts.conftest import a_stage
from tests.contracts.openstack import OpenStack, openstack_with_guests
from tests.images import prepared_disk
from tests.openstack.fast import an_image
from tests.openstack.tiers import administrator
from tests.waiting import wait_until

pytestmark = [pytest.mark.cloud, pytest.mark.slow]
PAGE = b"<h1>Nippur</h1>"
EDITION = Path("/etc/edition")  # a file that the newer image alone has


@pytest.fixture(scope="module")
def world() -> Iterator[OpenStack]:
    with openstack_with_guests() as found:
        yield found


@pytest.fixture
def stage(world: OpenStack, tmp_path: Path) -> Iterator[Stage]:
    with a_stage(Stage(world, tmp_path)) as found:
        yield found


@pytest.fixture
def newer(stage: Stage, tmp_path: Path) -> Iterator[tuple[ServerSpec, str]]:
    """A server that serves a page, and the digest of an image newer than its own."""
    spec = stage.a_server()
    stage.a_release(index__html=PAGE).deploy(stage.cloud, spec.server_id, stage.fence)
    disk, edition = tmp_path / "newer.raw", tmp_path / "edition"
    shutil.copyfile(prepared_disk(), disk)
    edition.write_text("second\n")
    wish = tmp_path / "wish"
    wish.write_text(f"cd {EDITION.parent}\nwrite {edition} {EDITION.name}\n")
    subprocess.run(["debugfs", "-w", "-f", str(wish), str(disk)], check=True)
    digest = f"sha256:{sha256(disk.read_bytes()).hexdigest()}"
    with administrator() as admin, an_image(admin, digest, disk, STATIC_SITE.family):
        yield spec, digest


def test_a_newer_image_takes_over_what_was_written_and_the_older_one_can_come_back(
    world: OpenStack, stage: Stage, newer: tuple[ServerSpec, str]
) -> None:
    spec, digest = newer
    with pytest.raises(subprocess.CalledProcessError):
        world.run(spec, "cat", str(EDITION))
    rolled = replace(spec, image=digest)
    assert stage.running(rolled).image == digest
    wait_until(lambda: stage.get(rolled, "/") == (200, PAGE), timeout_s=60)
    assert world.run(rolled, "cat", str(EDITION)) == "second\n"
    assert stage.running(spec).image == spec.image
    wait_until(lambda: stage.get(spec, "/") == (200, PAGE), timeout_s=60)
    servers = [one for one in stage.cloud.list_objects() if one.kind == "server"]
    assert [one.object_id for one in servers] == [spec.server_id]
