"""What a tenant writes is shown as what it is: text, short, without anybody's secrets."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.kit.cleaning import CUT, HIDDEN, Redaction, clean
from control_plane.ports.automation.cleaning import clean_result
from control_plane.ports.automation.port import RESULT_MAX

ESCAPES = {
    "colours": "\x1b[1;31mred\x1b[0m",
    "a cleared screen": "\x1b[2J\x1b[Hred",
    "an 8-bit sequence": "\x9b31mred",
    "a title": "\x1b]0;root@edubba: rm -rf /\x07red",
    "a link": "\x1b]8;;https://evil.example\x1b\\red\x1b]8;;\x1b\\",
    "a device string": "\x1bP1$tx\x1b\\red",
    "an unfinished string": "red\x1b]0;never closed",
    "an unfinished sequence": "red\x1b[31",
    "a lone escape": "red\x1b",
    "a character set": "\x1b(0red",
    "a reset": "\x1bcred",
    "backspaces": "re\b\b\bd",
    "a bell": "red\x07",
    "a null": "r\x00ed",
    "turned direction": "\u202ered\u202c",
    "an isolate": "\u2067red\u2069",
    "zero width": "r\u200be\u2060d\ufeff",
    "half a character": "r\ud800ed",
}


@pytest.mark.parametrize("name", ESCAPES)
def test_what_would_move_a_terminal_is_not_there(name: str) -> None:
    assert clean(ESCAPES[name]) == "red"


def test_honest_text_stays_as_it_is() -> None:
    text = "السطر الأول\n\tسەرکەوتوو می‌روم\nüñ 漢字 🏛️"
    assert clean(text) == text


def test_a_progress_bar_becomes_lines() -> None:
    assert clean("10 %\r50 %\r\n100 %") == "10 %\n50 %\n100 %"


def test_long_text_is_cut_and_says_so() -> None:
    assert clean("x" * 100, 10) == "x" * 8 + CUT
    assert clean("x" * 10, 10) == "x" * 10
    assert len(clean("\x1b[31m" * 10_000_000, 10)) <= 10


@given(st.text(), st.integers(min_value=3, max_value=50))
def test_whatever_comes_is_short_and_without_control(text: str, most: int) -> None:
    found = clean(text, most)
    assert len(found) <= most
    assert not [c for c in found if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t"]
    assert clean(found, most) == found


AWKWARD = "p'a\"ss\\ {{ x }} $(id) `w` %s é–ن\nsecond line"


@pytest.mark.parametrize(
    "written",
    [
        AWKWARD,
        json.dumps(AWKWARD),
        json.dumps(AWKWARD, ensure_ascii=False),
        repr(AWKWARD),
        "export X='" + AWKWARD.replace("'", "'\"'\"'") + "'",
        "only second line of it",
    ],
)
def test_a_secret_is_hidden_however_it_was_written(written: str) -> None:
    shown = clean(f"before {written} after", 500, Redaction([{"deep": [AWKWARD]}]))
    assert HIDDEN in shown
    assert "second line" not in shown
    assert "$(id)" not in shown


def test_a_secret_is_hidden_also_between_escape_sequences_and_across_the_cut() -> None:
    hide = Redaction(["hunter2hunter2"])
    assert clean("x hunt\x1b[0mer2hunter2 y", 100, hide) == f"x {HIDDEN} y"
    for length in range(40, 60):
        assert "hunter" not in clean("x" * length + "hunter2hunter2" * 50, 15, hide)
        assert "hunter" not in clean("x" * length + "hunter2hunter2", length + 10, hide)


def test_what_is_too_short_to_be_a_secret_does_not_shred_the_text() -> None:
    assert clean("a cat sat", 50, Redaction(["a", "", 5, None, True])) == "a cat sat"


@pytest.mark.parametrize("value", [None, [], "text", 5, {"x": "y" * RESULT_MAX}])
def test_a_result_that_is_no_object_or_too_large_is_none(value: object) -> None:
    assert clean_result(value, Redaction([])) is None


def test_a_result_that_is_too_deep_is_none() -> None:
    deep: dict[str, object] = {}
    for _ in range(2_000):
        deep = {"x": deep}
    assert clean_result(deep, Redaction([])) is None
    assert clean_result({"x": float("nan")}, Redaction([])) is None


def test_a_result_is_cleaned_in_its_keys_and_values() -> None:
    found = clean_result({"\x1b[1mport": ["\u202e80", 80, "hunter2"]}, Redaction(["hunter2"]))
    assert found == {"port": ["80", 80, HIDDEN]}
