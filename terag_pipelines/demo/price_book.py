"""The demo platform's price book, and what a month of usage costs by it, worked out exactly and on its own.

The arithmetic here is the truth that the product's billing is checked against, so it shares no code with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import Any

import yaml

from terag_pipelines.money import round_half_up

PRICE_BOOK = """\
# Prices in KZT: unit_price and package_price in tenge as exact decimals, base fees in tiyn.
currency: KZT
plans:
  starter:
    name: Старт
    base_fee_minor: 1500000
    meters:
      api_calls:
        name: API сұраулары · Запросы к API
        model: graduated
        tiers: [{up_to: 1000, unit_price: "0"}, {up_to: 10000, unit_price: "1.25"}, {unit_price: "0.905"}]
      links_resolved:
        {name: Шешілген байланыстар · Разрешённые связи, model: per_unit, unit_price: "3.335"}
      what_if_answers:
        {name: Болжам жауаптары · Ответы «что если», model: per_unit, unit_price: "45.00"}
      graph_reads:
        {name: Графты оқу · Чтение графа, model: package, package_size: 500, package_price: "650.00"}
  growth:
    name: Өсім
    base_fee_minor: 9900000
    meters:
      api_calls:
        {name: API сұраулары · Запросы к API, model: package, package_size: 1000, package_price: "900.00"}
      links_resolved:
        name: Шешілген байланыстар · Разрешённые связи
        model: graduated
        tiers: [{up_to: 5000, unit_price: "2.80"}, {up_to: 20000, unit_price: "2.155"}, {unit_price: "1.75"}]
      what_if_answers:
        {name: Болжам жауаптары · Ответы «что если», model: per_unit, unit_price: "38.50"}
      graph_reads:
        {name: Графты оқу · Чтение графа, model: package, package_size: 1000, package_price: "990.00"}
  enterprise:
    name: Кәсіпорын
    base_fee_minor: 45000000
    meters:
      api_calls:
        name: API сұраулары · Запросы к API
        model: volume
        tiers:
          - {up_to: 50000, unit_price: "0.80"}
          - {up_to: 200000, unit_price: "0.645"}
          - {unit_price: "0.525"}
      links_resolved:
        name: Шешілген байланыстар · Разрешённые связи
        model: volume
        tiers: [{up_to: 20000, unit_price: "1.90"}, {unit_price: "1.405"}]
      what_if_answers:
        {name: Болжам жауаптары · Ответы «что если», model: per_unit, unit_price: "29.905"}
      graph_reads:
        {name: Графты оқу · Чтение графа, model: per_unit, unit_price: "0.4125"}
taxes:
  - {name: VAT, rate: "0.12", valid_to: 2025-12-31}
  - {name: VAT, rate: "0.16", valid_from: 2026-01-01}
seller:
  name: ТОО «TERAG Pipelines Demo»
  bin: "210940000124"
  address: Астана, Мәңгілік Ел даңғылы, 55/21, 010000
  bank: АО «Demo Bank»
  bic: DEMOKZKA
  iban: KZ329980000012345678
  email: billing@terag.example
"""


def net_total_minor(plan: str, quantities: Mapping[str, int], price_book_text: str = PRICE_BOOK) -> int:
    """What a tenant on `plan` owes for a month before tax, in minor units; each line is rounded once."""
    terms = yaml.safe_load(price_book_text)["plans"][plan]
    lines = [_line(meter, quantities.get(name, 0)) for name, meter in terms["meters"].items()]
    return int(terms["base_fee_minor"]) + sum(lines)


def _line(meter: Mapping[str, Any], quantity: int) -> int:
    models = {"per_unit": _per_unit, "package": _package, "graduated": _graduated, "volume": _volume}
    return round_half_up(models[meter["model"]](meter, quantity) * 100)


def _per_unit(meter: Mapping[str, Any], quantity: int) -> Fraction:
    return quantity * Fraction(meter["unit_price"])


def _package(meter: Mapping[str, Any], quantity: int) -> Fraction:
    return ceil(Fraction(quantity, meter["package_size"])) * Fraction(meter["package_price"])


def _graduated(meter: Mapping[str, Any], quantity: int) -> Fraction:
    cost, below = Fraction(0), 0
    for tier in meter["tiers"]:
        above = min(quantity, tier.get("up_to", quantity))
        cost += max(above - below, 0) * Fraction(tier["unit_price"])
        below = max(below, above)
    return cost


def _volume(meter: Mapping[str, Any], quantity: int) -> Fraction:
    reached = next(tier for tier in meter["tiers"] if quantity <= tier.get("up_to", quantity))
    return quantity * Fraction(reached["unit_price"])
