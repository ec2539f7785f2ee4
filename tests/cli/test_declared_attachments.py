"""A tenant.yml with an application and its database: one `apply --wait`, and all is as declared."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane.identity.rules import Role
from tests.cli.terminal import Terminal, World, await_so

DATABASE = {"name": "records", "blueprint": "postgres-database", "size": "small"}
PORTAL = {
    "name": "portal",
    "blueprint": "python-app",
    "size": "small",
    "inputs": {"application": "portal.wsgi:application"},
    "attachments": ["records"],
}


@pytest.fixture
def owner(world: World) -> Terminal:
    agency = world.agency()
    terminal = world.person(Role.OWNER, agency)
    terminal.variables["EDUBBA_AGENCY"] = agency.slug
    return terminal


def declare(terminal: Terminal, *hostings: dict[str, Any]) -> Path:
    """Write a tenant.yml into somebody's folder."""
    document = {"agency": terminal.variables["EDUBBA_AGENCY"], "hostings": list(hostings)}
    file = terminal.home / "tenant.yml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return file


def approve_all(world: World, owner: Terminal) -> None:
    operator = world.person(Role.OPERATOR)
    for request in owner.ask("request", "list", "--status", "submitted")["items"]:
        operator.ask("request", "approve", request["id"])


def states(owner: Terminal) -> list[str]:
    return [one["status"] for one in owner.ask("hosting", "list")["items"]]


@pytest.mark.slow
def test_one_apply_waits_until_the_application_has_its_database(
    world: World, owner: Terminal
) -> None:
    declare(owner, DATABASE, PORTAL)
    owner.ask("apply")
    approve_all(world, owner)
    done = owner.run("apply", "--wait", "--timeout", "60")
    assert done.code == 0, done
    assert "portal is being attached to records; it finds the address in DATABASE_URL." in (
        done.errors
    )
    [attachment] = owner.ask("attachment", "list", "portal")["items"]
    assert attachment["status"] == "live"
    assert owner.run("plan", "--exit-code").code == 0
    assert "portal is attached to records, as declared." in owner.run("apply").errors
    declare(owner, DATABASE, {**PORTAL, "attachments": []})
    assert "that is not declared here and is left alone" in owner.tell("plan")


@pytest.mark.slow
def test_an_apply_that_does_not_wait_says_what_remains_and_the_next_one_continues(
    world: World, owner: Terminal
) -> None:
    declare(owner, DATABASE, PORTAL)
    told = owner.run("apply").errors
    assert "portal can be attached to records once both are in service" in told
    assert owner.run("plan", "--exit-code").code == 10
    assert "There is nothing to ask for." not in owner.tell("plan")
    approve_all(world, owner)
    await_so(lambda: states(owner) == ["active", "active"], timeout_s=30)
    assert "portal would be attached to records now." in owner.tell("plan")
    assert "portal is being attached to records" in owner.run("apply").errors


def test_a_wrong_attachment_is_told_with_its_line_in_both_languages(owner: Terminal) -> None:
    declare(owner, {**PORTAL, "attachments": ["nothing"]})
    done = owner.run("apply", "--json")
    assert done.code == 5, done
    assert done.json["error"]["facts"]["line"] == 9
    declare(owner, {**PORTAL, "attachments": ["portal"]})
    assert "tenant.yml, line 9: portal can't be attached to itself" in owner.run("plan").errors
    assert "لا يمكن ربط portal بنفسه" in owner.run("plan", language="ar").errors


def test_what_remains_is_told_in_arabic(owner: Terminal) -> None:
    declare(owner, DATABASE, PORTAL)
    told = owner.run("apply", language="ar").errors
    assert "حين يكون كلاهما في الخدمة" in told
    assert "can be attached" not in told
