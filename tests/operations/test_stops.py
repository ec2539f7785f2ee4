"""Every way in which a life can stop says in both languages what happened and what to do."""

import ast
import string
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

import control_plane
from control_plane.kit import text
from control_plane.operations.rules import STOPS, UNKNOWN_STOP, stop_of
from control_plane.operations.schemas import FailureOut

SOURCE = Path(control_plane.__file__).parent
STOPPING = {"Failed", "Refused", "Refusal"}
# Refusals that a request meets inline, in its own words; no step can meet them.
TRIED_AGAIN = {"stream_cut", "release_preparing", "release_unsettled"}
INLINE = {"encoding_invalid"}


def _codes(folder: Path, names: Collection[str] = STOPPING) -> Iterator[str]:
    calls = (
        node
        for file in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args
    )
    for call in calls:
        first = call.args[0]
        is_stopping = isinstance(call.func, ast.Name) and call.func.id in names
        if is_stopping and isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value


def test_every_stop_code_in_the_source_has_its_texts() -> None:
    assert set(_codes(SOURCE)) - INLINE - set(STOPS) == set()
    guest = set(_codes(SOURCE.parent / "playbooks" / "roles" / "receiver", {"Trouble"}))
    assert guest > TRIED_AGAIN
    assert guest - TRIED_AGAIN - set(STOPS) == set()


@pytest.mark.parametrize("code", [*STOPS, "never_heard_of"])
def test_a_stop_speaks_arabic_with_the_same_facts(code: str) -> None:
    stop = stop_of(code)
    for message in (stop.happened, stop.following, stop.mend):
        assert text.has_translation(message, "ar"), message
        assert _fields(text.translate(message, "ar")) == _fields(message)


def test_an_unknown_stop_still_says_that_it_stopped() -> None:
    assert stop_of("never_heard_of") is UNKNOWN_STOP
    shown = FailureOut.of("never_heard_of", {}, "en")
    assert shown.happened == "It stopped: never_heard_of"


def _fields(message: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(message) if name}
