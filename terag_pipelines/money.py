"""Money as integer minor units of a currency; sums and splits are exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from terag_pipelines.errors import CurrencyMismatchError

_CURRENCIES_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_DIGITS = {
    currency: n_digits for n_digits, listed in _CURRENCIES_BY_DIGITS.items() for currency in listed.split()
}
"""Digits after the point of each currency that has not two (ISO 4217, list one)."""

CURRENCY_NAMES = {
    "AED": "UAE dirhams",
    "AMD": "Armenian drams",
    "AZN": "Azerbaijani manats",
    "BYN": "Belarusian roubles",
    "CHF": "Swiss francs",
    "CNY": "Chinese yuan",
    "EUR": "euros",
    "GBP": "pounds sterling",
    "GEL": "Georgian lari",
    "INR": "Indian rupees",
    "JPY": "Japanese yen",
    "KGS": "Kyrgyz som",
    "KZT": "Kazakhstani tenge",
    "RUB": "Russian roubles",
    "TJS": "Tajik somoni",
    "TMT": "Turkmen manats",
    "TRY": "Turkish lira",
    "UAH": "Ukrainian hryvnias",
    "USD": "US dollars",
    "UZS": "Uzbek sum",
}
"""What the currencies met most are called in a sentence."""


OWN_UNITS = "units"
"""Stands for a currency where amounts are in units of their own; counted in hundredths."""


def minor_digits(currency: str) -> int:
    """Digits after the decimal point of a currency (ISO 4217)."""
    return MINOR_DIGITS.get(currency, 2)


def round_half_up(value: Fraction) -> int:
    """The nearest integer; halves go away from zero, as commercial rounding does."""
    magnitude = int(abs(value) + Fraction(1, 2))
    return magnitude if value >= 0 else -magnitude


def round_to_sum(exact: Sequence[Fraction], total: int) -> list[int]:
    """Integers, each less than one from its exact value, that sum to `total`: by largest remainder.

    Ties go to the first. `total` is the exact sum rounded to an integer, in whatever way.
    """
    parts = [value.numerator // value.denominator for value in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


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

    def as_decimal(self) -> Decimal:
        """The amount in major units, exact."""
        return Decimal(self.amount_minor).scaleb(-minor_digits(self.currency))

    def __str__(self) -> str:
        return f"{self.as_decimal():,} {self.currency}".replace(",", " ")
