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
from terag_pipelines.money import round_half_up, round_to_sum


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


def tax_on_lines(net_minor: Sequence[int], rate: Fraction) -> list[int]:
    """The tax of each line of one rate group: its own, rounded so that the lines sum to the group's tax.

    The group's tax is rounded once; no line is a whole minor unit away from its exact tax.
    """
    exact = [net * rate for net in net_minor]
    return round_to_sum(exact, round_half_up(sum(exact, Fraction(0))))
