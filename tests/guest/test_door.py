"""Who gets into a server in OpenStack: a certificate for it, and nothing else."""

import subprocess
import time
from datetime import timedelta
from ipaddress import IPv4Network

import pytest

from control_plane.kit.ids import new_id
from control_plane.ports.cloud.openstack.certificates import Authority
from tests.guest.world import ADDRESS, World
from tests.waiting import wait_until

pytestmark = pytest.mark.root

MINUTES = timedelta(minutes=3)


def test_a_certificate_for_this_server_opens_it(world: World) -> None:
    assert world.certificate(world.server_id, MINUTES).do("id -u") == (0, "0\n")


@pytest.mark.parametrize("principal", ["hst_01m0000000e00000000000000a", "root", ""])
def test_a_certificate_for_anything_else_opens_nothing(world: World, principal: str) -> None:
    code, said = world.certificate(principal, MINUTES).do("id -u")
    assert code == 255
    assert "Permission denied" in said


def test_a_certificate_that_is_over_opens_nothing(world: World) -> None:
    key = world.certificate(world.server_id, timedelta(seconds=-1))
    assert key.do("id -u")[0] == 255


def test_a_certificate_of_a_foreign_authority_opens_nothing(world: World) -> None:
    folder = world.place.folder / new_id("frn")
    folder.mkdir()
    foreign = Authority(folder, [IPv4Network("10.77.0.0/24")])
    key = world.certificate(world.server_id, MINUTES)
    issued = foreign.issue(world.server_id, "test", MINUTES)
    key.write("key", issued.private)
    key.write("key-cert.pub", issued.certificate)
    assert key.do("id -u")[0] == 255


def test_a_key_without_a_certificate_opens_nothing(world: World) -> None:
    key = world.certificate(world.server_id, MINUTES)
    (key.folder / "key-cert.pub").unlink()
    assert key.do("id -u")[0] == 255


def test_a_certificate_is_of_no_use_from_elsewhere(world: World) -> None:
    folder = world.place.folder / new_id("src")
    folder.mkdir()
    key = world.certificate(world.server_id, MINUTES)
    elsewhere = Authority(world.place.folder / "ca", [IPv4Network("192.0.2.0/24")])
    key.write("key-cert.pub", elsewhere.issue(world.server_id, "test", MINUTES).certificate)
    assert key.do("id -u")[0] == 255


def test_what_a_certificate_forces_is_all_that_it_does(world: World) -> None:
    key = world.certificate(world.server_id, MINUTES, "echo forced")
    assert key.do("id -u") == (0, "forced\n")


def test_nothing_is_forwarded_through_a_server(world: World) -> None:
    key = world.certificate(world.server_id, MINUTES)
    argv = ["ip", "netns", "exec", f"{world.place.name}-o", *key.argv("true")]
    through = [*argv[:-2], "-o", "ExitOnForwardFailure=yes", "-R", "8099:127.0.0.1:80", *argv[-2:]]
    done = subprocess.run(through, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "forwarding failed" in done.stderr


def test_the_host_key_is_told_once_before_anything_of_a_tenant_runs(world: World) -> None:
    assert world.console.text.count("EDUBBA-HOST-KEY ssh-ed25519 ") == 1
    kept = world.in_server("cat /var/lib/edubba/guest/ssh/host_ed25519.new.pub || true")
    public = world.in_server("ssh-keygen -y -f /var/lib/edubba/guest/ssh/host_ed25519")
    assert public.split()[:2] == world.host_key.split()
    assert "PRIVATE" not in kept


def test_a_tenant_cannot_read_the_host_key_nor_write_to_the_console(world: World) -> None:
    run_id, key = world.open_run(world.a_fence(), int(time.time()) + 300)
    said = key.do(
        "cat /var/lib/edubba/guest/ssh/host_ed25519;"
        " echo EDUBBA-HOST-KEY x > /dev/console; rm -f /dev/console"  # a file of the rooms' own
    )
    assert "No such file" in said[1]
    assert world.console.text.count("EDUBBA-HOST-KEY") == 1
    assert run_id


def test_the_door_is_open_again_after_its_keeper_fell_over(world: World) -> None:
    world.in_server("kill -9 $(pidof sshd)")

    def opens() -> bool:
        return world.certificate(world.server_id, MINUTES).do("true")[0] == 0

    wait_until(opens)
    assert "sshd ended with -9" in world.console.text


def test_a_server_knocks_at_its_own_door_in_vain(world: World) -> None:
    code = world.in_server(f"busybox nc -w 2 {ADDRESS} 22 </dev/null >/dev/null 2>&1; echo $?")
    assert code.strip() != "0"
