"""A declared tenant becomes requests once, and tells what is wrong with its line."""

from pathlib import Path
from typing import Any

import pytest

from control_plane.hosting import queries
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import (
    HostingStatus,
    RequestKind,
    RequestStatus,
    parse_tenant_document,
    parse_tenant_file,
)
from control_plane.identity.rules import Role
from control_plane.kit import clock
from control_plane.kit.documents import DocumentInvalid
from control_plane.kit.installed import tenants_dir
from control_plane.tenancy.rules import Resource
from tests.api import a_person, an_agency
from tests.centre import Centre
from tests.hosting.conftest import Scene
from tests.hosting.test_requests import used

EXAMPLES = sorted((tenants_dir() / "examples").glob("*/tenant.yml"))

SITE = "- {name: a, blueprint: static-site, size: small}\n"


def a_file(*hostings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    site = {"blueprint": "static-site", "size": "medium"}
    listed = hostings or ({"name": "website"},)
    return {"agency": "health", "hostings": [{**site, **one} for one in listed], **changes}


def test_applying_twice_asks_once(scene: Scene) -> None:
    file = a_file({"name": "website", "hostname": "health"}, {"name": "forms", "size": "small"})
    first = scene.developer.post("/v1/wishes/apply", file)
    assert first.status_code == 202
    assert first.json()["changed"] == 2
    assert [item["verdict"] for item in first.json()["items"]] == ["create", "create"]
    second = scene.developer.post("/v1/wishes/apply", file).json()
    assert second["changed"] == 0
    assert [item["verdict"] for item in second["items"]] == ["unchanged", "unchanged"]
    assert [item["hosting"] for item in second["items"]] == [
        item["hosting"] for item in first.json()["items"]
    ]
    assert len(scene.developer.get("/v1/requests").json()["items"]) == 2


def test_a_plan_says_what_apply_will_do_and_keeps_nothing(scene: Scene) -> None:
    file = a_file({"name": "website"}, {"name": "forms", "size": "small"})
    plan = scene.owner.post("/v1/wishes/plan", file).json()
    assert plan["changed"] == 2
    assert [item["approved_by"] for item in plan["items"]] == [None, "policy:default/small-static"]
    assert [item["hosting"] for item in plan["items"]] == [None, None]
    assert {use["resource"]: use["left"] for use in plan["remaining"]}["servers"] == 98
    assert plan["cost"]["micros_per_hour"] == sum(
        item["plan"]["cost"]["micros_per_hour"] for item in plan["items"]
    )
    assert set(used(scene.db, scene.agency.id).values()) == {0}
    assert scene.owner.get("/v1/hostings").json()["items"] == []
    applied = scene.owner.post("/v1/wishes/apply", file).json()
    assert [item["plan"]["hash"] for item in applied["items"]] == [
        item["plan"]["hash"] for item in plan["items"]
    ]


def test_all_of_a_file_is_asked_for_or_nothing(scene: Scene) -> None:
    file = a_file({"name": "website"}, {"name": "forms", "size": "huge"})
    answer = scene.developer.post("/v1/wishes/apply", file)
    assert (answer.status_code, answer.json()["code"]) == (409, "size_unknown")
    assert scene.developer.get("/v1/hostings").json()["items"] == []
    assert used(scene.db, scene.agency.id)[Resource.SERVERS] == 0


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"size": "large"}, "size"),
        ({"title": "Other", "inputs": {"check_path": "/x"}}, "inputs, title"),
        ({"hostname": "elsewhere"}, "hostname"),
    ],
)
def test_a_hosting_that_differs_is_not_changed_silently(
    quick_scene: Scene, changes: dict[str, Any], fields: str
) -> None:
    user = quick_scene.developer
    user.post("/v1/wishes/apply", a_file())
    answer = user.post("/v1/wishes/apply", a_file({"name": "website", **changes}))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "hosting_differs")
    assert problem["facts"]["fields"] == fields


def test_a_plan_says_in_what_a_hosting_differs(quick_scene: Scene) -> None:
    user = quick_scene.developer
    user.post("/v1/wishes/apply", a_file())
    wished = {"name": "website", "size": "large", "title": "Other"}
    plan = user.post("/v1/wishes/plan", a_file(wished, {"name": "forms"})).json()
    assert plan["changed"] == 1
    assert [item["verdict"] for item in plan["items"]] == ["differs", "create"]
    assert plan["items"][0]["differences"] == [
        {"field": "size", "present": "medium", "wished": "large"},
        {"field": "title", "present": "", "wished": "Other"},
    ]


def test_a_hosting_in_service_is_asked_to_become_as_declared_once(scene: Scene) -> None:
    made = scene.owner.post("/v1/wishes/apply", a_file()).json()["items"][0]
    put_into_service(scene, made["hosting"])
    wished = a_file({"name": "website", "size": "large", "title": "Other"})
    plan = scene.owner.post("/v1/wishes/plan", wished).json()
    assert (plan["changed"], plan["items"][0]["verdict"]) == (1, "change")
    assert plan["items"][0]["request"] is None
    assert plan["cost"]["micros_per_hour"] == 20_000_000

    first = scene.owner.post("/v1/wishes/apply", wished).json()
    assert first["items"][0]["request"]["kind"] == "change"
    again = scene.owner.post("/v1/wishes/apply", wished).json()
    assert (again["changed"], again["items"][0]["verdict"]) == (0, "unchanged")
    smaller = scene.owner.post("/v1/wishes/plan", a_file({"name": "website", "size": "small"}))
    assert smaller.json()["items"][0]["verdict"] == "differs"  # one change at a time


def test_another_tenant_or_region_is_a_difference(quick_scene: Scene) -> None:
    quick_scene.developer.post("/v1/wishes/apply", a_file())
    same = quick_scene.developer.post("/v1/wishes/apply", a_file(region="local"))
    assert same.json()["changed"] == 0
    answer = quick_scene.developer.post("/v1/wishes/apply", a_file(tenant="other"))
    assert answer.json()["facts"]["fields"] == "tenant"


def put_into_service(scene: Scene, hosting_id: str) -> None:
    with scene.db.begin() as session:
        hosting = session.get_one(Hosting, hosting_id)
        hosting.status, hosting.active_at = HostingStatus.ACTIVE, clock.now()
        request = queries.get_create_request(session, hosting_id)
        request.status = RequestStatus.FULFILLED
        session.add_all([hosting, request])


def test_a_hosting_declared_as_ended_is_asked_to_end_once(scene: Scene) -> None:
    made = scene.owner.post("/v1/wishes/apply", a_file()).json()["items"][0]
    put_into_service(scene, made["hosting"])
    ended = a_file({"name": "website", "state": "ended"}, reason="replaced")
    plan = scene.owner.post("/v1/wishes/plan", ended).json()
    assert (plan["changed"], plan["items"][0]["verdict"]) == (1, "end")
    assert (plan["items"][0]["status"], plan["items"][0]["hosting"]) == ("active", made["hosting"])
    assert plan["saves"]["micros_per_hour"] == made["plan"]["cost"]["micros_per_hour"]
    assert plan["cost"]["micros_per_hour"] == 0
    hosting = scene.owner.get(f"/v1/hostings/{made['hosting']}").json()
    assert hosting["status"] == "active"
    applied = scene.owner.post("/v1/wishes/apply", ended).json()
    assert (applied["changed"], applied["items"][0]["status"]) == (1, "ending")
    assert applied["items"][0]["request"]["reason"] == "replaced"
    again = scene.owner.post("/v1/wishes/apply", ended).json()
    assert (again["changed"], again["items"][0]["verdict"]) == (0, "unchanged")


def test_an_end_that_waits_for_its_decision_is_not_asked_for_again(quick_scene: Scene) -> None:
    made = quick_scene.owner.post("/v1/wishes/apply", a_file()).json()["items"][0]
    put_into_service(quick_scene, made["hosting"])
    both = a_person(quick_scene.api, Role.OWNER, quick_scene.agency)
    with quick_scene.db.begin() as session:
        request = session.get_one(Request, made["request"]["id"])
        # As if a policy left it to an operator.
        request.kind, request.status = RequestKind.END, RequestStatus.SUBMITTED
        session.add(request)
    answer = both.post("/v1/wishes/apply", a_file({"name": "website", "state": "ended"}))
    assert answer.json()["changed"] == 0


def test_what_never_was_needs_no_end(quick_scene: Scene) -> None:
    ended = a_file({"name": "website", "state": "ended"})
    answer = quick_scene.owner.post("/v1/wishes/apply", ended).json()
    assert answer["changed"] == 0
    assert answer["items"][0]["hosting"] is None


def test_who_may_not_end_may_not_declare_an_end(quick_scene: Scene) -> None:
    made = quick_scene.owner.post("/v1/wishes/apply", a_file()).json()["items"][0]
    put_into_service(quick_scene, made["hosting"])
    ended = a_file({"name": "website", "state": "ended"})
    answer = quick_scene.developer.post("/v1/wishes/apply", ended)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_what_a_file_does_not_name_is_told_and_left_alone(quick_scene: Scene) -> None:
    user = quick_scene.owner
    first = user.post("/v1/wishes/apply", a_file()).json()["items"][0]
    answer = user.post("/v1/wishes/apply", a_file({"name": "forms"})).json()
    assert [one["name"] for one in answer["undeclared"]] == ["website"]
    hosting = user.get(f"/v1/hostings/{first['hosting']}").json()
    assert hosting["status"] == "requested"
    elsewhere = user.post("/v1/wishes/plan", a_file({"name": "x1"}, tenant="other")).json()
    assert elsewhere["undeclared"] == []


@pytest.mark.parametrize(
    ("wished", "changes", "pointer"),
    [
        ({"blueprint": "nothing"}, {}, "/hostings/1/blueprint"),
        ({"size": "huge"}, {}, "/hostings/1/size"),
        ({"inputs": {"colour": "red"}}, {}, "/hostings/1/inputs/colour"),
        ({"hostname": "-"}, {}, "/hostings/1/hostname"),
        ({}, {"region": "moon"}, "/region"),
    ],
)
def test_a_problem_points_at_the_part_of_the_file(
    quick_scene: Scene, wished: dict[str, Any], changes: dict[str, Any], pointer: str
) -> None:
    file = a_file({"name": "fine"}, {"name": "wrong", **wished}, **changes)
    answer = quick_scene.developer.post("/v1/wishes/plan", file)
    assert answer.status_code in {409, 422}
    assert answer.json()["facts"]["pointer"] == pointer


def test_a_stranger_can_neither_plan_nor_apply(quick_scene: Scene) -> None:
    stranger = a_person(quick_scene.api, Role.OWNER, an_agency(quick_scene.db, "interior"))
    for verb in ("plan", "apply"):
        assert stranger.post(f"/v1/wishes/{verb}", a_file()).status_code == 404


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_can_be_asked_for(centre: Centre, path: Path) -> None:
    file = parse_tenant_file(path.read_text(encoding="utf-8"), str(path))
    answer = centre.owner.post("/v1/wishes/plan", file.model_dump(mode="json"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["changed"] == len(file.hostings)


def test_there_is_an_example() -> None:
    assert EXAMPLES


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "The file is empty"),
        ("agency: health\nhostings: {}\n", 2, "hostings must be a list"),
        ("agency: health\n", 1, "hostings is missing"),
        ("agency: health\nhostings: []\ncolour: red\n", 3, "colour is not known here"),
        ("agency: health\nhostings:\n- name: a\n  size: x\n", 3, "hostings.0.blueprint is missing"),
        ("agency: [\n", 2, "This is not YAML: did not find expected node content"),
        ("agency: a\nagency: b\n", 2, "agency stands here twice"),
        ("agency: &a health\nhostings: []\n", 1, "Anchors and aliases are not allowed"),
        (
            "agency: no\nhostings: []\n",
            1,
            "agency must be text; put it in quotation marks",
        ),
        (
            f"agency: health\nhostings:\n{SITE}{SITE}",
            4,
            "a stands here twice",
        ),
        (
            "agency: health\nhostings:\n- name: A B\n  blueprint: x\n  size: y\n",
            3,
            "hostings.0.name has characters or a form that are not allowed",
        ),
    ],
)
def test_a_wrong_file_names_line_and_reason(text: str, line: int, reason: str) -> None:
    with pytest.raises(DocumentInvalid) as found:
        parse_tenant_file(text)
    first = found.value.mistakes[0]
    assert (first.line, str(first.reason)) == (line, reason)
    assert found.value.facts["source"] == "tenant.yml"


def test_all_mistakes_are_named_at_once() -> None:
    text = "agency: 1\nhostings:\n- name: a\n  size: small\n  colour: red\n"
    with pytest.raises(DocumentInvalid) as found:
        parse_tenant_file(text)
    assert [mistake.line for mistake in found.value.mistakes] == [1, 3, 5]


def test_a_mistake_that_the_server_finds_has_a_line_too() -> None:
    text = "agency: health\nhostings:\n- name: a\n  blueprint: b\n  size: c\n  inputs:\n    x: 1\n"
    document = parse_tenant_document(text)
    assert document.line_of(("hostings", 0, "inputs", "x")) == 7
    assert document.line_of(("hostings", 0, "inputs", "y")) == 6
    assert document.line_of(("hostings", 5)) == 2
