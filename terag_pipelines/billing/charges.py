"""Charge models: what a quantity of one meter costs, as exact steps of quantity and price."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from terag_pipelines.money import minor_digits, round_half_up


@dataclass(frozen=True)
class PriceStep:
    """A part of a quantity at one price: `unit_price` major units for every started `units` units."""

    quantity: int
    unit_price: Fraction
    units: int = 1

    @property
    def amount(self) -> Fraction:
        """Major units, exact; started packages count whole."""
        return -(-self.quantity // self.units) * self.unit_price


class Charge(Protocol):
    """How one meter is priced."""

    @property
    def model(self) -> str:
        """The name that a price book calls it by."""
        ...

    def steps(self, quantity: int) -> list[PriceStep]:
        """The quantity cut into parts of one price each."""
        ...


@dataclass(frozen=True)
class Tier:
    """A price up to and including `up_to` units; None is without end."""

    up_to: int | None
    unit_price: Fraction


@dataclass(frozen=True)
class PerUnit:
    """The same price for each unit."""

    unit_price: Fraction
    model: str = "per_unit"

    def steps(self, quantity: int) -> list[PriceStep]:
        """One step."""
        return [PriceStep(quantity, self.unit_price)]


@dataclass(frozen=True)
class Package:
    """A price for every started package of `size` units."""

    size: int
    price: Fraction
    model: str = "package"

    def steps(self, quantity: int) -> list[PriceStep]:
        """One step."""
        return [PriceStep(quantity, self.price, self.size)]


@dataclass(frozen=True)
class Graduated:
    """Each unit at the price of the tier that it falls into."""

    tiers: tuple[Tier, ...]
    model: str = "graduated"

    def steps(self, quantity: int) -> list[PriceStep]:
        """One step for each tier that is reached."""
        steps, below = [], 0
        for tier in self.tiers:
            top = quantity if tier.up_to is None else min(quantity, tier.up_to)
            if top > below:
                steps.append(PriceStep(top - below, tier.unit_price))
                below = top
        return steps


@dataclass(frozen=True)
class Volume:
    """All units at the price of the tier that the whole quantity reaches."""

    tiers: tuple[Tier, ...]
    model: str = "volume"

    def steps(self, quantity: int) -> list[PriceStep]:
        """One step."""
        reached = next(tier for tier in self.tiers if tier.up_to is None or quantity <= tier.up_to)
        return [PriceStep(quantity, reached.unit_price)]


def charge_minor(charge: Charge, quantity: int, currency: str) -> int:
    """What a quantity costs, in minor units: the sum of its steps, rounded half up once."""
    exact = sum((step.amount for step in charge.steps(quantity)), Fraction(0))
    return round_half_up(exact * 10 ** minor_digits(currency))
