"""A server's only link: a pair of interfaces from its own namespace to the edge's.

The server has no route beyond its link, so that even a kernel that forwards carries it nowhere.
"""

import fcntl
import socket
import struct
from pathlib import Path

from control_plane.locald.bundle import SYSCTLS
from control_plane.locald.checks import Server
from control_plane.locald.commands import attempt, run
from control_plane.locald.edge_namespace import edge_namespace_path
from control_plane.locald.names import Names, link_name
from control_plane.locald.namespaces import list_wrong_sysctls, run_inside, write_sysctls
from control_plane.locald.waiting import wait_until

INSIDE = "eth0"
_SIOCGIFFLAGS, _SIOCGIFADDR = 0x8913, 0x8915  # linux/sockios.h
_IFF_UP = 1
_PREFIX = 30
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


def _default_routes() -> int:
    """Return how many routes lead off the link, in the namespace of this thread."""
    lines = Path("/proc/thread-self/net/route").read_text().splitlines()[1:]
    return sum(line.split()[2] != "00000000" for line in lines)


def list_link_faults(names: Names, spec: Server, inside: Path) -> list[str]:
    """Say what of a server's network is not as specified: `link`, `route`, `sysctl`."""
    edge = edge_namespace_path(names.instance)
    name = link_name(spec.serial)
    outer = run_inside(edge, lambda: _address(name))
    inner, routes = run_inside(inside, lambda: (_address(INSIDE), _default_routes()))
    is_linked = (outer, inner) == (str(spec.gateway), str(spec.address))
    wrong = list_wrong_sysctls(inside, SYSCTLS)
    return ["link"] * (not is_linked) + ["route"] * bool(routes) + ["sysctl"] * bool(wrong)


def ensure_link(names: Names, spec: Server, inside: Path) -> None:
    """Make or mend the link between a server's namespace and the edge's."""
    write_sysctls(inside, SYSCTLS)
    if not list_link_faults(names, spec, inside):
        return
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
