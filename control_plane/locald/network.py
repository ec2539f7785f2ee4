"""A server's link: a pair of interfaces from its own namespace to the edge's.

Beside it, a server has wires to other servers at most (`wires.py`). It has no route beyond any of
them, so that even a kernel that forwards carries it nowhere.
"""

import fcntl
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from control_plane.locald.bundle import SYSCTLS
from control_plane.locald.checks import Server
from control_plane.locald.commands import attempt, run
from control_plane.locald.edge_namespace import edge_namespace_path
from control_plane.locald.names import Names, link_name
from control_plane.locald.namespaces import list_wrong_sysctls, run_inside, write_sysctls
from control_plane.locald.waiting import wait_until
from control_plane.locald.wire_records import Wire

INSIDE = "eth0"
_SIOCGIFFLAGS, _SIOCGIFADDR = 0x8913, 0x8915  # linux/sockios.h
_IFF_UP = 1
_PREFIX = 30
_LOOPBACK = "lo"
_CONNECT_S = 0.5


def _address(interface: str) -> str | None:
    """Return the IPv4 address of an interface that is up, in the namespace of this thread."""
    request = struct.pack("16s24x", interface.encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        try:
            flags = struct.unpack_from("H", fcntl.ioctl(handle, _SIOCGIFFLAGS, request), 16)[0]
            found = fcntl.ioctl(handle, _SIOCGIFADDR, request)
        except OSError:
            return None
    return socket.inet_ntoa(found[20:24]) if flags & _IFF_UP else None


def _is_up(interface: str) -> bool:
    request = struct.pack("16s24x", interface.encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        try:
            found = fcntl.ioctl(handle, _SIOCGIFFLAGS, request)
        except OSError:
            return False  # it has gone since it was listed
    return bool(struct.unpack_from("H", found, 16)[0] & _IFF_UP)


def _interfaces() -> list[str]:
    """Return the interfaces that carry anything, in the namespace of this thread.

    Some kernels put tunnels into each new namespace; they are down.
    """
    return [name for _, name in socket.if_nameindex() if _is_up(name)]


@dataclass(frozen=True, slots=True)
class _Route:
    """A line of the main routing table."""

    interface: str
    network: IPv4Network
    has_gateway: bool
    metric: str


def _routes() -> list[_Route]:
    """Return the routes of the namespace of this thread."""
    found = []
    for line in Path("/proc/thread-self/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        # Addresses are in hex, as they lie in memory.
        base, gateway, mask = (
            IPv4Address(struct.pack("=I", int(fields[i], 16))) for i in (1, 2, 7)
        )
        network = IPv4Network((base, str(mask)))
        found.append(_Route(fields[0], network, int(gateway) != 0, fields[6]))
    return found


@dataclass(frozen=True, slots=True)
class Network:
    """A server's network as it should be: its link, and wires that may be there."""

    names: Names
    spec: Server
    inside: Path
    wires: Sequence[Wire]

    def list_foreign(self) -> tuple[list[str], list[_Route]]:
        """Return the interfaces and routes that are there and should not be."""
        interfaces, routes = run_inside(self.inside, lambda: (_interfaces(), _routes()))
        own = {INSIDE: IPv4Network((self.spec.address, _PREFIX), strict=False)}
        own |= {wire.name: wire.network for wire in self.wires}
        foreign = [name for name in interfaces if name not in {_LOOPBACK, *own}]
        astray = [
            route
            for route in routes
            if route.has_gateway or own.get(route.interface) != route.network
        ]
        return foreign, astray


def list_link_faults(network: Network) -> list[str]:
    """Say what of a server's network is not as specified: `link`, `route`, `interface`, `sysctl`.

    Whether its wires are whole is not said here.
    """
    spec, edge = network.spec, edge_namespace_path(network.names.instance)
    name = link_name(spec.serial)
    outer = run_inside(edge, lambda: _address(name))
    inner = run_inside(network.inside, lambda: _address(INSIDE))
    interfaces, routes = network.list_foreign()
    found = {
        "link": (outer, inner) != (str(spec.gateway), str(spec.address)),
        "route": bool(routes),
        "interface": bool(interfaces),
        "sysctl": bool(list_wrong_sysctls(network.inside, SYSCTLS)),
    }
    return [fault for fault, is_so in found.items() if is_so]


def ensure_link(network: Network) -> None:
    """Make or mend the link between a server's namespace and the edge's."""
    write_sysctls(network.inside, SYSCTLS)
    faults = list_link_faults(network)
    if "interface" in faults or "route" in faults:
        _remove_foreign(network)
    if "link" in faults:
        _make_link(network)


def _remove_foreign(network: Network) -> None:
    interfaces, routes = network.list_foreign()
    commands = [f"link delete {name}\n" for name in interfaces]
    commands += [
        f"route delete {route.network} dev {route.interface} metric {route.metric}\n"
        for route in routes
        if route.interface not in interfaces
    ]
    batch = ["ip", "-force", "-batch", "-"]
    run_inside(network.inside, lambda: attempt(batch, "".join(commands)))


def _make_link(network: Network) -> None:
    names, spec, inside = network.names, network.spec, network.inside
    edge, name, pid = names.edge_namespace, link_name(spec.serial), inside.parts[2]
    remove_link(names, spec.serial)  # its routes go with it
    batch = ["ip", "-batch", "-"]
    run(
        ["ip", "-n", edge, "-batch", "-"],
        f"link add {name} type veth peer name {INSIDE} netns {pid}\n"
        f"addr add {spec.gateway}/{_PREFIX} dev {name}\n"
        f"link set {name} up\n",
    )
    inner = (
        f"addr add {spec.address}/{_PREFIX} dev {INSIDE}\nlink set {INSIDE} up\nlink set lo up\n"
    )
    run_inside(inside, lambda: run(batch, inner))


def remove_link(names: Names, serial: int) -> None:
    """Remove a link with both its ends; nothing happens if it is gone."""
    attempt(["ip", "-n", names.edge_namespace, "link", "delete", link_name(serial)])


def is_answering(names: Names, spec: Server, port: int, timeout_s: float = 0.0) -> bool:
    """Whether the server takes connections from the edge, now or within the time given."""

    def connects() -> bool:
        try:
            socket.create_connection((str(spec.address), port), timeout=_CONNECT_S).close()
        except OSError:
            return False
        return True

    edge = edge_namespace_path(names.instance)
    return run_inside(edge, lambda: wait_until(connects, timeout_s))
