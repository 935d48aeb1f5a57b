"""Tax by turnover date: the rate in force on the last day of the month that a line was supplied in.

In Kazakhstan VAT is 12% through 2025 and 16% from 2026-01-01 (Law 214-VIII); an invoice of January 2026 that
carries late usage of December 2025 therefore has two rate groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction

from terag_pipelines.billing.price_book import Tax
from terag_pipelines.errors import BillingError
from terag_pipelines.money import Money, round_half_up


def tax_in_force(taxes: Sequence[Tax], on: date) -> Tax | None:
    """The tax of a turnover date; None where the price book has no taxes at all.

    Raises: BillingError where it has some, but none in force on that date.
    """
    if not taxes:
        return None
    for tax in taxes:
        if tax.is_in_force(on):
            return tax
    raise BillingError(f"the price book has no tax in force on {on}")


def tax_on_lines(net_minor: Sequence[int], rate: Fraction, currency: str) -> list[int]:
    """The tax of each line of one rate group: the group's tax, rounded once, split by largest remainder."""
    net = sum(net_minor)
    tax = Money(round_half_up(net * rate), currency)
    if tax.amount_minor == 0:
        return [0] * len(net_minor)
    return [part.amount_minor for part in tax.split(net_minor)]
