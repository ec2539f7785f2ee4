"""Processes that end, in order or not, in the middle of a deployment: it goes live all the same."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from tests.stories.hosted import Site
from tests.stories.installation import Installation
from tests.stories.sites import small_site
from tests.waiting import wait_until

pytestmark = pytest.mark.root
CRASHES = 5
PAUSE_S = 0.3  # about as long as a worker needs to begin: so it dies early, late and in between


def in_order(installation: Installation) -> None:
    """Stop all processes as `make down` does, and start them as `make up` does."""
    for name in reversed(list(installation.programs)):
        installation.stop(name)
    installation.start_all()


def worker_again_and_again(installation: Installation) -> None:
    for crash in range(CRASHES):
        Event().wait(PAUSE_S * (1 + crash))
        installation.crash("worker")


def daemon_again_and_again(installation: Installation) -> None:
    for _ in range(CRASHES):
        Event().wait(PAUSE_S)
        installation.crash("locald")


@pytest.mark.parametrize("end", [in_order, worker_again_and_again, daemon_again_and_again])
def test_a_deployment_outlives_the_processes_that_carry_it(
    installation: Installation,
    clinic: Site,
    tmp_path: Path,
    end: Callable[[Installation], None],
) -> None:
    pages = {f"page-{number}.html": f"page {number}" * 99 for number in range(200)}
    text = f"open while {end.__name__.replace('_', ' ')}"
    release = clinic.release(small_site(tmp_path, text, **pages))
    deployment = clinic.begin_deployment(release)
    end(installation)
    installation.wait_ready()
    assert clinic.end_of(deployment)["status"] == "live"
    wait_until(lambda: clinic.serves(text))
    clinic.wait("active")
    told = [event["event"] for event in clinic.events]
    assert "life_stopped" not in told
