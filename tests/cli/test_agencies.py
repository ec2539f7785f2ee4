"""Agencies get what they may have, and people; each command for people and for programs."""

from uuid import uuid4

import pytest

from control_plane.identity.rules import Role
from tests.cli.terminal import Terminal, World
from tests.offer import KINDS


@pytest.fixture
def operator(world: World) -> Terminal:
    return world.person(Role.OPERATOR)


def test_an_agency_is_taken_in_and_gets_its_means(operator: Terminal) -> None:
    names = ["--name-ar", "وزارة المياه", "--name-en", "Ministry of Water"]
    made = operator.ask("agency", "create", "water", *names)
    assert made["currency"] == "IQD"
    given = operator.ask("agency", "quota", "water", "--servers", "3", "--memory", "2048")
    assert given["quota"] == {
        "servers": 3,
        "memory_mib": 2048,
        "cpu_millis": 0,
        "disk_mib": 0,
    }
    kept = operator.ask("agency", "quota", "water", "--disk", "4096")
    assert (kept["quota"]["servers"], kept["quota"]["disk_mib"]) == (3, 4096)
    budget = operator.ask("agency", "budget", "water", "--per-month", "365,000")
    assert budget["budget"]["micros_per_hour"] == 500_000_000
    shown = operator.tell("agency", "show", "water")
    assert "Ministry of Water" in shown
    assert "365,000.000" in shown
    assert "وزارة المياه" in operator.tell("agency", "show", "water", language="ar")
    listed = operator.ask("agency", "list")["items"]
    assert "water" in {agency["slug"] for agency in listed}
    assert "Ministry of Water" in operator.tell("agency", "list")
    again = operator.run("agency", "create", "water", *names, "--json")
    assert (again.code, again.json["error"]["code"]) == (6, "slug_taken")


def test_an_agency_is_told_what_comes_next(operator: Terminal) -> None:
    told = operator.tell("agency", "create", "roads", "--name-ar", "طرق", "--name-en", "Roads")
    assert "Now its quota and its budget" in told


def test_a_change_without_anything_to_change_is_a_wrong_use(
    world: World, operator: Terminal
) -> None:
    slug = world.agency().slug
    assert operator.run("agency", "quota", slug).code == 2
    for said in ("much", "-5", "nan"):
        assert operator.run("agency", "budget", slug, f"--per-month={said}").code == 2
    assert operator.run("agency", "show", "nobody").code == 5


def test_people_get_roles_and_a_first_password_once(world: World, operator: Terminal) -> None:
    slug = world.agency().slug
    email = f"dev@{slug}.example"
    added = operator.ask(
        "agency", "member", "add", slug, email, "--role", "developer", "--name", "Noor"
    )
    stranger = world.terminal()
    login = ["login", "--email", email, "--password-stdin"]
    assert stranger.run(*login, stdin=added["initial_password"]).code == 0
    told = operator.tell("agency", "member", "add", slug, email, "--role", "viewer")
    assert f"{email} is viewer of {slug} now." in told
    assert "password" not in told
    listed = operator.ask("agency", "member", "list", slug)["items"]
    assert sorted(item["role"] for item in listed) == ["developer", "viewer"]
    assert "Noor" in operator.tell("agency", "member", "list", slug)
    removed = operator.tell("agency", "member", "remove", slug, email, "--role", "viewer")
    assert "any more" in removed
    again = operator.run("agency", "member", "remove", slug, email, "--role", "viewer", "--json")
    assert (again.code, again.json["error"]["code"]) == (5, "member_unknown")


def test_a_first_password_is_told_to_people_too(world: World, operator: Terminal) -> None:
    slug = world.agency().slug
    add = ["agency", "member", "add", slug, f"owner@{slug}.example", "--role", "owner"]
    assert "First password, shown this once: " in operator.tell(*add)


def test_an_owner_sees_what_is_left_and_sets_nothing(world: World) -> None:
    agency = world.agency()
    owner = world.person(Role.OWNER, agency)
    usage = owner.ask("agency", "show", agency.slug)["usage"]
    assert {use["resource"]: use["left"] for use in usage}["servers"] == 100
    assert owner.run("agency", "quota", agency.slug, "--servers", "1").code == 4
    assert owner.run("agency", "budget", agency.slug, "--per-month", "1").code == 4
    names = ["--name-ar", "س", "--name-en", "x"]
    assert owner.run("agency", "create", "another", *names).code == 4


def test_blueprints_are_shown_with_sizes_prices_and_inputs(world: World) -> None:
    person = world.person(Role.VIEWER, world.agency())
    items = {one["name"]: one for one in person.ask("blueprint", "list")["items"]}
    assert set(items) == set(KINDS)
    listed = items["static-site"]
    assert "static-site" in person.tell("blueprint", "list")
    shown = person.tell("blueprint", "show", "static-site")
    for part in ("small", "5,110.000 IQD", "contact_email"):
        assert part in shown
    arabic = person.tell("blueprint", "show", "static-site", language="ar")
    assert listed["title"]["ar"] in arabic
    assert person.ask("blueprint", "show", "static-site")["digest"] == listed["digest"]
    assert person.run("blueprint", "show", "nothing").code == 5


def test_a_project_of_keystone_acts_for_an_agency_until_it_is_removed(
    world: World, operator: Terminal
) -> None:
    slug, project = world.agency().slug, uuid4().hex
    set_it = ["agency", "project", "set", slug, project, "--domain", "default"]
    roles = ["--role", "admin=owner", "--role", "member=developer"]
    assert f"{project} acts for {slug} now: admin=owner, member=developer." in operator.tell(
        *set_it, *roles
    )
    [listed] = operator.ask("agency", "project", "list", slug)["items"]
    assert (listed["project_id"], listed["roles"]["admin"]) == (project, "owner")
    assert "member=developer" in operator.tell("agency", "project", "list", slug)
    assert operator.run(*set_it, "--role", "admin=operator").code == 6
    assert operator.run(*set_it).code == 2
    removed = operator.tell("agency", "project", "remove", slug, project)
    assert "doesn't act" in removed
    assert operator.ask("agency", "project", "list", slug)["items"] == []
