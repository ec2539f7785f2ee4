"""What is asked at a terminal: seen through a real one, with somebody who types."""

import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from control_plane.identity.queries import find_person_by_email
from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.kit.passwords import is_right
from tests.cli.terminal import World
from tests.world import a_stopped_life

CHECKOUT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"

pytestmark = pytest.mark.slow


def typed(command: Sequence[str], told: Mapping[str, str], *lines: str) -> tuple[int, str]:
    """Run a command at a terminal of its own and type; return its end and what was shown."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "LANG": "en.UTF-8", "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(
        ["setsid", "--ctty", "--wait", sys.executable, "-m", "control_plane.cli.main", *command],
        env={**environment, **told},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = ""
        for line in lines:
            shown += read_until(ours, (": ", "]: "))
            os.write(ours, f"{line}\n".encode())
        shown += read_until(ours, ())
        code = process.wait(30)
    os.close(ours)
    return code, shown


def read_until(terminal: int, endings: tuple[str, ...]) -> str:
    """Read what is shown until it ends so, or until nobody writes any more."""
    shown = ""
    while not endings or not shown.endswith(endings):
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        shown += piece.decode()
    return shown


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_giving_up_is_asked_back(own_world: World, answer: str, code: int) -> None:
    life = a_stopped_life(own_world.db, own_world.agency())
    operator = own_world.person(Role.OPERATOR)
    told = {"EDUBBA_URL": own_world.url, "EDUBBA_TOKEN": operator.token, "HOME": "/nonexistent"}
    command = ["operations", "abandon", life.id, "-r", "the wish was wrong"]
    ended, shown = typed(command, told, answer)
    assert "The region does not have the prepared image" in shown
    assert "Give it up for ever?" in shown
    assert ended == code, shown
    listed = operator.ask("operations", "list")["items"]
    assert (life.id in {one["id"] for one in listed}) == (answer == "n")


def test_a_new_password_is_asked_for_twice_and_not_shown(
    sqlite_db: Database, tmp_path: Path
) -> None:
    told = {"EDUBBA_DATABASE_URL": str(sqlite_db.url), "HOME": str(tmp_path)}
    command = ["setup", "operator", "samir@centre.example", "--name", "Samir"]
    code, shown = typed(command, told, PASSWORD, "something else")
    assert code == 2, shown
    assert "The two passwords differ" in shown
    code, shown = typed(command, told, PASSWORD, PASSWORD)
    assert code == 0, shown
    assert PASSWORD not in shown
    with sqlite_db.read() as session:
        person = find_person_by_email(session, "samir@centre.example")
    assert person is not None
    assert is_right(person.password_hash, PASSWORD)
