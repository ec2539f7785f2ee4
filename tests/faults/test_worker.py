"""What befalls a running worker: messages too many or none at all, and a database that is away."""

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from sqlalchemy import create_engine

from control_plane.engine.bell import SilentBell
from control_plane.engine.registry import Registry
from control_plane.hosting.rules import HostingStatus
from control_plane.kit.db import METADATA, Database
from control_plane.ports.bundle import Ports
from control_plane.worker import FLOWS
from tests.faults.centre import QuietCentre
from tests.faults.story import OLD_SITE
from tests.faults.workers import FiveTimes, a_worker, counting, running
from tests.faults.world import World
from tests.postgresql import Postgresql, a_postgresql
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
# Calls of the cloud that a site takes from its request to its first release.
EACH_ONCE = {"ensure_tenant": 1, "ensure_server": 1, "put_blobs": 2, "switch_release": 2}


@pytest.fixture
def centre(db: Database) -> QuietCentre:
    return _opened(db)


def _opened(db: Database) -> QuietCentre:
    centre = QuietCentre(db, World(), Registry(FLOWS))
    centre.open()
    centre.settle(centre.engine().advance)
    return centre


def _ports(centre: QuietCentre) -> Ports:
    return centre.world.ports(centre.region_id)


def _is_active(centre: QuietCentre, name: str) -> bool:
    hosting = centre.hosting(name)
    return (
        hosting.status == HostingStatus.ACTIVE
        and hosting.live_deployment_id == hosting.wished_deployment_id
    )


def _shows(centre: QuietCentre, page: bytes) -> bool:
    return any(
        centre.world.edge.observe(route.hostname).body == page
        for route in centre.world.edge.list_routes()
    )


def test_the_sweep_alone_finishes_what_nobody_rings_for(centre: QuietCentre) -> None:
    with a_worker(centre.db, _ports(centre)) as worker:
        worker._engine._bell = SilentBell()
        with running(worker):
            centre.request("website", "small")
            wait_until(lambda: _is_active(centre, "website"))
            centre.deploy("website", OLD_SITE)
            wait_until(lambda: _is_active(centre, "website"))
            wait_until(lambda: centre.faults() == [])
    assert _shows(centre, OLD_SITE["index.html"])


def test_a_worker_of_which_a_part_ended_ends_as_a_whole(centre: QuietCentre) -> None:
    with a_worker(centre.db, _ports(centre)) as worker:
        cast("Any", worker)._sweep_until_stopped = lambda: None
        assert not worker.run()


def test_messages_that_come_five_times_at_once_have_their_effect_once(centre: QuietCentre) -> None:
    slowly = threading.Event()
    ports, cloud = counting(_ports(centre), lambda _verb: slowly.wait(0.05))
    with a_worker(centre.db, ports) as worker:
        bell = FiveTimes(worker._bell)
        worker._bell = worker._engine._bell = cast("Any", bell)
        with running(worker):
            centre.request("website", "small")
            wait_until(lambda: _is_active(centre, "website"))
            centre.deploy("website", OLD_SITE)
            wait_until(lambda: _is_active(centre, "website"))
            wait_until(lambda: centre.faults() == [])
    assert {verb: cloud.calls[verb] for verb in EACH_ONCE} == EACH_ONCE


@pytest.fixture
def server() -> Iterator[Postgresql]:
    with a_postgresql() as server:
        yield server


def test_a_database_that_was_away_finds_everything_going_on(server: Postgresql) -> None:
    url = f"{server.url}/postgres"
    engine = create_engine(url)
    METADATA.create_all(engine)
    engine.dispose()
    centre = _opened(Database(url))
    is_made, is_back = threading.Event(), threading.Event()

    def hold(verb: str) -> None:
        if verb == "ensure_server":
            is_made.set()
            assert is_back.wait(30)

    ports, cloud = counting(_ports(centre), hold)
    with a_worker(centre.db, ports) as worker, running(worker):
        centre.request("website", "small")
        assert is_made.wait(30)
        server.stop()
        is_back.set()  # so the step's outcome can't be recorded
        threading.Event().wait(3)
        server.start()
        wait_until(lambda: _is_active(centre, "website"))
        assert cloud.calls["ensure_server"] == 2
        centre.deploy("website", OLD_SITE)
        wait_until(lambda: _is_active(centre, "website"))
        wait_until(lambda: centre.faults() == [])
    centre.db.close()
    assert _shows(centre, OLD_SITE["index.html"])
