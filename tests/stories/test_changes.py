"""A real site grows, pauses, ends and comes back: what was stored and released is there again."""

import pytest

from control_plane.locald.cgroups import list_wrong_limits
from control_plane.locald.checks import Limits
from control_plane.locald.names import Names
from control_plane.ports.cloud.local import LocalCloud
from control_plane.ports.cloud.port import ServerState
from tests.stories.hosted import Site, new_agency, request_site
from tests.stories.installation import Installation
from tests.stories.sites import small_site
from tests.waiting import wait_until

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def court(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = request_site(installation, new_agency(installation, "court"), "court", "site")
    site.wait("active")
    assert (
        site.deploy(small_site(tmp_path_factory.mktemp("court"), "in session"))["status"] == "live"
    )
    return site


def ask(site: Site, verb: str, **said: str) -> str:
    told = site.owner.post(f"/v1/hostings/{site.hosting_id}/{verb}", said)
    return str(told["id"])


def state_of(site: Site) -> ServerState:
    cloud = LocalCloud(site.installation.settings.locald_socket)
    return cloud.observe_server(site.hosting_id).state


def test_a_site_grows_without_losing_what_it_shows(installation: Installation, court: Site) -> None:
    request = ask(court, "change", size="medium", reason="the register is published")
    operator = installation.person("operator")
    plan = operator.get(f"/v1/requests/{request}")["plan"]
    operator.post(f"/v1/requests/{request}/approve", {"plan_hash": plan["hash"]})
    wait_until(lambda: court.owner.get(f"/v1/requests/{request}")["status"] == "fulfilled", 60)

    assert court.shown["size"] == "medium"
    assert court.serves("in session")
    settings = installation.settings
    names = Names(settings.instance, settings.state_dir, settings.run_dir)
    assert list_wrong_limits(names.cgroup(court.hosting_id), Limits(256, 500, 96, 2048)) == []


def test_a_closed_site_says_so_and_opens_as_it_was(court: Site) -> None:
    ask(court, "suspend", reason="a recess")
    court.wait("suspended")
    reply = court.visit()
    assert reply.status == 503
    assert "This site is suspended for now" in reply.body.decode()
    assert state_of(court) is ServerState.STOPPED

    ask(court, "resume", reason="the recess is over")
    court.wait("active")
    assert court.serves("in session")


def test_an_ended_site_comes_back_with_one_command(installation: Installation, court: Site) -> None:
    cli = installation.cli(court.owner.account)
    reference = f"court:{court.shown['name']}"
    cli.ask("hosting", "end", reference, "--reason", "by mistake", "--wait")
    court.wait("ended")
    assert court.visit().status == 404

    cli.ask("hosting", "restore", reference, "--reason", "it was a mistake", "--wait")
    court.wait("active")
    assert court.serves("in session")
