"""Who has lost a life to another worker changes nothing any more: no row, and not the world."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Listener
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest

from control_plane.engine import lives
from control_plane.engine.engine import LEASE
from control_plane.engine.models import Life
from control_plane.engine.registry import Registry
from control_plane.hosting.rules import LIFE, HostingStatus
from control_plane.kit import clock
from control_plane.kit.db import Database
from control_plane.ports.cloud.port import ServerState
from control_plane.worker import FLOWS
from tests.faults.centre import QuietCentre
from tests.faults.sleeper import LOCALD
from tests.faults.workers import counting
from tests.faults.world import World
from tests.locald.world import running_locald
from tests.waiting import wait_until

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def centre(db: Database) -> QuietCentre:
    return a_centre(db, World())


def a_centre(db: Database, world: World) -> QuietCentre:
    centre = QuietCentre(db, world, Registry(FLOWS))
    centre.open()
    centre.settle(centre.engine().advance)
    centre.request("website", "small")
    return centre


def come_to(centre: QuietCentre, step: str) -> str:
    """Let the hosting's life come to a step; return the life's id."""
    engine = centre.engine()

    def stop_there(life_id: str) -> None:
        while life(centre).step != step and engine.run_step(life_id):
            pass

    def is_there() -> bool:
        centre.settle_once(stop_there)
        return life(centre).step == step

    wait_until(is_there)
    return life(centre).id


def life(centre: QuietCentre) -> Life:
    with centre.db.read() as session:
        found = lives.find_life(session, LIFE.kind, centre.hosting("website").id)
    assert found is not None
    return found


@contextmanager
def served(world: World) -> Iterator[str]:
    """Let another process reach the world at this address."""
    with TemporaryDirectory() as folder, Listener(f"{folder}/world") as listener:

        def serve() -> None:
            with listener.accept() as line:
                world.serve(line)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"{folder}/world"
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def asleep(
    centre: QuietCentre, life_id: str, point: str, world: str
) -> Iterator[subprocess.Popen[str]]:
    """Give a worker that sleeps in a step; it wakes up when this is over."""
    url = centre.db.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.faults.sleeper", url, life_id, centre.region_id]
    worker = subprocess.Popen(
        [*command, point, world], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    assert os.WIFSTOPPED(os.waitpid(worker.pid, os.WUNTRACED)[1])
    yield worker
    worker.send_signal(signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "refused"),
    [("before cloud.ensure_server", ["stale_fence"]), ("after cloud.ensure_server", [])],
)
def test_a_worker_that_wakes_up_after_its_lease_changes_nothing(
    centre: QuietCentre, point: str, refused: list[str]
) -> None:
    life_id = come_to(centre, "build_server")
    with served(centre.world) as world:
        with asleep(centre, life_id, point, world) as worker:
            engine = centre.engine()
            assert not engine.run_step(life_id)  # it is not dead: nobody takes the life from it
            with clock.shifted(LEASE + timedelta(seconds=1)):
                centre.settle(engine.advance)
                assert centre.hosting("website").status == HostingStatus.ACTIVE
                before = centre.picture()
        told = json.loads(worker.communicate()[0])
    assert worker.returncode == 0
    assert told == {"recorded": False, "refused": refused}
    assert centre.picture() == before
    assert centre.faults() == []


@pytest.mark.root
def test_the_root_daemon_refuses_a_worker_that_wakes_up_after_its_lease(
    sqlite_db: Database,
) -> None:
    with running_locald() as machine:
        centre = a_centre(sqlite_db, World(cloud=cast("Any", machine.cloud)))
        life_id = come_to(centre, "build_server")
        with asleep(
            centre, life_id, "before cloud.ensure_server", f"{LOCALD}{machine.names.socket}"
        ) as worker:
            with clock.shifted(LEASE + timedelta(seconds=1)):
                assert centre.engine().run_step(life_id)
            before = centre.rows()
        told = json.loads(worker.communicate()[0])
        assert told == {"recorded": False, "refused": ["stale_fence"]}
        assert centre.rows() == before
        server = machine.cloud.observe_server(centre.hosting("website").id)
        assert (server.state, server.reasons) == (ServerState.RUNNING, ())


def test_a_message_too_many_does_not_let_go_of_what_another_thread_is_doing(
    centre: QuietCentre,
) -> None:
    is_made, may_go_on = threading.Event(), threading.Event()

    def hold(verb: str) -> None:
        if verb == "ensure_server":
            is_made.set()
            assert may_go_on.wait(20)

    life_id = come_to(centre, "build_server")
    ports, cloud = counting(centre.world.ports(centre.region_id), hold)
    engine = centre.engine(ports=ports)
    thread = threading.Thread(target=engine.run_step, args=(life_id,))
    thread.start()
    assert is_made.wait(20)
    assert not engine.run_step(life_id)
    engine.release_leases()
    assert not centre.engine().run_step(life_id)
    may_go_on.set()
    thread.join(20)
    assert cloud.calls["ensure_server"] == 1
    wait_until(lambda: life(centre).lease_until is None)
