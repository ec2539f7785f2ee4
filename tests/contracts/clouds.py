"""Clouds to hold to their contract: one in memory, one of real containers on this machine."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import pytest

from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.ports.cloud.memory import STATIC_SITE, MemoryCloud, Server
from control_plane.ports.cloud.port import (
    Cloud,
    Fence,
    ServerFact,
    ServerSpec,
    ServerState,
    WireFact,
    WireSpec,
)
from tests.contracts.openstack import openstack_with_guests
from tests.images import prepared_images
from tests.locald.world import LocaldWorld, Release, a_server, newest_image, running_locald
from tests.waiting import wait_until

HOUR = timedelta(hours=1)
NONCE_PATH = "/.well-known/edubba/deployment"
Answer = tuple[int, bytes]
# Two services are declared, and one of them writes the line so often; s6-log keeps it.
SAYS = """
echo '{"left": {}, "right": {}}' > /etc/hosting/services.json
mkdir -p "/srv/log/$0"
yes "$2$3" | head -n "$1" | s6-log n4 s1000000 T "/srv/log/$0"
chmod 755 "/srv/log/$0"
"""


class World(Protocol):
    """A cloud, and the ways to look at it and to break it from outside."""

    @property
    def cloud(self) -> Cloud: ...

    @property
    def wires_are_links(self) -> bool:
        """Whether a wire has an address of its own and goes with the process at either end.

        Else it is a rule between two servers, which a process that died changes nothing of.
        """

    def get(self, address: IPv4Address, path: str) -> Answer: ...

    def lose_isolation(self, spec: ServerSpec) -> None: ...

    def lose_process(self, spec: ServerSpec) -> None: ...

    def leave_room(self, spec: ServerSpec) -> None: ...

    def a_changeable_family(self) -> str: ...

    def change_inside(self, spec: ServerSpec) -> None: ...

    def say(self, spec: ServerSpec, service: str, line: str, times: int = 1) -> None: ...

    def listening(self, spec: ServerSpec, port: int) -> AbstractContextManager[None]: ...

    def may_connect(self, spec: ServerSpec, address: IPv4Address | None, port: int) -> bool: ...


@dataclass
class Memory:
    cloud: MemoryCloud = field(default_factory=MemoryCloud)
    wires_are_links: bool = True

    def get(self, address: IPv4Address, path: str) -> Answer:
        status, _, body = self.cloud.serve(address, path)
        return status, body

    def lose_isolation(self, spec: ServerSpec) -> None:
        def leak(server: Server) -> None:
            server.is_leaking = True

        self.cloud.sabotage(spec.server_id, leak)

    def lose_process(self, spec: ServerSpec) -> None:
        def end(server: Server) -> None:
            server.is_running = False

        self.cloud.sabotage(spec.server_id, end)

    def leave_room(self, spec: ServerSpec) -> None:
        """Nothing is to be filled: its disks are no larger than asked for."""

    def a_changeable_family(self) -> str:
        return STATIC_SITE.family

    def change_inside(self, spec: ServerSpec) -> None:
        def change(server: Server) -> None:
            server.configuration += "by hand"

        self.cloud.sabotage(spec.server_id, change)

    def say(self, spec: ServerSpec, service: str, line: str, times: int = 1) -> None:
        def write(server: Server) -> None:
            server.logs.setdefault(service, []).extend([(clock.now(), line)] * times)

        self.cloud.sabotage(spec.server_id, write)

    @contextmanager
    def listening(self, spec: ServerSpec, port: int) -> Iterator[None]:  # noqa: ARG002
        yield  # whether anybody listens makes no difference in memory

    def may_connect(self, spec: ServerSpec, address: IPv4Address | None, port: int) -> bool:
        assert address is not None
        return self.cloud.may_connect(spec.server_id, address, port)


@dataclass
class Local:
    world: LocaldWorld
    wires_are_links: bool = True

    @property
    def cloud(self) -> Cloud:
        return self.world.cloud

    def get(self, address: IPv4Address, path: str) -> Answer:
        status, _, body = self.world.get(address, quote(path))
        return status, body

    def lose_isolation(self, spec: ServerSpec) -> None:  # noqa: ARG002  # all servers lose it
        self.world.run_at_edge("nft", "flush", "ruleset")

    def lose_process(self, spec: ServerSpec) -> None:
        self.world.kill_process(spec)

    def leave_room(self, spec: ServerSpec) -> None:
        """Nothing is to be filled: its disks are no larger than asked for."""

    def a_changeable_family(self) -> str:
        prepared_images("php-site")  # nothing of a static site can be changed
        return "php-site"

    def change_inside(self, spec: ServerSpec) -> None:
        write = "echo '# by hand' >> /etc/hosting/nginx.conf"
        self.world.run_in_server(spec.server_id, "sh", "-c", write)

    def say(self, spec: ServerSpec, service: str, line: str, times: int = 1) -> None:
        self.world.run_in_server(
            spec.server_id, "sh", "-c", SAYS, service, str(times), line[:4000], line[4000:]
        )

    @contextmanager
    def listening(self, spec: ServerSpec, port: int) -> Iterator[None]:
        with self.world.listening(spec, port):
            yield

    def may_connect(self, spec: ServerSpec, address: IPv4Address | None, port: int) -> bool:
        assert address is not None
        return self.world.may_connect(spec, address, port)


@contextmanager
def memory_world() -> Iterator[World]:
    yield Memory()


@contextmanager
def local_world() -> Iterator[World]:
    with running_locald() as world:
        yield Local(world)


WORLDS = [
    pytest.param(memory_world, id="memory"),
    pytest.param(local_world, id="local", marks=pytest.mark.root),
    pytest.param(openstack_with_guests, id="openstack", marks=pytest.mark.cloud),
]


@dataclass
class Stage:
    """A tenant, and servers in it that are removed again."""

    world: World
    folder: Path
    tenant_id: str = field(default_factory=lambda: new_id("ten"))
    fence: Fence = field(default_factory=lambda: Fence(new_id("lif"), 7))
    specs: list[ServerSpec] = field(default_factory=list)
    serials: "Iterator[int]" = field(default_factory=lambda: iter(range(1, 100)))

    @property
    def cloud(self) -> Cloud:
        return self.world.cloud

    @property
    def server(self) -> ServerSpec:
        """The one server of a stage that is settled."""
        return self.specs[0]

    def a_spec(self) -> ServerSpec:
        image = newest_image(self.cloud, "static-site")
        spec = a_server(self.tenant_id, image, next(self.serials))
        self.specs.append(spec)
        return spec

    def a_server(self) -> ServerSpec:
        spec = self.a_spec()
        self.running(spec)
        return spec

    def running(self, spec: ServerSpec) -> ServerFact:
        """Ask for a server until it runs, as the engine does: some clouds take their time."""
        found: list[ServerFact] = []

        def runs() -> bool:
            found.append(self.cloud.ensure_server(spec, self.fence))
            return found[-1].state is ServerState.RUNNING

        wait_until(runs, timeout_s=300)
        return found[-1]

    def a_wire(self, asking: ServerSpec, answering: ServerSpec, port: int = 5432) -> WireSpec:
        ends = (asking.server_id, answering.server_id)
        return WireSpec(new_id("att"), self.tenant_id, *ends, port)

    def ensure(self, wire: WireSpec) -> WireFact:
        return self.cloud.ensure_wire(wire, self.fence)

    def a_release(self, **contents: bytes) -> Release:
        named = {name.replace("__", "."): content for name, content in contents.items()}
        return Release(self.folder, named)

    def get(self, spec: ServerSpec, path: str) -> Answer:
        address = self.cloud.observe_server(spec.server_id).address
        assert address is not None
        return self.world.get(address, path)
