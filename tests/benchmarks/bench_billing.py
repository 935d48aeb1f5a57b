"""How fast usage is rated, invoices are drafted and printed, and usage is recorded.

Run as ``python -m tests.benchmarks.bench_billing [--mongo-uri URI]``; without a URI the store is left out.
"""

from __future__ import annotations

import argparse
import resource
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pymongo

from resources.invoice_pdf import InvoicePrinter
from resources.mongo_billing import MongoBilling
from terag_pipelines.billing.core import BillingCore
from terag_pipelines.billing.invoices import Invoice, draft_invoices
from terag_pipelines.billing.rating import rate_usage
from tests.unit.billing.cases import at, price_book, tenants

N_TENANTS = 200
METERS = ("api_calls", "what_if_answers")
Row = tuple[str, str]


def make_usage(n_events: int, seed: int = 7) -> pa.Table:
    """Events of two hundred tenants over July 2026."""
    rng = np.random.default_rng(seed)
    start_us = int(at(2026, 7, 2).timestamp()) * 10**6
    instants = start_us + rng.integers(0, 28 * 86_400 * 10**6, n_events)
    return pa.table(
        {
            "event_id": np.char.mod("e%09d", np.arange(n_events)),
            "tenant_id": np.char.mod("t%04d", rng.integers(0, N_TENANTS, n_events)),
            "meter": np.array(METERS)[rng.integers(0, len(METERS), n_events)],
            "quantity": rng.integers(1, 20, n_events),
            "occurred_at": pa.array(instants, pa.timestamp("us", "UTC")),
        }
    )


def make_tenants() -> pa.Table:
    """Two hundred tenants on one plan."""
    return tenants(**{f"t{n:04d}": "starter" for n in range(N_TENANTS)})


def measure(mongo_uri: str | None = None) -> Iterator[Row]:
    """Rows of what was measured and the figure."""
    for n_events in (10_000, 100_000, 1_000_000, 2_000_000):
        events, table = make_usage(n_events), make_tenants()
        seconds = _seconds(lambda: rate_usage(events, table, price_book(), "2026-07"))  # noqa: B023
        yield f"rating {n_events:,} events", f"{seconds:.2f} s, {n_events / seconds / 1e6:.2f} M events/s"
    yield "peak memory so far", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    yield from _measure_printing()
    if mongo_uri:
        yield from _measure_store(mongo_uri)


def _measure_printing() -> Iterator[Row]:
    book, table = price_book(), make_tenants()
    rated = rate_usage(make_usage(10_000), table, book, "2026-07")
    drafts = draft_invoices(rated.lines, table, book, "2026-07")
    seconds = _seconds(lambda: draft_invoices(rated.lines, table, book, "2026-07"))
    yield f"drafting {len(drafts)} invoices", f"{seconds:.3f} s"
    issued = date(2026, 8, 1)
    invoices = [Invoice(draft, f"2026-{n:06d}", issued, issued) for n, draft in enumerate(drafts, start=1)]
    for n_workers in (1, 2):
        with InvoicePrinter(n_workers) as printer:
            list(printer.render_many(invoices[:4]))
            seconds = _seconds(lambda: list(printer.render_many(invoices[:60])))
        yield f"printing one-page invoices, {n_workers} workers", f"{60 / seconds:.1f} a second"
    long = replace(invoices[0].content, lines=invoices[0].content.lines * 67)
    with InvoicePrinter(1) as printer:
        printer.render(invoices[0])
        seconds = _seconds(lambda: printer.render(replace(invoices[0], content=long)))
    yield "printing an invoice of 201 lines", f"{seconds:.2f} s"


def _measure_store(uri: str) -> Iterator[Row]:
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(uri)
    database = client[f"bench_{secrets.token_hex(4)}"]
    core, events, table = BillingCore(MongoBilling(database)), make_usage(100_000), make_tenants()
    try:
        for what in ("new", "known"):
            seconds = _seconds(lambda: core.record_usage(events, table, price_book()))
            yield f"recording 100,000 {what} events", f"{seconds:.2f} s, {100_000 / seconds:,.0f}/s"
        for what in ("", " again"):
            seconds = _seconds(lambda: core.close_month(table, price_book(), "2026-07", date(2026, 8, 1)))
            yield f"closing a month of {N_TENANTS} tenants{what}", f"{seconds:.2f} s"
    finally:
        client.drop_database(database.name)
        client.close()


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Prints the rows as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mongo-uri")
    print("| what | figure |\n| --- | --- |")
    for what, figure in measure(parser.parse_args().mongo_uri):
        print(f"| {what} | {figure} |", flush=True)


if __name__ == "__main__":
    main()
