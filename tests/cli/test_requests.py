"""Asking for hosting, deciding, and what is hosted: each command for people and for programs."""

import pytest

from control_plane.identity.rules import Role
from tests.cli.terminal import Terminal, World, await_so


@pytest.fixture
def owner(world: World) -> Terminal:
    return world.person(Role.OWNER, world.agency())


@pytest.fixture
def operator(world: World) -> Terminal:
    return world.person(Role.OPERATOR)


def ask_for(owner: Terminal, name: str = "website", size: str = "medium", *more: str) -> str:
    made = owner.ask("request", "create", name, "-b", "static-site", "-s", size, *more)
    request_id: str = made["id"]
    return request_id


def test_a_request_is_shown_listed_and_taken_back(owner: Terminal) -> None:
    request_id = ask_for(owner, "website", "medium", "-r", "our new site")
    shown = owner.tell("request", "show", request_id)
    assert "our new site" in shown
    assert "IQD" in shown
    assert request_id in owner.tell("request", "list", language="ar")
    waiting = owner.ask("request", "list", "--status", "submitted")["items"]
    assert [one["id"] for one in waiting] == [request_id]
    assert owner.ask("request", "withdraw", request_id)["status"] == "withdrawn"
    assert owner.run("request", "withdraw", request_id).code == 6


def test_an_approval_is_of_the_plan_that_was_read(owner: Terminal, operator: Terminal) -> None:
    request_id = ask_for(owner)
    other = f"sha256:{'0' * 64}"
    changed = operator.run("request", "approve", request_id, "--plan-hash", other, "--json")
    assert (changed.code, changed.json["error"]["code"]) == (6, "plan_changed")
    approved = operator.ask("request", "approve", request_id, "-r", "as agreed", "--wait")
    assert approved["status"] == "fulfilled"
    assert approved["url"].startswith("https://website-agency-")
    again = operator.run("request", "approve", request_id, "--json")
    assert (again.code, again.json["error"]["code"]) == (6, "already_decided")
    assert "as agreed" in owner.tell("request", "show", request_id, "--wait")


def test_nobody_approves_in_an_agency(owner: Terminal) -> None:
    assert owner.run("request", "approve", ask_for(owner)).code == 4


def test_a_rejection_says_why_to_who_waits(owner: Terminal, operator: Terminal) -> None:
    request_id = ask_for(owner)
    rejected = operator.tell("request", "reject", request_id, "-r", "use the size small first")
    assert "use the size small first" in rejected
    waited = owner.run("request", "show", request_id, "--wait", "--json")
    assert (waited.code, waited.json["error"]["code"]) == (1, "request_rejected")
    assert waited.json["error"]["facts"]["reasons"] == ["use the size small first"]


def test_inputs_are_given_by_name(owner: Terminal) -> None:
    request_id = ask_for(owner, "website", "small", "-i", "contact_email=web@health.example")
    wish = owner.ask("request", "show", request_id)["wish"]
    assert wish["inputs"] == {"contact_email": "web@health.example"}
    wrong = owner.run(
        "request", "create", "x", "-b", "static-site", "-s", "small", "-i", "contact", "--json"
    )
    assert (wrong.code, wrong.json["error"]["code"]) == (2, "pair_invalid")


def test_which_agency_is_meant_must_be_clear(world: World, operator: Terminal) -> None:
    wish = ["request", "create", "x", "-b", "static-site", "-s", "small"]
    done = operator.run(*wish, "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "agency_missing")
    foreign = world.person(Role.OWNER, world.agency())
    assert foreign.run(*wish, "--agency", world.agency().slug).code == 5


def test_a_hosting_is_found_by_name_and_by_id_and_told_with_its_story(owner: Terminal) -> None:
    ask_for(owner, "website", "small", "--title", "موقعنا", "--wait")
    [listed] = owner.ask("hosting", "list", "--status", "active")["items"]
    assert listed["url"] in owner.tell("hosting", "list")
    for reference in ("website", listed["id"], listed["reference"]):
        assert owner.ask("hosting", "show", reference)["id"] == listed["id"]
    shown = owner.run("hosting", "show", "website", "--events")
    assert "موقعنا" in shown.output
    assert "It was seen through the edge" in shown.errors
    arabic = owner.run("hosting", "show", "website", "--events", language="ar")
    assert "It was seen" not in arabic.errors
    assert owner.run("hosting", "show", "nothing").code == 5


def test_a_hosting_ends_when_its_owner_asks(owner: Terminal) -> None:
    ask_for(owner, "website", "small", "--wait")
    ended = owner.ask("hosting", "end", "website", "-r", "replaced", "--wait")
    assert (ended["kind"], ended["status"]) == ("end", "fulfilled")
    assert owner.ask("hosting", "show", "website")["status"] == "ended"
    again = owner.run("hosting", "end", "website", "-r", "replaced", "--json")
    assert (again.code, again.json["error"]["code"]) == (6, "hosting_not_endable")


def test_an_end_is_told_to_people(owner: Terminal) -> None:
    ask_for(owner, "website", "small", "--wait")
    told = owner.tell("hosting", "end", "website", "-r", "replaced")
    assert told.startswith("Request req_")


def test_a_hosting_is_closed_for_a_while_and_opened_again(owner: Terminal) -> None:
    ask_for(owner, "website", "small", "--wait")
    closed = owner.tell("hosting", "suspend", "website", "-r", "under revision")
    assert "under revision" in closed
    await_so(lambda: owner.ask("hosting", "show", "website")["suspended_at"])
    assert "under revision" in owner.tell("hosting", "show", "website", language="ar")
    opened = owner.ask("hosting", "resume", "website", "-r", "revised")
    assert opened["suspended_at"] is None
    again = owner.run("hosting", "resume", "website", "--json")
    assert again.code == 6
    assert again.json["error"]["code"] == "hosting_not_suspended"


@pytest.mark.slow
def test_what_has_ended_comes_back(owner: Terminal) -> None:
    ask_for(owner, "website", "small", "--wait")
    owner.ask("hosting", "end", "website", "-r", "by mistake", "--wait")
    told = owner.tell("hosting", "restore", "website", "-r", "it was a mistake", "--wait")
    assert told.startswith("Request req_")
    assert owner.ask("hosting", "show", "website")["status"] == "active"
    again = owner.run("hosting", "restore", "website", "--json")
    assert again.code == 6


@pytest.mark.slow
def test_a_hosting_gets_another_size_and_title(owner: Terminal, operator: Terminal) -> None:
    ask_for(owner, "website", "small", "--wait")
    more = ["--size", "medium", "--title", "موقعنا", "-r", "more visitors"]
    asked = owner.ask("hosting", "change", "website", *more)
    assert (asked["kind"], asked["status"]) == ("change", "submitted")
    operator.ask("request", "approve", asked["id"], "--wait")
    shown = owner.ask("hosting", "show", "website")
    assert (shown["size"], shown["title"], shown["status"]) == ("medium", "موقعنا", "active")
    nothing = owner.run("hosting", "change", "website", "--size", "medium", "--json")
    assert nothing.code == 6
