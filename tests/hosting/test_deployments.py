"""What a hosting's life makes of deployments: in their order, and never less than what was live."""

from datetime import timedelta
from functools import partial

import pytest
from sqlmodel import col, select

from control_plane.engine.lives import find_life
from control_plane.engine.models import Life
from control_plane.engine.sweep import alert_overdue_lives
from control_plane.hosting.models import Hosting
from control_plane.hosting.rules import LIFE, HostingStatus
from control_plane.kit import clock
from control_plane.ports.cloud.memory import Server
from control_plane.releases.models import Deployment
from control_plane.releases.rules import DeploymentStatus
from tests.centre import Centre

OLD, NEW, NEWEST = b"<h1>old</h1>", b"<h1>new</h1>", b"<h1>newest</h1>"


def _settled(centre: Centre, hosting: Hosting, at: int = 20) -> Hosting:
    for seconds in range(at, at + 9, 2):
        centre.settle(timedelta(seconds=seconds))
    return centre.read(hosting.id)


def _life_of(centre: Centre, hosting: Hosting) -> Life:
    with centre.api.db.read() as session:
        life = find_life(session, LIFE.kind, hosting.id)
        assert life is not None
        return life


def _step_until(centre: Centre, hosting: Hosting, step: str) -> str:
    """Run the hosting's life step by step until it is about to take this one."""
    for _ in range(30):
        life = _life_of(centre, hosting)
        if life.step == step:
            return life.id
        centre.engine.run_step(life.id)
    raise AssertionError(f"it never came to {step}")


def test_a_release_goes_live_and_the_one_before_is_superseded(centre: Centre) -> None:
    hosting = centre.active()
    first = centre.deploy(hosting.id, index_html=OLD)
    assert _settled(centre, hosting).live_deployment_id == first
    second = centre.deploy(hosting.id, index_html=NEW)
    after = _settled(centre, hosting, 40)

    assert centre.front_page() == NEW
    assert after.live_deployment_id == after.wished_deployment_id == second
    assert after.observed_generation == after.generation
    assert [centre.deployment(one)["status"] for one in (first, second)] == ["superseded", "live"]


def test_a_release_without_a_front_page_leaves_the_old_one_live(centre: Centre) -> None:
    hosting = centre.active()
    good = centre.deploy(hosting.id, index_html=OLD)
    _settled(centre, hosting)
    bad = centre.deploy(hosting.id, other_html=NEW)
    after = _settled(centre, hosting, 40)

    assert centre.front_page() == OLD
    assert centre.deployment(bad)["status"] == "failed"
    assert "404" in centre.deployment(bad)["outcome"]["output"]
    assert after.status == HostingStatus.ACTIVE
    assert after.live_deployment_id == after.wished_deployment_id == good
    after = _settled(centre, hosting, 80)
    assert after.observed_generation == after.generation


def test_a_first_release_that_fails_leaves_the_page_of_a_new_site(centre: Centre) -> None:
    request_id, hosting_id = centre.request()
    centre.approve(request_id)
    hosting = centre.read(hosting_id)
    _step_until(centre, hosting, "open_tenant")
    bad = centre.deploy(hosting_id, other_html=NEW)
    after = _settled(centre, hosting, 0)

    assert centre.deployment(bad)["status"] == "failed"
    assert after.status == HostingStatus.ACTIVE
    assert b"404" not in centre.front_page()


def test_a_wish_made_while_another_goes_live_waits_for_its_turn(centre: Centre) -> None:
    hosting = centre.active()
    first = centre.deploy(hosting.id, index_html=OLD)
    _step_until(centre, hosting, "check")
    second = centre.deploy(hosting.id, index_html=NEW)
    life_id = _step_until(centre, hosting, "verify")
    centre.engine.run_step(life_id)

    between = centre.read(hosting.id)
    assert between.live_deployment_id == first
    assert between.observed_generation < between.generation
    after = _settled(centre, hosting)
    assert after.live_deployment_id == second
    assert after.observed_generation == after.generation
    assert centre.front_page() == NEW


@pytest.mark.parametrize(
    "step", ["begin", "deliver", "assemble", "check", "switch", "probe", "serve", "verify"]
)
def test_a_server_that_goes_down_during_a_deployment_is_mended_and_it_goes_live(
    centre: Centre, step: str
) -> None:
    hosting = centre.active()
    wished = centre.deploy(hosting.id, index_html=NEW)
    _step_until(centre, hosting, step)
    centre.cloud.sabotage(hosting.id, lambda server: setattr(server, "is_running", False))
    _settled(centre, hosting)
    _settled(centre, hosting, 40)

    assert centre.deployment(wished)["status"] == "live"
    assert centre.front_page() == NEW


@pytest.mark.parametrize(
    "step", ["begin", "deliver", "assemble", "check", "switch", "probe", "serve", "verify"]
)
def test_a_release_wished_for_while_the_live_one_is_mended_goes_live_after_it(
    centre: Centre, step: str
) -> None:
    hosting = centre.active()
    centre.deploy(hosting.id, index_html=OLD)
    _settled(centre, hosting)
    centre.cloud.sabotage(hosting.id, lambda server: setattr(server, "is_running", False))
    with clock.shifted(timedelta(minutes=1)):
        _step_until(centre, hosting, step)
        wished = centre.deploy(hosting.id, index_html=NEW)
    _settled(centre, hosting, 60)

    assert centre.deployment(wished)["status"] == "live"
    assert centre.front_page() == NEW


def test_of_three_wishes_the_middle_one_is_overtaken(centre: Centre) -> None:
    hosting = centre.active()
    first = centre.deploy(hosting.id, index_html=OLD)
    _step_until(centre, hosting, "check")
    second = centre.deploy(hosting.id, index_html=b"<h1>never seen</h1>")
    third = centre.deploy(hosting.id, index_html=NEW)
    _settled(centre, hosting)

    shown = [centre.deployment(one)["status"] for one in (first, second, third)]
    assert shown == ["superseded", "cancelled", "live"]
    with centre.api.db.read() as session:
        unfinished = select(Deployment).where(
            col(Deployment.status).in_([DeploymentStatus.QUEUED, DeploymentStatus.RUNNING])
        )
        assert session.exec(unfinished).all() == []


def test_a_server_keeps_what_is_live_and_forgets_the_rest(centre: Centre) -> None:
    hosting = centre.active()
    pages = [f"<h1>{number}</h1>".encode() for number in range(4)]
    for number, page in enumerate(pages):
        centre.deploy(hosting.id, index_html=page)
        _settled(centre, hosting, 20 * (number + 1))
    kept: list[int] = []
    centre.cloud.sabotage(hosting.id, lambda server: kept.append(len(server.releases)))
    assert kept == [2]  # the live one, and the one that it superseded


def test_a_migration_of_nearly_an_hour_calls_nobody_and_its_end_is_seen_at_once(
    centre: Centre,
) -> None:
    hosting = centre.active()
    old = centre.deploy(hosting.id, index_html=OLD)
    _settled(centre, hosting)
    centre.cloud.sabotage(hosting.id, partial(_prepare, is_preparing=True))
    first = centre.deploy(hosting.id, index_html=NEW)
    centre.settle(timedelta(seconds=40))
    second = centre.deploy(hosting.id, index_html=NEWEST)
    for minute in range(1, 59, 3):
        centre.settle(timedelta(minutes=minute))
        with clock.shifted(timedelta(minutes=minute)):
            assert _life_of(centre, hosting).id not in alert_overdue_lives(centre.api.db)
    assert [centre.deployment(one)["status"] for one in (old, first, second)] == [
        "live",
        "running",
        "queued",
    ]
    assert centre.front_page() == OLD
    life = _life_of(centre, hosting)
    assert (life.step, life.why) == ("check", "release_preparing")
    with clock.shifted(timedelta(minutes=58, seconds=8)):
        assert life.due_at < clock.now()  # it is looked at every few seconds still
    centre.cloud.sabotage(hosting.id, partial(_prepare, is_preparing=False))
    _settled(centre, hosting, 59 * 60)
    assert centre.front_page() == NEWEST
    assert [centre.deployment(one)["status"] for one in (first, second)] == ["superseded", "live"]


def _prepare(server: Server, *, is_preparing: bool) -> None:
    server.is_preparing = is_preparing
