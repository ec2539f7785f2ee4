"""A server in OpenStack from its first second to its last: told, probed, served from, ended."""

import http.client
import json
import signal
import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.kit.errors import Refused
from tests.guest.world import ADDRESS, GATEWAY, METADATA, World, a_machine
from tests.images import prepared_disk
from tests.locald.world import Release
from tests.waiting import wait_until

pytestmark = pytest.mark.root


def page(world: World, path: str) -> tuple[int, bytes]:
    def ask() -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection(ADDRESS, 80, timeout=10)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    found: tuple[int, bytes] = world.inside(ask)
    return found


def test_a_server_says_which_image_it_is_and_that_it_answers(world: World) -> None:
    record = json.loads(prepared_disk().with_suffix(".json").read_text())
    state = world.ask("state")
    assert (state["image"], state["up"], state["reasons"]) == (record["digest"], True, [])


def test_a_release_goes_live_through_the_door(world: World, tmp_path: Path) -> None:
    release, fence = Release(tmp_path, {"index.html": b"<h1>Ur</h1>"}), world.a_fence()
    digests = [file.digest for file in release.spec.files]
    assert world.list_missing_blobs(world.server_id, digests) == frozenset(digests)
    world.put_blobs(world.server_id, iter(release.blobs().items()), fence)
    assert world.list_missing_blobs(world.server_id, digests) == frozenset()
    world.assemble_release(world.server_id, release.spec, fence)
    checked = world.check_release(world.server_id, release.deployment_id, "/index.html")
    assert checked.passed, checked.output
    world.switch_release(world.server_id, release.deployment_id, fence)
    assert page(world, "/index.html") == (200, b"<h1>Ur</h1>")
    assert world.inspect_server(world.server_id).down == ()


def test_a_change_by_who_lost_the_lease_is_refused(world: World, tmp_path: Path) -> None:
    release, fence = Release(tmp_path, {"index.html": b"x"}), world.a_fence()
    world.put_blobs(world.server_id, iter(release.blobs().items()), fence)
    older = replace(fence, counter=fence.counter - 1)
    with pytest.raises(Refused) as refused:
        world.assemble_release(world.server_id, release.spec, older)
    assert refused.value.code == "stale_fence"


def test_the_probe_reaches_nothing_and_has_proved_that_it_could(world: World) -> None:
    report = world.ask("probe", about={"targets": []})
    assert report["controls_passed"] is True
    assert report["reached"] == []
    assert {"metadata", "metadata on the link", "outside", "gateway 22"} <= set(report["tried"])


def test_the_probe_finds_a_way_that_somebody_opened(world: World) -> None:
    with world.inside(lambda: socket.create_server((GATEWAY, 4444))):
        found = {"name": "neighbour", "address": GATEWAY, "port": 4444}
        report = world.ask("probe", about={"targets": [found]})
    assert report["reached"] == ["neighbour"]


def test_the_probe_finds_metadata_that_are_open() -> None:
    with a_machine(World.user_data) as world:
        wait_until(world.is_up)
        world.in_server("nft delete table inet edubba")
        report = world.ask("probe", about={"targets": []})
        assert "metadata" not in report["reached"]  # there is no route
        world.in_server(f"busybox ip route del unreachable {METADATA}/32")
        report = world.ask("probe", about={"targets": []})
        assert "metadata" in report["reached"]


def test_a_server_whose_service_is_down_says_so_and_mends_itself() -> None:
    with a_machine(World.user_data) as world:
        wait_until(world.is_up)
        world.in_server("kill -9 $(cat /run/edubba/process)")
        wait_until(lambda: "process ended with -9" in world.console.text)
        wait_until(world.is_up)


def test_limits_hold_for_what_serves_a_tenant(world: World) -> None:
    lacking = world.ask("state")["unlimited"]
    for name, file, value in (
        ("memory", "memory.limit_in_bytes", str(128 << 20)),
        ("pids", "pids.max", "64"),
    ):
        if name not in lacking:
            path = f"/sys/fs/cgroup/{name}/edubba-process/{file}"
            assert world.in_server(f"cat {path}").strip() == value


def test_everybody_may_write_only_where_the_image_says(world: World) -> None:
    process = world.in_server("cat /run/edubba/process").strip()
    world.in_server(f"nsenter -t {process} -m touch /srv/site/x && rm /srv/site/x")
    for path in ("/etc/x", "/usr/x", "/x", "/var/lib/x", "/proc/sys/kernel/hostname"):
        code = world.in_server(f"nsenter -t {process} -m touch {path} 2>/dev/null; echo $?")
        written = world.in_server(f"nsenter -t {process} -m sh -c 'echo a > {path}'; echo $?")
        assert code.strip() != "0" or written.strip() != "0", path


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"server_id": "../x"},
        {"user_ca": "ssh-rsa AAAA"},
        {"limits": {"memory_mib": 0}},
    ],
)
def test_user_data_of_no_use_start_nothing_and_are_told(change: dict[str, object]) -> None:
    with a_machine(lambda world: world.user_data(**change)) as world:
        wait_until(lambda: "of no use" in world.console.text)
        assert next(iter(change)) in world.console.text
        assert world.in_server("pidof sshd nginx || true") == ""


def test_a_server_that_is_told_late_starts_then() -> None:
    with a_machine() as world:
        wait_until(lambda: "lease of" in world.in_server("cat /var/log/edubba/dhcp.log || true"))
        assert world.console.line("EDUBBA-HOST-KEY") is None
        world.place.tell(world.user_data())
        wait_until(world.is_up)


def test_a_server_ends_by_itself_when_its_cloud_says_so() -> None:
    with a_machine(World.user_data) as world:
        wait_until(world.is_up)
        request = b"\x69\x19\x09\x03\x01\0\0\0" + b"0\0\0\0" + bytes(372)
        octal = "".join(f"\\{byte:03o}" for byte in request)
        world.in_server(f"printf '{octal}' > /run/initctl")
        assert world.process.wait(timeout=40) == 0
        assert "edubba: ending" in world.console.text


def test_a_server_ends_by_itself_at_a_signal() -> None:
    with a_machine(World.user_data) as world:
        wait_until(world.is_up)
        world.signal(signal.SIGTERM)
        assert world.process.wait(timeout=40) == 0
