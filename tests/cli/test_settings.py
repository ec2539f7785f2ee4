"""What an agency sets for its application: open values are shown, secrets never are."""

from pathlib import Path

import pytest

from control_plane.hosting import actions, queries
from control_plane.identity.rules import Role
from tests.cli.terminal import Terminal, World
from tests.world import takes_settings

SECRET = "a'b\"c$d\\e`f{{ g }} سرّ"


@pytest.fixture
def owner(world: World) -> Terminal:
    """Give the owner of a hosting `clinic` that is active and takes settings."""
    owner = world.person(Role.OWNER, world.agency())
    made = owner.ask("request", "create", "clinic", "-b", "static-site", "-s", "small", "--wait")
    takes_settings(world.db, made["hosting"])
    with world.db.begin() as session:  # as the worker does when it begins
        actions.publish_recipient(session, world.centre.engine._ports.keyring.recipient())
    return owner


def values_of(terminal: Terminal) -> dict[str, str | None]:
    return {one["name"]: one["value"] for one in terminal.ask("setting", "list", "clinic")["items"]}


def test_what_is_set_is_listed_and_what_is_not_named_stays(owner: Terminal) -> None:
    (owner.home / "words.txt").write_text("two\nlines\n", encoding="utf-8")
    owner.ask("setting", "set", "clinic", "LANGUAGE=ar", "WORDS=@words.txt", "EQUATION=a=b")
    owner.ask("setting", "set", "clinic", "LANGUAGE=en", "EMPTY=")
    wished = {"EMPTY": "", "EQUATION": "a=b", "LANGUAGE": "en", "WORDS": "two\nlines"}
    assert values_of(owner) == wished
    told = owner.tell("setting", "list", "clinic", language="ar")
    assert "LANGUAGE" in told
    assert "الاسم" in told


def test_a_setting_is_removed_and_again_without_a_mistake(owner: Terminal) -> None:
    owner.ask("setting", "set", "clinic", "LANGUAGE=ar", "MODE=open")
    for _ in range(2):
        owner.ask("setting", "unset", "clinic", "MODE", "NEVER_SET")
        assert values_of(owner) == {"LANGUAGE": "ar"}
    owner.ask("setting", "unset", "clinic", "LANGUAGE")
    assert "Nothing is set." in owner.tell("setting", "list", "clinic")


def test_a_secret_comes_through_a_pipe_or_from_a_file_and_is_never_shown(
    world: World, owner: Terminal
) -> None:
    (owner.home / "key.pem").write_text(f"{SECRET}\n{SECRET}\n", encoding="utf-8")
    secrets = ("--secret", "TOKEN", "--secret", "KEY=@key.pem")
    done = owner.run("setting", "set", "clinic", "MODE=open", *secrets, stdin=f"{SECRET}\n")
    assert done.code == 0, done
    listed = owner.run("setting", "list", "clinic", "--json")
    for said in (done.output, done.errors, listed.output, listed.errors):
        assert SECRET not in said
    shown = {one["name"]: (one["value"], one["is_secret"]) for one in listed.json["items"]}
    assert shown == {"KEY": (None, True), "MODE": ("open", False), "TOKEN": (None, True)}
    with world.db.read() as session:
        hosting_id = owner.ask("hosting", "show", "clinic")["id"]
        rows = {one.name: one for one in queries.list_settings(session, hosting_id)}
        assert rows["TOKEN"].size == len(SECRET.encode())  # without the line break of the pipe
        assert rows["KEY"].size == 2 * len(SECRET.encode()) + 1
    assert "secret" in owner.tell("setting", "list", "clinic")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ((), "setting_missing"),
        (("LANGUAGE",), "pair_invalid"),
        (("LANGUAGE=@not-there",), "file_unreadable"),
        (("--secret", "KEY=@picture"), "file_unreadable"),
        (("--secret", f"KEY={SECRET}"), "secret_on_command_line"),
        (("--secret", "KEY", "--secret", "TOKEN"), "secrets_piped"),
        (("KEY=open", "--secret", "KEY"), "setting_doubled"),
    ],
)
def test_what_can_not_be_meant_is_refused_before_anything_is_sent(
    owner: Terminal, said: tuple[str, ...], code: str
) -> None:
    Path(owner.home / "picture").write_bytes(b"\x89PNG\xff")
    done = owner.run("setting", "set", "clinic", *said, "--json", stdin="word\n")
    assert (done.code, done.json["error"]["code"]) == (2, code)
    assert SECRET not in done.output + done.errors
    assert values_of(owner) == {}


def test_a_site_of_files_and_names_of_the_platform_are_refused(own_world: World) -> None:
    owner = own_world.person(Role.OWNER, own_world.agency())
    made = owner.ask("request", "create", "files", "-b", "static-site", "-s", "small", "--wait")
    refused = owner.run("setting", "set", "files", "MODE=open", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (6, "settings_not_taken")
    takes_settings(own_world.db, made["hosting"])
    reserved = owner.run("setting", "set", "files", "EDUBBA_TOKEN=x", "--json")
    assert (reserved.code, reserved.json["error"]["code"]) == (6, "setting_refused")


def test_a_change_is_waited_for_until_it_is_fact(owner: Terminal) -> None:
    set_ = owner.ask("setting", "set", "clinic", "MODE=open", "--wait")
    shown = owner.ask("hosting", "show", "clinic")
    assert shown["observed_generation"] >= set_["generation"]
    late = owner.run("setting", "set", "clinic", "HANGS=1", "--wait", "--timeout", "1", "--json")
    assert (late.code, late.json["error"]["code"]) == (8, "timed_out")
    owner.ask("setting", "unset", "clinic", "HANGS")
