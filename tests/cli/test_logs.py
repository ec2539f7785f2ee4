"""What an application wrote, as its agency reads it on the command line."""

import json

import pytest

from control_plane.identity.rules import Role
from control_plane.kit import clock
from control_plane.ports.cloud.memory import Server
from tests.cli.terminal import Terminal, World
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def owner(world: World) -> Terminal:
    """Give the owner of a hosting `radio` that is active."""
    owner = world.person(Role.OWNER, world.agency())
    owner.ask("request", "create", "radio", "-b", "static-site", "-s", "small", "--wait")
    return owner


def say(world: World, owner: Terminal, text: str, service: str = "app") -> None:
    def write(server: Server) -> None:
        server.logs.setdefault(service, []).append((clock.now(), text))

    hosting = owner.ask("hosting", "show", "radio")
    world.centre.cloud.sabotage(hosting["id"], write)


def shown_to(owner: Terminal) -> list[str]:
    return owner.tell("log", "show", "radio").splitlines()


def test_what_was_written_a_moment_ago_is_shown_within_seconds(
    world: World, owner: Terminal
) -> None:
    say(world, owner, "مرحبا\x1b[2J")
    say(world, owner, "a query", "postgresql")
    said = ["app: مرحبا", "postgresql: a query"]
    # A server is asked once in five seconds, however often people ask.
    wait_until(lambda: [line[24:] for line in shown_to(owner)[-2:]] == said)
    found = owner.ask("log", "show", "radio", "--service", "postgresql", "-n", "1")
    assert [line["text"] for line in found["items"]] == ["a query"]
    assert found["collected_at"] is not None
    assert "لم يُكتب شيء بعد." in owner.tell("log", "show", "radio", "-s", "none", language="ar")


def test_who_follows_gets_each_line_once_as_a_document_of_its_own(
    world: World, owner: Terminal
) -> None:
    say(world, owner, "followed")
    wait_until(lambda: "app: followed" in shown_to(owner)[-1])
    done = owner.run("log", "show", "radio", "--follow", "--timeout", "1", "--json")
    assert done.code == 0, done
    numbers = [json.loads(line)["number"] for line in done.output.splitlines()]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 1


def test_a_stranger_is_not_told_that_there_is_a_log(world: World, owner: Terminal) -> None:
    hosting = owner.ask("hosting", "show", "radio")["id"]
    stranger = world.person(Role.OWNER, world.agency())
    assert stranger.run("log", "show", hosting, "--json").json["error"]["code"] == "not_found"
    operator = world.person(Role.OPERATOR)
    assert operator.run("log", "show", hosting, "--json").json["error"]["code"] == "forbidden"
