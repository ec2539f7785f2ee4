"""Money: a currency and integer micro-units (millionths of its major unit).

Prices are per hour. Nothing is rounded until a statement line is (`Money.rounded`), once, to the
currency's ISO 4217 exponent: the Iraqi dinar has 3.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

MICROS = 1_000_000
EXPONENTS = {"IQD": 3, "USD": 2, "EUR": 2}  # ISO 4217, list one
# 365.25 days of 24 hours in 12 months: what "a month" means where a price is shown to people.
HOURS_PER_MONTH = 730


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount; adding two currencies is a programming error and raises ValueError."""

    currency: str
    micros: int

    def __add__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(self.currency, self.micros + other.micros)

    def __sub__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(self.currency, self.micros - other.micros)

    def times(self, count: int) -> "Money":
        """Return the amount `count` times over, exactly."""
        return Money(self.currency, self.micros * count)

    def rounded(self) -> Decimal:
        """Return the amount in major units at the currency's exponent, half to even."""
        step = Decimal(1).scaleb(-EXPONENTS[self.currency])
        return (Decimal(self.micros) / MICROS).quantize(step, ROUND_HALF_EVEN)

    def _same(self, other: "Money") -> None:
        if self.currency != other.currency:
            msg = f"{self.currency} and {other.currency} don't add"
            raise ValueError(msg)
