"""Deciding on requests: once, by somebody else, on exactly the plan that was read."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from control_plane.blueprints.models import Price
from control_plane.engine.lives import find_life, list_events
from control_plane.hosting import actions, queries
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import Draft, HostingStatus, RequestStatus
from control_plane.hostnames.models import Hostname
from control_plane.identity.actions import grant_role
from control_plane.identity.rules import Role
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.kit.money import Money
from control_plane.ledger.rules import SYSTEM
from control_plane.releases.models import Deployment
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy.models import RegionImage
from control_plane.tenancy.rules import Resource
from tests.api import as_user
from tests.hosting.conftest import Scene
from tests.hosting.test_requests import submit, used
from tests.offer import IMAGE, a_wish


def approval(request: dict[str, Any]) -> dict[str, Any]:
    return {"plan_hash": request["plan"]["hash"], "reason": "as agreed"}


def approve(scene: Scene, request: dict[str, Any]) -> dict[str, Any]:
    answer = scene.operator.post(f"/v1/requests/{request['id']}/approve", approval(request))
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def _changed_plan(session: Session, request_id: str) -> Draft | None:
    return queries.find_changed_plan(session, session.get_one(Request, request_id))


def test_an_operator_approves_what_they_read(scene: Scene) -> None:
    request = submit(scene)
    before = _signals(scene, request["hosting"])
    approved = approve(scene, request)
    assert approved["status"] == "approved"
    (decision,) = approved["decisions"]
    assert decision["decider"] == scene.operator.person.id
    assert decision["plan_hash"] == request["plan"]["hash"]
    assert decision["version"] == 1
    assert _signals(scene, request["hosting"]) > before


def test_a_rejected_request_releases_its_quota_and_its_name(scene: Scene) -> None:
    request = submit(scene, hostname="ministry")
    path = f"/v1/requests/{request['id']}/reject"
    assert scene.operator.post(path, {"reason": ""}).status_code == 422
    rejected = scene.operator.post(path, {"reason": "please ask for a small one"}).json()
    assert rejected["status"] == "rejected"
    assert rejected["closed_at"] is not None
    assert set(used(scene.db, scene.agency.id).values()) == {0}
    hosting = scene.developer.get(f"/v1/hostings/{request['hosting']}").json()
    assert hosting["status"] == "cancelled"
    again = submit(scene, hostname="ministry")
    assert again["hosting"] != request["hosting"]
    with scene.db.read() as session:
        deployment = session.get_one(Deployment, hosting["wished_deployment_id"])
        assert deployment.status == "cancelled"


def test_a_withdrawn_request_leaves_nothing_reserved(scene: Scene) -> None:
    request = submit(scene)
    path = f"/v1/requests/{request['id']}/withdraw"
    assert scene.operator.post(path, {}).status_code == 403
    withdrawn = scene.owner.post(path, {"reason": "not needed"}).json()
    assert withdrawn["status"] == "withdrawn"
    assert set(used(scene.db, scene.agency.id).values()) == {0}
    again = scene.owner.post(path, {})
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")


def test_nobody_approves_their_own_request(scene: Scene) -> None:
    with scene.db.begin() as session:
        grant_role(session, SYSTEM, scene.developer.person.id, Role.OPERATOR, None)
    both = as_user(scene.api, scene.developer.person)
    request = submit(scene)
    for verb, body in (("approve", approval(request)), ("reject", {"reason": "no"})):
        answer = both.post(f"/v1/requests/{request['id']}/{verb}", body)
        assert (answer.status_code, answer.json()["code"]) == (403, "own_request")
    assert approve(scene, request)["status"] == "approved"


def test_an_agency_cannot_decide(scene: Scene) -> None:
    request = submit(scene)
    answer = scene.owner.post(f"/v1/requests/{request['id']}/approve", approval(request))
    assert answer.status_code == 403


def test_another_hash_is_refused_and_the_present_one_named(scene: Scene) -> None:
    request = submit(scene)
    stale = {"plan_hash": f"sha256:{'0' * 64}"}
    answer = scene.operator.post(f"/v1/requests/{request['id']}/approve", stale)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "plan_changed")
    assert problem["facts"]["plan_hash"] == request["plan"]["hash"]


def test_a_second_decision_is_told_what_was_decided(scene: Scene) -> None:
    request = submit(scene)
    approve(scene, request)
    path = f"/v1/requests/{request['id']}"
    for verb, body in (("approve", approval(request)), ("reject", {"reason": "no"})):
        answer = scene.operator.post(f"{path}/{verb}", body)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "already_decided")
        assert problem["facts"]["present"] == "approved"
        assert problem["facts"]["decisions"][0]["decider"] == scene.operator.person.id


def test_an_approval_can_insist_on_the_version_that_was_read(scene: Scene) -> None:
    request = submit(scene)
    path = f"/v1/requests/{request['id']}/approve"
    stale = scene.operator.post(path, approval(request), headers={"If-Match": '"2-submitted"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    fresh = scene.operator.post(path, approval(request), headers={"If-Match": '"1-submitted"'})
    assert fresh.status_code == 200


def test_a_price_that_rose_opens_the_decision_again(scene: Scene) -> None:
    request = approve(scene, submit(scene))
    _raise_price(scene, 20_000_000)
    with scene.db.begin() as session:
        actions.reopen(session, "life:x", request["id"])
    shown = scene.operator.get(f"/v1/requests/{request['id']}").json()
    assert (shown["status"], shown["version"]) == ("submitted", 2)
    assert shown["plan"]["hash"] != request["plan"]["hash"]
    assert shown["plan"]["cost"]["micros_per_hour"] == 20_000_000
    old = scene.operator.post(f"/v1/requests/{request['id']}/approve", approval(request))
    assert old.json()["code"] == "plan_changed"
    again = approve(scene, shown)
    assert [decision["version"] for decision in again["decisions"]] == [1, 2]
    assert used(scene.db, scene.agency.id)[Resource.COST] == 20_000_000
    with scene.db.read() as session:
        assert _changed_plan(session, request["id"]) is None
        life = find_life(session, "hosting", request["hosting"])
        assert life is not None
        assert "plan_changed" in [event.event for event in list_events(session, life.id)]


def test_a_raised_price_beyond_the_budget_is_refused_at_the_new_decision(scene: Scene) -> None:
    request = approve(scene, submit(scene))
    with scene.db.begin() as session:
        tenancy.set_budget(session, SYSTEM, scene.agency.id, Money("IQD", 18_000_000))
    _raise_price(scene, 20_000_000)
    with scene.db.begin() as session:
        actions.reopen(session, "life:x", request["id"])
    shown = scene.operator.get(f"/v1/requests/{request['id']}").json()
    answer = scene.operator.post(f"/v1/requests/{request['id']}/approve", approval(shown))
    assert (answer.status_code, answer.json()["code"]) == (409, "budget_exceeded")
    assert used(scene.db, scene.agency.id)[Resource.COST] == 16_000_000


def test_a_new_image_changes_the_plan_only_when_the_approved_one_is_gone(scene: Scene) -> None:
    request = approve(scene, submit(scene))
    newer = f"sha256:{'2' * 64}"
    with scene.db.begin() as session:
        old = session.get_one(RegionImage, (scene.region.id, IMAGE))
        old.is_current = False
        now = clock.now()
        session.add(
            RegionImage(
                region_id=scene.region.id,
                digest=newer,
                family="static-site",
                first_seen_at=now,
                last_seen_at=now,
            )
        )
    with scene.db.begin() as session:
        assert _changed_plan(session, request["id"]) is None
        session.delete(session.get_one(RegionImage, (scene.region.id, IMAGE)))
        session.flush()
        changed = _changed_plan(session, request["id"])
        assert changed is not None
        assert changed.body["image"] == newer


def test_an_unchanged_plan_is_not_opened_again(scene: Scene) -> None:
    request = approve(scene, submit(scene))
    with scene.db.begin() as session:
        actions.reopen(session, "life:x", request["id"])
        assert session.get_one(Request, request["id"]).status == RequestStatus.APPROVED


@pytest.mark.parametrize("verb", ["approve", "reject", "withdraw"])
def test_an_unknown_request_is_not_found(quick_scene: Scene, verb: str) -> None:
    body = {"plan_hash": f"sha256:{'0' * 64}"} if verb == "approve" else {"reason": "x"}
    user = quick_scene.owner if verb == "withdraw" else quick_scene.operator
    answer = user.post(f"/v1/requests/{new_id('req')}/{verb}", body)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_submitting_transaction_leaves_nothing_when_it_fails(quick_scene: Scene) -> None:
    submit(quick_scene, hostname="ministry")
    answer = quick_scene.developer.post("/v1/requests", a_wish(name="b", hostname="ministry"))
    assert answer.json()["code"] == "hostname_taken"
    with quick_scene.db.read() as session:
        assert _count(session, Hosting) == _count(session, Request) == 1
        assert _count(session, Hostname) == _count(session, Deployment) == 1
        assert queries.find_present(session, quick_scene.agency.id, "b") is None


def test_a_hosting_waits_for_its_decision_with_a_deadline(quick_scene: Scene) -> None:
    request = submit(quick_scene)
    with quick_scene.db.read() as session:
        life = find_life(session, "hosting", request["hosting"])
        assert life is not None
        assert life.step == "await_decision"
        assert life.deadline_at - life.created_at == timedelta(days=3)
        hosting = queries.get_hosting(session, request["hosting"])
        assert hosting.status == HostingStatus.REQUESTED


def _count(session: Session, model: type) -> int:
    return len(session.exec(select(model)).all())


def _signals(scene: Scene, hosting_id: str) -> int:
    with scene.db.read() as session:
        life = find_life(session, "hosting", hosting_id)
        assert life is not None
        return life.signals


def _raise_price(scene: Scene, micros: int) -> None:
    with scene.db.begin() as session:
        session.add(
            Price(
                id=new_id("prc"),
                blueprint="static-site",
                size="medium",
                currency="IQD",
                micros_per_hour=micros,
                effective_from=clock.now(),
            )
        )
