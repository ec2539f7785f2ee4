"""What one server may use at most, and that its neighbour does not notice."""

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.ports.cloud.port import Limits, ServerSpec
from tests.locald.world import SMALL, LocaldWorld, Release
from tests.waiting import wait_until

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def pair(world: LocaldWorld, tmp_path_factory: pytest.TempPathFactory) -> list[ServerSpec]:
    limits = Limits(memory_mib=96, cpu_millis=300, pids=32, disk_mib=64)
    specs = [world.a_running_server(limits=limits), world.a_running_server()]
    release = Release(tmp_path_factory.mktemp("site"), {"index.html": b"up"})
    for spec in specs:
        release.deploy(world.cloud, spec.server_id, world.fence)
    return specs


def run(
    world: LocaldWorld, spec: ServerSpec, program: str, timeout_s: float = 30
) -> subprocess.CompletedProcess[str]:
    argv = ["runc", "--root", str(world.names.runc_root), "exec", "-u", "990:990"]
    command = [*argv, spec.server_id, "/usr/bin/python3", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def is_up(world: LocaldWorld, spec: ServerSpec) -> bool:
    return world.get(spec.address, "/")[2] == b"up"


def test_who_takes_too_much_memory_is_killed_alone(
    world: LocaldWorld, pair: list[ServerSpec]
) -> None:
    greedy = run(world, pair[0], "x = bytearray(300 << 20); print(len(x))")
    assert greedy.returncode in {-9, 137}, greedy
    assert greedy.stdout == ""
    assert is_up(world, pair[0])
    assert is_up(world, pair[1])


def test_a_fork_bomb_stays_small(world: LocaldWorld, pair: list[ServerSpec]) -> None:
    bomb = """
import os, time
made = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(2); os._exit(0)
        made += 1
except BlockingIOError:
    print(made)
"""
    assert 10 <= int(run(world, pair[0], bomb).stdout) < 32
    assert is_up(world, pair[1])
    wait_until(lambda: run(world, pair[0], "print(1)").stdout == "1\n")
    assert is_up(world, pair[0])


def test_a_busy_server_gets_its_share_of_a_core_and_no_more(
    world: LocaldWorld, pair: list[ServerSpec]
) -> None:
    burn = "import time\nend = time.monotonic() + 3\nwhile time.monotonic() < end: pass\n"
    began = time.monotonic()
    seconds = float(run(world, pair[0], burn + "print(time.process_time())").stdout)
    assert seconds / (time.monotonic() - began) < 0.4
    assert is_up(world, pair[0])


def test_root_inside_is_nobody_outside_and_may_do_little(
    world: LocaldWorld, pair: list[ServerSpec]
) -> None:
    pid = world.pid_of(pair[0])
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    assert status["Uid"].split()[0] == str(pair[0].uid_base + 33)
    assert (status["CapEff"], status["CapBnd"]) == ("0" * 16, "0" * 16)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


@pytest.mark.parametrize(
    "program",
    [
        "open('/etc/passwd', 'a')",
        "open('/usr/lib/edubba/receive', 'w')",
        "open('/proc/sysrq-trigger', 'w')",
        "open('/proc/sys/kernel/hostname', 'w')",
        "import os; os.mkdir('/new')",
        "import os; os.mknod('/srv/site/device', 0o60666, os.makedev(7, 0))",
        "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0",
        "import ctypes; assert ctypes.CDLL(None).mount(b't', b'/tmp', b'tmpfs', 0, 0) == 0",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
        "import os; os.setuid(0)",
    ],
)
def test_what_no_site_needs_is_refused(
    world: LocaldWorld, pair: list[ServerSpec], program: str
) -> None:
    assert run(world, pair[0], "print('ran')").stdout == "ran\n"
    assert run(world, pair[0], program).returncode == 1


def test_no_program_inside_makes_its_user_another(world: LocaldWorld) -> None:
    root = next(path for path in world.names.images_dir.glob("*/*") if path.is_dir())
    argv = ["find", str(root), "-xdev", "-type", "f", "-perm", "/6000"]
    assert subprocess.run(argv, check=True, capture_output=True).stdout == b""


def test_a_disk_never_grows_beyond_what_was_agreed(
    world: LocaldWorld, pair: list[ServerSpec]
) -> None:
    fill = "f = open('/srv/site/fill', 'wb')\nwhile True: f.write(bytes(1 << 20)); f.flush()"
    assert "No space left" in run(world, pair[0], fill).stderr
    image = world.names.server_dir(pair[0].server_id) / "disk.img"
    assert image.stat().st_blocks * 512 <= pair[0].limits.disk_mib << 20
    run(world, pair[0], "import os; os.unlink('/srv/site/fill')")
    assert is_up(world, pair[0])
    assert replace(SMALL) == pair[1].limits


def test_a_disk_grows_to_what_was_agreed_though_somebody_still_looks_at_the_old_one(
    world: LocaldWorld,
) -> None:
    """A container that is being made has copies of all mounts, as this process has."""
    spec = world.a_running_server()
    larger = replace(spec, limits=replace(spec.limits, disk_mib=256))
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", "echo; sleep 2"], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()  # from now on it has them
        world.cloud.ensure_server(larger, world.fence)
    ask = "import os; disk = os.statvfs('/srv/site'); print(disk.f_blocks * disk.f_frsize)"
    size = run(world, larger, ask)
    assert int(size.stdout) > 200 << 20
