"""A cloud without guests: what `make devcloud TIER=fast` has, where servers are only rows.

All but the inside of a server is the cloud's own. What stands in for the inside answers as a
guest does that is up, so that a server which the cloud calls active counts as running.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from openstack.connection import Connection

from control_plane.ports.cloud.openstack.cloud import OpenStackCloud
from control_plane.ports.cloud.openstack.guests import Door, Guests
from control_plane.ports.cloud.openstack.machines import HOST_KEY, Machine
from control_plane.ports.cloud.openstack.sdk import Api
from control_plane.ports.cloud.openstack.servers import Servers
from control_plane.ports.cloud.openstack.wishes import RegionSettings
from control_plane.ports.cloud.port import Limits, ServerSpec
from control_plane.settings import Settings
from tests.openstack.tiers import administrator, has_guests

FAMILY, DIGEST = "fast", "sha256:" + "fa57" * 16
SMALL = Limits(memory_mib=128, cpu_millis=500, pids=64, disk_mib=64)
_NO_HOST_KEY = "ssh-ed25519 " + "A" * 68


class _Inside(Guests):
    """Says of each guest that it is up."""

    def ask(self, door: Door, *argv: str, about: Any = None) -> dict[str, Any]:  # noqa: ARG002
        return {"up": True}


class _Rows(Servers):
    """Takes the console to have said a host key: the fake driver's says the same three lines."""

    def pin_host_key(self, machine: Machine) -> bool:
        self.act(machine, "os-getConsoleOutput", {"length": 3})
        self.write(machine, {HOST_KEY: _NO_HOST_KEY})
        return True


class FastCloud(OpenStackCloud):
    """The adapter, but for what is inside of servers."""

    def __init__(self, api: Api, settings: RegionSettings, folder: Path) -> None:
        super().__init__(api, settings, folder)
        self._guests.__class__ = _Inside
        self._servers.__class__ = _Rows


def a_region(installation: str, found: Settings, **changes: Any) -> RegionSettings:
    """Return a region that is an installation's of its own, on the cloud that settings name."""
    about: dict[str, Any] = {
        "external_network": found.cloud_external_network,
        "edge": (found.cloud_edge,),
        "configurator": (found.cloud_configurator,),
        "role": found.cloud_role,
    }
    return RegionSettings(installation, 1, **about | changes)


def a_spec(server_id: str, tenant_id: str, serial: int, limits: Limits = SMALL) -> ServerSpec:
    """Return a small server with the address of its serial."""
    address = IPv4Address(int(IPv4Address("100.64.0.0")) + 4 * serial + 2)
    return ServerSpec(server_id, tenant_id, DIGEST, limits, serial, 0x10000 * serial, address)


@contextmanager
def a_fast_cloud() -> Iterator[Connection]:
    """Give the administrator of a cloud without guests; one with guests is left alone."""
    with administrator() as admin:
        if has_guests(admin):
            pytest.skip("needs what `make devcloud TIER=fast` starts")
        with an_image(admin):
            yield admin


@contextmanager
def an_image(
    admin: Connection, digest: str = DIGEST, disk: Path | None = None, family: str = FAMILY
) -> Iterator[str]:
    """Have an image that servers can be made from; without a disk, nothing is in it."""
    about = {
        "name": f"fast {digest[-8:]}",
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "public",
        "edubba_family": family,
        "edubba_digest": digest,
    }
    image = sure(admin.image.post("/images", json=about)).json()
    stream = {"Content-Type": "application/octet-stream"}
    with disk.open("rb") if disk else BytesIO(b"nothing") as content:
        sure(admin.image.put(f"/images/{image['id']}/file", data=content, headers=stream))
    try:
        yield image["id"]
    finally:
        admin.image.delete(f"/images/{image['id']}")


def sure(answer: Any) -> Any:
    """Return an answer of the cloud's that says yes."""
    answer.raise_for_status()
    return answer
