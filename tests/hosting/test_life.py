"""A hosting's life from request to purge, on the memory cloud and on both databases."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlmodel import Session

from control_plane.engine import lives
from control_plane.hosting.models import Hosting
from control_plane.hosting.rules import LIFE, HostingStatus
from control_plane.ports.cloud.memory import STATIC_SITE, Server
from control_plane.ports.edge.port import RouteState
from tests.centre import Centre
from tests.offer import a_wish


def test_nothing_is_made_before_the_decision(centre: Centre) -> None:
    centre.request()
    centre.settle(timedelta(hours=2))

    assert list(centre.cloud.list_objects()) == []


def test_an_approved_request_becomes_a_site_seen_through_the_edge(centre: Centre) -> None:
    hosting = centre.active()

    assert hosting.status == HostingStatus.ACTIVE
    assert hosting.observed_generation == hosting.generation
    assert hosting.live_deployment_id == hosting.wished_deployment_id
    [route] = centre.edge.list_routes()
    assert route.state == RouteState.SERVING
    assert centre.edge.observe(route.hostname).status == 200
    assert hosting.image_digest == STATIC_SITE.digest


def _crash(server: Server) -> None:
    server.is_running = False


@pytest.mark.parametrize("sabotage", [_crash, None], ids=["stopped", "gone with its data"])
def test_a_server_that_vanished_comes_back_with_its_content(
    centre: Centre, sabotage: Callable[[Server], None] | None
) -> None:
    hosting = centre.active()
    centre.cloud.sabotage(hosting.id, sabotage)

    for seconds in (45, 50, 60):
        centre.settle(timedelta(seconds=seconds))

    [route] = centre.edge.list_routes()
    assert centre.edge.observe(route.hostname).status == 200
    assert centre.read(hosting.id).status == HostingStatus.ACTIVE


def test_an_ended_hosting_keeps_its_data_until_its_time_is_over(centre: Centre) -> None:
    hosting = centre.active()
    with centre.api.db.begin() as session:
        lives.request_ending(session, LIFE.kind, hosting.id)
    centre.settle(timedelta(seconds=15))

    assert centre.read(hosting.id).status == HostingStatus.ENDED
    assert list(centre.edge.list_routes()) == []
    assert {o.kind for o in centre.cloud.list_objects()} == {"tenant", "server"}

    for days in (31, 32, 33):
        centre.settle(timedelta(days=days))

    assert centre.read(hosting.id).status == HostingStatus.PURGED
    assert list(centre.cloud.list_objects()) == []


def test_a_legal_hold_keeps_the_data_for_as_long_as_it_lasts(centre: Centre) -> None:
    hosting = centre.active()

    def hold(session: Session) -> None:
        row = session.get_one(Hosting, hosting.id)
        row.legal_hold = True
        session.add(row)

    with centre.api.db.begin() as session:
        hold(session)
        lives.request_ending(session, LIFE.kind, hosting.id)
    for days in (1, 31, 60, 90):
        centre.settle(timedelta(days=days))

    assert centre.read(hosting.id).status == HostingStatus.ENDED
    assert "server" in {o.kind for o in centre.cloud.list_objects()}


def test_a_hosting_whose_isolation_fails_is_taken_out_of_service_and_comes_back(
    centre: Centre,
) -> None:
    hosting = centre.active()

    def leak(server: Server) -> None:
        server.is_leaking = True

    # The memory cloud lists other servers as targets, so there has to be another one.
    other = centre.owner.post("/v1/requests", a_wish(name="other")).json()
    centre.approve(other["id"])
    for seconds in (11, 13, 16):
        centre.settle(timedelta(seconds=seconds))
    centre.cloud.sabotage(hosting.id, leak)
    centre.settle(timedelta(seconds=55), rounds=3)

    assert centre.read(hosting.id).status == HostingStatus.QUARANTINED

    for seconds in (120, 130, 140):
        centre.settle(timedelta(seconds=seconds))
    assert centre.read(hosting.id).status == HostingStatus.ACTIVE
