"""Price books: exact prices, and an error that names plan, meter and key."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from terag_pipelines.billing.charges import Graduated
from terag_pipelines.billing.price_book import parse_price_book
from terag_pipelines.errors import PriceBookError, UnknownPlanError
from tests.unit.billing.cases import price_book, price_book_mapping

Change = Callable[[dict[str, Any]], object]


def test_prices_are_exact_and_a_json_copy_means_the_same() -> None:
    book = price_book()
    charge = book.plans["starter"].meters["api_calls"].charge
    assert isinstance(charge, Graduated)
    assert charge.tiers[1].unit_price == Fraction(5, 4)
    assert book.seller.iban == "KZ86125KZT5004100100"
    assert parse_price_book(json.loads(json.dumps(price_book_mapping(), default=str))) == book


def test_defaults() -> None:
    book = price_book()
    assert (book.plans["starter"].payment_days, book.plans["growth"].payment_days) == (14, 30)
    assert book.plans["starter"].meters["api_calls"].name == "api calls"
    assert book.time_zone == "Asia/Almaty"


def _plan(mapping: dict[str, Any], key: str, value: object) -> None:
    mapping["plans"]["starter"][key] = value


def _meter(mapping: dict[str, Any], value: object) -> None:
    mapping["plans"]["starter"]["meters"]["api_calls"] = value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("currency"), ["currency"]),
        (lambda m: m.update(currency="tenge"), ["currency", "ISO 4217"]),
        (lambda m: m.update(discount=1), ["unknown", "discount"]),
        (lambda m: m.update(plans=[]), ["plans", "mapping"]),
        (lambda m: m["seller"].pop("bin"), ["seller", "bin"]),
        (lambda m: m["seller"].update(iban="KZ87125KZT5004100100"), ["seller", "iban", "check digits"]),
        (lambda m: m.update(time_zone="Asia/Atlantis"), ["time_zone"]),
        (lambda m: _plan(m, "base_fee_minor", 1.5), ["starter", "base_fee_minor"]),
        (lambda m: _plan(m, "base_fee_minor", True), ["starter", "base_fee_minor"]),
        (lambda m: _plan(m, "base_fe", 1), ["starter", "base_fe"]),
        (lambda m: m["plans"]["starter"]["meters"].update(base_fee={}), ["starter", "base_fee"]),
        (lambda m: _meter(m, {"model": "percentage"}), ["starter", "api_calls", "model", "percentage"]),
        (lambda m: _meter(m, {"model": "per_unit"}), ["starter", "api_calls", "unit_price"]),
        (lambda m: _meter(m, {"model": "per_unit", "unit_price": 0.9}), ["unit_price", "in quotes"]),
        (lambda m: _meter(m, {"model": "per_unit", "unit_price": "-1"}), ["api_calls", "unit_price"]),
        (
            lambda m: _meter(m, {"model": "package", "package_size": 0, "package_price": "1"}),
            ["package_size"],
        ),
        (lambda m: _meter(m, {"model": "volume", "tiers": []}), ["api_calls", "tiers"]),
        (
            lambda m: _meter(m, {"model": "volume", "tiers": [{"up_to": 5, "unit_price": "1"}]}),
            ["api_calls", "tiers", "last tier"],
        ),
        (
            lambda m: _meter(
                m,
                {
                    "model": "graduated",
                    "tiers": [
                        {"up_to": 5, "unit_price": "1"},
                        {"up_to": 5, "unit_price": "1"},
                        {"unit_price": "1"},
                    ],
                },
            ),
            ["api_calls", "up_to does not rise"],
        ),
        (lambda m: m["taxes"][0].update(valid_to=date(2026, 1, 1)), ["two taxes", "2026-01-01"]),
        (lambda m: m["taxes"][0].update(rate="16"), ["tax 1", "rate"]),
        (lambda m: m["taxes"][0].update(valid_to="soon"), ["tax 1", "valid_to"]),
    ],
)
def test_what_is_wrong_is_named(change: Change, words: list[str]) -> None:
    mapping = price_book_mapping()
    change(mapping)
    with pytest.raises(PriceBookError) as raised:
        parse_price_book(mapping)
    assert [word for word in words if word not in str(raised.value)] == []


@pytest.mark.parametrize("plan_id", ["gone", None])
def test_an_unknown_plan_names_tenant_and_plan(plan_id: str | None) -> None:
    with pytest.raises(UnknownPlanError, match=f"acme.*{plan_id}"):
        price_book().plan_of("acme", plan_id)
