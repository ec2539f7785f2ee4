"""A real daemon with an instance of its own, and the image that its servers start from."""

import hashlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from control_plane.kit.errors import Unavailable
from control_plane.kit.ids import new_id
from control_plane.kit.unix import Daemon
from control_plane.locald.edge_namespace import edge_namespace_path
from control_plane.locald.names import Names
from control_plane.locald.namespaces import run_inside
from control_plane.ports.cloud.local import LocalCloud
from control_plane.ports.cloud.port import (
    Cloud,
    Fence,
    Limits,
    ReleaseFile,
    ReleaseSpec,
    ServerSpec,
    TenantSpec,
)
from control_plane.ports.cloud.receiver import ThroughReceiver
from tests.images import prepared_images
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
LOCALD = ROOT / "control_plane" / "locald"
PYTHON = ["/usr/bin/python3", "-IS"]
RUNNER_ID = 61_024  # a user without entry
SMALL = Limits(memory_mib=128, cpu_millis=500, pids=64, disk_mib=64)


def newest_image(cloud: Cloud, family: str) -> str:
    return next(image.digest for image in cloud.list_images() if image.family == family)


def a_server(tenant_id: str, image: str, serial: int, limits: Limits = SMALL) -> ServerSpec:
    return ServerSpec(
        server_id=new_id("hst"),
        tenant_id=tenant_id,
        image=image,
        limits=limits,
        serial=serial,
        uid_base=0x10000 * (serial + 16),
        address=IPv4Network("100.64.0.0/10")[4 * serial + 2],
    )


@dataclass
class Release:
    """Content with its blobs in files, as the worker has them."""

    folder: Path
    contents: Mapping[str, bytes]
    deployment_id: str = field(default_factory=lambda: new_id("dep"))
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def spec(self) -> ReleaseSpec:
        files = [
            ReleaseFile(path, hashlib.sha256(content).hexdigest(), len(content))
            for path, content in self.contents.items()
        ]
        text = json.dumps([[file.path, file.digest] for file in files])
        digest = hashlib.sha256(text.encode()).hexdigest()
        return ReleaseSpec(self.deployment_id, digest, self.nonce, files)

    def blobs(self) -> dict[str, Path]:
        found = {}
        for content in self.contents.values():
            digest = hashlib.sha256(content).hexdigest()
            found[digest] = self.folder / digest
            found[digest].write_bytes(content)
        return found

    def put(self, cloud: Cloud | ThroughReceiver, server_id: str, fence: Fence) -> frozenset[str]:
        """Carry what is missing, as the releases' steps do; return what that was."""
        blobs = self.blobs()
        missing = cloud.list_missing_blobs(server_id, blobs)
        cloud.put_blobs(server_id, iter([(digest, blobs[digest]) for digest in missing]), fence)
        return missing

    def assemble(self, cloud: Cloud | ThroughReceiver, server_id: str, fence: Fence) -> None:
        self.put(cloud, server_id, fence)
        cloud.assemble_release(server_id, self.spec, fence)

    def deploy(self, cloud: Cloud | ThroughReceiver, server_id: str, fence: Fence) -> None:
        self.assemble(cloud, server_id, fence)
        cloud.switch_release(server_id, self.deployment_id, fence)


@dataclass
class LocaldWorld:
    """One installation's daemon, alone in its names."""

    instance: str = field(default_factory=lambda: f"t{secrets.token_hex(3)[:5]}")
    epoch: int = 1
    runner_id: int = RUNNER_ID
    process: "subprocess.Popen[bytes] | None" = None
    last_serial: int = 0
    fence: Fence = field(default_factory=lambda: Fence(new_id("lif"), 1))

    @property
    def names(self) -> Names:
        return Names.of(self.instance)

    @property
    def cloud(self) -> LocalCloud:
        return LocalCloud(self.names.socket, self.epoch)

    @property
    def image(self) -> str:
        return newest_image(self.cloud, "static-site")

    @property
    def log(self) -> Path:
        return Path(tempfile.gettempdir()) / f"{self.instance}-locald.log"

    def start(self) -> None:
        names = self.names
        names.state_dir.mkdir(exist_ok=True)
        if not names.images_dir.exists():
            names.images_dir.symlink_to(prepared_images())
        self.begin()
        self.wait()

    def begin(self) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "EDUBBA_INSTANCE": self.instance,
            "EDUBBA_LOCALD_RUNNERS": str(self.runner_id),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*PYTHON, LOCALD], env=environment, stderr=log)

    def wait(self) -> None:
        wait_until(self._is_listening)

    def _is_listening(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            raise RuntimeError(self.log.read_text())
        try:
            list(self.cloud.list_images())
        except Unavailable:
            return False
        return True

    def kill(self) -> None:
        """End the daemon as a crash does."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.begin()
        self.wait()

    def kill_during(self, work: Callable[[], object], after_ms: int) -> None:
        """Kill the daemon while it does something, and start it anew."""

        def attempt() -> None:
            with suppress(Unavailable):
                work()

        thread = threading.Thread(target=attempt)
        thread.start()
        threading.Event().wait(after_ms / 1000)
        self.kill()
        thread.join()
        self.begin()
        self.wait()

    def clean(self, *options: str) -> None:
        argv = [*PYTHON, str(LOCALD / "clean.py"), "--instance", self.instance, *options]
        subprocess.run(argv, check=True, timeout=120)
        if self.process:
            self.process.wait(10)

    def reboot(self) -> None:
        """Lose what a machine loses: processes, mounts, loops, namespaces, cgroups, /run."""
        self.clean()
        self.start()

    def remove(self) -> None:
        if self.names.images_dir.is_symlink():
            self.names.images_dir.unlink()
        self.clean("--data")
        self.log.unlink(missing_ok=True)

    def a_tenant(self) -> str:
        tenant_id = new_id("ten")
        self.cloud.ensure_tenant(TenantSpec(tenant_id, new_id("agy")), self.fence)
        return tenant_id

    def a_spec(
        self,
        tenant_id: str | None = None,
        limits: Limits = SMALL,
        family: str = "static-site",
    ) -> ServerSpec:
        self.last_serial += 1
        image = newest_image(self.cloud, family)
        return a_server(tenant_id or self.a_tenant(), image, self.last_serial, limits)

    def a_running_server(
        self,
        tenant_id: str | None = None,
        limits: Limits = SMALL,
        family: str = "static-site",
    ) -> ServerSpec:
        spec = self.a_spec(tenant_id, limits, family)
        self.cloud.ensure_server(spec, self.fence)
        return spec

    def get(
        self, address: IPv4Address, path: str, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask a server from where the edge stands."""
        edge = edge_namespace_path(self.instance)
        return run_inside(edge, lambda: ask(str(address), path, headers or {}))

    def run_in_server(self, server_id: str, *argv: str) -> str:
        return run_in_server(self.names.socket, server_id, argv, self.fence)

    def run_at_edge(self, *argv: str) -> str:
        command = ["ip", "netns", "exec", self.names.edge_namespace, *argv]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def pid_of(self, spec: ServerSpec) -> int:
        argv = ["runc", "--root", str(self.names.runc_root), "state", spec.server_id]
        state = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        return int(json.loads(state)["pid"])

    def network_of(self, spec: ServerSpec) -> Path:
        return Path(f"/proc/{self.pid_of(spec)}/ns/net")

    def run_in_network(self, spec: ServerSpec, *argv: str) -> str:
        """Run a program of the host as root in a server's network."""
        command = ["nsenter", f"--net={self.network_of(spec)}", *argv]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    @contextmanager
    def listening(self, spec: ServerSpec, port: int) -> Iterator[socket.socket]:
        """Have somebody take connections on all of a server's addresses."""
        where = ("0.0.0.0", port)  # noqa: S104  # of the server's own network
        inside = self.network_of(spec)
        with run_inside(inside, lambda: socket.create_server(where)) as listener:
            yield listener

    def may_connect(self, spec: ServerSpec, address: IPv4Address, port: int) -> bool:
        """Whether a connection from a server's network arrives."""

        def connects() -> bool:
            try:
                socket.create_connection((str(address), port), timeout=1).close()
            except OSError:
                return False
            return True

        return run_inside(self.network_of(spec), connects)

    def kill_process(self, spec: ServerSpec) -> None:
        """Kill a server's first process, and wait until the kernel has ended it."""
        pid = self.pid_of(spec)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: has_ended(pid))

    def traces(self) -> list[str]:
        """Return what of this instance is in the kernel: nothing after cleaning."""
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        found = [line for line in mounts if self.instance in line]
        loops = subprocess.run(["losetup", "-a"], check=True, capture_output=True, text=True).stdout
        found += [line for line in loops.splitlines() if f"/{self.instance}/" in line]
        found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{self.instance}")]
        found += [str(path) for path in Path("/run").glob(f"*/{self.instance}-edge")]
        for path in Path("/proc").glob("[0-9]*/cgroup"):
            try:
                found += [str(path) for line in [path.read_text()] if f"/{self.instance}/" in line]
            except OSError:
                continue
        return found


def run_in_server(socket: Path, server_id: str, argv: Sequence[str], fence: Fence) -> str:
    """Run a command as root inside a server; it must succeed."""
    wish = {"server_id": server_id, "argv": list(argv), "uid": 0, "timeout_s": 30}
    daemon = Daemon(socket, silent="locald_not_answering")
    done: dict[str, Any] = daemon.ask("exec", 60, {**wish, "fence": asdict(fence)})
    assert done["code"] == 0, done
    return str(done["out"])


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def ask(address: str, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(address, 80, timeout=10)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return HTTPStatus(answer.status).value, names, answer.read()
    finally:
        connection.close()


@contextmanager
def running_locald() -> Iterator[LocaldWorld]:
    """Give a running daemon; afterwards, nothing of it is left."""
    world = LocaldWorld()
    try:
        world.start()
        yield world
    finally:
        world.remove()
