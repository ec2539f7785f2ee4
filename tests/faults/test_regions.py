"""One region that is away holds up nothing of another, and goes on by itself when it is back."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address
from typing import cast

import pytest
from sqlmodel import col, select

from control_plane.engine import lives
from control_plane.engine.models import Life, LifeState
from control_plane.engine.registry import Registry
from control_plane.engine.sweep import wake_resting_lives
from control_plane.hosting.rules import LIFE, HostingStatus
from control_plane.kit.db import Database, database_now
from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.ids import new_id
from control_plane.ports.automation.memory import MemoryAutomation, Played
from control_plane.ports.automation.port import RunSpec
from control_plane.ports.bundle import Ports
from control_plane.ports.cloud.breaker import Away
from control_plane.ports.cloud.lazy import LazyClouds
from control_plane.ports.cloud.memory import MemoryCloud
from control_plane.ports.cloud.memory_world import Served
from control_plane.ports.cloud.port import Cloud, ServerState
from control_plane.ports.edge.memory import MemoryEdge
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy.models import RegionImage
from control_plane.tenancy.rules import RegionKind
from control_plane.worker import FLOWS
from tests.faults.centre import QuietCentre
from tests.faults.workers import CountingPort, a_worker, running
from tests.faults.world import World
from tests.offer import IMAGES
from tests.plays import KINDS, configuring
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
SITES = [f"site-{n}" for n in range(9)]  # more than the worker has threads


class Silence:
    """What each question to a cloud meets: nothing, or silence until a time-out."""

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.is_over.set()
        self.waiting = 0

    def __call__(self, _verb: str) -> None:
        if self.is_over.is_set():
            return
        self.waiting += 1
        self.is_over.wait(60)
        raise Away("cloud_not_answering", service="compute", why="it says nothing")


class TwoRegions(QuietCentre):
    """A centre with a second region, `far`, which can fall silent."""

    def open(self) -> None:
        super().open()
        self.far, self.silence = MemoryCloud(IMAGES, beyond=2**18), Silence()
        with self.db.begin() as session:
            self.far_id = tenancy.ensure_region(session, "far", RegionKind.MEMORY).id

    @property
    def ports(self) -> Ports:
        far = cast("Cloud", CountingPort(self.far, self.silence))
        return replace(
            self.world.ports(self.region_id),
            clouds={self.region_id: self.world.cloud, self.far_id: far},
            edge=MemoryEdge(self._serve),
            automation=MemoryAutomation(dict.fromkeys(KINDS, self._play)),
        )

    def _serve(self, address: IPv4Address, _port: int, path: str) -> Served:
        with suppress(Unavailable):
            return self.far.serve(address, path)
        return self.world.cloud.serve(address, path)

    def _play(self, spec: RunSpec) -> Played | None:
        is_far = self.far.observe_server(spec.servers[0].server_id).state != ServerState.ABSENT
        return configuring(self.far if is_far else self.world.cloud)(spec)

    def has_images(self, region_id: str) -> bool:
        with self.db.read() as session:
            query = select(RegionImage).where(col(RegionImage.region_id) == region_id)
            return session.exec(query).first() is not None

    def rests(self, hosting_id: str) -> bool:
        """Whether the next look at a hosting is far."""
        with self.db.read() as session:
            life = lives.find_life(session, LIFE.kind, hosting_id)
            assert life is not None
            soon = database_now(session) + timedelta(seconds=10)
            return life.step == "watch" and life.lease_until is None and life.due_at > soon

    def waits(self) -> set[tuple[str, str | None]]:
        with self.db.read() as session:
            return {(life.state, life.why) for life in session.exec(select(Life)) if life.why}


@pytest.fixture
def centre(db: Database) -> Iterator[TwoRegions]:
    made = TwoRegions(db, World(), Registry(FLOWS))
    made.open()
    yield made
    made.silence.is_over.set()


def _settle(centre: TwoRegions, ports: Ports) -> None:
    centre.settle(centre.engine(ports=ports).advance)


def _is_active(centre: TwoRegions, name: str) -> bool:
    return centre.hosting(name).status == HostingStatus.ACTIVE


def test_a_region_that_says_nothing_leaves_the_threads_of_another(centre: TwoRegions) -> None:
    ports = centre.ports
    _settle(centre, ports)
    for name in SITES:
        centre.request(name, "small", region="far")
    _settle(centre, ports)
    assert all(_is_active(centre, name) for name in SITES)
    centre.silence.is_over.clear()
    wake_resting_lives(centre.db)  # so all of them look at their servers
    with a_worker(centre.db, ports, worker_threads=2) as worker, running(worker):
        wait_until(lambda: centre.silence.waiting > 0)
        centre.request("website", "small", region="local")
        wait_until(lambda: _is_active(centre, "website"), 15)
        assert centre.silence.waiting == 2
        centre.silence.is_over.set()
        wait_until(lambda: centre.waits() == set())
    assert all(_is_active(centre, name) for name in SITES)
    assert len({str(route.address) for route in ports.edge.list_routes()}) == len(SITES) + 1


def test_wrong_settings_of_a_region_stop_no_life_and_are_read_again(centre: TwoRegions) -> None:
    ports = centre.ports
    is_mended = threading.Event()

    def make_far() -> Cloud:
        if not is_mended.is_set():
            raise Refused("cloud_settings_wrong", cloud="far", why="no password")
        return centre.far

    clouds = LazyClouds({centre.region_id: lambda: centre.world.cloud, centre.far_id: make_far})
    _settle(centre, ports)
    centre.request("away", "small", region="far")
    with a_worker(centre.db, replace(ports, clouds=clouds)) as worker, running(worker):
        centre.request("website", "small", region="local")
        wait_until(lambda: _is_active(centre, "website"), 15)
        wait_until(lambda: (LifeState.LIVE, "region_settings_wrong") in centre.waits())
        is_mended.set()
        wait_until(lambda: _is_active(centre, "away"), 60)


def test_a_server_that_its_cloud_tells_of_is_looked_at_at_once(centre: TwoRegions) -> None:
    ports = centre.ports
    with a_worker(centre.db, ports) as worker, running(worker):
        wait_until(lambda: centre.has_images(centre.region_id))
        centre.request("website", "small", region="local")
        wait_until(lambda: _is_active(centre, "website"))
        server_id = centre.hosting("website").id
        wait_until(lambda: centre.rests(server_id))
        centre.world.stop_server(server_id)
        worker._tell(frozenset({server_id, centre.hosting("website").tenant_id, new_id("hst")}))
        wait_until(lambda: centre.world.cloud.server(server_id).is_running, 5)
