"""Rating: usage of a month, and what came late for closed months, to invoice lines with exact amounts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pyarrow as pa

from terag_pipelines.billing.charges import PriceStep, charge_minor
from terag_pipelines.billing.history import History, due_usage
from terag_pipelines.billing.model import RATED_LINES, UNRATED_USAGE
from terag_pipelines.billing.periods import check_month, last_day, time_zone_of
from terag_pipelines.billing.price_book import BASE_FEE, MAX_MINOR, Meter, Plan, PriceBook
from terag_pipelines.billing.tax import tax_in_force
from terag_pipelines.billing.usage import assign_months, total_usage, unrated_table
from terag_pipelines.errors import BillingError, CurrencyMismatchError


@dataclass(frozen=True)
class UnbillableTenant:
    """A tenant that gets no invoice until the reason is mended; its usage waits."""

    tenant_id: str
    reason: str


@dataclass(frozen=True)
class RatingReport:
    """Where the usage went: every event is rated, of another month, unrated with a reason, or a repeat."""

    month: str
    n_events: int
    n_duplicate_events: int
    n_rated_events: int
    n_unrated_events: int
    n_other_month_events: int
    n_tenants: int
    n_lines: int
    n_late_lines: int
    net_minor: int
    currency: str
    unbillable: tuple[UnbillableTenant, ...]


@dataclass(frozen=True)
class RatedUsage:
    """RATED_LINES, UNRATED_USAGE and the report."""

    lines: pa.Table
    unrated: pa.Table
    report: RatingReport


@dataclass(frozen=True)
class _Customer:
    tenant_id: str
    plan: Plan
    has_started: bool


def rate_usage(
    usage_events: pa.Table,
    tenants: pa.Table,
    price_book: PriceBook,
    month: str,
    history: History | None = None,
) -> RatedUsage:
    """The lines of a month from USAGE_EVENTS and TENANTS.

    A tenant with an unknown plan, another currency or an unknown time zone does not stop the others: it is
    named in the report and its usage is in the unrated table, as are events of unknown tenants and meters.
    Raises: BillingError where the month is malformed or has no tax.
    """
    assigned = assign_months(usage_events, tenants, price_book.time_zone)
    totals = total_usage(assigned.usage)
    rated = rate_totals(totals, tenants, price_book, month, history or History())
    unrated = with_refused(rated.unrated, assigned.refused)
    counts = {
        "n_events": assigned.n_events,
        "n_duplicate_events": assigned.n_duplicates,
        "n_unrated_events": _sum(unrated, "n_events"),
    }
    return RatedUsage(rated.lines, unrated, RatingReport(**{**vars(rated.report), **counts}))


def with_refused(unrated: pa.Table, refused: pa.Table) -> pa.Table:
    """UNRATED_USAGE of a month together with the events of a delivery that no month can hold."""
    return UNRATED_USAGE.conform(pa.concat_tables([unrated, refused]))


def rate_totals(
    totals: pa.Table, tenants: pa.Table, price_book: PriceBook, month: str, history: History
) -> RatedUsage:
    """The lines of a month from USAGE_TOTALS; usage of a closed month that no invoice has is late usage here.

    Late usage costs what it would have cost on time: the price of all usage of its month less the price of
    what was billed before. So the sum over invoices does not depend on when events arrive.
    Raises: as rate_usage.
    """
    check_month(month)
    customers, unbillable = _customers(tenants, price_book, month)
    due = due_usage(totals, month, history)
    reasoned = _beyond_refused(_with_reason(due, customers, unbillable), customers, price_book.currency)
    billable = reasoned.filter(pl.col("reason").is_null())
    unrated = unrated_table(reasoned.filter(pl.col("reason").is_not_null()))
    lines = _lines(billable, customers, price_book, month)
    report = _report(totals, billable, unrated, lines, price_book, month, customers, unbillable)
    return RatedUsage(lines, unrated, report)


def decimal_text(value: Fraction) -> str:
    """An exact decimal without trailing zeros."""
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return f"{exact.normalize():f}"


def steps_json(steps: Iterable[PriceStep]) -> str:
    """Price steps as JSON with sorted keys."""
    return json.dumps(
        [
            {"quantity": step.quantity, "unit_price": decimal_text(step.unit_price), "units": step.units}
            for step in steps
        ],
        sort_keys=True,
    )


def _customers(
    tenants: pa.Table, price_book: PriceBook, month: str
) -> tuple[dict[str, _Customer], dict[str, str]]:
    customers: dict[str, _Customer] = {}
    unbillable: dict[str, str] = {}
    for tenant in tenants.sort_by("tenant_id").to_pylist():
        try:
            customers[tenant["tenant_id"]] = _customer(tenant, price_book, month)
        except BillingError as error:
            unbillable[tenant["tenant_id"]] = str(error)
    return customers, unbillable


def _customer(tenant: dict[str, Any], price_book: PriceBook, month: str) -> _Customer:
    tenant_id, currency = tenant["tenant_id"], tenant["currency"]
    plan = price_book.plan_of(tenant_id, tenant["plan_id"])
    if currency is not None and currency != price_book.currency:
        raise CurrencyMismatchError(
            f"tenant {tenant_id} pays in {currency}, the price book is in {price_book.currency}"
        )
    if tenant["time_zone"] is not None:
        time_zone_of(tenant["time_zone"])
    started_on = tenant["started_on"]
    return _Customer(tenant_id, plan, started_on is None or started_on <= last_day(month))


def _with_reason(
    due: pl.DataFrame, customers: dict[str, _Customer], unbillable: dict[str, str]
) -> pl.DataFrame:
    known = [(tenant, meter) for tenant, customer in customers.items() for meter in customer.plan.meters]
    meters = pl.DataFrame(
        known, schema={"tenant_id": pl.String, "meter": pl.String}, orient="row"
    ).with_columns(pl.lit(True).alias("is_metered"))
    reasons = pl.DataFrame(
        list(unbillable.items()), schema={"tenant_id": pl.String, "why": pl.String}, orient="row"
    )
    plan_ids = {tenant: customer.plan.plan_id for tenant, customer in customers.items()}
    plans = pl.DataFrame(
        list(plan_ids.items()), schema={"tenant_id": pl.String, "plan_id": pl.String}, orient="row"
    )
    joined = due.join(meters, on=["tenant_id", "meter"], how="left").join(reasons, on="tenant_id", how="left")
    reason = (
        pl.when(pl.col("why").is_not_null())
        .then(pl.col("why"))
        .when(pl.col("plan_id").is_null())
        .then(pl.lit("unknown tenant"))
        .when(pl.col("is_metered").is_null())
        .then(pl.format("the plan {} has no such meter", pl.col("plan_id")))
        .when(pl.col("quantity") < 0)
        .then(pl.lit("invoices carry more than was recorded"))
    )
    return joined.join(plans, on="tenant_id", how="left").with_columns(reason.alias("reason"))


def _beyond_refused(reasoned: pl.DataFrame, customers: dict[str, _Customer], currency: str) -> pl.DataFrame:
    """With a reason for what costs more than an invoice can say: one such event must not stop the others."""
    is_beyond = [
        due["reason"] is None
        and abs(_amount_minor(due, customers[due["tenant_id"]].plan.meters[due["meter"]], currency))
        > MAX_MINOR
        for due in reasoned.iter_rows(named=True)
    ]
    beyond = pl.when(pl.Series(is_beyond, dtype=pl.Boolean)).then(
        pl.lit("the amount is beyond 10^15 minor units")
    )
    return reasoned.with_columns(pl.coalesce("reason", beyond).alias("reason"))


def _amount_minor(due: dict[str, Any], meter: Meter, currency: str) -> int:
    """What a due quantity adds to what was billed before it, in minor units."""
    before = due["before"]
    whole = charge_minor(meter.charge, before + due["quantity"], currency)
    return whole - (charge_minor(meter.charge, before, currency) if before else 0)


def _lines(
    billable: pl.DataFrame, customers: dict[str, _Customer], price_book: PriceBook, month: str
) -> pa.Table:
    of_tenant: dict[str, list[dict[str, Any]]] = {tenant: [] for tenant in customers}
    for customer in customers.values():
        if customer.plan.base_fee_minor and customer.has_started:
            of_tenant[customer.tenant_id].append(_base_fee(customer.plan, month))
    # this month's usage first, then what came late, the oldest first
    ordered = billable.filter(pl.col("quantity") > 0).sort(
        pl.col("usage_month") != month, maintain_order=True
    )
    for due in ordered.iter_rows(named=True):
        meter = customers[due["tenant_id"]].plan.meters[due["meter"]]
        of_tenant[due["tenant_id"]].append(_usage_line(due, meter, price_book.currency))
    rows = [
        {**line, "tenant_id": tenant, "line_number": number}
        for tenant, lines in of_tenant.items()
        for number, line in enumerate(lines, start=1)
    ]
    return RATED_LINES.conform(_table(rows, price_book, month))


def _base_fee(plan: Plan, month: str) -> dict[str, Any]:
    return {
        "usage_month": month,
        "meter": BASE_FEE,
        "description": plan.name,
        "charge_model": "flat",
        "quantity": 1,
        "price_steps": "[]",
        "amount_minor": plan.base_fee_minor,
    }


def _usage_line(due: dict[str, Any], meter: Meter, currency: str) -> dict[str, Any]:
    steps = meter.charge.steps(due["quantity"]) if not due["before"] else []
    return {
        "usage_month": due["usage_month"],
        "meter": due["meter"],
        "description": meter.name,
        "charge_model": meter.charge.model,
        "quantity": due["quantity"],
        "unit_price": decimal_text(steps[0].unit_price) if len(steps) == 1 and steps[0].units == 1 else None,
        "price_steps": steps_json(steps),
        "amount_minor": _amount_minor(due, meter, currency),
    }


def _table(rows: list[dict[str, Any]], price_book: PriceBook, month: str) -> pa.Table:
    taxes = {
        usage_month: tax_in_force(price_book.taxes, last_day(usage_month))
        for usage_month in {row["usage_month"] for row in rows}
    }
    for row in rows:
        tax = taxes[row["usage_month"]]
        row |= {
            "month": month,
            "currency": price_book.currency,
            "tax_name": tax and tax.name,
            "tax_rate": tax and tax.rate_text,
        }
    return pa.Table.from_pylist(rows, RATED_LINES.schema)


def _report(
    totals: pa.Table,
    billable: pl.DataFrame,
    unrated: pa.Table,
    lines: pa.Table,
    price_book: PriceBook,
    month: str,
    customers: dict[str, _Customer],
    unbillable: dict[str, str],
) -> RatingReport:
    n_events, n_rated = _sum(totals, "n_events"), int(billable["n_events"].sum())
    late = [usage_month for usage_month in lines["usage_month"].to_pylist() if usage_month != month]
    return RatingReport(
        month=month,
        n_events=n_events,
        n_duplicate_events=0,
        n_rated_events=n_rated,
        n_unrated_events=_sum(unrated, "n_events"),
        n_other_month_events=n_events - n_rated - _sum(unrated, "n_events"),
        n_tenants=len(customers) + len(unbillable),
        n_lines=lines.num_rows,
        n_late_lines=len(late),
        net_minor=_sum(lines, "amount_minor"),
        currency=price_book.currency,
        unbillable=tuple(UnbillableTenant(tenant, reason) for tenant, reason in sorted(unbillable.items())),
    )


def _sum(table: pa.Table, column: str) -> int:
    values: Sequence[int | None] = table[column].to_pylist()
    return sum(value or 0 for value in values)
