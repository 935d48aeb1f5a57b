"""Charge models against figures worked out by hand, and properties that hold for any prices."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.billing.charges import Charge, Graduated, Package, PerUnit, Tier, Volume, charge_minor

TIERS = (Tier(1000, Fraction(0)), Tier(10000, Fraction("1.25")), Tier(None, Fraction("0.90")))
prices = st.integers(0, 10**6).map(lambda n: Fraction(n, 1000))


@pytest.mark.parametrize(
    ("charge", "quantity", "minor"),
    [
        (Graduated(TIERS), 0, 0),
        (Graduated(TIERS), 1000, 0),
        (Graduated(TIERS), 1001, 125),
        (Graduated(TIERS), 10000, 1_125_000),
        (Graduated(TIERS), 10001, 1_125_090),
        (Volume(TIERS), 1000, 0),
        (Volume(TIERS), 1001, 125_125),
        (Volume(TIERS), 10001, 900_090),
        (PerUnit(Fraction("45")), 3, 13_500),
        (PerUnit(Fraction("0.005")), 1, 1),  # half a tiyn goes up
        (PerUnit(Fraction("0.0049")), 1, 0),
        (PerUnit(Fraction("0.333")), 3, 100),  # rounded once: 0.999, not three times 0.33
        (Package(1000, Fraction(900)), 0, 0),
        (Package(1000, Fraction(900)), 1, 90_000),
        (Package(1000, Fraction(900)), 1000, 90_000),
        (Package(1000, Fraction(900)), 1001, 180_000),
    ],
)
def test_what_a_quantity_costs(charge: Charge, quantity: int, minor: int) -> None:
    assert charge_minor(charge, quantity, "KZT") == minor


@pytest.mark.parametrize(("currency", "minor"), [("KZT", 250), ("JPY", 3), ("KWD", 2500)])
def test_minor_units_are_the_currency_s_own(currency: str, minor: int) -> None:
    assert charge_minor(PerUnit(Fraction("2.5")), 1, currency) == minor


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 500), prices), max_size=4), prices, st.integers(0, 3000))
def test_graduated_is_the_sum_over_single_units(
    widths: list[tuple[int, Fraction]], last: Fraction, quantity: int
) -> None:
    bounds = [sum(width for width, _ in widths[: i + 1]) for i in range(len(widths))]
    tiers = [Tier(bound, price) for bound, (_, price) in zip(bounds, widths, strict=True)]
    charge = Graduated((*tiers, Tier(None, last)))
    by_unit = sum(
        (
            next((t.unit_price for t in tiers if t.up_to is not None and unit <= t.up_to), last)
            for unit in range(1, quantity + 1)
        ),
        Fraction(0),
    )
    steps = charge.steps(quantity)
    assert sum((step.amount for step in steps), Fraction(0)) == by_unit
    assert sum(step.quantity for step in steps) == quantity
