"""The probe: try from a server's own network to reach what it must not reach.

The daemon enters the server's network itself: what runs in a server can't lie about it. Each
target on this machine is a listener that the probe opened, so that silence means "closed" and not
"nobody there"; and the probe proves that it can connect at all before its silence counts.
"""

import errno
import json
import select
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from control_plane.locald.checks import Server, Target
from control_plane.locald.commands import run
from control_plane.locald.edge_namespace import edge_namespace_path
from control_plane.locald.names import Names
from control_plane.locald.namespaces import run_inside

TIMEOUT_S = 0.7  # a neighbour on the same machine answers in less than a millisecond
NEIGHBOURS = 8
_OUTSIDE = Target("outside", "192.0.2.1", 80)  # RFC 5737: nobody's address


@dataclass(frozen=True, slots=True)
class Report:
    """What a probe found."""

    controls_passed: bool
    reached: list[str]
    tried: list[str]


@dataclass(slots=True)
class _Attempt:
    target: Target
    handle: socket.socket
    is_reached: bool = False
    source_port: int = field(default=0)


def _listener() -> socket.socket:
    handle = socket.create_server(("0.0.0.0", 0), backlog=64)  # noqa: S104  # probed
    handle.settimeout(0)
    return handle


def _port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def _begin(targets: Iterable[Target]) -> list[_Attempt]:
    """Start to connect to all targets at once, in the namespace of this thread."""
    attempts = []
    for target in targets:
        handle = socket.socket()
        handle.settimeout(0)
        number = handle.connect_ex((target.address, target.port))
        if number in {0, errno.EINPROGRESS}:
            attempts.append(_Attempt(target, handle, number == 0, handle.getsockname()[1]))
        else:
            handle.close()  # no route: closed by topology
    return attempts


def _finish(attempts: Sequence[_Attempt], timeout_s: float = TIMEOUT_S) -> None:
    """Wait until each attempt was answered, refused, or had its time."""
    waiting = {attempt.handle: attempt for attempt in attempts if not attempt.is_reached}
    end = time.monotonic() + timeout_s
    while waiting and (left := end - time.monotonic()) > 0:
        _, ready, _ = select.select([], list(waiting), [], left)
        for handle in ready:
            attempt = waiting.pop(handle)
            attempt.is_reached = handle.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def _can_connect(namespace: Path, target: Target) -> bool:
    attempts = run_inside(namespace, lambda: _begin([target]))
    _finish(attempts)
    for attempt in attempts:
        attempt.handle.close()
    return any(attempt.is_reached for attempt in attempts)


def _accepted_ports(listener: socket.socket) -> set[int]:
    """Return the source ports of the connections that arrived at a listener."""
    ports: set[int] = set()
    while True:
        try:
            connection, address = listener.accept()
        except BlockingIOError:
            return ports
        connection.close()
        ports.add(int(address[1]))


def host_addresses() -> list[str]:
    """Return this machine's own IPv4 addresses but loopback."""
    links = json.loads(run(["ip", "-j", "-4", "address", "show"]))
    found = [address["local"] for link in links for address in link.get("addr_info", ())]
    return [address for address in found if not address.startswith("127.")]


def _answering(edge: Path, neighbours: Sequence[Target]) -> list[Target]:
    """Return those that do answer the edge: only their silence says anything."""
    attempts = run_inside(edge, lambda: _begin(neighbours[:NEIGHBOURS]))
    _finish(attempts)
    for attempt in attempts:
        attempt.handle.close()
    return [attempt.target for attempt in attempts if attempt.is_reached]


@dataclass(frozen=True, slots=True)
class Probe:
    """One server's probe: its network, and its neighbours where each of them answers."""

    names: Names
    spec: Server
    inside: Path
    neighbours: Sequence[Target]

    def _controls_pass(self) -> bool:
        """Whether the server reaches itself, and the edge reaches the server."""
        edge = edge_namespace_path(self.names.instance)
        with run_inside(self.inside, _listener) as own:
            control = Target("control", str(self.spec.address), _port(own))
            return _can_connect(self.inside, control) and _can_connect(edge, control)

    def run(self, targets: Sequence[Target]) -> Report:
        """Try the given targets and all that this machine knows to be forbidden."""
        edge = edge_namespace_path(self.names.instance)
        with run_inside(edge, _listener) as at_edge, _listener() as at_host:
            known = [Target("edge", str(self.spec.gateway), _port(at_edge)), _OUTSIDE]
            known += [Target("host", own, _port(at_host)) for own in host_addresses()]
            known += _answering(edge, self.neighbours)
            loopback = Target("host loopback", "127.0.0.1", _port(at_host))
            wished = [*known, loopback, *targets]
            attempts = run_inside(self.inside, lambda: _begin(wished))
            _finish(attempts)
            arrived = _accepted_ports(at_host)
            for attempt in attempts:
                # Loopback is the server's own; only an arrival at our listener would be a hole.
                if attempt.target is loopback:
                    attempt.is_reached = attempt.source_port in arrived
                attempt.handle.close()
        reached = sorted({attempt.target.name for attempt in attempts if attempt.is_reached})
        return Report(self._controls_pass(), reached, [target.name for target in wished])
