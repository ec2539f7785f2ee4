"""What a hosting's life writes: each move once, in order, with its ledger entry."""

from datetime import timedelta

import pytest
from sqlmodel import Session, col, select

from control_plane.engine.lives import find_life
from control_plane.engine.models import LifeState
from control_plane.hosting import actions, queries
from control_plane.hosting.rules import (
    HOSTING_MOVES,
    REQUEST_MOVES,
    HostingMoveRefused,
    HostingStatus,
    RequestMoveRefused,
    RequestStatus,
    move_hosting,
    move_request,
)
from control_plane.hostnames import queries as hostnames
from control_plane.hostnames.rules import HostnameStatus
from control_plane.kit import clock
from control_plane.ledger.models import LedgerEntry
from control_plane.tenancy import queries as tenancy
from control_plane.tenancy.rules import ReservationState
from tests.hosting.conftest import Scene
from tests.hosting.test_decisions import approve
from tests.hosting.test_requests import submit, used

LIFE = "life:lif_x"


def build(scene: Scene) -> str:
    """Ask for a hosting, approve it, and let its life begin to build it."""
    hosting_id: str = approve(scene, submit(scene))["hosting"]
    with scene.db.begin() as session:
        actions.begin_building(session, LIFE, hosting_id)
    return hosting_id


def activate(scene: Scene) -> str:
    hosting_id = build(scene)
    with scene.db.begin() as session:
        _activate(session, hosting_id)
    return hosting_id


def _activate(session: Session, hosting_id: str) -> None:
    hosting = queries.get_hosting(session, hosting_id)
    assert hosting.wished_deployment_id is not None
    actions.mark_active(
        session, LIFE, hosting_id, deployment_id=hosting.wished_deployment_id, generation=1
    )


def told(session: Session, subject_id: str) -> list[str]:
    query = select(LedgerEntry.action).where(col(LedgerEntry.subject_id) == subject_id)
    return list(session.exec(query.order_by(col(LedgerEntry.created_at))))


def test_building_gives_an_address_and_begins_the_tenant(scene: Scene) -> None:
    hosting_id = build(scene)
    with scene.db.begin() as session:
        actions.begin_building(session, LIFE, hosting_id)  # a step may be repeated
        hosting = queries.get_hosting(session, hosting_id)
        assert hosting.status == HostingStatus.BUILDING
        allocation = tenancy.find_allocation(session, hosting_id)
        assert allocation is not None
        assert allocation.serial == 1
        assert find_life(session, "tenant", hosting.tenant_id) is not None
        assert told(session, hosting_id).count("hosting.building") == 1


def test_nothing_is_made_before_the_approval(scene: Scene) -> None:
    request = submit(scene)
    with scene.db.read() as session:
        hosting = queries.get_hosting(session, request["hosting"])
        assert tenancy.find_allocation(session, hosting.id) is None
        assert find_life(session, "tenant", hosting.tenant_id) is None


def test_an_active_hosting_has_what_was_reserved_and_its_request_fulfilled(scene: Scene) -> None:
    hosting_id = activate(scene)
    with scene.db.begin() as session:
        _activate(session, hosting_id)
        rows = tenancy.list_reservations(session, hosting_id)
        assert {row.state for row in rows} == {ReservationState.COMMITTED}
        request = queries.get_create_request(session, hosting_id)
        assert request.status == RequestStatus.FULFILLED
        assert told(session, hosting_id).count("hosting.active") == 1
        assert told(session, request.id) == [
            "request.submitted",
            "request.approved",
            "request.fulfilled",
        ]
    shown = scene.developer.get(f"/v1/hostings/{hosting_id}").json()
    assert (shown["status"], shown["observed_generation"]) == ("active", 1)
    assert shown["live_deployment_id"] == shown["wished_deployment_id"]


def test_a_failed_probe_takes_out_of_service_and_a_passed_one_puts_back(scene: Scene) -> None:
    hosting_id = activate(scene)
    with scene.db.begin() as session:
        actions.quarantine(session, LIFE, hosting_id, ["host"])
        actions.quarantine(session, LIFE, hosting_id, ["host"])
        hosting = queries.get_hosting(session, hosting_id)
        assert hosting.status == HostingStatus.QUARANTINED
        assert hosting.probe_failed_at is not None
        actions.restore_service(session, LIFE, hosting_id)
        actions.restore_service(session, LIFE, hosting_id)
        assert hosting.status == HostingStatus.ACTIVE
        assert hosting.probe_failed_at is None
        assert told(session, hosting_id)[-2:] == ["hosting.quarantined", "hosting.active"]


def test_a_life_that_stops_keeps_its_reservation_until_it_is_given_up(scene: Scene) -> None:
    hosting_id = build(scene)
    with scene.db.begin() as session:
        actions.mark_failed(session, LIFE, hosting_id, "disk_full", {"left": 0})
        actions.mark_failed(session, LIFE, hosting_id, "disk_full", {"left": 0})
        assert told(session, hosting_id).count("hosting.failed") == 1
    assert sum(used(scene.db, scene.agency.id).values()) > 0
    with scene.db.begin() as session:
        actions.abandon(session, scene.operator.person.id, hosting_id, "no disk will come")
        hosting = queries.get_hosting(session, hosting_id)
        assert hosting.status == HostingStatus.ENDING
        life = find_life(session, "hosting", hosting_id)
        assert life is not None
        assert life.ending_at is not None
        actions.begin_ending(session, LIFE, hosting_id)
        actions.mark_ended(session, LIFE, hosting_id)
        assert queries.get_create_request(session, hosting_id).status == RequestStatus.ABANDONED
    assert set(used(scene.db, scene.agency.id).values()) == {0}


def test_giving_up_before_anything_was_made_leaves_nothing(scene: Scene) -> None:
    request = approve(scene, submit(scene))
    with scene.db.begin() as session:
        actions.abandon(session, scene.operator.person.id, request["hosting"], "asked twice")
        hosting = queries.get_hosting(session, request["hosting"])
        assert hosting.status == HostingStatus.CANCELLED
    assert set(used(scene.db, scene.agency.id).values()) == {0}


def test_a_request_whose_life_had_stopped_can_be_withdrawn_too(scene: Scene) -> None:
    request = submit(scene)
    with scene.db.begin() as session:
        life = find_life(session, "hosting", request["hosting"])
        assert life is not None
        life.state = LifeState.STOPPED
        actions.mark_failed(session, LIFE, request["hosting"], "step_crashed", {})
    answer = scene.owner.post(f"/v1/requests/{request['id']}/withdraw", {})
    assert answer.json()["status"] == "withdrawn"
    with scene.db.read() as session:
        life = find_life(session, "hosting", request["hosting"])
        assert life is not None
        assert life.state == LifeState.LIVE  # to come to its end
        assert queries.get_hosting(session, request["hosting"]).status == HostingStatus.CANCELLED


def test_the_owner_ends_a_hosting_by_the_policy_and_once(scene: Scene) -> None:
    activate(scene)
    path = "/v1/hostings/health:website/end"
    assert scene.developer.post(path, {"reason": "old"}).status_code == 403
    stale = scene.owner.post(path, {"reason": "old"}, headers={"If-Match": '"9"'})
    assert stale.status_code == 412
    answer = scene.owner.post(path, {"reason": "replaced"})
    assert answer.status_code == 202
    request = answer.json()
    assert (request["kind"], request["status"]) == ("end", "approved")
    assert request["decisions"][0]["decider"] == "policy:default/own-ending"
    destroyed = [line["what"] for line in request["plan"]["body"]["destroy"]]
    assert destroyed == ["server", "content"]
    assert request["plan"]["body"]["saves"]["micros_per_hour"] == 16_000_000
    assert scene.owner.get(path.removesuffix("/end")).json()["status"] == "ending"
    again = scene.owner.post(path, {"reason": "replaced"})
    assert (again.status_code, again.json()["code"]) == (409, "hosting_not_endable")


def test_an_ended_hosting_frees_its_means_and_keeps_its_data(scene: Scene) -> None:
    hosting_id = activate(scene)
    scene.owner.post("/v1/hostings/health:website/end", {"reason": "replaced"})
    with scene.db.begin() as session:
        for _ in range(2):
            actions.begin_ending(session, LIFE, hosting_id)
        for _ in range(2):
            actions.mark_ended(session, LIFE, hosting_id)
        hosting = queries.get_hosting(session, hosting_id)
        assert hosting.ended_at is not None
        assert hosting.purge_after is not None
        assert hosting.purge_after - hosting.ended_at == timedelta(days=30)
        name = hostnames.find_latest_of_hosting(session, hosting_id)
        assert name is not None
        assert name.status == HostnameStatus.RELEASED
        end = queries.find_end_request(session, hosting_id)
        assert end is not None
        assert end.status == RequestStatus.FULFILLED
    assert set(used(scene.db, scene.agency.id).values()) == {0}
    assert submit(scene)["hosting"] != hosting_id


def test_purging_quarantines_the_address(scene: Scene) -> None:
    hosting_id = activate(scene)
    scene.owner.post("/v1/hostings/health:website/end", {"reason": "replaced"})
    with scene.db.begin() as session:
        actions.begin_ending(session, LIFE, hosting_id)
        actions.mark_ended(session, LIFE, hosting_id)
        for _ in range(2):
            actions.mark_purged(session, LIFE, hosting_id)
        assert queries.get_hosting(session, hosting_id).status == HostingStatus.PURGED
        assert tenancy.find_allocation(session, hosting_id) is None
        assert tenancy.find_free_allocation(session, scene.region.id, clock.now()) is None
        assert told(session, hosting_id)[-1] == "hosting.purged"


def test_what_a_step_finds_late_changes_nothing_of_a_hosting_that_ends(scene: Scene) -> None:
    hosting_id = activate(scene)
    scene.owner.post("/v1/hostings/health:website/end", {"reason": "replaced"})
    with scene.db.begin() as session:
        _activate(session, hosting_id)
        actions.quarantine(session, LIFE, hosting_id, ["host"])
        actions.restore_service(session, LIFE, hosting_id)
        actions.begin_building(session, LIFE, hosting_id)
        assert queries.get_hosting(session, hosting_id).status == HostingStatus.ENDING


def test_a_waiting_hosting_is_withdrawn_not_ended(scene: Scene) -> None:
    submit(scene)
    answer = scene.owner.post("/v1/hostings/health:website/end", {"reason": "no"})
    assert (answer.status_code, answer.json()["code"]) == (409, "hosting_not_endable")


@pytest.mark.parametrize("present", list(HostingStatus))
@pytest.mark.parametrize("to", list(HostingStatus))
def test_a_hosting_moves_only_as_the_table_says(present: HostingStatus, to: HostingStatus) -> None:
    if (present, to) in HOSTING_MOVES:
        assert move_hosting(present, to) is to
        return
    with pytest.raises(HostingMoveRefused) as refused:
        move_hosting(present, to)
    assert refused.value.facts == {"present": present.value, "to": to.value}


@pytest.mark.parametrize("present", list(RequestStatus))
@pytest.mark.parametrize("to", list(RequestStatus))
def test_a_request_moves_only_as_the_table_says(present: RequestStatus, to: RequestStatus) -> None:
    if (present, to) in REQUEST_MOVES:
        assert move_request(present, to) is to
        return
    with pytest.raises(RequestMoveRefused):
        move_request(present, to)
