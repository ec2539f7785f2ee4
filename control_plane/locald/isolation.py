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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from control_plane.locald.checks import Server, Target
from control_plane.locald.commands import run
from control_plane.locald.edge_namespace import edge_namespace_path
from control_plane.locald.names import Names
from control_plane.locald.namespaces import run_inside
from control_plane.locald.wire_records import Wire

TIMEOUT_S = 0.7  # a neighbour on the same machine answers in less than a millisecond
NEIGHBOURS = 8
_OUTSIDE = Target("outside", "192.0.2.1", 80)  # RFC 5737: nobody's address


@dataclass(frozen=True, slots=True)
class Report:
    """What a probe found."""

    controls_passed: bool
    reached: list[str]
    tried: list[str]


@dataclass(frozen=True, slots=True)
class FarEnd:
    """An end of a wire in another server: of a wire to or from the probed one, or a foreign one."""

    wire: Wire
    server: Server
    inside: Path

    @property
    def address(self) -> str:
        """The end's own address."""
        return str(self.wire.address(self.server.server_id))

    @property
    def is_answering(self) -> bool:
        """Whether it is the end with the port that the wire opens."""
        return self.server.server_id == self.wire.wish.to_server


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
    """One server's probe: its network, its neighbours where each of them answers, and wires."""

    names: Names
    spec: Server
    inside: Path
    neighbours: Sequence[Target]
    far_ends: Sequence[FarEnd]

    def _is_allowed(self, target: Target) -> bool:
        """Whether a wire of the probed server opens just this."""
        wanted = (self.spec.server_id, target.address, target.port)
        return wanted in {
            (end.wire.wish.from_server, end.address, end.wire.wish.port)
            for end in self.far_ends
            if end.is_answering
        }

    def _far_targets(self, listeners: ExitStack) -> Iterator[Target]:
        """Open a listener in each server at another end of wires, and name what must be closed."""
        opened: dict[Path, int] = {}
        doors = {end.wire.wish.port for end in self.far_ends}
        for end in self.far_ends:
            if end.inside not in opened:
                opened[end.inside] = self._listen_at(end, doors, listeners)
            name = f"wire {end.wire.wish.wire_id}"
            yield Target(name, end.address, opened[end.inside])
            yield Target(name, str(end.server.address), opened[end.inside])
            if end.is_answering:
                yield Target(name, end.address, end.wire.wish.port)

    def _listen_at(self, end: FarEnd, doors: set[int], listeners: ExitStack) -> int:
        """Return a port at which somebody listens now, and that no wire opens."""
        while True:
            listener = listeners.enter_context(run_inside(end.inside, _listener))
            if _port(listener) not in doors:
                return _port(listener)

    def _controls_pass(self) -> bool:
        """Whether the server reaches itself, and the edge reaches the server."""
        edge = edge_namespace_path(self.names.instance)
        with run_inside(self.inside, _listener) as own:
            control = Target("control", str(self.spec.address), _port(own))
            return _can_connect(self.inside, control) and _can_connect(edge, control)

    def run(self, targets: Sequence[Target]) -> Report:
        """Try the given targets and all that this machine knows to be forbidden."""
        edge = edge_namespace_path(self.names.instance)
        with ExitStack() as far, run_inside(edge, _listener) as at_edge, _listener() as at_host:
            known = [Target("edge", str(self.spec.gateway), _port(at_edge)), _OUTSIDE]
            known += [Target("host", own, _port(at_host)) for own in host_addresses()]
            known += _answering(edge, self.neighbours)
            known += self._far_targets(far)
            loopback = Target("host loopback", "127.0.0.1", _port(at_host))
            wished = [one for one in (*known, loopback, *targets) if not self._is_allowed(one)]
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
