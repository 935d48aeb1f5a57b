"""A month's usage, rated to exact lines, invoiced once, printed."""

import json
from datetime import timedelta
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.groups import BILLING, out
from assets.metadata import described, rows_as_markdown, score
from assets.partitions import MONTHS
from resources.bindings import BillingResource, PrinterResource
from terag_pipelines.billing.core import BillingCore, ClosedMonth
from terag_pipelines.billing.invoices import invoice_tables
from terag_pipelines.billing.periods import last_day
from terag_pipelines.billing.price_book import PriceBook, parse_price_book
from terag_pipelines.billing.quality import invoice_quality
from terag_pipelines.billing.rating import with_refused
from terag_pipelines.billing.usage import assign_months


@dg.asset(**BILLING, partitions_def=MONTHS)
def usage_totals(
    context: dg.AssetExecutionContext,
    billing: BillingResource,
    usage_events: pa.Table,
    tenants: pa.Table,
    price_books: pa.Table,
) -> dg.Output[pa.Table]:
    """Usage by tenant, meter and month, after the source's events were recorded, each once."""
    with billing.open() as store:
        recorded = BillingCore(store).record_usage(usage_events, tenants, _book(price_books))
        totals = store.usage_totals(context.partition_key)
    note = f"{recorded.n_new:,} new usage events, {recorded.n_known:,} known already"
    return dg.Output(totals, metadata={"note": note, "conflicting_events": recorded.n_conflicting})


@dg.multi_asset(
    outs={
        "rated_lines": out(BILLING, "What each tenant owes, line by line, exact to the minor unit."),
        "unrated_usage": out(BILLING, "Usage that no line could carry, with the reason."),
    },
    partitions_def=MONTHS,
)
def rated_usage(
    context: dg.AssetExecutionContext,
    billing: BillingResource,
    usage_totals: pa.Table,  # noqa: ARG001 - usage is recorded before it is rated
    usage_events: pa.Table,
    tenants: pa.Table,
    price_books: pa.Table,
) -> tuple[pa.Table, pa.Table]:
    """Rates the month's usage by each tenant's plan."""
    book = _book(price_books)
    with billing.open() as store:
        rated = BillingCore(store).draft_month(tenants, book, context.partition_key).rated
    refused = assign_months(usage_events, tenants, book.time_zone).refused
    return rated.lines, with_refused(rated.unrated, refused)


@dg.multi_asset(
    outs={
        "invoices": out(BILLING, "Finalised invoices: gapless numbers, one for each tenant and month."),
        "invoice_lines": out(BILLING, "Their lines with tax."),
    },
    partitions_def=MONTHS,
)
def issued_invoices(
    context: dg.AssetExecutionContext,
    billing: BillingResource,
    printer: PrinterResource,
    rated_lines: pa.Table,  # noqa: ARG001 - what was rated is seen before it is issued
    tenants: pa.Table,
    price_books: pa.Table,
    labels: pa.Table,
) -> tuple[dg.Output[pa.Table], dg.Output[pa.Table]]:
    """Closes the month, once; closed again it gives the same invoices. Each is printed as a PDF."""
    month = context.partition_key
    with billing.open() as store:
        core = BillingCore(store)
        closed = core.close_month(
            tenants, _book(price_books), month, issued_on=last_day(month) + timedelta(days=1)
        )
        folder = printer.print_all(core, closed.invoices)
    invoices, lines = invoice_tables(closed.invoices)
    quality = invoice_quality(invoices, labels, month)
    told = described(pdfs=dg.MetadataValue.path(str(folder)), score=quality and score(str(quality)))
    return dg.Output(invoices, metadata=told | _exceptions(closed)), dg.Output(lines)


def _exceptions(closed: ClosedMonth) -> dict[str, Any]:
    """What an accountant has to look at: who got no invoice and why, which invoices are not as of today."""
    unbillable, credits_due = closed.drafts.rated.report.unbillable, closed.drafts.credits_due
    n_without = len(unbillable) + len(credits_due)
    note = f"{len(closed.new_invoice_ids)} new, {len(closed.differences)} differ from what is due now"
    return {
        "note": f"{note}, {n_without} tenants could not be invoiced" if n_without else note,
        "unbillable": rows_as_markdown(unbillable),
        "credits_due": ", ".join(credits_due) or "nothing",
        "differences": rows_as_markdown(closed.differences),
    }


def _book(price_books: pa.Table) -> PriceBook:
    return parse_price_book(json.loads(price_books["content"][0].as_py()))
