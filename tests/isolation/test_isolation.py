"""A server reaches nothing but itself; and each test here fails when the isolation is removed.

Reaching is tried by the daemon's probe and, independently, by a program inside the server.
"""

import http.server
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.locald.isolation import host_addresses
from control_plane.locald.namespaces import run_inside
from control_plane.ports.cloud.port import ServerSpec, Target
from tests.isolation.reading import read_from_inside
from tests.locald.world import LocaldWorld, Release

pytestmark = pytest.mark.root

SECRET = b"only the host's own people read this"


class Secret(http.server.BaseHTTPRequestHandler):
    """A service of the host that no tenant may read."""

    def do_GET(self) -> None:  # the library's name
        self.send_response(200)
        self.end_headers()
        self.wfile.write(SECRET)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def host_port() -> Iterator[int]:
    """A service on all addresses of the host, its loopback among them."""
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), Secret) as server:  # noqa: S104
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


@pytest.fixture(scope="module")
def servers(
    world: LocaldWorld, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ServerSpec, ServerSpec, ServerSpec]:
    """A server, its sister of the same tenant, and a foreign one, each with a page."""
    tenant = world.a_tenant()
    own, sister = world.a_running_server(tenant), world.a_running_server(tenant)
    foreign = world.a_running_server()
    for spec in (own, sister, foreign):
        page = {"index.html": f"page of {spec.serial}".encode()}
        release = Release(tmp_path_factory.mktemp("release"), page)
        release.deploy(world.cloud, spec.server_id, world.fence)
    return own, sister, foreign


def forbidden(servers: tuple[ServerSpec, ServerSpec, ServerSpec], host_port: int) -> dict[str, str]:
    own, sister, foreign = servers
    urls = {
        "sister": f"http://{sister.address}/",
        "foreign": f"http://{foreign.address}/",
        "gateway": f"http://{own.address - 1}:{host_port}/",
        "foreign gateway": f"http://{foreign.address - 1}:{host_port}/",
        "loopback": f"http://127.0.0.1:{host_port}/",
        "outside": "http://192.0.2.1/",
    }
    hosts = {f"host {number}": own for number, own in enumerate(host_addresses())}
    return urls | {name: f"http://{address}:{host_port}/" for name, address in hosts.items()}


def test_nothing_forbidden_can_be_read_from_inside(
    world: LocaldWorld, servers: tuple[ServerSpec, ServerSpec, ServerSpec], host_port: int
) -> None:
    urls = forbidden(servers, host_port)
    control = {"own": f"http://{servers[0].address}/"}
    found = read_from_inside(world, servers[0], urls | control)
    assert found.pop("own") == "page of 1"
    assert found == dict.fromkeys(urls)


def test_the_edge_reads_every_server(
    world: LocaldWorld, servers: tuple[ServerSpec, ServerSpec, ServerSpec]
) -> None:
    pages = [world.get(spec.address, "/")[2].decode() for spec in servers]
    assert pages == [f"page of {spec.serial}" for spec in servers]


def test_the_host_itself_does_not_reach_a_server(
    servers: tuple[ServerSpec, ServerSpec, ServerSpec],
) -> None:
    body = b""
    try:
        with socket.create_connection((str(servers[0].address), 80), timeout=1) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            body = connection.recv(4096)
    except OSError:
        return
    assert b"page of" not in body


def test_the_probe_names_what_it_tried_and_finds_all_closed(
    world: LocaldWorld, servers: tuple[ServerSpec, ServerSpec, ServerSpec], host_port: int
) -> None:
    targets = [Target("a host service", address, host_port) for address in host_addresses()]
    report = world.cloud.probe_isolation(servers[0].server_id, targets)
    assert report.is_isolated, report
    neighbours = {f"server {spec.server_id}" for spec in servers[1:]}
    wanted = neighbours | {"edge", "host", "host loopback", "outside", "a host service"}
    assert set(report.tried) == wanted


def flush_rules(world: LocaldWorld) -> None:
    world.run_at_edge("nft", "flush", "ruleset")


def give_route(world: LocaldWorld, spec: ServerSpec) -> None:
    inside = Path(f"/proc/{world.pid_of(spec)}/ns/net")
    argv = ["ip", "route", "add", "default", "via", str(spec.address - 1)]
    run_inside(inside, lambda: subprocess.run(argv, check=True))


def heal(world: LocaldWorld, servers: tuple[ServerSpec, ...]) -> None:
    for spec in servers:
        world.cloud.ensure_server(spec, world.fence)


def test_without_rules_servers_are_still_kept_apart_but_the_probe_notices(
    world: LocaldWorld, servers: tuple[ServerSpec, ServerSpec, ServerSpec], host_port: int
) -> None:
    own, sister, foreign = servers
    flush_rules(world)
    give_route(world, own)
    give_route(world, foreign)
    found = read_from_inside(world, own, forbidden((own, sister, foreign), host_port))
    report = world.cloud.probe_isolation(own.server_id, [])
    heal(world, servers)
    assert set(found.values()) == {None}
    assert report.reached == ("edge",)
    assert world.cloud.probe_isolation(own.server_id, []).is_isolated


def test_with_the_isolation_removed_a_foreign_page_is_read_and_the_probe_notices(
    world: LocaldWorld, servers: tuple[ServerSpec, ServerSpec, ServerSpec]
) -> None:
    own, sister, foreign = servers
    flush_rules(world)
    world.run_at_edge("sysctl", "-qw", "net.ipv4.ip_forward=1")
    for spec in servers:
        give_route(world, spec)
    urls = {"sister": f"http://{sister.address}/", "foreign": f"http://{foreign.address}/"}
    found = read_from_inside(world, own, urls)
    report = world.cloud.probe_isolation(own.server_id, [])
    heal(world, servers)
    assert found == {"sister": "page of 2", "foreign": "page of 3"}
    assert {f"server {sister.server_id}", f"server {foreign.server_id}"} <= set(report.reached)
    assert world.cloud.probe_isolation(own.server_id, []).is_isolated
    assert read_from_inside(world, own, urls) == {"sister": None, "foreign": None}


def test_a_server_in_the_hosts_network_is_noticed(
    world: LocaldWorld, servers: tuple[ServerSpec, ServerSpec, ServerSpec]
) -> None:
    own = servers[0]
    pid = str(world.pid_of(own))
    link = f"x{world.instance}"
    commands = [
        ["ip", "link", "add", link, "type", "veth", "peer", "name", "eth1", "netns", pid],
        ["ip", "address", "add", "100.127.254.1/30", "dev", link],
        ["ip", "link", "set", link, "up"],
        ["nsenter", "-t", pid, "-n", "ip", "address", "add", "100.127.254.2/30", "dev", "eth1"],
        ["nsenter", "-t", pid, "-n", "ip", "link", "set", "eth1", "up"],
    ]
    try:
        for argv in commands:
            subprocess.run(argv, check=True)
        report = world.cloud.probe_isolation(own.server_id, [])
    finally:
        subprocess.run(["ip", "link", "delete", link], check=True)
    assert "host" in report.reached


def test_a_probe_that_cannot_connect_at_all_proves_nothing(
    world: LocaldWorld, servers: tuple[ServerSpec, ServerSpec, ServerSpec]
) -> None:
    world.run_at_edge("nft", "add", "rule", "inet", world.instance, "input", "drop")
    world.run_at_edge("nft", "insert", "rule", "inet", world.instance, "input", "iifname v* drop")
    report = world.cloud.probe_isolation(servers[0].server_id, [])
    heal(world, servers)
    assert (report.controls_passed, report.is_isolated) == (False, False)
