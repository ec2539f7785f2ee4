"""Wires under accidents: the daemon killed at any moment, a reboot, parts broken by hand."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import pytest

from control_plane.kit.ids import new_id
from control_plane.locald.namespaces import run_inside
from control_plane.ports.cloud.port import ServerSpec, ServerState, WireFact, WireSpec
from tests.locald.world import LocaldWorld, running_locald
from tests.waiting import wait_until

pytestmark = pytest.mark.root

PORT, OTHER = 5432, 8099
# From before the first effect to after the last one.
MOMENTS_MS = [0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100]


@dataclass
class Pair:
    """Two servers of a tenant, and a wire from one to the other."""

    world: LocaldWorld
    asking: ServerSpec
    answering: ServerSpec
    wire: WireSpec

    @property
    def servers(self) -> list[ServerSpec]:
        return [self.asking, self.answering]

    def ensure(self) -> WireFact:
        return self.world.cloud.ensure_wire(self.wire, self.world.fence)

    def observe(self) -> WireFact:
        return self.world.cloud.observe_wire(self.wire)

    def remove(self) -> None:
        self.world.cloud.remove_wire(self.wire.wire_id, self.world.fence)

    def links(self) -> list[int]:
        """Count the ends of wires in each server."""
        return [len(self.names_at(spec)) for spec in self.servers]

    def names_at(self, spec: ServerSpec) -> list[str]:
        links = json.loads(self.world.run_in_network(spec, "ip", "-j", "link"))
        return [link["ifname"] for link in links if link["ifname"].startswith("w")]

    def is_open(self, port: int = PORT) -> bool:
        address = self.observe().address
        assert address
        with self.world.listening(self.answering, port):
            return self.world.may_connect(self.asking, address, port)


def a_wire(asking: ServerSpec, answering: ServerSpec) -> WireSpec:
    ends = (asking.server_id, answering.server_id)
    return WireSpec(new_id("att"), asking.tenant_id, *ends, PORT)


@contextmanager
def connection(pair: Pair, address: IPv4Address) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Connect by a wire; give both ends, which wait for a second."""
    where = (str(address), PORT)
    network = pair.world.network_of(pair.asking)
    with pair.world.listening(pair.answering, PORT) as listener:
        client = run_inside(network, lambda: socket.create_connection(where, timeout=1))
        server, _ = listener.accept()
        server.settimeout(1)
        with client, server:
            yield client, server


@pytest.fixture(scope="module")
def pair(world: LocaldWorld) -> Pair:
    tenant = world.a_tenant()
    asking, answering = (world.a_running_server(tenant) for _ in range(2))
    return Pair(world, asking, answering, a_wire(asking, answering))


@pytest.fixture
def laid(pair: Pair) -> Iterator[Pair]:
    assert pair.ensure().is_whole
    yield pair
    pair.remove()


@pytest.mark.parametrize("moment", MOMENTS_MS)
def test_a_daemon_killed_while_laying_or_removing_a_wire_converges(pair: Pair, moment: int) -> None:
    world = pair.world
    world.kill_during(pair.ensure, moment)
    assert pair.ensure().is_whole
    assert (pair.links(), pair.is_open(), pair.is_open(OTHER)) == ([1, 1], True, False)
    world.kill_during(pair.remove, moment // 2)
    pair.remove()
    assert pair.observe().address is None
    assert (pair.links(), list(world.names.wires_dir.glob("*"))) == ([0, 0], [])


def test_a_wire_carries_on_while_the_daemon_is_away_and_is_adopted(laid: Pair) -> None:
    world, before = laid.world, laid.observe()
    assert before.address
    with connection(laid, before.address) as (client, server):
        world.kill()
        server.sendall(b"while it is away")
        assert client.recv(64) == b"while it is away"
        world.begin()
        world.wait()
        assert laid.observe() == laid.ensure() == before
        server.sendall(b"after it is back")
        assert client.recv(64) == b"after it is back"


def test_after_a_reboot_wires_are_back_at_their_addresses() -> None:
    with running_locald() as world:
        tenant = world.a_tenant()
        asking, *answering = (world.a_running_server(tenant) for _ in range(3))
        pairs = [Pair(world, asking, other, a_wire(asking, other)) for other in answering]
        gone = Pair(world, answering[0], answering[1], a_wire(*answering))
        gone.ensure()
        before = [pair.ensure() for pair in pairs]
        gone.remove()
        world.reboot()
        assert [(found.address, found.is_whole) for found in map(Pair.observe, pairs)] == [
            (fact.address, False) for fact in before
        ]
        for spec in (asking, *answering):
            world.cloud.ensure_server(spec, world.fence)
        # Made in another order than before, each still has its own.
        assert [pair.ensure() for pair in reversed(pairs)] == before[::-1]
        assert gone.ensure().address not in {fact.address for fact in before}
        for pair in pairs:
            assert (pair.is_open(), pair.is_open(OTHER)) == (True, False)


def in_network(end: str, command: str) -> Callable[[Pair], None]:
    """Return what breaks a wire: a command in the network of one end, told the wire's name."""

    def act(pair: Pair) -> None:
        spec = {"asking": pair.asking, "answering": pair.answering}[end]
        (name,) = pair.names_at(spec)
        argv = command.format(name=name, table=pair.world.instance).split()
        pair.world.run_in_network(spec, *argv)

    return act


DRIFTS = {
    "rules flushed": "nft flush ruleset",
    "a rule added": "nft insert rule inet {table} input accept",
    "a table added": "nft add table inet theirs",
    "end deleted": "ip link delete {name}",
    "end down": "ip link set {name} down",
    "address lost": "ip address flush dev {name}",
    "address added": "ip address add 100.96.99.1/31 dev {name}",
    "forwarding on": "sysctl -qw net.ipv4.ip_forward=1",
    "answers for others": "sysctl -qw net.ipv4.conf.all.arp_ignore=0",
}


@pytest.mark.parametrize("end", ["asking", "answering"])
@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_of_a_wire_is_seen_and_mended(laid: Pair, drift: str, end: str) -> None:
    before = laid.observe()
    in_network(end, DRIFTS[drift])(laid)
    found = laid.observe()
    assert (found.address, found.is_whole) == (before.address, False)
    assert laid.ensure() == laid.observe() == before
    assert (laid.links(), laid.is_open(), laid.is_open(OTHER)) == ([1, 1], True, False)


def test_wires_that_were_asked_for_are_nothing_strange_in_a_server(laid: Pair) -> None:
    cloud = laid.world.cloud
    for spec in laid.servers:
        found = cloud.observe_server(spec.server_id)
        assert (found.state, found.reasons) == (ServerState.RUNNING, ())


STRANGERS = {
    "a route by the wire": ("ip route add default dev {name}", "route"),
    "a route to one address": ("ip route add 100.64.0.99/32 dev {name}", "route"),
    "a second address": ("ip address add 100.64.200.1/24 dev {name}", "route"),
    "an interface": ("ip link add strange up type veth peer name other", "interface"),
}


@pytest.mark.parametrize("end", ["asking", "answering"])
@pytest.mark.parametrize("stranger", STRANGERS)
def test_what_nobody_asked_for_beside_a_wire_is_removed_and_nothing_else(
    laid: Pair, stranger: str, end: str
) -> None:
    command, reason = STRANGERS[stranger]
    spec = {"asking": laid.asking, "answering": laid.answering}[end]
    fact = laid.observe()
    assert fact.address
    cloud, fence = laid.world.cloud, laid.world.fence
    with connection(laid, fact.address) as (client, server):
        in_network(end, command)(laid)
        found = cloud.observe_server(spec.server_id)
        assert (found.state, found.reasons) == (ServerState.DEGRADED, (reason,))
        assert cloud.ensure_server(spec, fence).state is ServerState.RUNNING
        server.sendall(b"still here")
        assert client.recv(16) == b"still here"


def test_another_wire_does_not_disturb_those_that_are_in_use(laid: Pair) -> None:
    world, before = laid.world, laid.observe()
    assert before.address
    third = world.a_running_server(laid.asking.tenant_id)
    other = Pair(world, third, laid.answering, a_wire(third, laid.answering))
    with connection(laid, before.address) as (client, server):
        other.ensure()
        server.sendall(b"one")
        assert client.recv(16) == b"one"
        other.remove()
        server.sendall(b"two")
        assert client.recv(16) == b"two"
    world.cloud.destroy_server(third.server_id, world.fence)


def test_a_removed_wire_ends_its_connections_at_once(pair: Pair) -> None:
    address = pair.ensure().address
    assert address
    with connection(pair, address) as (client, server):
        pair.remove()
        server.sendall(b"too late")
        with pytest.raises(TimeoutError):
            client.recv(16)


def test_a_port_that_a_wire_opens_no_more_is_closed_to_old_connections_too(laid: Pair) -> None:
    address = laid.observe().address
    assert address
    moved = replace(laid.wire, port=OTHER)
    with connection(laid, address) as (client, server):
        laid.world.cloud.ensure_wire(moved, laid.world.fence)
        client.sendall(b"too late")
        with pytest.raises((ConnectionResetError, TimeoutError)):
            server.recv(16)


def test_a_connection_attempt_to_a_closed_port_is_answered_at_once(laid: Pair) -> None:
    address = laid.observe().address

    def connect() -> None:
        socket.create_connection((str(address), OTHER), timeout=30)

    network = laid.world.network_of(laid.asking)
    with laid.world.listening(laid.answering, OTHER), pytest.raises(ConnectionRefusedError):
        run_inside(network, connect)


def test_cleaning_removes_wires_and_what_is_remembered_of_them() -> None:
    other = LocaldWorld()
    try:
        other.start()
        tenant = other.a_tenant()
        asking, answering = (other.a_running_server(tenant) for _ in range(2))
        pair = Pair(other, asking, answering, a_wire(asking, answering))
        assert pair.ensure().is_whole
        assert list(other.names.wires_dir.glob("*.json"))
    finally:
        other.remove()
    wait_until(lambda: not other.traces())
    assert not other.names.run_dir.exists()
    assert not other.names.state_dir.exists()
