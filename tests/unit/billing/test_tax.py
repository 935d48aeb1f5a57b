"""Tax by turnover date, and splits that sum to the total in any currency."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.billing.tax import tax_in_force, tax_on_lines
from terag_pipelines.money import round_half_up
from tests.unit.billing.cases import price_book

CURRENCIES = ("KZT", "USD", "JPY")


@pytest.mark.parametrize(
    ("on", "rate"),
    [(date(2025, 12, 31), "0.12"), (date(2026, 1, 1), "0.16"), (date(2030, 1, 1), "0.16")],
)
def test_the_rate_is_that_of_the_turnover_date(on: date, rate: str) -> None:
    tax = tax_in_force(price_book().taxes, on)
    assert tax is not None
    assert tax.rate_text == rate


def test_a_golden_split() -> None:
    # 16% of 1.00 is 16: exactly 5.28, 5.28 and 5.44, so the last has the largest remainder
    assert tax_on_lines([33, 33, 34], Fraction("0.16"), "KZT") == [5, 5, 6]
    assert tax_on_lines([1, 1, 1], Fraction("0.16"), "KZT") == [0, 0, 0]
    assert tax_on_lines([2, 2], Fraction("0.16"), "JPY") == [1, 0]
    assert tax_on_lines([100, -100], Fraction("0.16"), "KZT") == [0, 0]
    assert tax_on_lines([], Fraction("0.16"), "KZT") == []


nets = st.lists(st.integers(0, 10**12), min_size=1, max_size=12)
signed_nets = st.lists(st.integers(-(10**9), 10**12), min_size=1, max_size=12)
rates = st.integers(0, 9999).map(lambda n: Fraction(n, 10_000))


def _check_split(net: list[int], rate: Fraction, currency: str) -> None:
    taxes = tax_on_lines(net, rate, currency)
    assert len(taxes) == len(net)
    assert sum(taxes) == round_half_up(sum(net) * rate)
    if min(net) >= 0:
        # no line is further than one minor unit from its own exact tax, scaled to the rounded total
        total = sum(net) or 1
        assert all(
            abs(tax - Fraction(sum(taxes) * part, total)) < 1 for tax, part in zip(taxes, net, strict=True)
        )


@settings(max_examples=200, deadline=None)
@given(st.one_of(nets, signed_nets), rates, st.sampled_from(CURRENCIES))
def test_the_lines_tax_sums_to_the_total(net: list[int], rate: Fraction, currency: str) -> None:
    _check_split(net, rate, currency)


@pytest.mark.torture
@settings(max_examples=10_000, deadline=None)
@given(st.one_of(nets, signed_nets), rates, st.sampled_from(CURRENCIES))
def test_the_lines_tax_sums_to_the_total_ten_thousand_times(
    net: list[int], rate: Fraction, currency: str
) -> None:
    _check_split(net, rate, currency)
