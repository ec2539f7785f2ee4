"""What stopped or is late says what happened and what to do; an operator acts on it."""

from datetime import timedelta

import pytest

from control_plane.engine.models import Life
from control_plane.identity.rules import Role
from control_plane.kit import clock
from control_plane.tenancy.models import Region
from tests.cli.terminal import Terminal, World
from tests.world import a_hosting_row, a_stopped_life, life_of


@pytest.fixture
def operator(own_world: World) -> Terminal:
    return own_world.person(Role.OPERATOR)


def test_a_stopped_life_is_told_with_what_happened_and_what_to_do(
    own_world: World, operator: Terminal
) -> None:
    life = a_stopped_life(own_world.db, own_world.agency(), "image_missing")
    told = operator.tell("operations", "list")
    assert life.id in told
    assert "The region does not have the prepared image that was approved" in told
    assert "An operator prepares the image" in told
    assert f"edubba operations retry {life.id}" in told
    arabic = operator.tell("operations", "list", language="ar")
    assert life.id in arabic
    assert "prepared image" not in arabic
    [item] = operator.ask("operations", "list")["items"]
    assert item["failure"]["code"] == "image_missing"


def test_a_late_life_says_what_it_waits_for(own_world: World, operator: Terminal) -> None:
    life = life_of(own_world.db, a_hosting_row(own_world.db, own_world.agency()))
    with own_world.db.begin() as session:
        row = session.get_one(Life, life.id)
        row.why, row.deadline_at = "waiting_for_tenant", clock.now() - timedelta(minutes=3)
        row.due_at = clock.now() + timedelta(hours=1)
        session.add(row)
    told = operator.tell("operations", "list")
    assert life.id in told
    assert "It should have been done" in told
    assert "Waiting for the tenant" in told
    assert "tried again by itself" in told


def test_where_all_moves_there_is_nothing_to_tell(operator: Terminal) -> None:
    assert "Nothing has stopped, and nothing is late." in operator.tell("operations", "list")
    assert operator.ask("operations", "list") == {"items": [], "pauses": []}
    everything = operator.ask("operations", "list", "--all")["items"]
    assert {"region", "edge", "ledger"} <= {life["kind"] for life in everything}
    assert "ledger" in operator.tell("operations", "list", "--all")
    only = operator.ask("operations", "list", "--all", "--kind", "edge")["items"]
    assert {life["kind"] for life in only} == {"edge"}


def test_a_stopped_life_is_retried(own_world: World, operator: Terminal) -> None:
    life = a_stopped_life(own_world.db, own_world.agency())
    retried = operator.ask("operations", "retry", life.id, "-r", "the image is there now")
    assert retried["failure"] is None
    again = operator.run("operations", "retry", life.id, "-r", "x", "--json")
    assert again.code == 6
    assert again.json["error"]["code"] == "life_not_stopped"
    assert operator.run("operations", "retry", "lif_nobody", "-r", "x").code == 5


def test_giving_up_asks_back_unless_one_is_sure(own_world: World, operator: Terminal) -> None:
    life = a_stopped_life(own_world.db, own_world.agency())
    command = ["operations", "abandon", life.id, "-r", "the wish was wrong"]
    unsure = operator.run(*command, "--json")
    assert (unsure.code, unsure.json["error"]["code"]) == (2, "confirmation_missing")
    assert [one["id"] for one in operator.ask("operations", "list")["items"]] == [life.id]
    told = operator.tell(*command, "--yes")
    assert f"{life.id} is given up" in told


def test_what_rests_is_told_with_its_reason_until_it_is_resumed(operator: Terminal) -> None:
    paused = operator.ask("operations", "pause", "all", "-r", "moving the machine")
    assert [one["kind"] for one in paused["items"]] == ["*"]
    assert "Paused: all kinds" in operator.tell("operations", "list")
    assert "moving the machine" in operator.tell("operations", "list", language="ar")
    assert "Nothing is paused." in operator.tell("operations", "resume", "all")
    again = operator.run("operations", "resume", "all", "--json")
    assert (again.code, again.json["error"]["code"]) == (6, "not_paused")
    assert "Paused: hosting" in operator.tell("operations", "pause", "hosting", "-r", "test")
    assert operator.ask("operations", "resume", "hosting") == {"items": []}


def test_what_nobody_claims_is_listed(own_world: World, operator: Terminal) -> None:
    assert "Nothing lies in a region" in operator.tell("operations", "orphans")
    operator.ask("operations", "pause", "region", "-r", "its look would find nothing")
    with own_world.db.begin() as session:
        region = session.get_one(Region, own_world.region_id)
        region.orphans = [{"kind": "server", "name": "v7"}]
        session.add(region)
    assert "name=v7" in operator.tell("operations", "orphans")
    [orphan] = operator.ask("operations", "orphans")["items"]
    assert orphan["facts"]["kind"] == "server"


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["retry", "lif_x", "-r", "x"],
        ["abandon", "lif_x", "-r", "x", "--yes"],
        ["pause", "all", "-r", "x"],
        ["resume", "all"],
        ["orphans"],
    ],
    ids=lambda command: command[0],
)
def test_an_agency_does_not_operate(world: World, command: list[str]) -> None:
    owner = world.person(Role.OWNER, world.agency())
    assert owner.run("operations", *command).code == 4
