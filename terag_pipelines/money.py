"""Money as integer minor units of a currency; sums and splits are exact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from terag_pipelines.errors import CurrencyMismatchError

MINOR_DIGITS = {"KZT": 2, "USD": 2, "EUR": 2, "RUB": 2, "GBP": 2, "CNY": 2, "JPY": 0, "KWD": 3}
"""Digits after the point of each known currency (ISO 4217); any other has two."""


def minor_digits(currency: str) -> int:
    """Digits after the decimal point of a currency (ISO 4217), two where it is not listed."""
    return MINOR_DIGITS.get(currency, 2)


def round_half_up(value: Fraction) -> int:
    """The nearest integer; halves go away from zero, as commercial rounding does."""
    magnitude = int(abs(value) + Fraction(1, 2))
    return magnitude if value >= 0 else -magnitude


@dataclass(frozen=True, order=True)
class Money:
    """An amount in minor units (tiyn, cents) of one currency.

    Raises: CurrencyMismatchError when two currencies are combined.
    """

    amount_minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise CurrencyMismatchError(f"cannot add {other.currency} to {self.currency}")
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount_minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        return self + -other

    def times(self, ratio: Fraction | int) -> Money:
        """The amount times an exact ratio, rounded half up to a minor unit."""
        return Money(round_half_up(Fraction(self.amount_minor) * ratio), self.currency)

    def split(self, weights: Sequence[int]) -> list[Money]:
        """Parts in proportion to `weights` that sum to the whole, by largest remainder, ties to the first."""
        total = sum(weights)
        exact = [Fraction(self.amount_minor * weight, total) for weight in weights]
        parts = [value.numerator // value.denominator for value in exact]
        by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
        for i in by_remainder[: self.amount_minor - sum(parts)]:
            parts[i] += 1
        return [Money(part, self.currency) for part in parts]

    def as_decimal(self) -> Decimal:
        """The amount in major units, exact."""
        return Decimal(self.amount_minor).scaleb(-minor_digits(self.currency))

    def __str__(self) -> str:
        return f"{self.as_decimal():,} {self.currency}".replace(",", " ")


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The sum of `amounts`, zero of `currency` where there are none."""
    return sum(amounts, Money(0, currency))
