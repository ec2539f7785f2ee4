"""A server as a cloud would run it: the real disk, its own first process, a network of two ends.

Beside it stands what a cloud gives: addresses by DHCP, the metadata, a console that is kept.
"""

import json
import os
import pty
import signal
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from control_plane.kit.errors import Unavailable
from control_plane.kit.ids import new_id
from control_plane.locald.namespaces import run_inside
from control_plane.ports.cloud.openstack.certificates import Authority
from control_plane.ports.cloud.openstack.guests import Door, Guests
from control_plane.ports.cloud.port import Fence
from control_plane.ports.cloud.receiver import Call, Feed, ThroughReceiver
from tests.images import prepared_disk
from tests.waiting import wait_until

GATEWAY, ADDRESS = "10.77.0.1", "10.77.0.10"
METADATA = "169.254.169.254"
PROGRAM = "/usr/lib/edubba/guest"
GROUPS = ("memory", "cpu", "pids", "freezer")
SMALL = {"memory_mib": 128, "cpu_millis": 500, "pids": 64, "disk_mib": 512}
# $0 is the disk's mount, $1 the console, $2 the name of its control groups.
ENTER = """
for group in memory cpu pids freezer; do
    if [ -d "/sys/fs/cgroup/$group/$2" ]; then echo $$ > "/sys/fs/cgroup/$group/$2/cgroup.procs"; fi
done
exec unshare --mount --propagation private --pid --uts --ipc --fork --kill-child /bin/sh -ec '
    mount -t proc proc "$0/proc"
    mount -t sysfs -o ro sysfs "$0/sys"
    mount -t tmpfs -o mode=755 tmpfs "$0/sys/fs/cgroup"
    for group in memory cpu pids freezer; do
        if [ -d "/sys/fs/cgroup/$group/$2" ]; then
            mkdir "$0/sys/fs/cgroup/$group"
            mount --bind "/sys/fs/cgroup/$group/$2" "$0/sys/fs/cgroup/$group"
        fi
    done
    mount -t tmpfs -o mode=755 tmpfs "$0/dev"
    for name in null zero full random urandom tty; do
        touch "$0/dev/$name"; mount --bind "/dev/$name" "$0/dev/$name"
    done
    touch "$0/dev/console"; mount --bind "$1" "$0/dev/console"
    mkdir "$0/dev/pts"; mount -t devpts -o newinstance,ptmxmode=0666 devpts "$0/dev/pts"
    cd "$0"; pivot_root . mnt; umount -l /mnt
    exec env -i container=test PATH=/usr/sbin:/usr/bin /sbin/init
' "$0" "$1" "$2"
"""


def run(*argv: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, check=True, text=True, capture_output=True, timeout=60, **more)


class Console:
    """What a server wrote to its console."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.path = os.ttyname(slave)
        self._slave, self._text = slave, b""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(OSError):
            while chunk := os.read(self._master, 4096):
                self._text += chunk

    @property
    def text(self) -> str:
        return self._text.decode(errors="replace").replace("\r", "")

    def line(self, start: str) -> str | None:
        found = (line for line in self.text.splitlines() if line.startswith(start))
        return next(found, None)

    def close(self) -> None:
        os.close(self._slave)
        os.close(self._master)


@dataclass
class Place:
    """Where a server runs: its disk, the two ends of its network, what the cloud says there."""

    folder: Path
    name: str
    mounted: Path
    told: Path

    @property
    def outside(self) -> Path:
        return Path(f"/run/netns/{self.name}-o")

    def tell(self, user_data: object) -> None:
        text = user_data if isinstance(user_data, str) else json.dumps(user_data)
        (self.told / "openstack" / "latest").mkdir(parents=True, exist_ok=True)
        (self.told / "openstack" / "latest" / "user_data").write_text(text)


@contextmanager
def a_place(folder: Path) -> Iterator[Place]:
    name = f"gst{uuid.uuid4().hex[:6]}"
    disk, mounted, told = folder / "disk.raw", folder / "root", folder / "told"
    run("cp", "--sparse=always", str(prepared_disk()), str(disk))
    for path in (mounted, told):
        path.mkdir()
    with ExitStack() as stack:
        run("mount", "-o", "loop", str(disk), str(mounted))
        stack.callback(run, "umount", str(mounted))
        for end in ("i", "o"):
            run("ip", "netns", "add", f"{name}-{end}")
            stack.callback(run, "ip", "netns", "delete", f"{name}-{end}")
        for group in GROUPS:
            path = Path("/sys/fs/cgroup", group, name)
            if path.parent.is_dir():
                path.mkdir()
                stack.callback(_remove_group, path)
        _connect(name)
        place = Place(folder, name, mounted, told)
        stack.enter_context(_services(place))
        yield place


def _remove_group(group: Path) -> None:
    def is_gone() -> bool:
        for path in (*sorted(group.rglob("*"), reverse=True), group):
            if path.is_dir():
                with suppress(OSError):
                    path.rmdir()
        return not group.exists()

    wait_until(is_gone)


def _connect(name: str) -> None:
    between = f"link add up0 netns {name}-o type veth peer name eth0 netns {name}-i\n"
    run("ip", "-batch", "-", input=between)
    outside = f"link set lo up\nlink set up0 up\naddr add {GATEWAY}/24 dev up0\n"
    outside += f"addr add {METADATA}/32 dev lo\n"
    run("ip", "-n", f"{name}-o", "-batch", "-", input=outside)


@contextmanager
def _services(place: Place) -> Iterator[None]:
    leases = place.folder / "udhcpd.conf"
    leases.write_text(
        f"start {ADDRESS}\nend {ADDRESS}\ninterface up0\nlease_file {place.folder}/leases\n"
        f"pidfile {place.folder}/udhcpd.pid\nopt subnet 255.255.255.0\nopt router {GATEWAY}\n"
        f"opt mtu 1442\nopt staticroutes {METADATA}/32 {GATEWAY}, 0.0.0.0/0 {GATEWAY}\n"
    )
    (place.folder / "leases").touch()
    enter = ["ip", "netns", "exec", f"{place.name}-o"]
    busybox = str(place.mounted / "bin/busybox")
    serve = ["-m", "http.server", "80", "--bind", METADATA, "--directory", str(place.told)]
    quiet = subprocess.DEVNULL
    with (
        subprocess.Popen(
            [*enter, busybox, "udhcpd", "-f", str(leases)], stdout=quiet, stderr=quiet
        ) as dhcp,
        subprocess.Popen(
            [*enter, "/usr/bin/python3", *serve], stdout=quiet, stderr=quiet
        ) as metadata,
    ):
        try:
            yield
        finally:
            dhcp.terminate()
            metadata.terminate()


@dataclass
class World(ThroughReceiver):
    """A running server, and who may get in."""

    place: Place
    console: Console
    process: subprocess.Popen[bytes]
    server_id: str = field(default_factory=lambda: new_id("hst"))

    def __post_init__(self) -> None:
        self.authority = Authority(_folder(self.place.folder / "ca"), [IPv4Network("10.77.0.0/24")])
        self.guests = Guests(self.authority, self.place.folder / "guests")

    def user_data(self, **change: object) -> dict[str, object]:
        told: Mapping[str, object] = {
            "format": 1,
            "server_id": self.server_id,
            "user_ca": self.authority.public_key,
            "limits": SMALL,
        }
        return {**told, **change}

    @property
    def host_key(self) -> str:
        wait_until(lambda: self.console.line("EDUBBA-HOST-KEY "))
        line = self.console.line("EDUBBA-HOST-KEY ")
        assert line
        return line.removeprefix("EDUBBA-HOST-KEY ").strip()

    @property
    def door(self) -> Door:
        return Door(self.server_id, IPv4Address(ADDRESS), self.host_key)

    def inside(self, action: Callable[[], Any]) -> Any:
        """Do something from where the cloud's own routers are."""
        return run_inside(self.place.outside, action)

    def ask(self, *argv: str, about: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = self.inside(lambda: self.guests.ask(self.door, *argv, about=about))
        return found

    def receive(self, call: Call, feed: Feed) -> bytes:
        fence = ["--no-fence"] if call.fence is None else fence_options(call.fence)
        argv = ["receive", *fence, call.name, *call.arguments]
        text: bytes = self.inside(lambda: self.guests.talk(self.door, argv, feed))
        return text

    def certificate(self, principal: str, lasts: timedelta, command: str | None = None) -> "Key":
        issued = self.authority.issue(principal, "test", lasts, command)
        folder = _folder(self.place.folder / uuid.uuid4().hex)
        return Key(self, folder, issued.private, issued.certificate)

    def open_run(self, fence: Fence, until: int) -> tuple[str, "Key"]:
        run_id = new_id("run")
        self.ask("open", run_id, *fence_options(fence), "--until", str(until))
        command = f"{PROGRAM} run {run_id}"
        return run_id, self.certificate(self.server_id, timedelta(minutes=9), command)

    def a_fence(self) -> Fence:
        return Fence(new_id("lif"), 5)

    @property
    def first_process(self) -> str:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        wait_until(path.read_text)
        return path.read_text().strip()

    def signal(self, number: signal.Signals) -> None:
        os.kill(int(self.first_process), number)

    def in_server(self, command: str) -> str:
        """Do something as the machine's own root, past its door."""
        enter = ["nsenter", "-t", self.first_process, "-a", "/bin/sh", "-c", command]
        return run(*enter).stdout

    def is_up(self) -> bool:
        try:
            return self.ask("state")["up"] is True
        except Unavailable:  # its door is not there yet
            return False


@dataclass
class Key:
    """A key with its certificate, as somebody who knocks has it."""

    world: World
    folder: Path
    private: str
    certificate: str

    def __post_init__(self) -> None:
        self.write("key", self.private)
        self.write("key-cert.pub", self.certificate)
        self.write("hosts", f"{self.world.server_id} {self.world.host_key}\n")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)

    def argv(self, command: str) -> list[str]:
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": self.folder / "hosts",
            "HostKeyAlias": self.world.server_id,
            "HostKeyAlgorithms": "ssh-ed25519",
            "CertificateFile": self.folder / "key-cert.pub",
            "LogLevel": "ERROR",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        known = ["ssh", "-F", "none", "-T", "-i", f"{self.folder}/key", *words]
        return [*known, f"root@{ADDRESS}", command]

    @contextmanager
    def start(self, command: str) -> Iterator[subprocess.Popen[bytes]]:
        pipe = subprocess.PIPE
        argv = ["ip", "netns", "exec", f"{self.world.place.name}-o", *self.argv(command)]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
            try:
                yield process
            finally:
                process.kill()

    def do(self, command: str) -> tuple[int, str]:
        with self.start(command) as process:
            out, errors = process.communicate(timeout=60)
        return process.returncode, (out + errors).decode()


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def fence_options(fence: Fence) -> list[str]:
    return ["--life", fence.life_id, "--counter", str(fence.counter)]


@contextmanager
def a_machine(wish: Callable[[World], object] | None = None) -> Iterator[World]:
    """Boot a server; `wish` says what the cloud tells it, None that it tells nothing."""
    with tempfile.TemporaryDirectory(prefix="gst") as folder, a_place(Path(folder)) as place:
        console = Console()
        argv = ["nsenter", f"--net=/run/netns/{place.name}-i", "/bin/sh", "-ec", ENTER]
        argv += [str(place.mounted), console.path, place.name]
        process = _boot(argv)
        world = World(place, console, process)
        if wish:
            place.tell(wish(world))
        try:
            yield world
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
            console.close()


def _boot(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    with Path("/dev/null").open() as nothing:
        return subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=None)
