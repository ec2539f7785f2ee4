"""On a real OpenStack: a server that becomes active is looked at when its cloud tells of it."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import openstack
import pytest

from control_plane.kit.ids import new_id
from control_plane.ports.cloud.openstack import lookout as adapter
from control_plane.ports.cloud.openstack.listener import Listener, Source
from control_plane.ports.cloud.openstack.machines import Machine
from control_plane.ports.cloud.openstack.waits import Waits
from control_plane.ports.cloud.port import Fence, Image, TenantSpec
from control_plane.regions import OpenStackRegion, read_regions
from control_plane.settings import Settings
from tests.contracts.openstack import OpenStack, openstack_world
from tests.locald.world import a_server

pytestmark = pytest.mark.cloud
SELDOM_S = 20.0  # between looks that nothing wakes
LATEST_S = 2.0  # from the cloud's word to ours


@pytest.fixture
def image() -> Iterator[Image]:
    """Offer an image that nothing can boot: it is enough that nova says so."""
    content = new_id("img").encode() * 1000
    made = Image("static-site", f"sha256:{hashlib.sha256(content).hexdigest()}")
    found = Settings()
    entry = os.environ["EDUBBA_CLOUD_IMAGES_ENTRY"]
    config = openstack.config.OpenStackConfig(config_files=[str(found.clouds_file)])
    with openstack.connection.Connection(config=config.get_one(entry)) as administrator:
        glance = administrator.image  # by plain calls: the SDK's own warn of what becomes of them
        wish = {
            "name": "waking",
            "disk_format": "raw",
            "container_format": "bare",
            "visibility": "public",
            "edubba_family": made.family,
            "edubba_digest": made.digest,
        }
        image_id = glance.post("/images", json=wish).json()["id"]
        binary = {"Content-Type": "application/octet-stream"}
        glance.put(f"/images/{image_id}/file", data=content, headers=binary)
        yield made
        glance.delete(f"/images/{image_id}")


@contextmanager
def _listening(waits: Waits) -> Iterator[None]:
    [region] = read_regions(Settings()).values()
    assert isinstance(region, OpenStackRegion)
    told = region.notifications
    assert told is not None, "EDUBBA_CLOUD_NOTIFICATIONS_URL is not set"
    stopped = threading.Event()
    listener = Listener(Source("devcloud", told.url, told.queues), waits.tell)
    thread = threading.Thread(target=listener.run, args=(stopped,))
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(10)


def _time_until_seen(world: OpenStack, image: Image) -> tuple[float, float]:
    """Return after how long a new server was seen to be active, and how long it was so by then."""
    tenant = new_id("ten")
    world.cloud.ensure_tenant(TenantSpec(tenant, new_id("agy")), Fence(new_id("lif"), 1))
    spec = a_server(tenant, image.digest, 1)
    machine = world.cloud._servers.make(spec, world.cloud._guests.authority.public_key)
    began = monotonic()
    active: list[float] = []

    def watch(seen: Machine) -> None:
        while not active and monotonic() < began + 2 * SELDOM_S:
            found = world.cloud._servers.get(seen)
            if found is not None and found.status == "ACTIVE":
                active.append(monotonic())
            threading.Event().wait(0.1)

    beside = threading.Thread(target=watch, args=(machine,))
    beside.start()
    world.cloud._lookout.await_status(machine, {"ACTIVE"})
    seen = monotonic()
    beside.join()
    return seen - began, seen - active[0]


def test_a_server_that_becomes_active_is_looked_at_at_once(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOK_EVERY_S", "LOOK_AT_LEAST_EVERY_S"):
        monkeypatch.setattr(adapter, name, SELDOM_S)
    waits = Waits()
    with openstack_world(waits) as world, _listening(waits):
        taken, late = _time_until_seen(world, image)
    assert (taken < SELDOM_S, late < LATEST_S) == (True, True), (taken, late)
