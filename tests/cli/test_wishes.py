"""A tenant.yml is planned, applied once, and told where it is wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane.identity.rules import Role
from tests.cli.terminal import Terminal, World


@pytest.fixture
def owner(world: World) -> Terminal:
    agency = world.agency()
    terminal = world.person(Role.OWNER, agency)
    terminal.variables["EDUBBA_AGENCY"] = agency.slug
    return terminal


def declare(terminal: Terminal, *hostings: dict[str, Any], **more: Any) -> Path:
    """Write a tenant.yml into somebody's folder."""
    site = {"blueprint": "static-site", "size": "small"}
    document = {
        "agency": terminal.variables["EDUBBA_AGENCY"],
        "hostings": [{**site, **one} for one in hostings],
        **more,
    }
    file = terminal.home / "tenant.yml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return file


def test_a_plan_says_what_it_costs_and_changes_nothing(owner: Terminal) -> None:
    declare(owner, {"name": "website"}, {"name": "forms", "size": "medium"})
    plan = owner.ask("plan")
    assert plan["changed"] == 2
    told = owner.tell("plan")
    assert "Requests to be made: 2" in told
    assert plan["cost"]["per_month"] in told
    assert "policy:default/small-static" in told
    assert "an operator must" in told
    assert owner.ask("request", "list")["items"] == []


def test_a_pipeline_sees_by_the_exit_code_whether_there_is_something_to_ask_for(
    owner: Terminal,
) -> None:
    declare(owner, {"name": "website"})
    assert owner.run("plan").code == 0
    assert owner.run("plan", "--exit-code").code == 10
    owner.ask("apply")
    done = owner.run("plan", "--exit-code", "--json")
    assert (done.code, done.json["changed"]) == (0, 0)
    assert "10 with `plan --exit-code`" in " ".join(owner.tell("--help").split())


def test_applied_twice_it_asks_for_nothing_new(owner: Terminal) -> None:
    declare(owner, {"name": "website"}, {"name": "forms"})
    first = owner.ask("apply")
    second = owner.ask("apply")
    assert (first["changed"], second["changed"]) == (2, 0)
    assert [item["verdict"] for item in second["items"]] == ["unchanged", "unchanged"]
    assert len(owner.ask("request", "list")["items"]) == 2
    assert "There is nothing to ask for." in owner.tell("apply")


def test_apply_waits_until_all_is_as_declared_and_tells_the_story(owner: Terminal) -> None:
    file = declare(owner, {"name": "website"})
    done = owner.run("apply", "-f", str(file), "--wait")
    assert done.code == 0, done
    assert "The server is built" in done.errors
    assert f"https://website-{owner.variables['EDUBBA_AGENCY']}.edubba.localhost/" in done.output
    assert owner.ask("apply", "--wait")["items"][0]["status"] == "active"


@pytest.mark.slow
def test_an_end_is_declared_and_waited_for(owner: Terminal) -> None:
    declare(owner, {"name": "website"})
    owner.ask("apply", "--wait")
    declare(owner, {"name": "website", "state": "ended"}, reason="replaced by the portal")
    assert "Less a month: 5,110.000 IQD" in owner.tell("plan")
    ended = owner.ask("apply", "--wait")
    assert ended["items"][0]["status"] == "ended"
    assert ended["items"][0]["request"]["reason"] == "replaced by the portal"
    assert owner.run("plan", "--exit-code").code == 0


def test_a_reason_of_the_command_is_kept_before_that_of_the_file(owner: Terminal) -> None:
    declare(owner, {"name": "website"}, reason="of the file")
    done = owner.ask("apply", "--reason", "commit 4f2a")
    assert done["items"][0]["request"]["reason"] == "commit 4f2a"


def test_what_waits_for_an_operator_is_told_when_time_is_over(owner: Terminal) -> None:
    declare(owner, {"name": "website", "size": "medium"})
    done = owner.run("apply", "--wait", "--timeout", "1")
    assert done.code == 8
    assert "waits for somebody's decision" in done.errors
    assert "It goes on without you" in done.errors


def test_a_hosting_that_cannot_become_so_is_shown_by_the_plan_and_refused_by_apply(
    owner: Terminal,
) -> None:
    declare(owner, {"name": "website"})
    owner.ask("apply")
    declare(owner, {"name": "website", "hostname": "elsewhere"})
    plan = owner.run("plan")
    assert plan.code == 6
    assert "website: hostname is website-" in plan.output
    assert "declared is elsewhere" in plan.output
    applied = owner.run("apply", "--json")
    assert applied.code == 6
    assert applied.json["error"]["code"] == "hosting_differs"
    assert applied.json["error"]["facts"]["line"] == 5


@pytest.mark.slow
def test_a_change_is_planned_asked_for_and_waited_for(world: World, owner: Terminal) -> None:
    declare(owner, {"name": "website"})
    owner.ask("apply", "--wait")
    declare(owner, {"name": "website", "size": "medium"})
    told = owner.tell("plan")
    assert "website: size goes from small to medium." in told
    asked = owner.run("apply")
    assert "website: its change is asked for" in asked.errors
    [request] = owner.ask("request", "list", "--status", "submitted")["items"]
    operator = world.person(Role.OPERATOR)
    operator.ask("request", "approve", request["id"])
    assert owner.ask("apply", "--wait")["items"][0]["status"] == "active"
    assert owner.ask("hosting", "show", "website")["size"] == "medium"
    assert owner.run("plan", "--exit-code").code == 0


def test_what_the_file_does_not_name_is_told_and_left_alone(owner: Terminal) -> None:
    declare(owner, {"name": "website", "size": "medium"})
    owner.ask("apply")
    declare(owner, {"name": "forms"})
    assert "website (requested) is not declared here" in owner.tell("plan")
    assert [one["name"] for one in owner.ask("apply")["undeclared"]] == ["website"]
    assert owner.ask("hosting", "show", "website")["status"] == "requested"


@pytest.mark.parametrize(
    ("wrong", "line", "words"),
    [
        ({"colour": "red"}, 6, "hostings.0.colour is not known here"),
        ({"size": "huge"}, 4, "has no size huge"),
        ({"blueprint": "nothing"}, 3, "There is no blueprint nothing"),
        ({"hostname": "-"}, 6, "can't be a hostname"),
        ({"inputs": {"contact_email": "nobody"}}, 7, "it is not a valid email"),
    ],
)
@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_a_mistake_is_told_with_its_line_whoever_finds_it(
    owner: Terminal, verb: str, wrong: dict[str, Any], line: int, words: str
) -> None:
    declare(owner, {"name": "website", **wrong})
    done = owner.run(verb)
    assert done.code == 6
    assert f"tenant.yml, line {line}: " in done.errors
    assert words in done.errors
    facts = owner.run(verb, "--json").json["error"]["facts"]
    assert (facts["source"], facts["line"]) == ("tenant.yml", line)


def test_a_mistake_is_told_in_arabic(owner: Terminal) -> None:
    declare(owner, {"name": "website", "colour": "red"})
    done = owner.run("plan", language="ar")
    assert "tenant.yml، السطر 6" in done.errors
    assert "غير معروف هنا" in done.errors


def test_all_mistakes_of_form_are_told_at_once(owner: Terminal) -> None:
    file = declare(owner, {"name": "website", "colour": "red"}, {"name": "A B"})
    document = owner.run("plan", "-f", str(file), "--json").json
    assert [mistake["line"] for mistake in document["error"]["facts"]["mistakes"]] == [6, 9]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_a_wrong_use(owner: Terminal, content: bytes | None) -> None:
    if content is not None:
        (owner.home / "tenant.yml").write_bytes(content)
    done = owner.run("apply", "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "file_unreadable")


def test_a_file_may_come_from_a_pipe(owner: Terminal) -> None:
    text = declare(owner, {"name": "website"}).read_text()
    done = owner.run("plan", "-f", "-", "--json", stdin=text)
    assert done.json["changed"] == 1


def test_a_quota_that_is_too_small_is_told_with_what_is_left(world: World, owner: Terminal) -> None:
    operator = world.person(Role.OPERATOR)
    operator.ask("agency", "quota", owner.variables["EDUBBA_AGENCY"], "--servers", "1")
    declare(owner, {"name": "website"}, {"name": "forms"})
    done = owner.run("apply", "--json")
    assert (done.code, done.json["error"]["code"]) == (6, "quota_exceeded")
    assert done.json["error"]["facts"]["left"] == 0
    assert owner.ask("hosting", "list")["items"] == []


def test_a_plan_speaks_arabic(owner: Terminal) -> None:
    declare(owner, {"name": "website"})
    told = owner.tell("plan", language="ar")
    assert "website" in told
    assert "Requests" not in told
    assert "create" not in told
