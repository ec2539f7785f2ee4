"""What a server tells of its logs is believed in nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.ports.cloud.logs import parsed
from control_plane.ports.cloud.port import LOG_BYTES_MAX, LOG_LINE_MAX, LogFact

AT = "2026-11-24 16:20:34.123456789"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner),
)


@given(st.fixed_dictionaries(dict.fromkeys(("lines", "marks", "lost"), ANYTHING)))
def test_nothing_that_a_server_says_can_break_the_worker(said: dict[str, Any]) -> None:
    found = parsed(said)
    assert all(count > 0 for count in found.lost.values())
    json.dumps(dict(found.marks))


def test_an_honest_answer_is_taken_as_it_is() -> None:
    said = {
        "lines": [["app", AT, "مرحبا", False]],
        "marks": {"app": f"{AT} 40"},
        "lost": {"app": 7},
    }
    found = parsed(said)
    [line] = found.lines
    assert (line.service, line.text, line.is_cut) == ("app", "مرحبا", False)
    assert line.at is not None
    assert line.at.isoformat() == "2026-11-24T16:20:34.123456+00:00"
    assert (found.marks, found.lost) == (said["marks"], said["lost"])


@pytest.mark.parametrize(
    "line",
    [
        "text",
        ["app", AT, "short"],
        ["../app", AT, "x", False],
        ["app", 5, "x", False],
        ["app", AT, None, False],
        [{}, AT, "x", False],
    ],
)
def test_a_line_that_is_none_is_left_out(line: Any) -> None:
    assert parsed({"lines": [line]}) == LogFact([], {}, {})


def test_too_much_is_cut_wherever_it_is() -> None:
    many = [["app", "tomorrow", "x" * 10_000, False]] * 1000
    names = {f"s{number}": "m" * 1000 for number in range(1000)}
    lost = {"app": 1 << 60, "web": -1, "db": True}
    found = parsed({"lines": many, "marks": names, "lost": lost})
    assert sum(len(line.text) for line in found.lines) <= LOG_BYTES_MAX
    for line in found.lines:
        assert (len(line.text), line.is_cut, line.at) == (LOG_LINE_MAX, True, None)
    assert found.marks == {}
    assert found.lost == {"db": 1}
