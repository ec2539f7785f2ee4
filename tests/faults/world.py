"""The world outside, in memory, and a way to reach it from a process that is going to die.

The adapters live in one process; a worker forked from it gets ports that send each call over a
pipe. When the worker is killed, the world is as it was at that moment, as a real one would be.
"""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from io import IOBase
from multiprocessing.connection import Connection
from typing import Any, cast

from control_plane.kit import clock
from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.automation.memory import MemoryAutomation
from control_plane.ports.blobs.memory import MemoryBlobs
from control_plane.ports.bundle import Ports
from control_plane.ports.cloud.memory import MemoryCloud, Server
from control_plane.ports.cloud.port import Image
from control_plane.ports.edge.memory import MemoryEdge
from control_plane.ports.keyring.memory import MemoryKeyring
from tests.offer import IMAGES
from tests.plays import plays_on

NEWER_IMAGE = Image("static-site", "sha256:" + sha256(b"a newer one").hexdigest())
ZONE = "edubba.localhost"
PASSWORD = re.compile(r'(?<=[":])[\w-]{32}(?=["@])')  # whoever makes one makes another
PORTS = ("cloud", "edge", "blobs", "keyring", "automation")
_STREAM, _ITEM = "the items follow one by one", "an item"


@dataclass
class World:
    """One adapter a port, all of them without anything behind."""

    cloud: MemoryCloud = field(default_factory=lambda: MemoryCloud(IMAGES))
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    keyring: MemoryKeyring = field(default_factory=lambda: MemoryKeyring(ZONE))
    zone: str = ZONE
    automation: MemoryAutomation = field(init=False)

    def __post_init__(self) -> None:
        self.automation = MemoryAutomation(plays_on(self.cloud))
        self.edge = MemoryEdge(lambda address, _port, path: self.cloud.serve(address, path))

    def ports(self, region_id: str) -> Ports:
        outside = self.edge, self.blobs, self.keyring, self.automation
        return Ports({region_id: self.cloud}, *outside)

    # Accidents

    def offer_newer_image(self) -> None:
        self.cloud._images = (NEWER_IMAGE, *IMAGES)

    def stop_server(self, server_id: str) -> None:
        self.cloud.sabotage(server_id, _stop)

    def lose_server(self, server_id: str) -> None:
        """Let it vanish with its data."""
        self.cloud.sabotage(server_id, None)

    def change_inside(self, server_id: str) -> None:
        """Let somebody change its configuration by hand."""
        self.cloud.sabotage(server_id, _change)

    def speak(self, server_id: str) -> None:
        """Let its services write something."""
        self.cloud.sabotage(server_id, _speak)

    def lose_isolation(self, server_id: str) -> None:
        self.cloud.sabotage(server_id, _leak)

    # Copies of it

    def save(self) -> Callable[[], None]:
        """Remember all there is; return what brings it back, as often as wanted."""
        adapters = self.cloud, self.edge, self.blobs, self.automation
        kept = {one: deepcopy(_contents(one)) for one in adapters}
        places = [*self.blobs._stored.values(), *self.blobs._retired.values()]
        files = {path: path.read_bytes() for path in places}

        def restore() -> None:
            for one, contents in kept.items():
                vars(one).update(deepcopy(contents))
            for path, content in files.items():
                if not path.exists():
                    path.write_bytes(content)

        return restore

    def state(self) -> object:
        """Return all there is, fences too: whatever a call changed makes a difference here."""
        return repr((self._things(), self.cloud._counters, self.edge._certificates))

    def picture(self) -> list[str]:
        """Return what people would find there, one thing a line, to compare two worlds."""
        things = ((kind, thing) for kind, things in self._things().items() for thing in things)
        return [PASSWORD.sub("a password", f"{kind} {thing}") for kind, thing in things]

    def _things(self) -> dict[str, list[Any]]:
        blobs = self.blobs
        return {
            "tenant": sorted(self.cloud._tenants.items()),
            "server": [(key, asdict(one)) for key, one in sorted(self.cloud._servers.items())],
            "wire": sorted(self.cloud._wires.items()),
            "route": sorted(self.edge._routes.items()),
            "certificate": sorted(self.edge._certificates),
            "blob": sorted(blobs._stored),
            "retired": sorted(blobs._retired),
        }

    # From far

    def serve(self, line: Connection) -> None:
        """Carry out what a worker in another process asks for, until that process is gone."""
        try:
            while True:
                self._answer(line, *line.recv())
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return

    def _answer(
        self, line: Connection, port: str, verb: str, sent: list[Any], named: dict[str, Any]
    ) -> None:
        arguments = [self._drawn_from(line) if one == _STREAM else one for one in sent]
        line.send(self._told(port, verb, arguments, named))

    def _drawn_from(self, line: Connection) -> Iterator[Any]:
        while True:
            line.send(_STREAM)
            while (asked := line.recv())[0] != _ITEM:  # whoever makes the item asks for something
                self._answer(line, *asked)
            if asked[1] is None:
                return
            yield asked[1]

    def _told(self, port: str, verb: str, arguments: list[Any], named: dict[str, Any]) -> object:
        try:
            told = getattr(getattr(self, port), verb)(*arguments, **named)
        except (Refused, Unavailable) as error:
            return type(error), error.code, error.facts
        return None, list(told) if isinstance(told, Iterator) else told, {}


def _stop(server: Server) -> None:
    server.is_running = False


def _change(server: Server) -> None:
    server.configuration = "by hand"


def _speak(server: Server) -> None:
    for service in ("app", "web"):
        server.logs.setdefault(service, []).extend([(clock.now(), "a line")] * 3)


def _leak(server: Server) -> None:
    server.is_leaking = True


class FarPort:
    """Stands for an adapter in another process, and implements whichever port that does."""

    def __init__(self, name: str, line: Connection) -> None:
        self._name, self._line = name, line

    def __getattr__(self, verb: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            streams = [one for one in arguments if is_stream(one)]
            sent = [_STREAM if is_stream(one) else one for one in arguments]
            self._line.send((self._name, verb, sent, named))
            while (answer := self._line.recv()) == _STREAM:
                self._line.send((_ITEM, next(streams[0], None)))
            error, told, facts = answer
            if error is not None:
                raise error(told, **facts)
            return told

        return call


def _contents(adapter: object) -> dict[str, Any]:
    """Return what an adapter holds, without what it is made of."""
    return {name: one for name, one in vars(adapter).items() if isinstance(one, dict | tuple | int)}


def far_ports(region_id: str, line: Connection) -> Ports:
    """Return the ports of a worker whose world is at the other end of the line."""
    cloud, edge, blobs, keyring, automation = (cast("Any", FarPort(name, line)) for name in PORTS)
    return Ports({region_id: cloud}, edge, blobs, keyring, automation)


def is_stream(argument: object) -> bool:
    """Whether an argument is drawn from while the call runs; a file goes along as it is."""
    return isinstance(argument, Iterator) and not isinstance(argument, IOBase)
