"""`openstack hosting …` against the served API: what it shows, and how it ends.

Who gives out the tokens is a Keystone in memory here, with which no `openstack` can log in: the
token and the endpoint are told. `test_login.py` logs in at a real one.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from control_plane.identity.actions import keystone
from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.ledger.rules import SYSTEM
from control_plane.ports.identity_source.memory import MemoryIdentitySource
from control_plane.ports.identity_source.port import Project
from control_plane.tenancy.queries import find_agency
from tests.cli.terminal import World, a_world
from tests.offer import a_wish
from tests.osc.world import OpenStackClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # each command is a program that starts
HEALTH, CENTRE = Project("6f0c5b1e", "default"), Project("0c0ffee0", "default")


@dataclass(frozen=True, slots=True)
class Stage:
    world: World
    source: MemoryIdentitySource
    member: OpenStackClient
    operator: OpenStackClient


def a_client(home: Path, url: str, token: str) -> OpenStackClient:
    home.mkdir()
    told = {"OS_AUTH_TYPE": "admin_token", "OS_ENDPOINT": url, "OS_TOKEN": token}
    return OpenStackClient(home, told)


def let_act(db: Database) -> None:
    with db.begin() as session:
        health = find_agency(session, "health")
        assert health is not None
        for project, agency_id, roles in (
            (HEALTH, health.id, {"admin": Role.OWNER}),
            (CENTRE, None, {"admin": Role.OPERATOR}),
        ):
            wish = keystone.Mapping(project.id, project.domain_id, agency_id, roles)
            keystone.map_project(session, SYSTEM, wish)


@pytest.fixture(scope="module")
def stage(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("osc")
    shutil.copy(sqlite_template, folder / "edubba.db")
    db = Database(f"sqlite:///{folder / 'edubba.db'}")
    source = MemoryIdentitySource()
    with a_world(db, folder, identity_source=source) as world:
        let_act(db)
        member = source.issue("u1", HEALTH, "admin", name="noor")
        operator = source.issue("u2", CENTRE, "admin", name="samir")
        yield Stage(
            world,
            source,
            a_client(folder / "member", world.url, member),
            a_client(folder / "operator", world.url, operator),
        )
    db.close()


def request_create(name: str) -> list[str]:
    wish = a_wish(name=name)
    said = [f"--{field}={wish[field]}" for field in ("blueprint", "size")]
    said += [f"--input={name}={value}" for name, value in wish["inputs"].items()]
    return ["hosting", "request", "create", name, *said]


def test_a_hosting_is_asked_for_approved_served_and_ended(stage: Stage, tmp_path: Path) -> None:
    member, operator = stage.member, stage.operator
    asked = member.ask(*request_create("portal"))
    assert (asked["status"], asked["agency"]) == ("submitted", "health")
    [listed] = member.ask("hosting", "request", "list", "--status", "submitted")
    assert (listed["ID"], listed["Hosting"]) == (asked["id"], "portal")

    own = member.run("hosting", "request", "approve", asked["id"])
    assert (own.code, own.output) == (4, "")
    assert "request:decide" in own.errors
    approve = ["hosting", "request", "approve", asked["id"], "--plan-hash", asked["plan_hash"]]
    done = operator.ask(*approve, "--reason", "as agreed", "--wait", "--timeout", "60")
    assert done["status"] == "fulfilled"
    assert done["decisions"][0]["reason"] == "as agreed"
    shown = member.ask("hosting", "show", "portal")
    assert (shown["status"], shown["url"]) == ("active", done["url"])

    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<h1>noor</h1>")
    live = member.ask("hosting", "deployment", "create", "portal", str(site), "--wait")
    assert (live["status"], live["files"]) == ("live", 1)
    numbers = member.run("hosting", "deployment", "list", "portal", "-f", "value", "-c", "Number")
    assert numbers.output.split() == ["1", "0"]
    assert member.ask("hosting", "deployment", "show", live["id"])["number"] == 1

    [tenant] = operator.ask("hosting", "tenant", "list", "--agency", "health")
    assert tenant["Name"] == "main"
    assert member.ask("hosting", "tenant", "show", tenant["ID"])["agency"] == "health"

    end = ["hosting", "delete", "portal", "--reason", "replaced"]
    assert member.ask(*end)["kind"] == "end"
    assert "portal" in member.run("hosting", "list").output


def test_a_request_is_taken_back_or_refused_and_a_hosting_changes(
    stage: Stage, tmp_path: Path
) -> None:
    member, operator = stage.member, stage.operator
    mine = member.ask(*request_create("mine"))
    taken_back = member.ask("hosting", "request", "delete", mine["id"], "--reason", "too early")
    assert taken_back["status"] == "withdrawn"
    other = member.ask(*request_create("other"))
    reject = ["hosting", "request", "reject", other["id"], "--reason", "use portal"]
    assert operator.ask(*reject)["decisions"][0]["reason"] == "use portal"

    site = member.ask(*request_create("site"))
    operator.ask("hosting", "request", "approve", site["id"], "--wait", "--timeout", "60")
    for number in ("1", "2"):
        (tmp_path / "index.html").write_text(f"<h1>{number}</h1>")
        create = ["hosting", "deployment", "create", "site", str(tmp_path), "--wait"]
        assert member.ask(*create)["number"] == int(number)
    back = member.ask("hosting", "deployment", "rollback", "site", "--wait", "--reason", "typo")
    assert (back["number"], back["status"]) == (3, "live")
    changed = member.ask("hosting", "set", "site", "--title", "نور", "--reason", "its name")
    assert (changed["kind"], changed["hosting_name"]) == ("change", "site")


def test_what_is_refused_is_a_sentence_and_an_exit_code(stage: Stage) -> None:
    missing = stage.member.run("hosting", "show", "nothing")
    assert (missing.code, missing.output) == (5, "")
    assert "There is no hosting" in missing.errors
    assert "Traceback" not in missing.errors
    wrong = stage.member.run(*request_create("portal 2"))
    assert wrong.code == 6
    assert "body.name" in wrong.errors, "it says where"


def test_who_has_a_revoked_token_is_told_how_to_get_another(stage: Stage, tmp_path: Path) -> None:
    token = stage.source.issue("u3", HEALTH, "admin")
    client = a_client(tmp_path / "home", stage.world.url, token)
    assert client.run("hosting", "list").code == 0
    stage.source.revoke(token)
    revoked = client.run("hosting", "list")
    assert revoked.code == 3
    assert "openstack token issue" in revoked.errors


def test_a_project_that_nobody_mapped_is_told_how_to_be(stage: Stage, tmp_path: Path) -> None:
    token = stage.source.issue("u4", Project("abc", "default"), "admin")
    client = a_client(tmp_path / "home", stage.world.url, token)
    refused = client.run("hosting", "list")
    assert refused.code == 4
    assert "edubba agency project set AGENCY abc --domain default" in refused.errors


def test_a_token_is_not_sent_to_another_machine_in_the_clear(stage: Stage) -> None:
    elsewhere = ["--os-hosting-endpoint", "http://edubba.example"]
    refused = stage.member.run(*elsewhere, "hosting", "list")
    assert refused.code == 2
    assert "without encryption" in refused.errors
