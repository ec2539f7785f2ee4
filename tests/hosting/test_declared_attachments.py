"""A tenant.yml declares which application reaches which database; what runs is attached, once."""

from typing import Any

import pytest

from control_plane.hosting.rules import AttachmentStatus, parse_tenant_document
from control_plane.identity.rules import Role
from control_plane.kit.documents import DocumentInvalid
from control_plane.tenancy.queries import find_agency
from tests.api import a_person
from tests.centre import Centre
from tests.hosting.test_attachments import APPLICATION, DATABASE, PYTHON, attach, both, row_of

PORTAL = {**APPLICATION, "inputs": PYTHON}
ARCHIVE = {**DATABASE, "name": "archive"}
SITE = {"name": "website", "blueprint": "static-site", "size": "small"}


def a_file(*hostings: dict[str, Any], reaches: tuple[str, ...] = ("records",)) -> dict[str, Any]:
    """Return a file with the portal, what it reaches, and other hostings."""
    return {"agency": "health", "hostings": [{**PORTAL, "attachments": list(reaches)}, *hostings]}


def ask(centre: Centre, verb: str, file: dict[str, Any]) -> Any:
    answer = centre.owner.post(f"/v1/wishes/{verb}", file)
    assert answer.status_code in {200, 202}, answer.text
    return answer.json()


def verdicts(told: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["hosting"], one["target"], one["verdict"]) for one in told["attachments"]]


def test_all_is_declared_at_once_and_attached_by_the_next_apply_once_both_run(
    centre: Centre,
) -> None:
    file = a_file(DATABASE)
    first = ask(centre, "apply", file)
    assert first["changed"] == 2
    assert verdicts(first) == [("portal", "records", "waits")]
    assert verdicts(ask(centre, "apply", file)) == [("portal", "records", "waits")]
    for item in first["items"]:
        centre.approve(item["request"]["id"])
    centre.live_on(60)
    planned = ask(centre, "plan", file)
    assert verdicts(planned) == [("portal", "records", "attach")]
    assert planned["attachments"][0]["attachment"] is None
    made = ask(centre, "apply", file)["attachments"][0]
    assert (made["verdict"], made["variable"]) == ("attach", "DATABASE_URL")
    centre.live_on(60)
    assert row_of(centre, made["attachment"]).status == AttachmentStatus.LIVE
    again = ask(centre, "apply", file)
    assert (again["changed"], verdicts(again)) == (0, [("portal", "records", "unchanged")])
    assert again["attachments"][0]["attachment"] == made["attachment"]


def test_what_is_attached_and_not_declared_is_told_and_left_alone(centre: Centre) -> None:
    attachment = attach(centre, *both(centre))
    told = ask(centre, "apply", a_file(reaches=()))
    assert verdicts(told) == [("portal", "records", "undeclared")]
    centre.live_on(60)
    assert row_of(centre, attachment).status == AttachmentStatus.LIVE


def test_a_database_beside_the_one_there_is_shown_by_the_plan_and_refused_by_apply(
    centre: Centre,
) -> None:
    attachment = attach(centre, *both(centre))
    centre.active(**ARCHIVE)
    file = a_file(reaches=("archive",))
    assert verdicts(ask(centre, "plan", file)) == [("portal", "archive", "differs")]
    answer = centre.owner.post("/v1/wishes/apply", file)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "already_attached")
    assert problem["facts"]["pointer"] == "/hostings/0/attachments/0"
    assert problem["facts"]["attachment"] == attachment


def test_an_end_that_is_declared_asks_for_no_attachment(centre: Centre) -> None:
    application, _ = both(centre)
    file = {**a_file(), "hostings": [{**PORTAL, "attachments": ["records"], "state": "ended"}]}
    told = ask(centre, "apply", file)
    assert (told["items"][0]["verdict"], told["attachments"]) == ("end", [])
    assert centre.owner.get(f"/v1/hostings/{application}/attachments").json()["items"] == []


@pytest.mark.parametrize(
    ("reaches", "hostings", "code", "place"),
    [
        (("nothing",), (), "not_found", 0),
        (("website",), (SITE,), "not_attachable", 0),
        (("records", "archive"), (DATABASE, ARCHIVE), "variable_taken", 1),
    ],
)
@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_what_can_never_be_attached_is_refused_with_its_place_before_anything_is_made(
    centre: Centre,
    verb: str,
    reaches: tuple[str, ...],
    hostings: tuple[dict[str, Any], ...],
    code: str,
    place: int,
) -> None:
    answer = centre.owner.post(f"/v1/wishes/{verb}", a_file(*hostings, reaches=reaches))
    problem = answer.json()
    assert problem["code"] == code
    assert problem["facts"]["pointer"] == f"/hostings/0/attachments/{place}"
    assert centre.owner.get("/v1/hostings").json()["items"] == []


def test_a_site_declares_no_database(centre: Centre) -> None:
    both(centre)
    file = {"agency": "health", "hostings": [{**SITE, "attachments": ["records"]}]}
    answer = centre.owner.post("/v1/wishes/plan", file)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_attachable")


def test_a_developer_may_declare_an_attachment_of_what_runs(centre: Centre) -> None:
    both(centre)
    with centre.api.db.read() as session:
        agency = find_agency(session, "health")
    developer = a_person(centre.api, Role.DEVELOPER, agency)
    answer = developer.post("/v1/wishes/apply", a_file())
    assert [one["verdict"] for one in answer.json()["attachments"]] == ["attach"]


@pytest.mark.parametrize(
    ("attachments", "line", "reason"),
    [
        ("[a]", 6, "a can't be attached to itself"),
        ("[b, b]", 6, "b stands here twice"),
        ("[c]", 6, "c is declared as ended"),
        ("b", 6, "hostings.0.attachments must be a list"),
        ("[B]", 6, "hostings.0.attachments.0 has characters or a form that are not allowed"),
    ],
)
def test_a_wrong_attachment_names_line_and_reason(attachments: str, line: int, reason: str) -> None:
    text = (
        "agency: health\nhostings:\n- name: a\n  blueprint: x\n  size: y\n"
        f"  attachments: {attachments}\n"
        "- {name: c, blueprint: x, size: y, state: ended}\n"
    )
    with pytest.raises(DocumentInvalid) as found:
        parse_tenant_document(text)
    first = found.value.mistakes[0]
    assert (first.line, str(first.reason)) == (line, reason)
