"""Logging in and out, and tokens for pipelines."""

import json
import stat
from pathlib import Path

import pytest

from control_plane.cli.credentials import slot_of
from control_plane.identity.rules import Role
from tests.cli.terminal import Terminal, World, an_account
from tests.stories.cli import Account


@pytest.fixture(scope="module")
def account(world: World) -> Account:
    return an_account(world, Role.OWNER, world.agency())


def log_in(terminal: Terminal, account: Account, *more: str, language: str = "en") -> str:
    done = terminal.run(
        "login",
        "--email",
        account.email,
        "--password-stdin",
        *more,
        stdin=f"{account.password}\n",
        language=language,
    )
    assert done.code == 0, done
    return done.output


def token_file(terminal: Terminal) -> Path:
    return terminal.home / ".config" / "edubba" / f"token-{slot_of(terminal.url)}.json"


def test_a_session_is_kept_for_its_owner_alone_until_logout(world: World, account: Account) -> None:
    terminal = world.terminal()
    assert terminal.run("whoami").code == 3
    assert f"Logged in at {terminal.url} as {account.email}." in log_in(terminal, account)
    assert stat.S_IMODE(token_file(terminal).stat().st_mode) == 0o600
    assert terminal.ask("whoami")["email"] == account.email
    assert account.email in terminal.tell("whoami")
    token = json.loads(token_file(terminal).read_text())["token"]
    assert "Logged out." in terminal.tell("logout")
    assert not token_file(terminal).exists()
    terminal.variables["EDUBBA_TOKEN"] = token
    assert terminal.run("whoami").code == 3  # it is out of force, not only forgotten


def test_a_login_answers_programs_without_the_token(world: World, account: Account) -> None:
    answer = json.loads(log_in(world.terminal(), account, "--json"))
    assert answer["person"]["email"] == account.email
    assert "token" not in answer


def test_a_wrong_password_ends_with_its_own_code_in_the_readers_language(
    world: World, account: Account
) -> None:
    login = ["login", "--email", account.email, "--password-stdin"]
    english = world.terminal().run(*login, stdin="wrong")
    assert english.code == 3
    assert "The e-mail address or the password is wrong" in english.errors
    arabic = world.terminal().run(*login, stdin="wrong", language="ar")
    assert arabic.code == 3
    assert "wrong" not in arabic.errors


def test_a_password_is_never_asked_for_where_nobody_could_answer(
    world: World, account: Account
) -> None:
    done = world.terminal().run("login", "--email", account.email, "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "password_missing")
    done = world.terminal().run("login", "--password-stdin", "--json", stdin="x")
    assert (done.code, done.json["error"]["code"]) == (2, "email_missing")


def test_a_pipelines_token_is_made_used_listed_and_revoked(world: World) -> None:
    agency = world.agency()
    owner = world.person(Role.OWNER, agency)
    scope = ["--scope", "hosting:read", "--scope", "agency:read", "--scope", "self:read"]
    made = owner.ask("token", "create", "pipeline", "--days", "7", *scope, "-a", agency.slug)
    pipeline = Terminal(owner.url, owner.home, made["secret"])
    assert pipeline.ask("hosting", "list")["items"] == []
    denied = pipeline.run("hosting", "end", "x", "-r", "x", "-a", agency.slug, "--json")
    assert (denied.code, denied.json["error"]["code"]) == (4, "forbidden")
    assert "pipeline" in owner.tell("token", "list")
    assert made["id"] in {one["id"] for one in owner.ask("token", "list")["items"]}
    assert "Revoked." in owner.tell("token", "revoke", made["id"])
    assert owner.ask("token", "revoke", made["id"]) == {"id": made["id"]}
    assert pipeline.run("hosting", "list").code == 3
    told = owner.tell("token", "create", "another")
    assert told.startswith("edb_")
    assert "it is not shown again" in told


def test_a_token_is_not_sent_over_the_network_in_clear(world: World) -> None:
    person = world.person(Role.OWNER, world.agency())
    person.url = "http://platform.example"
    done = person.run("whoami", "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "url_insecure")
    assert person.run("whoami", "--url", "ftp://platform.example").code == 2


@pytest.mark.slow
def test_a_platform_that_cannot_be_reached_ends_with_its_own_code(tmp_path: Path) -> None:
    done = Terminal("http://127.0.0.1:9", tmp_path, "edb_x").run("whoami", "--json")
    assert (done.code, done.json["error"]["code"]) == (7, "unreachable")
    assert "does not answer; trying again" in done.errors
