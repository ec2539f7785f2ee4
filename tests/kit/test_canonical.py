"""Equal values have one spelling: that of RFC 8785, whichever encoder writes it."""

from contextlib import suppress
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from control_plane.kit.canonical import canonical_json

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


def expected(value: Any) -> bytes | None:
    with suppress(ValueError):
        return rfc8785.dumps(value)
    return None


@given(VALUES)
def test_a_value_is_spelled_as_the_standard_says(value: Any) -> None:
    wanted = expected(value)
    if wanted is None:
        with pytest.raises(rfc8785.CanonicalizationError):
            canonical_json(value)
    else:
        assert canonical_json(value) == wanted


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {"b": 1, "a": [True, None, "\x1f\x7f\u2028\b/"]},
            '{"a":[true,null,"\\u001f\x7f\u2028\\b/"],"b":1}',
        ),
        ({"\U0001f600": 1, "\ue000": 2}, '{"\U0001f600":1,"\ue000":2}'),
        ([1e21, 1.0, 0.1, -0.0], "[1e+21,1,0.1,0]"),
        ("مرحبا", '"مرحبا"'),
    ],
)
def test_keys_numbers_and_signs_have_one_form(value: Any, text: str) -> None:
    assert canonical_json(value) == text.encode()


@pytest.mark.parametrize("value", ["\ud800", 2**53, float("nan"), {1: 2}, {"a": object()}])
def test_what_not_every_reader_reads_alike_is_refused(value: Any) -> None:
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical_json(value)


def test_what_is_nested_deeply_is_spelled_too() -> None:
    value: Any = 1
    for _ in range(280):
        value = [value]
    assert canonical_json(value) == b"[" * 280 + b"1" + b"]" * 280
