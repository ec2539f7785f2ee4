"""Whatever a command says, it can say in Arabic too, with the same facts."""

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import control_plane
import control_plane.cli
import control_plane.osc
from control_plane.cli.exits import EXPLAINED
from control_plane.cli.helping import HEADINGS, list_commands
from control_plane.cli.judging import ALWAYS_HIDDEN, FAULTS, HIDDEN_WITHOUT_CHECKPOINT
from control_plane.cli.judging import HIDDEN_WITHOUT_KEY as WITHOUT_KEY
from control_plane.cli.main import _MISUSE, _MISUSES, COMMANDS, command_tree
from control_plane.cli.means import RESOURCES
from control_plane.cli.telling import EVENTS, FINISHED
from control_plane.hosting.rules import HostingStatus, RequestStatus, WishVerdict
from control_plane.hosting.steps import FLOW
from control_plane.kit.text import has_translation, translate
from control_plane.releases.rules import DeploymentStatus

MODULES = sorted(
    module
    for package in (control_plane.cli, control_plane.osc)
    for module in Path(str(package.__file__)).parent.glob("*.py")
)
BY_ROOT = {"tour.py"}  # a part of `make up`, which speaks English
_WAITS = re.compile(r"\b(?:Again|Unavailable|Away)\(\s*\"([a-z_]+)\"")
NAMED = {"titles", "message", "sentences"}  # what is put into words a line later


def messages_of(source: str) -> set[str]:
    """Return what a module says: the first argument of `tr`, titles of tables and of facts."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            if node.func.id == "tr":
                found |= set(texts(node.args[0]))
            if node.func.id == "rows":
                found |= set(texts(node.args[0]))
            if node.func.id == "facts":
                found |= set(firsts(node.args[0]))
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in NAMED:
            found |= set(texts(node.value))
    return found


def texts(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression may be, or is made of."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from (*texts(one), *texts(other))
        case ast.Tuple(elts=parts):
            for part in parts:
                yield from texts(part)
        case ast.Dict(values=values):
            for value in values:
                yield from texts(value)
        case ast.Call(func=ast.Name(id="tr"), args=[first, *_]):
            yield from texts(first)
        case _:
            pass


def firsts(node: ast.expr) -> Iterator[str]:
    for part in getattr(node, "elts", ()):
        if isinstance(part, ast.Tuple):
            yield from texts(part.elts[0])


def in_modules() -> set[str]:
    return {
        text
        for module in MODULES
        if module.name not in BY_ROOT
        for text in messages_of(module.read_text(encoding="utf-8"))
    }


def in_help() -> set[str]:
    found = {entry.summary for entry in COMMANDS.values()}
    for name in COMMANDS:
        command = typer.main.get_command(command_tree(name)).commands[name]  # type: ignore[attr-defined]
        for one in list_commands(command):
            found |= {one.help or ""}
            found |= {getattr(p, "help", "") or "" for p in one.get_params(typer.Context(one))}
    return found - {""}


def in_tables() -> set[str]:
    statuses = [*HostingStatus, *RequestStatus, *DeploymentStatus, *WishVerdict]
    return {
        *EXPLAINED.values(),
        *HEADINGS.values(),
        *FAULTS.values(),
        *ALWAYS_HIDDEN,
        HIDDEN_WITHOUT_CHECKPOINT,
        WITHOUT_KEY,
        *_MISUSES.values(),
        _MISUSE,
        *RESOURCES.values(),
        *EVENTS.values(),
        *FINISHED.values(),
        *(status.value for status in statuses),
    }


@pytest.mark.parametrize("message", sorted(in_modules() | in_help() | in_tables()))
def test_a_command_says_it_in_arabic_with_the_same_facts(message: str) -> None:
    assert has_translation(message, "ar"), message
    assert placeholders(translate(message, "ar")) == placeholders(message)


def placeholders(message: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(message) if name}


def test_every_step_of_a_hosting_and_all_that_one_waits_for_is_told_in_words() -> None:
    assert set(FLOW.steps) - set(FINISHED) == set()
    sources = Path(control_plane.__file__).parent.rglob("*.py")
    named = {
        constant
        for source in sources
        for constant in _WAITS.findall(source.read_text(encoding="utf-8"))
    }
    assert "waiting_for_tenant" in named
    assert named - set(EVENTS) == set()
