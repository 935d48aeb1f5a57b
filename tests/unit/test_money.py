"""Money: digits by ISO 4217, and roundings that sum to the total."""

from __future__ import annotations

from fractions import Fraction

import pytest

from terag_pipelines.money import Money, minor_digits, round_half_up, round_to_sum


@pytest.mark.parametrize(
    ("currency", "shown"),
    [
        ("KZT", "1 234.00 KZT"),
        ("UZS", "1 234.00 UZS"),
        ("KRW", "123 400 KRW"),
        ("JPY", "123 400 JPY"),
        ("BHD", "123.400 BHD"),
        ("CLF", "12.3400 CLF"),
    ],
)
def test_an_amount_has_the_digits_of_its_currency(currency: str, shown: str) -> None:
    assert str(Money(123_400, currency)) == shown


def test_digits_are_by_the_standard() -> None:
    assert [minor_digits(code) for code in ("VND", "UGX", "IQD", "TND", "RUB", "")] == [0, 0, 3, 3, 2, 2]


def test_halves_go_away_from_zero() -> None:
    assert [round_half_up(Fraction(n, 2)) for n in (-3, -1, 0, 1, 3)] == [-2, -1, 0, 1, 2]


def test_parts_sum_to_the_total_and_ties_go_to_the_first() -> None:
    assert round_to_sum([Fraction(1, 2)] * 3, 2) == [1, 1, 0]
    assert round_to_sum([Fraction(-1, 4)] * 2, -1) == [0, -1]
    assert round_to_sum([], 0) == []
