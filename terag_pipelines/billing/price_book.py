"""The price book: plans, meters, taxes with their validity, and who sells. Prices are exact decimals."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import Any

from terag_pipelines.billing.charges import Charge, Graduated, Package, PerUnit, Tier, Volume
from terag_pipelines.billing.periods import time_zone_of
from terag_pipelines.errors import BillingError, PriceBookError, UnknownPlanError

BASE_FEE = "base_fee"
"""The meter of the line that carries a plan's own fee."""

PAYMENT_DAYS = 14
DEFAULT_TIME_ZONE = "Asia/Almaty"
MAX_MINOR = 10**15
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True)
class Meter:
    """A metered quantity and what it costs."""

    name: str  # as an invoice line calls it
    charge: Charge


@dataclass(frozen=True)
class Plan:
    """A monthly fee and the meters on top of it."""

    plan_id: str
    name: str
    base_fee_minor: int
    payment_days: int
    meters: Mapping[str, Meter]


@dataclass(frozen=True)
class Tax:
    """A rate on top of net amounts, for turnover dates from `valid_from` to `valid_to`, both included."""

    name: str
    rate: Fraction
    rate_text: str
    valid_from: date
    valid_to: date

    def is_in_force(self, on: date) -> bool:
        """Whether the rate applies to a turnover date."""
        return self.valid_from <= on <= self.valid_to


@dataclass(frozen=True)
class Party:
    """A seller or a buyer, as an invoice names it."""

    party_id: str
    name: str
    bin: str = ""
    address: str = ""
    email: str = ""
    bank: str = ""
    iban: str = ""
    bic: str = ""
    beneficiary_code: str = ""  # Kbe, the Kazakh code of a payee's sector and residence
    payment_code: str = ""  # KNP, the Kazakh code of a payment's purpose


@dataclass(frozen=True)
class PriceBook:
    """What is sold at which prices, under which taxes, by whom."""

    currency: str
    plans: Mapping[str, Plan]
    taxes: tuple[Tax, ...]
    seller: Party
    time_zone: str  # of tenants that name none

    def plan_of(self, tenant_id: str, plan_id: str | None) -> Plan:
        """A tenant's plan. Raises: UnknownPlanError naming both."""
        if plan_id is None or plan_id not in self.plans:
            raise UnknownPlanError(
                f"tenant {tenant_id} has the plan {plan_id}, which is not in the price book"
            )
        return self.plans[plan_id]


def parse_price_book(mapping: Mapping[str, Any]) -> PriceBook:
    """The price book of a YAML or JSON mapping (docs/runbooks/invoicing.md shows one).

    Unit prices are decimal strings in major units, fees integers in minor units, dates ISO.
    Raises: PriceBookError naming the plan, meter and key that is missing, unknown or makes no sense.
    """
    book = _Keys(mapping, "price book")
    parsed = PriceBook(
        currency=book.take("currency", _currency),
        plans={
            plan_id: _plan(plan_id, _Keys(plan, f"plan {plan_id}"))
            for plan_id, plan in book.take("plans", _entries).items()
        },
        taxes=_taxes(book.take("taxes", _items, [])),
        seller=_seller(_Keys(book.take("seller", _entries), "seller")),
        time_zone=book.take("time_zone", _zone, DEFAULT_TIME_ZONE),
    )
    book.done()
    return parsed


class _Keys:
    """The keys of one mapping, taken one by one; what is left over is unknown."""

    def __init__(self, mapping: object, where: str) -> None:
        if not isinstance(mapping, Mapping):
            raise PriceBookError(f"{where} is to be a mapping of keys to values")
        self._left = {str(key): value for key, value in mapping.items()}
        self.where = where

    def take(self, key: str, parse: Callable[[Any], Any], default: object = ...) -> Any:
        """The parsed value of a key. Raises: PriceBookError naming where and key."""
        value = self._left.pop(key, None)
        if value is None:
            if default is ...:
                raise PriceBookError(f"{self.where} lacks the key {key}")
            return default
        try:
            return parse(value)
        except (ValueError, BillingError) as error:
            raise PriceBookError(f"{self.where}, key {key}: {error}") from None

    def done(self) -> None:
        """Raises: PriceBookError where keys were not taken."""
        if self._left:
            raise PriceBookError(f"{self.where} has unknown keys: {', '.join(sorted(self._left))}")


def _plan(plan_id: str, keys: _Keys) -> Plan:
    meters = keys.take("meters", _entries, {})
    if BASE_FEE in meters:
        raise PriceBookError(f"plan {plan_id}: a meter cannot be called {BASE_FEE}")
    plan = Plan(
        plan_id=plan_id,
        name=keys.take("name", _text, plan_id),
        base_fee_minor=keys.take("base_fee_minor", _whole, 0),
        payment_days=keys.take("payment_days", _whole, PAYMENT_DAYS),
        meters={
            meter: _meter(meter, _Keys(charge, f"plan {plan_id}, meter {meter}"))
            for meter, charge in meters.items()
        },
    )
    keys.done()
    return plan


def _meter(meter: str, keys: _Keys) -> Meter:
    model = keys.take("model", _text)
    if model not in _MODELS:
        raise PriceBookError(f"{keys.where}, key model: {model} is none of {', '.join(sorted(_MODELS))}")
    parsed = Meter(keys.take("name", _text, meter.replace("_", " ")), _MODELS[model](keys))
    keys.done()
    return parsed


def _per_unit(keys: _Keys) -> Charge:
    return PerUnit(keys.take("unit_price", _price))


def _package(keys: _Keys) -> Charge:
    return Package(keys.take("package_size", _positive), keys.take("package_price", _price))


def _graduated(keys: _Keys) -> Charge:
    return Graduated(_tiers(keys))


def _volume(keys: _Keys) -> Charge:
    return Volume(_tiers(keys))


_MODELS: dict[str, Callable[[_Keys], Charge]] = {
    "per_unit": _per_unit,
    "package": _package,
    "graduated": _graduated,
    "volume": _volume,
}


def _tiers(keys: _Keys) -> tuple[Tier, ...]:
    tiers = [
        _tier(_Keys(tier, f"{keys.where}, tier {n}"))
        for n, tier in enumerate(keys.take("tiers", _items), start=1)
    ]
    bounds = [tier.up_to for tier in tiers]
    if not tiers or bounds[-1] is not None or None in bounds[:-1]:
        raise PriceBookError(f"{keys.where}, key tiers: the last tier, and only it, has no up_to")
    ends = [bound for bound in bounds if bound is not None]
    if any(low >= high for low, high in pairwise(ends)):
        raise PriceBookError(f"{keys.where}, key tiers: up_to does not rise from tier to tier")
    return tuple(tiers)


def _tier(keys: _Keys) -> Tier:
    tier = Tier(keys.take("up_to", _positive, None), keys.take("unit_price", _price))
    keys.done()
    return tier


def _taxes(entries: Sequence[Any]) -> tuple[Tax, ...]:
    taxes = sorted(
        (_tax(_Keys(entry, f"tax {n}")) for n, entry in enumerate(entries, start=1)),
        key=lambda tax: tax.valid_from,
    )
    for earlier, later in pairwise(taxes):
        if later.valid_from <= earlier.valid_to:
            raise PriceBookError(f"two taxes are in force on {later.valid_from}: give each day one rate")
    return tuple(taxes)


def _tax(keys: _Keys) -> Tax:
    rate_text = keys.take("rate", _rate)
    tax = Tax(
        name=keys.take("name", _text),
        rate=Fraction(rate_text),
        rate_text=rate_text,
        valid_from=keys.take("valid_from", _day, date.min),
        valid_to=keys.take("valid_to", _day, date.max),
    )
    keys.done()
    if tax.valid_from > tax.valid_to:
        raise PriceBookError(f"{keys.where}: valid_to is before valid_from")
    return tax


def _seller(keys: _Keys) -> Party:
    name, business_number = keys.take("name", _text), keys.take("bin", _text)
    optional = ("address", "email", "bank", "bic", "beneficiary_code", "payment_code")
    seller = Party(
        party_id=keys.take("id", _text, business_number),
        name=name,
        bin=business_number,
        iban=keys.take("iban", _iban, ""),
        **{key: keys.take(key, _text, "") for key in optional},
    )
    keys.done()
    return seller


def _entries(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("is to be a mapping")
    return {str(key): entry for key, entry in value.items()}


def _items(value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError("is to be a list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
        raise ValueError("is to be text; numbers with leading zeros in quotes")
    return str(value).strip()


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_MINOR:
        raise ValueError("is to be a whole number, zero or more")
    return value


def _positive(value: Any) -> int:
    if _whole(value) == 0:
        raise ValueError("is to be one or more")
    return int(value)


def _price(value: Any) -> Fraction:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise ValueError('is to be a decimal in quotes, such as "1.25"')
    return Fraction(text)


def _rate(value: Any) -> str:
    rate = _price(value)
    if rate >= 1:
        raise ValueError('is to be a share below 1, such as "0.16"')
    return str(value)


def _currency(value: Any) -> str:
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise ValueError("is to be an ISO 4217 code, such as KZT")
    return value


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def _zone(value: Any) -> str:
    time_zone_of(str(value))
    return str(value)


def _iban(value: Any) -> str:
    """Compact form of an IBAN whose check digits hold (ISO 13616, ISO 7064 mod 97-10)."""
    compact = re.sub(r"\s", "", str(value)).upper()
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", compact):
        raise ValueError("is not an IBAN")
    digits = "".join(str(int(char, 36)) for char in compact[4:] + compact[:4])
    if int(digits) % 97 != 1:
        raise ValueError("the check digits of the IBAN do not hold")
    return compact
