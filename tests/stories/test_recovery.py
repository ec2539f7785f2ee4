"""Whatever befalls a live site, it is seen by the watch, mended without anybody, and serves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from control_plane.ports.cloud.local import LocalCloud
from control_plane.ports.cloud.port import ServerState
from tests.stories.breakages import (
    delete_container,
    flush_rules,
    forward,
    has_second_link,
    kill_inside,
    linked_to_host,
    lose_edge_namespace,
    lose_power,
)
from tests.stories.hosted import Site, request_site
from tests.stories.installation import Installation
from tests.stories.sites import small_site
from tests.waiting import wait_until

pytestmark = pytest.mark.root

DRIFTS: dict[str, tuple[Callable[[Site], None], str]] = {
    "the container deleted": (delete_container, "container_missing"),
    "nginx killed": (kill_inside, "container_stopped"),
    "the firewall's rules flushed": (flush_rules, "rules"),
    "forwarding turned on": (forward, "edge_forwards"),
}


@pytest.fixture
def shown(clinic: Site, tmp_path: Path) -> str:
    """Give the text of the page that the clinic's site shows."""
    text = f"open as always {tmp_path.name}"
    clinic.wait("active")
    assert clinic.deploy(small_site(tmp_path, text))["status"] == "live"
    return text


def is_whole(site: Site) -> bool:
    """Whether the root daemon itself finds nothing to mend in the site's server."""
    cloud = LocalCloud(site.installation.settings.locald_socket)
    found = cloud.observe_server(site.hosting_id)
    return found.state is ServerState.RUNNING and found.reasons == ()


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_seen_by_the_watch_and_mended_by_itself(
    installation: Installation, clinic: Site, shown: str, drift: str
) -> None:
    breaks, reason = DRIFTS[drift]
    clinic.rest()
    before = len(installation.log_of("worker"))
    breaks(clinic)
    assert not is_whole(clinic)
    clinic.look_now()
    wait_until(lambda: is_whole(clinic) and clinic.serves(shown))
    said = [
        line
        for line in installation.log_of("worker")[before:].splitlines()
        if "drift_seen" in line and clinic.hosting_id in line
    ]
    assert any(reason in line for line in said), said
    clinic.wait("active")
    wait_until(lambda: clinic.shown["drift"] is None)
    clinic.rest()


def test_an_edge_left_in_a_lost_namespace_is_started_anew_in_the_present_one(
    installation: Installation, clinic: Site, shown: str
) -> None:
    clinic.rest()
    lose_edge_namespace(clinic)
    clinic.look_now()
    wait_until(lambda: installation.processes["edge"].poll() is not None)
    installation.crash("edge")  # it has ended; supervisord would start it again
    wait_until(lambda: is_whole(clinic) and clinic.serves(shown))


def test_a_link_that_somebody_lays_to_the_host_is_seen_told_and_taken_away(
    clinic: Site, shown: str
) -> None:
    clinic.rest()
    with linked_to_host(clinic):
        clinic.look_now()
        wait_until(lambda: not has_second_link(clinic), 60)
    told = [event for event in clinic.events if event["event"] == "drift_seen"]
    assert "interface" in told[-1]["facts"]["what"]
    wait_until(lambda: clinic.serves(shown), 60)
    clinic.wait("active")


def test_after_a_power_loss_all_sites_are_back_by_themselves(
    installation: Installation, clinic: Site, shown: str, tmp_path: Path
) -> None:
    sister = request_site(installation, clinic.owner, clinic.agency, "sister")
    sister.wait("active")
    assert sister.deploy(small_site(tmp_path / "sister", "the sister's page"))["status"] == "live"
    lose_power(installation)
    installation.make_directories()
    installation.start_all()
    wait_until(lambda: clinic.serves(shown) and sister.serves("the sister's page"), 60)
    assert is_whole(clinic)
    assert is_whole(sister)
    assert clinic.status == sister.status == "active"
    deployed = clinic.deploy(small_site(tmp_path / "next", "life goes on"))
    assert deployed["status"] == "live"
