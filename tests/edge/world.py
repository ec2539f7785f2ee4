"""A small world around a real edge: namespaces, tenants' servers, certificates, a launcher.

Everything carries an instance name of its own and is removed when the context ends.
"""

import json
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPResponse
from ipaddress import IPv4Address
from pathlib import Path

from control_plane.kit.errors import Unavailable
from control_plane.locald.edge_namespace import ensure_edge_namespace, remove_edge_namespace
from control_plane.ports.edge.config import EdgeConfiguration, write_configuration
from control_plane.ports.edge.haproxy import HaproxyEdge
from control_plane.ports.edge.port import Certificate
from control_plane.ports.edge.visitor import Visitor
from control_plane.ports.keyring.memory import MemoryKeyring
from control_plane.ports.keyring.port import Keyring
from tests.waiting import wait_until

ZONE = "edubba.localhost"
EDGE_UID, WORKER_UID = 61_001, 61_002  # no entries: the launcher takes numbers
ROOT = Path(__file__).parents[2]
NAMES = ("ur", "uruk", "lagash")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def certificate(keyring: Keyring, name: str) -> Certificate:
    issued = keyring.issue_certificate([name], 30)
    return Certificate(name, issued.chain_pem, issued.key_pem)


@dataclass
class EdgeWorld:
    """A running edge with three tenants' servers behind it."""

    instance: str
    folder: Path
    keyring: MemoryKeyring
    ports: dict[str, int] = field(
        default_factory=lambda: {name: free_port() for name in ("http", "https", "metrics")}
    )
    servers: dict[str, IPv4Address] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def state_dir(self) -> Path:
        return self.folder / "state" / "edge"

    @property
    def admin_socket(self) -> Path:
        return self.folder / "run" / "edge.sock"

    @property
    def edge(self) -> HaproxyEdge:
        return self.edge_seen_by(self.folder / "ca.pem")

    def edge_seen_by(self, ca_file: Path, timeout_s: float = 10.0) -> HaproxyEdge:
        visitor = Visitor("127.0.0.1", self.ports["https"], ca_file, timeout_s)
        return HaproxyEdge(self.state_dir, self.admin_socket, visitor)

    @property
    def launcher(self) -> list[str]:
        command = [sys.executable, "-m", "control_plane.locald.edge"]
        command += ["--instance", self.instance, "--config", str(self.folder / "etc/haproxy.cfg")]
        for name, port in self.ports.items():
            command += [f"--{name}", f"127.0.0.1:{port}"]
        command += ["--state", str(self.state_dir), "--admin", str(self.admin_socket)]
        return [*command, "--user", str(EDGE_UID), "--worker", str(WORKER_UID)]

    def start(self) -> None:
        with (self.folder / "edge.log").open("ab") as log:
            self.processes["edge"] = subprocess.Popen(
                self.launcher, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
            )
        wait_until(self._is_up)

    def _is_up(self) -> bool:
        if self.processes["edge"].poll() is not None:
            raise RuntimeError((self.folder / "edge.log").read_text())
        try:
            self.edge.list_routes()
        except Unavailable:
            return False
        return True

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop_all(self) -> None:
        for name in list(self.processes):
            self.stop(name)

    def start_server(self, name: str) -> None:
        script = Path(__file__).with_name("tenant_server.py")
        inside = ["ip", "netns", "exec", f"{self.instance}-{name}", sys.executable, str(script)]
        address = str(self.servers[name])
        self.processes[name] = subprocess.Popen([*inside, name, address, "80"])
        probe = f"import socket; socket.create_connection(({address!r}, 80), 1)"
        from_edge = ["ip", "netns", "exec", f"{self.instance}-edge", sys.executable, "-c", probe]
        wait_until(
            lambda: subprocess.run(from_edge, capture_output=True, check=False).returncode == 0
        )

    def connect(self, sni: str) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        plain = socket.create_connection(("127.0.0.1", self.ports["https"]), 10)
        return context.wrap_socket(plain, server_hostname=sni)

    def shown_certificate(self, sni: str) -> bytes:
        with self.connect(sni) as connection:
            found = connection.getpeercert(binary_form=True)
        assert found
        return found


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def asked(self) -> dict[str, object]:
        """What the tenant's server says that it was asked."""
        found: dict[str, object] = json.loads(self.body)
        return found

    def sent(self, header: str) -> list[str]:
        """The values of a header as the tenant's server got it."""
        pairs: list[list[str]] = self.asked["headers"]  # type: ignore[assignment]
        return [value for name, value in pairs if name.lower() == header]


def ask(connection: socket.socket, host: str, path: str = "/", *headers: str) -> Reply:
    """Send one request as written, and leave the connection open."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *headers]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    response = HTTPResponse(connection)
    response.begin()
    return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


@contextmanager
def running_world() -> Iterator[EdgeWorld]:
    """Build the world, start it, and take every part of it away again."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="edubba-edge-"))
        stack.callback(shutil.rmtree, folder)
        folder.chmod(0o755)
        world = EdgeWorld(f"t{secrets.token_hex(3)[:5]}", folder, MemoryKeyring(ZONE))
        stack.callback(world.stop_all)
        (folder / "ca.pem").write_text(world.keyring.ca_certificate_pem())
        write_configuration(
            EdgeConfiguration(world.state_dir, folder / "etc", world.ports["https"])
        )
        ensure_edge_namespace(world.instance)
        stack.callback(remove_edge_namespace, world.instance)
        for number, name in enumerate(NAMES, start=1):
            stack.callback(_ip, "netns", "delete", f"{world.instance}-{name}")
            world.servers[name] = _link(world.instance, name, number)
            world.start_server(name)
        world.start()
        world.edge.ensure_certificate(certificate(world.keyring, f"*.{ZONE}"))
        yield world


def _link(instance: str, name: str, number: int) -> IPv4Address:
    tenant, edge, veth = f"{instance}-{name}", f"{instance}-edge", f"v{number}-2"
    ours, theirs = (IPv4Address("100.64.0.0") + 4 * number + end for end in (1, 2))
    _ip("netns", "add", tenant)
    _ip("-n", edge, "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", tenant)
    _ip("-n", edge, "address", "add", f"{ours}/30", "dev", veth)
    _ip("-n", tenant, "address", "add", f"{theirs}/30", "dev", "eth0")
    _ip("-n", edge, "link", "set", veth, "up")
    _ip("-n", tenant, "link", "set", "eth0", "up")
    return theirs


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
