"""A wire opens one port of one server to one other; each test fails when the isolation is removed.

Reaching is tried by a program inside the server and, independently, by the daemon's probe.
"""

import http.server
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest

from control_plane.kit.ids import new_id
from control_plane.locald.namespaces import run_inside
from control_plane.ports.cloud.port import ServerSpec, ServerState, Target, WireSpec
from tests.isolation.reading import TRY, read_from_inside
from tests.locald.world import LocaldWorld

pytestmark = pytest.mark.root

PORT, OTHER = 5432, 8099
NOBODY = 65_534
# Who chooses the interface needs no route; nothing but the device says where the packet leaves.
TRY_BY_DEVICE = """
import json, socket, sys
found = {}
for name, (device, address, port) in json.load(sys.stdin).items():
    with socket.socket() as handle:
        handle.settimeout(1)
        try:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            handle.connect((address, port))
            handle.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            found[name] = handle.makefile().read().rpartition("\\n\\n")[2]
        except OSError as error:
            found[name] = None
print(json.dumps(found))
"""


def a_page(text: str) -> type[http.server.BaseHTTPRequestHandler]:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Page


@contextmanager
def serving(world: LocaldWorld, spec: ServerSpec, port: int, text: str) -> Iterator[None]:
    """Answer with a text on one port of all addresses of a server."""
    where = ("0.0.0.0", port)  # noqa: S104  # of the server's own network
    make = lambda: http.server.ThreadingHTTPServer(where, a_page(text))  # noqa: E731
    with run_inside(world.network_of(spec), make) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@dataclass
class Town:
    """An application and another with wires to one database, a sister without, and a foreigner."""

    world: LocaldWorld
    app: ServerSpec
    second: ServerSpec
    database: ServerSpec
    sister: ServerSpec
    foreign: ServerSpec
    wire: WireSpec
    second_wire: WireSpec
    address: IPv4Address  # where the application finds the database
    second_address: IPv4Address

    @property
    def servers(self) -> list[ServerSpec]:
        return [self.app, self.second, self.database, self.sister, self.foreign]

    def url(self, address: IPv4Address, port: int = OTHER) -> str:
        return f"http://{address}:{port}/"

    def forbidden(self) -> dict[str, str]:
        """Return all of the town that the application must not read."""
        return {
            "another port": self.url(self.address),
            "its port elsewhere": self.url(self.database.address, PORT),
            "database": self.url(self.database.address),
            "the other's end": self.url(self.second_address, PORT),
            "second": self.url(self.second.address),
            "second by its wire": self.url(self.second_address - 1),
            "sister": self.url(self.sister.address),
            "foreign": self.url(self.foreign.address),
        }

    def read(self, spec: ServerSpec, urls: Mapping[str, str]) -> dict[str, str | None]:
        return read_from_inside(self.world, spec, urls)

    def flush(self, *specs: ServerSpec) -> None:
        for spec in specs:
            self.world.run_in_network(spec, "nft", "flush", "ruleset")

    def reached(self, spec: ServerSpec) -> set[str]:
        return set(self.world.cloud.probe_isolation(spec.server_id, []).reached)

    def heal(self) -> None:
        """Mend all, and see that all is closed again and the wires are as they were."""
        cloud, fence = self.world.cloud, self.world.fence
        for spec in self.servers:
            assert cloud.ensure_server(spec, fence).state is ServerState.RUNNING
        for wire, address in [(self.wire, self.address), (self.second_wire, self.second_address)]:
            found = cloud.ensure_wire(wire, fence)
            assert (found.address, found.is_whole) == (address, True)
        assert self.read(self.app, self.forbidden()) == dict.fromkeys(self.forbidden())
        for spec in self.servers:
            assert cloud.probe_isolation(spec.server_id, []).is_isolated


@pytest.fixture(scope="module")
def town(world: LocaldWorld) -> Iterator[Town]:
    tenant = world.a_tenant()
    app, second, database, sister = (world.a_running_server(tenant) for _ in range(4))
    foreign = world.a_running_server()
    wires = [
        WireSpec(new_id("att"), tenant, spec.server_id, database.server_id, PORT)
        for spec in (app, second)
    ]
    first, other = (world.cloud.ensure_wire(wire, world.fence).address for wire in wires)
    assert first
    assert other
    with ExitStack() as services:
        services.enter_context(serving(world, database, PORT, "data"))
        named = {"app": app, "second": second, "database": database}
        for name, spec in (named | {"sister": sister, "foreign": foreign}).items():
            services.enter_context(serving(world, spec, OTHER, f"private to {name}"))
        yield Town(world, app, second, database, sister, foreign, wires[0], wires[1], first, other)


def test_an_attached_application_reads_the_one_port_and_nothing_else(town: Town) -> None:
    control = {"data": town.url(town.address, PORT), "own": town.url(town.app.address)}
    found = town.read(town.app, town.forbidden() | control)
    assert (found.pop("data"), found.pop("own")) == ("data", "private to app")
    assert found == dict.fromkeys(town.forbidden())


def test_neither_the_tenants_other_hostings_nor_another_tenant_read_the_port(town: Town) -> None:
    addresses = {"first": town.address, "second": town.second_address, "own": town.database.address}
    urls = {name: town.url(address, PORT) for name, address in addresses.items()}
    assert town.read(town.second, urls) == {"first": None, "second": "data", "own": None}
    for spec in (town.sister, town.foreign):
        assert town.read(spec, urls) == dict.fromkeys(urls)


def test_the_database_reads_nothing_of_the_applications(town: Town) -> None:
    addresses = [town.address - 1, town.second_address - 1, town.app.address, town.second.address]
    urls = {str(address): town.url(address) for address in addresses}
    assert town.read(town.database, urls) == dict.fromkeys(urls)


def test_the_hosts_other_users_do_not_reach_the_port(town: Town) -> None:
    addresses = (town.address, town.second_address, town.database.address)
    urls = {str(address): town.url(address, PORT) for address in addresses}
    finished = subprocess.run(
        [sys.executable, "-IS", "-c", TRY],
        input=json.dumps(urls),
        capture_output=True,
        text=True,
        check=True,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
    )
    assert json.loads(finished.stdout) == dict.fromkeys(urls)


def test_nothing_but_connections_to_the_port_goes_over_the_wire(town: Town) -> None:
    def send(address: IPv4Address) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            handle.sendto(b"hello", (str(address), PORT))

    def listen() -> socket.socket:
        handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        handle.bind(("0.0.0.0", PORT))  # noqa: S104  # of the server's own network
        handle.settimeout(0.5)
        return handle

    network = town.world.network_of
    with run_inside(network(town.database), listen) as listener:
        run_inside(network(town.app), lambda: send(town.address))
        with pytest.raises(TimeoutError):
            listener.recv(16)
        town.flush(town.database)
        run_inside(network(town.app), lambda: send(town.address))
        assert listener.recv(16) == b"hello"
    town.heal()


def test_the_probe_takes_the_one_port_for_no_hole_and_every_other_one_for_one(town: Town) -> None:
    allowed = Target("the attached database", str(town.address), PORT)
    report = town.world.cloud.probe_isolation(town.app.server_id, [allowed])
    assert report.is_isolated, report
    assert {f"wire {town.wire.wire_id}", f"wire {town.second_wire.wire_id}"} <= set(report.tried)
    # The same address is a hole for everybody else.
    town.flush(town.database)
    report = town.world.cloud.probe_isolation(town.app.server_id, [allowed])
    assert report.reached == (f"wire {town.wire.wire_id}",)
    assert f"wire {town.second_wire.wire_id}" in town.reached(town.second)
    town.heal()


def test_without_rules_the_databases_other_ports_are_read_and_the_probe_notices(
    town: Town,
) -> None:
    town.flush(town.database)
    found = town.read(town.app, town.forbidden())
    reached = town.reached(town.app)
    assert not town.world.cloud.observe_wire(town.wire).is_whole
    town.heal()
    assert found.pop("another port") == "private to database"
    assert set(found.values()) == {None}
    assert reached == {f"wire {town.wire.wire_id}"}


def test_without_rules_the_application_is_read_by_the_database_and_the_probe_notices(
    town: Town,
) -> None:
    town.flush(town.app)
    urls = {"app": town.url(town.address - 1), "second": town.url(town.second_address - 1)}
    found = town.read(town.database, urls)
    reached = town.reached(town.database)
    town.heal()
    assert found == {"app": "private to app", "second": None}
    assert reached == {f"wire {town.wire.wire_id}"}


def give_ways_across(town: Town) -> None:
    """Give both applications a route to the other's wire, by way of the database."""
    ways = [(town.app, town.second_address, town.address)]
    ways += [(town.second, town.address, town.second_address)]
    for spec, far, near in ways:
        network = f"{far - 1}/31"
        town.world.run_in_network(spec, "ip", "route", "add", network, "via", str(near))


def test_without_rules_the_database_still_carries_nothing_from_one_application_to_another(
    town: Town,
) -> None:
    town.flush(town.app, town.second, town.database)
    give_ways_across(town)
    urls = {"second": town.url(town.second_address - 1)}
    assert town.world.cloud.observe_server(town.app.server_id).reasons == ("route",)
    found = town.read(town.app, urls)
    town.world.run_in_network(town.database, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    across = town.read(town.app, urls)
    reached = town.reached(town.app)
    whole = town.world.cloud.observe_wire(town.second_wire).is_whole
    town.heal()
    assert (found, across) == ({"second": None}, {"second": "private to second"})
    assert f"wire {town.second_wire.wire_id}" in reached
    assert not whole


def test_rules_alone_keep_applications_apart_where_the_database_would_forward(town: Town) -> None:
    give_ways_across(town)
    town.world.run_in_network(town.database, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    found = town.read(town.app, {"second": town.url(town.second_address - 1)})
    town.heal()
    assert found == {"second": None}


def test_a_wire_to_a_third_server_that_nobody_asked_for_is_noticed_and_cut(town: Town) -> None:
    world, app, sister = town.world, town.app, town.sister
    pid = str(world.pid_of(sister))
    peer = ["type", "veth", "peer", "name", "wz", "netns", pid]
    world.run_in_network(app, "ip", "link", "add", "wz", *peer)
    for spec, address in [(app, "100.96.255.0/31"), (sister, "100.96.255.1/31")]:
        world.run_in_network(spec, "ip", "address", "add", address, "dev", "wz")
        world.run_in_network(spec, "ip", "link", "set", "wz", "up")
    way = [f"{sister.address}/32", "via", "100.96.255.1"]
    world.run_in_network(app, "ip", "route", "add", *way)
    found = town.read(app, {"sister": town.url(sister.address)})
    reasons = [world.cloud.observe_server(spec.server_id).reasons for spec in (app, sister)]
    reached = town.reached(app)
    town.heal()
    assert found == {"sister": "private to sister"}
    assert reasons == [("route", "interface")] * 2
    assert f"server {sister.server_id}" in reached


def read_by_device(town: Town, name: str) -> dict[str, str | None]:
    wanted = {
        "data": (name, str(town.address), PORT),
        "database": (name, str(town.database.address), PORT),
        "the other's end": (name, str(town.second_address), PORT),
        "second": (name, str(town.second_address - 1), OTHER),
        "sister": ("eth0", str(town.sister.address), OTHER),
        "database by the edge": ("eth0", str(town.database.address), PORT),
    }
    return read_from_inside(town.world, town.app, wanted, TRY_BY_DEVICE)


def test_a_program_that_chooses_its_interface_reaches_no_more(town: Town) -> None:
    links = json.loads(town.world.run_in_network(town.app, "ip", "-j", "link"))
    name = next(link["ifname"] for link in links if link["ifname"].startswith("w"))
    closed = read_by_device(town, name)
    town.flush(town.database)
    for spec, switches in [(town.database, ["arp_ignore"]), (town.app, ["rp_filter"])]:
        for switch in switches:
            argv = [f"net.ipv4.conf.{scope}.{switch}=0" for scope in ("all", name)]
            town.world.run_in_network(spec, "sysctl", "-qw", *argv)
    opened = read_by_device(town, name)
    town.heal()
    assert closed.pop("data") == "data"
    assert set(closed.values()) == {None}
    assert (opened["data"], opened["database"]) == ("data", "data")
