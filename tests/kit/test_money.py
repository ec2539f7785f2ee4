"""Money is exact until a line of a statement is rounded, once."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.kit.money import Money

AMOUNTS = st.integers(min_value=-(10**15), max_value=10**15)


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_sums_do_not_depend_on_their_order(a: int, b: int, c: int) -> None:
    first, second, third = (Money("IQD", m) for m in (a, b, c))
    assert (first + second) + third == third + (second + first)


def test_two_currencies_do_not_add() -> None:
    with pytest.raises(ValueError, match="don't add"):
        Money("IQD", 1) + Money("USD", 1)


def test_a_line_is_rounded_to_the_fils() -> None:
    assert Money("IQD", 1_234_567).rounded() == Decimal("1.235")
    assert Money("USD", 1_005_000).rounded() == Decimal("1.00")  # half to even
