"""Asking for hostings, and what an agency gets told."""

from typing import Any

import pytest
from sqlmodel import select

from control_plane.hosting.models import Hosting
from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.tenancy import actions as tenancy_actions
from control_plane.tenancy import queries as tenancy
from control_plane.tenancy.rules import RegionKind, Resource
from tests.api import a_person, an_agency
from tests.hosting.conftest import Scene
from tests.offer import IMAGE, a_wish


def used(db: Database, agency_id: str) -> dict[Resource, int]:
    with db.read() as session:
        taken = tenancy.used_by(session, agency_id)
        return {resource: sum(amounts.values()) for resource, amounts in taken.items()}


def submit(scene: Scene, **changes: Any) -> dict[str, Any]:
    answer = scene.developer.post("/v1/requests", a_wish(**changes))
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_request_says_what_is_made_and_what_it_costs(scene: Scene) -> None:
    answer = scene.developer.post("/v1/requests", a_wish(hostname="health"))
    assert answer.status_code == 202
    request = answer.json()
    assert answer.headers["Location"] == f"/v1/requests/{request['id']}"
    assert request["status"] == "submitted"
    plan = request["plan"]
    assert plan["body"]["image"] == IMAGE
    assert [line["what"] for line in plan["body"]["make"]] == [
        "tenant",
        "server",
        "hostname",
        "deployment",
    ]
    assert plan["body"]["egress"] == []
    assert plan["cost"] == {
        "currency": "IQD",
        "micros_per_hour": 16_000_000,
        "per_hour": "16.000 IQD",
        "per_month": "11,680.000 IQD",
    }
    assert request["policy"]["rule"] == "policy:default/operator"
    assert set(request["policy"]["because"]) == {"ar", "en"}
    left = {use["resource"]: use["left"] for use in request["remaining"]}
    assert left["servers"] == 99
    shown = scene.developer.get(f"/v1/requests/{request['id']}")
    assert shown.headers["ETag"] == '"1-submitted"'
    assert shown.json() == request
    hosting = scene.developer.get("/v1/hostings/health:website").json()
    assert hosting["status"] == "requested"
    assert hosting["hostname"] == "health.edubba.localhost"
    assert hosting["open_request"] == request["id"]


@pytest.mark.parametrize("language", ["ar", "en"])
def test_a_region_without_the_image_says_so_and_what_prepares_it(
    quick_scene: Scene, language: str
) -> None:
    with quick_scene.db.begin() as session:
        tenancy_actions.ensure_region(session, "bare", RegionKind.MEMORY)
    told = {"Accept-Language": language}
    answer = quick_scene.developer.post("/v1/requests", a_wish(region="bare"), headers=told)
    assert (answer.status_code, answer.json()["code"]) == (409, "image_missing")
    assert "make images FAMILIES=static-site" in answer.json()["mend"]


def test_what_is_left_out_of_a_wish_is_chosen(scene: Scene) -> None:
    submit(scene)
    hosting = scene.developer.get("/v1/hostings/health:website").json()
    assert hosting["hostname"] == "website-health.edubba.localhost"
    assert (hosting["region"], hosting["tenant"]) == ("local", "main")


def test_a_request_reserves_its_quota_and_budget_at_once(scene: Scene) -> None:
    submit(scene)
    assert used(scene.db, scene.agency.id) == {
        Resource.SERVERS: 1,
        Resource.CPU_MILLIS: 500,
        Resource.MEMORY_MIB: 256,
        Resource.DISK_MIB: 2048,
        Resource.COST: 16_000_000,
    }


def test_the_policy_approves_a_small_site_of_the_owner_and_says_why(scene: Scene) -> None:
    answer = scene.owner.post("/v1/requests", a_wish(size="small"))
    request = answer.json()
    assert request["status"] == "approved"
    (decision,) = request["decisions"]
    assert decision["decider"] == "policy:default/small-static"
    assert decision["plan_hash"] == request["plan"]["hash"]
    assert decision["because"]["ar"] == request["policy"]["because"]["ar"]
    assert "10,000 IQD" in decision["because"]["en"]


def test_a_developer_needs_an_operator_even_for_a_small_site(scene: Scene) -> None:
    assert submit(scene, size="small")["status"] == "submitted"


@pytest.mark.parametrize(
    ("changes", "status", "code", "facts"),
    [
        ({"blueprint": "mainframe"}, 409, "blueprint_unknown", {"blueprint": "mainframe"}),
        ({"size": "huge"}, 409, "size_unknown", {"known": "small, medium, large"}),
        ({"region": "moon"}, 409, "region_unknown", {"known": "local"}),
        ({"agency": "nobody"}, 404, "not_found", {"kind": "agency"}),
        ({"hostname": "www"}, 409, "hostname_reserved", {}),
        ({"hostname": "-x-"}, 422, "hostname_malformed", {"hostname": "-x-"}),
        ({"hostname": "a.b.edubba.localhost"}, 422, "hostname_malformed", {}),
        ({"hostname": "health.gov.iq"}, 409, "hostname_foreign", {"zone": "edubba.localhost"}),
        ({"hostname": "hеalth"}, 422, "hostname_malformed", {}),
        ({"inputs": {"contact_email": "nobody"}}, 422, "input_invalid", {"input": "contact_email"}),
        ({"inputs": {"colour": "red"}}, 422, "input_invalid", {"input": "colour"}),
        ({"inputs": {"check_path": 7}}, 422, "input_invalid", {"input": "check_path"}),
        ({"name": "Not A Name"}, 422, "payload_invalid", {}),
        ({"kind": "change"}, 422, "payload_invalid", {}),
        ({"surprise": 1}, 422, "payload_invalid", {}),
    ],
)
def test_a_bad_wish_is_refused_clearly_and_leaves_nothing(
    quick_scene: Scene, changes: dict[str, Any], status: int, code: str, facts: dict[str, Any]
) -> None:
    scene = quick_scene
    answer = scene.developer.post("/v1/requests", a_wish(**changes))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert facts.items() <= problem["facts"].items()
    assert problem["title"]
    assert problem["mend"]
    assert set(used(scene.db, scene.agency.id).values()) == {0}
    assert scene.developer.get("/v1/requests").json()["items"] == []


def test_a_refusal_speaks_the_readers_language_to_the_reason(quick_scene: Scene) -> None:
    wish = a_wish(hostname="-x-")
    arabic = {"Accept-Language": "ar"}
    problem = quick_scene.developer.post("/v1/requests", wish, headers=arabic).json()
    assert not any("a" <= letter <= "w" for letter in problem["title"].lower())


def test_over_quota_says_what_is_needed_and_left(scene: Scene) -> None:
    quota = {Resource.SERVERS: 5, Resource.CPU_MILLIS: 5000, Resource.MEMORY_MIB: 300}
    poor = an_agency(scene.db, "poor", {**quota, Resource.DISK_MIB: 10_000})
    owner = a_person(scene.api, Role.OWNER, poor)
    first = owner.post("/v1/requests", a_wish(agency="poor"))
    assert first.status_code == 202
    second = owner.post("/v1/requests", a_wish(agency="poor", name="other"))
    problem = second.json()
    assert (second.status_code, problem["code"]) == (409, "quota_exceeded")
    wanted = {"resource": "memory_mib", "need": 256, "left": 44}
    assert wanted.items() <= problem["facts"].items()
    with scene.db.read() as session:
        names = [hosting.name for hosting in session.exec(select(Hosting))]
    assert names == ["website"]


def test_over_budget_says_what_is_needed_and_left(scene: Scene) -> None:
    poor = an_agency(scene.db, "poor", budget=20_000_000)
    owner = a_person(scene.api, Role.OWNER, poor)
    assert owner.post("/v1/requests", a_wish(agency="poor")).status_code == 202
    answer = owner.post("/v1/requests", a_wish(agency="poor", name="other"))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "budget_exceeded")
    assert problem["facts"]["need"] == "11680.000"
    assert problem["facts"]["left"] == "2920.000"


def test_the_same_key_is_one_request_and_another_body_is_refused(scene: Scene) -> None:
    key = {"Idempotency-Key": "one"}
    first = scene.developer.post("/v1/requests", a_wish(), headers=key)
    again = scene.developer.post("/v1/requests", a_wish(), headers=key)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    other = scene.developer.post("/v1/requests", a_wish(size="large"), headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert used(scene.db, scene.agency.id)[Resource.SERVERS] == 1


def test_a_name_is_given_once_in_an_agency(scene: Scene) -> None:
    first = submit(scene)
    answer = scene.developer.post("/v1/requests", a_wish())
    assert (answer.status_code, answer.json()["code"]) == (409, "hosting_name_taken")
    assert answer.json()["facts"]["hosting"] == first["hosting"]


@pytest.mark.parametrize(
    ("hostname", "code"),
    [
        ("ministry1", "hostname_taken"),
        ("MINISTRY1", "hostname_taken"),
        ("ministryl", "hostname_lookalike"),
        ("rninistry1", "hostname_lookalike"),
    ],
)
def test_another_agencys_hostname_is_refused_without_saying_whose(
    scene: Scene, hostname: str, code: str
) -> None:
    submit(scene, hostname="ministry1")
    other = a_person(scene.api, Role.OWNER, an_agency(scene.db, "interior"))
    answer = other.post("/v1/requests", a_wish(agency="interior", hostname=hostname))
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert "health" not in answer.text
    assert scene.agency.id not in answer.text


def test_a_foreign_agencys_things_look_absent(scene: Scene) -> None:
    request = submit(scene)
    stranger = a_person(scene.api, Role.OWNER, an_agency(scene.db, "interior"))
    for path in (
        f"/v1/requests/{request['id']}",
        f"/v1/hostings/{request['hosting']}",
        "/v1/hostings/health:website",
        "/v1/requests?agency=health",
        "/v1/hostings?agency=health",
    ):
        assert stranger.get(path).status_code == 404, path
    assert stranger.get("/v1/requests").json()["items"] == []
    ended = stranger.post("/v1/hostings/health:website/end", {"reason": "mine now"})
    assert ended.status_code == 404


def test_lists_are_pages_and_can_be_narrowed(scene: Scene) -> None:
    for number in range(3):
        submit(scene, name=f"site-{number}")
    page = scene.developer.get("/v1/hostings?limit=2").json()
    assert [item["name"] for item in page["items"]] == ["site-2", "site-1"]
    rest = scene.developer.get(f"/v1/hostings?limit=2&cursor={page['next_cursor']}").json()
    assert [item["name"] for item in rest["items"]] == ["site-0"]
    assert rest["next_cursor"] is None
    query = "/v1/requests?agency=health&status=approved"
    assert scene.operator.get(query).json()["items"] == []
    assert len(scene.operator.get("/v1/requests?status=submitted").json()["items"]) == 3


def test_blueprints_show_inputs_sizes_and_prices(quick_scene: Scene) -> None:
    listed = quick_scene.developer.get("/v1/blueprints").json()["items"]
    assert [blueprint["name"] for blueprint in listed] == ["static-site"]
    shown = quick_scene.developer.get("/v1/blueprints/static-site").json()
    assert shown == listed[0]
    label = shown["inputs"]["properties"]["contact_email"]["x-label"]
    assert label["en"] == "Contact e-mail"
    prices = {size["name"]: size["prices"][0]["per_month"] for size in shown["sizes"]}
    assert prices["small"] == "5,110.000 IQD"
    assert quick_scene.developer.get("/v1/blueprints/mainframe").status_code == 404
