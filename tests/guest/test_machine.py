"""The same disk as a virtual machine, emulated here: it boots, grows, serves, ends when asked."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.guest.test_server import page
from tests.guest.world import Console, World, a_place, run
from tests.images import prepared_disk, prepared_kernel
from tests.locald.world import Release
from tests.waiting import wait_until

QEMU = shutil.which("qemu-system-x86_64")
BOOTS_IN_S = 170.0  # a minute and a half on two busy cores; no processor helps
DISK_MIB = 1024

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(QEMU is None, reason="needs Debian's qemu-system-x86"),
]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("machine")
    disk = folder / "machine.raw"
    run("cp", "--sparse=always", str(prepared_disk()), str(disk))
    os.truncate(disk, DISK_MIB << 20)
    with ExitStack() as stack:
        place = stack.enter_context(a_place(folder))
        bridge = "link add br0 type bridge\nlink set br0 up\nlink set eth0 master br0 up\n"
        bridge += "tuntap add tap0 mode tap\nlink set tap0 master br0 up\n"
        run("ip", "-n", f"{place.name}-i", "-batch", "-", input=bridge)
        console = Console()
        stack.callback(console.close)
        argv = qemu(disk, console.path, folder / "monitor")
        process = subprocess.Popen(["ip", "netns", "exec", f"{place.name}-i", *argv])
        stack.callback(process.wait)
        stack.callback(process.send_signal, signal.SIGKILL)
        world = World(place, console, process)
        place.tell(world.user_data())
        wait_until(lambda: console.line("EDUBBA-HOST-KEY "), timeout_s=BOOTS_IN_S)
        wait_until(world.is_up, timeout_s=60)
        yield world


def qemu(disk: Path, console: str, monitor: Path) -> list[str]:
    boot = prepared_kernel()
    return [
        str(QEMU),
        *("-machine", "pc,accel=tcg", "-cpu", "max", "-m", "512", "-display", "none"),
        *("-nodefaults", "-no-reboot", "-serial", console),
        *("-monitor", f"unix:{monitor},server,nowait"),
        *("-kernel", boot["kernel"], "-initrd", boot["initrd"], "-append", boot["command_line"]),
        *("-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"),
        *("-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no"),
        *("-device", "virtio-net-pci,netdev=net"),
    ]


def test_a_virtual_machine_tells_who_it_is_and_serves(machine: World, tmp_path: Path) -> None:
    record = json.loads(prepared_disk().with_suffix(".json").read_text())
    state = machine.ask("state")
    assert (state["image"], state["up"], state["unlimited"]) == (record["digest"], True, [])
    release = Release(tmp_path, {"index.html": b"<h1>Eridu</h1>"})
    release.deploy(machine, machine.server_id, machine.a_fence())
    assert page(machine, "/index.html") == (200, b"<h1>Eridu</h1>")


def test_its_disk_has_grown_to_what_it_was_given(machine: World) -> None:
    _, key = machine.open_run(machine.a_fence(), int(time.time()) + 300)
    code, out = key.do("stat --file-system --format='%b %S' /srv")
    blocks, size = out.split()
    assert (code, int(blocks) * int(size) > 0.9 * (DISK_MIB << 20)) == (0, True)


def test_nothing_is_reached_from_inside(machine: World) -> None:
    report = machine.ask("probe", about={"targets": []})
    assert (report["controls_passed"], report["reached"]) == (True, [])


def test_it_ends_by_itself_when_its_cloud_presses_the_power_button(machine: World) -> None:
    monitor = str(machine.place.folder / "monitor")
    with closing(socket.socket(socket.AF_UNIX)) as link:
        link.connect(monitor)
        link.sendall(b"system_powerdown\n")
        wait_until(lambda: machine.process.poll() is not None, timeout_s=60)
    assert "edubba: ending" in machine.console.text
