"""The cloud of a real OpenStack: the one that `make devcloud` starts, or another one that is named.

`EDUBBA_CLOUDS_FILE` and what begins with `EDUBBA_CLOUD_` describe it, as they do for a worker.
"""

import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote

import pytest

from control_plane.ports.cloud.openstack.cloud import OpenStackCloud
from control_plane.ports.cloud.openstack.sdk import Api
from control_plane.ports.cloud.openstack.waits import Waits
from control_plane.ports.cloud.openstack.wishes import RegionSettings
from control_plane.ports.cloud.port import Fence, ServerSpec
from control_plane.settings import Settings
from tests.locald.world import ask
from tests.openstack.tiers import administrator, has_guests
from tests.waiting import wait_until

LISTEN = """
import socket, sys, threading
server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
threading.Thread(target=lambda: [server.accept() for _ in iter(int, 1)], daemon=True).start()
print("listening", flush=True)
sys.stdin.read()
"""
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)
except OSError:
    sys.exit(1)
"""


FILL = """
import os, sys
seen = os.statvfs("/srv")
with open("/srv/ballast", "wb") as file:
    os.posix_fallocate(file.fileno(), 0, seen.f_bavail * seen.f_frsize - int(sys.argv[1]))
"""


@dataclass
class OpenStack:
    """A region under an installation's name of its own, so that nothing of others is touched."""

    cloud: OpenStackCloud
    settings: RegionSettings
    wires_are_links: bool = False

    def get(self, address: IPv4Address, path: str) -> tuple[int, bytes]:
        status, _, body = ask(str(address), quote(path), {})
        return status, body

    def lose_isolation(self, spec: ServerSpec) -> None:
        tenants = self.cloud._tenants
        project_id = tenants.project(spec.tenant_id)
        group = tenants.find_groups(project_id)[spec.tenant_id]
        network = tenants._network(project_id)
        for direction in ("ingress", "egress"):
            wish = {"security_group_id": group["id"], "direction": direction, "ethertype": "IPv4"}
            network.post("/security-group-rules", {"security_group_rule": wish})

    def lose_process(self, spec: ServerSpec) -> None:
        """Stop the server as somebody with `openstack server stop` does."""
        servers = self.cloud._servers
        machine = servers.find(spec.server_id)
        assert machine is not None
        servers.act(machine, "os-stop")
        wait_until(lambda: self._status(spec) == "SHUTOFF", timeout_s=120)

    def _status(self, spec: ServerSpec) -> str | None:
        machine = self.cloud._servers.find(spec.server_id)
        return machine.status if machine is not None else None

    def run(self, spec: ServerSpec, *argv: str) -> str:
        """Run a program as root inside a server."""
        done = subprocess.run(self._ssh(spec, argv), check=True, capture_output=True, text=True)
        return done.stdout

    def _ssh(self, spec: ServerSpec, argv: Any) -> list[str]:
        door = self.cloud._lookout.door(spec.server_id)
        return [*self.cloud._guests._ssh(door), shlex.join(argv)]

    @contextmanager
    def listening(self, spec: ServerSpec, port: int) -> Iterator[None]:
        argv = self._ssh(spec, ("python3", "-c", LISTEN, str(port)))
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"listening\n"
            yield
            assert process.stdin is not None
            process.stdin.close()

    def may_connect(self, spec: ServerSpec, address: IPv4Address | None, port: int) -> bool:
        argv = self._ssh(spec, ("python3", "-c", CONNECT, str(address), str(port)))
        return subprocess.run(argv, check=False).returncode == 0

    def leave_room(self, spec: ServerSpec) -> None:
        """Fill the disk, a flavor's, up to what was asked for."""
        self.run(spec, "python3", "-c", FILL, str(spec.limits.disk_mib << 20))

    def a_changeable_family(self) -> str:
        return "php-site"

    def change_inside(self, spec: ServerSpec) -> None:
        self.run(spec, "sh", "-c", "echo '# by hand' >> /etc/hosting/nginx.conf")

    def say(self, spec: ServerSpec, service: str, line: str, times: int = 1) -> None:
        from tests.contracts.clouds import SAYS  # noqa: PLC0415  # it offers this world, too

        self.run(spec, "sh", "-c", SAYS, service, str(times), line[:4000], line[4000:])


@contextmanager
def openstack_world(waits: Waits | None = None) -> Iterator[OpenStack]:
    found = Settings()
    region = RegionSettings(
        installation=f"t{token_hex(3)}",
        epoch=1,
        external_network=found.cloud_external_network,
        edge=(found.cloud_edge,),
        configurator=(found.cloud_configurator,),
        role=found.cloud_role,
    )
    api = Api(found.clouds_file, found.cloud_entry)
    with tempfile.TemporaryDirectory() as folder:
        world = OpenStack(OpenStackCloud(api, region, Path(folder), waits), region)
        yield world
        remove_everything(world)


@contextmanager
def openstack_with_guests() -> Iterator[OpenStack]:
    with administrator() as admin:
        if not has_guests(admin):
            pytest.skip("needs servers that run, which `make devcloud` starts")
    with openstack_world() as world:
        yield world


def remove_everything(world: OpenStack) -> None:
    """Remove what tests that failed left: all that carries this installation's tag."""
    for one in list(world.cloud.list_objects()):
        fence = Fence(f"lif_{one.object_id}", 1)
        if one.kind == "server":
            world.cloud.destroy_server(one.object_id, fence)
    for one in list(world.cloud.list_objects()):
        world.cloud.destroy_tenant(one.object_id, Fence(f"lif_{one.object_id}", 2))
    assert not list(world.cloud.list_objects())
