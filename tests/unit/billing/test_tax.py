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
    assert tax_on_lines([33, 33, 34], Fraction("0.16")) == [5, 5, 6]
    assert tax_on_lines([1, 1, 1], Fraction("0.16")) == [0, 0, 0]
    assert tax_on_lines([2, 2], Fraction("0.16")) == [1, 0]
    assert tax_on_lines([100, -100], Fraction("0.16")) == [16, -16]
    assert tax_on_lines([], Fraction("0.16")) == []


nets = st.lists(st.integers(0, 10**12), min_size=1, max_size=12)
signed_nets = st.lists(st.integers(-(10**9), 10**12), min_size=1, max_size=12)
rates = st.integers(0, 9999).map(lambda n: Fraction(n, 10_000))


def _check_split(net: list[int], rate: Fraction) -> None:
    taxes = tax_on_lines(net, rate)
    assert len(taxes) == len(net)
    assert sum(taxes) == round_half_up(sum(net) * rate)
    assert all(abs(tax - part * rate) < 1 for tax, part in zip(taxes, net, strict=True))


def test_a_credit_beside_a_charge_does_not_bend_the_rate_of_either() -> None:
    """Late usage at a cheaper volume tier nearly cancels the month: 16% of each line stays 16% of it."""
    assert tax_on_lines([1_000_000, -999_990], Fraction("0.16")) == [160_000, -159_998]
    assert tax_on_lines([45_000_000, -44_999_997], Fraction("0.16")) == [7_200_000, -7_200_000]


@settings(max_examples=200, deadline=None)
@given(st.one_of(nets, signed_nets), rates)
def test_the_lines_tax_sums_to_the_total(net: list[int], rate: Fraction) -> None:
    _check_split(net, rate)


@pytest.mark.torture
@settings(max_examples=10_000, deadline=None)
@given(st.one_of(nets, signed_nets), rates)
def test_the_lines_tax_sums_to_the_total_ten_thousand_times(net: list[int], rate: Fraction) -> None:
    _check_split(net, rate)
