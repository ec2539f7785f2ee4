"""One server hands all that was written in it to another that takes its place."""

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.cloud.openstack.guests import PROGRAM, fence_arguments
from control_plane.ports.cloud.port import Fence
from control_plane.ports.cloud.receiver import Write
from tests.guest.test_server import page
from tests.guest.world import World, a_machine
from tests.locald.world import Release
from tests.waiting import wait_until

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def fence() -> Fence:
    return Fence("lif_" + "0" * 26, 5)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, fence: Fence) -> Iterator[World]:
    """A server with a release that is live."""
    with a_machine(World.user_data) as found:
        wait_until(found.is_up)
        release = Release(tmp_path_factory.mktemp("release"), {"index.html": b"<h1>Uruk</h1>"})
        release.deploy(found, found.server_id, fence)
        yield found


def rest(world: World, fence: Fence) -> None:
    world.ask("rest", *fence_arguments(fence))


def wake(world: World, fence: Fence) -> None:
    world.ask("wake", *fence_arguments(fence))
    wait_until(world.is_up)


def packed(world: World) -> "subprocess.CompletedProcess[bytes]":
    argv = [*world.guests._ssh(world.door), shlex.join([PROGRAM, "pack"])]
    done: subprocess.CompletedProcess[bytes] = world.inside(
        lambda: subprocess.run(argv, check=False, capture_output=True, timeout=60)
    )
    return done


def unpack(world: World, fence: Fence, content: bytes) -> None:
    def feed(write: Write) -> None:
        write(content)

    world.inside(lambda: world.guests.talk(world.door, ["unpack", *fence_arguments(fence)], feed))


def test_a_server_that_rests_serves_nobody_until_it_is_woken(first: World, fence: Fence) -> None:
    rest(first, fence)
    assert first.ask("state")["reasons"] == ["process_missing"]
    with pytest.raises(OSError, match="refused"):
        page(first, "/index.html")
    wake(first, fence)
    assert page(first, "/index.html") == (200, b"<h1>Uruk</h1>")


def test_its_successor_serves_what_it_served_and_knows_its_fences(
    first: World, fence: Fence, tmp_path: Path
) -> None:
    with a_machine(World.user_data) as second:
        wait_until(second.is_up)
        for world in (first, second):
            rest(world, fence)
        done = packed(first)
        assert done.returncode == 0, done.stderr
        older = Fence("lif_" + "1" * 26, 3)
        unpack(second, older, done.stdout)
        wake(second, fence)
        assert page(second, "/index.html") == (200, b"<h1>Uruk</h1>")
        with pytest.raises(Refused) as refused:
            Release(tmp_path, {"a": b"a"}).deploy(second, second.server_id, Fence(fence.life_id, 4))
        assert refused.value.code == "stale_fence"
    wake(first, fence)


def test_nothing_is_packed_while_the_server_serves(first: World) -> None:
    wait_until(first.is_up)
    done = packed(first)
    assert (done.returncode, b"server_not_resting" in done.stdout) == (3, True)


def test_what_came_by_half_is_no_success(first: World, fence: Fence) -> None:
    rest(first, fence)
    content = packed(first).stdout
    with pytest.raises(Unavailable):
        unpack(first, fence, content[: len(content) // 2])
    wake(first, fence)
