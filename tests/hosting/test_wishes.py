"""A declared tenant becomes requests once, and tells what is wrong with its line."""

from pathlib import Path
from typing import Any

import pytest

from control_plane.hosting.rules import parse_tenant_document, parse_tenant_file
from control_plane.identity.rules import Role
from control_plane.kit.documents import DocumentInvalid
from control_plane.kit.installed import tenants_dir
from control_plane.tenancy.rules import Resource
from tests.api import a_person, an_agency
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
    assert [item["verdict"] for item in first.json()["items"]] == ["request", "request"]
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


def test_another_tenant_or_region_is_a_difference(quick_scene: Scene) -> None:
    quick_scene.developer.post("/v1/wishes/apply", a_file())
    same = quick_scene.developer.post("/v1/wishes/apply", a_file(region="local"))
    assert same.json()["changed"] == 0
    answer = quick_scene.developer.post("/v1/wishes/apply", a_file(tenant="other"))
    assert answer.json()["facts"]["fields"] == "tenant"


def test_a_stranger_can_neither_plan_nor_apply(quick_scene: Scene) -> None:
    stranger = a_person(quick_scene.api, Role.OWNER, an_agency(quick_scene.db, "interior"))
    for verb in ("plan", "apply"):
        assert stranger.post(f"/v1/wishes/{verb}", a_file()).status_code == 404


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_can_be_asked_for(quick_scene: Scene, path: Path) -> None:
    file = parse_tenant_file(path.read_text(encoding="utf-8"), str(path))
    answer = quick_scene.developer.post("/v1/wishes/plan", file.model_dump(mode="json"))
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
        ("agency: [\n", 2, "This is not YAML: expected the node content, but found '<stream end>'"),
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
