"""What holds for the whole rooms: who may write a status, and that every word is in Arabic."""

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import control_plane
from control_plane.kit import text

ROOT = Path(control_plane.__file__).parent
ROOMS = ("blueprints", "hostnames", "hosting")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
# Functions whose text argument people read, and its place among the arguments.
SPEAKERS = {"Phrase": 0, "mistake": 1, "_one": 2}


def _trees(paths: list[Path]) -> Iterator[tuple[Path, ast.Module]]:
    for path in paths:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def test_statuses_are_written_in_one_place_a_table() -> None:
    writers = {
        str(path.relative_to(ROOT))
        for path, tree in _trees(SOURCES)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and target.attr == "status"
    }
    assert writers == {"hosting/actions/recording.py", "hostnames/actions.py"}


def _messages() -> set[str]:
    found: set[str] = set()
    for _, tree in _trees([*SOURCES, ROOT / "kit" / "documents.py"]):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found |= _said(node)
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_REASONS":
                found |= set(ast.literal_eval(node.value).values())
    return found


def _said(call: ast.Call) -> set[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    place = SPEAKERS.get(name)
    if place is None or len(call.args) <= place:
        return set()
    argument = call.args[place]
    is_text = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    return {ast.literal_eval(argument)} if is_text else set()


def test_there_is_something_to_say() -> None:
    assert len(_messages()) > 40


@pytest.mark.parametrize("message", sorted(_messages()))
def test_every_reason_speaks_arabic_with_the_same_facts(message: str) -> None:
    assert text.has_translation(message, "ar"), message
    assert _placeholders(text.translate(message, "ar")) == _placeholders(message)


def _placeholders(message: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(message) if name}
