"""`edubba` as a program: how it is called, what it says when it is called wrongly, how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from control_plane.cli.exits import EXPLAINED, Code
from control_plane.cli.main import COMMANDS
from control_plane.identity.rules import Role
from tests.cli.terminal import Terminal, World

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal("http://127.0.0.1:9", tmp_path)


def run(*arguments: str, language: str = "en") -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "LANG": f"{language}.UTF-8",
        "PYTHONPATH": str(CHECKOUT),
        "COLUMNS": "200",
    }
    return subprocess.run(
        [sys.executable, "-m", "control_plane.cli.main", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_a_program_with_an_exit_code() -> None:
    done = run("nothing", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["exit_code"] == 2


def test_help_in_arabic_has_no_english_sentence() -> None:
    done = run("--help", language="ar")
    assert done.returncode == 0
    for entry in COMMANDS.values():
        assert entry.summary not in done.stdout
    assert "Commands" not in done.stdout
    assert "tenant.yml" in done.stdout


def test_every_exit_code_is_explained(terminal: Terminal) -> None:
    assert set(EXPLAINED) == set(Code)
    told = " ".join(terminal.tell("--help").split())
    for code, words in EXPLAINED.items():
        assert f"{int(code)} {words}" in told


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(terminal: Terminal, command: str, language: str) -> None:
    assert len(terminal.tell(command, "--help", language=language)) > 100


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["request", "nothing"],
        ["request", "list", "--nothing"],
        ["request", "create"],
        ["deploy", "/nowhere", "--hosting", "x"],
        ["request", "list", "--limit", "much"],
    ],
    ids=" ".join,
)
def test_a_wrong_use_is_told_in_the_readers_language(
    terminal: Terminal, arguments: list[str]
) -> None:
    english = terminal.run(*arguments)
    assert english.code == 2
    assert "`edubba --help`" in english.errors
    arabic = terminal.run(*arguments, language="ar")
    assert arabic.code == 2
    assert english.errors.splitlines()[0] != arabic.errors.splitlines()[0]
    assert terminal.run(*arguments, "--json").json["error"]["code"] == "usage"


def test_options_of_all_commands_may_stand_anywhere(terminal: Terminal) -> None:
    for arguments in (
        ["--json", "--locale", "ar", "request", "nothing"],
        ["request", "--json", "nothing", "--locale=ar"],
    ):
        done = terminal.run(*arguments)
        assert (
            done.json["error"]["title"]
            == terminal.run("request", "nothing", "--json", language="ar").json["error"]["title"]
        )


def test_an_unknown_language_is_english(terminal: Terminal) -> None:
    assert "Hosting for official" in terminal.tell("--help", "--locale", "fr")


def test_nothing_is_cut_or_folded_where_a_program_reads(world: World) -> None:
    person = world.person(Role.OPERATOR)
    person.variables["COLUMNS"] = ""
    agencies = [world.agency("agency-with-a-long-name").slug for _ in range(2)]
    listed = person.tell("agency", "list")
    assert all(f"Agency {slug}" in listed for slug in agencies)
    vkey = person.ask("ledger", "checkpoint")["vkey"]
    assert vkey in person.tell("ledger", "checkpoint")
    person.variables["COLUMNS"] = "40"
    folded = "".join(person.tell("ledger", "checkpoint").split())
    assert vkey in folded.replace("Publickey", "")
