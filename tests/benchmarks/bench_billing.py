"""How fast usage is rated, invoices are drafted and printed, and usage is recorded.

Run as ``python -m tests.benchmarks.bench_billing [--mongo-uri URI]``; without a URI on an embedded mongod.
"""

from __future__ import annotations

import argparse
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pymongo

from resources.embedded import EmbeddedStores
from resources.invoice_pdf import InvoicePrinter
from resources.mongo_billing import MongoBilling
from resources.settings import load_settings
from terag_pipelines.billing.core import BillingCore
from terag_pipelines.billing.invoices import Invoice, draft_invoices
from terag_pipelines.billing.rating import rate_usage
from tests.benchmarks.measuring import cost_of, measured, tell
from tests.unit.billing.cases import at, price_book, tenants

N_TENANTS = 200
METERS = ("api_calls", "what_if_answers")
PACKAGES = ("pyarrow", "pymongo", "weasyprint")


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


def measure_rating() -> None:
    """Events of a month to rated lines, at four sizes."""
    for n_events in (10_000, 100_000, 1_000_000, 2_000_000):
        events, table, book = make_usage(n_events), make_tenants(), price_book()
        cost = cost_of(partial(rate_usage, events, table, book, "2026-07"))
        tell("billing", "rating", cost, PACKAGES, n_events=n_events, events_per_s=n_events / cost.wall_s)


def measure_printing() -> None:
    """Drafts of all tenants; PDFs of one page by one and two workers, and of two hundred lines."""
    book, table = price_book(), make_tenants()
    rated = rate_usage(make_usage(10_000), table, book, "2026-07")
    drafts, cost = measured(lambda: draft_invoices(rated.lines, table, book, "2026-07"))
    tell("billing", "drafting", cost, PACKAGES, n_invoices=len(drafts))
    issued = date(2026, 8, 1)
    invoices = [Invoice(draft, f"2026-{n:06d}", issued, issued) for n, draft in enumerate(drafts, start=1)]
    long = replace(invoices[0].content, lines=invoices[0].content.lines * 67)
    for what, pages, n_workers in (
        ("printing invoices of one page", invoices[:60], 1),
        ("printing invoices of one page, 2 workers", invoices[:60], 2),
        ("printing an invoice of 201 lines", [replace(invoices[0], content=long)], 1),
    ):
        with InvoicePrinter(n_workers) as printer:
            list(printer.render_many(invoices[-4:]))
            cost = cost_of(lambda p=printer, i=pages: list(p.render_many(i)))
        per_s = len(pages) / cost.wall_s
        tell("billing", what, cost, PACKAGES, n_invoices=len(pages), invoices_per_s=per_s)


def measure_store(uri: str) -> None:
    """A hundred thousand events recorded, new and known; a month closed, and closed again."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(uri)
    database = client[f"bench_{secrets.token_hex(4)}"]
    core, events, table = BillingCore(MongoBilling(database)), make_usage(100_000), make_tenants()
    try:
        for what in ("recording new events", "recording known events"):
            cost = cost_of(lambda: core.record_usage(events, table, price_book()))
            tell("billing", what, cost, PACKAGES, n_events=100_000, events_per_s=100_000 / cost.wall_s)
        for what in ("closing a month", "closing it again"):
            cost = cost_of(lambda: core.close_month(table, price_book(), "2026-07", date(2026, 8, 1)))
            tell("billing", what, cost, PACKAGES, n_invoices=N_TENANTS)
    finally:
        client.drop_database(database.name)
        client.close()


@contextmanager
def embedded_mongo() -> Iterator[str]:
    """The address of the embedded mongod, with a home of its own."""
    with tempfile.TemporaryDirectory() as home:
        pair = EmbeddedStores(load_settings(home=Path(home), cache=Path(".terag/cache").absolute()))
        try:
            yield pair.start().mongo_uri.get_secret_value()
        finally:
            pair.release()


def main() -> None:
    """Prints one JSON line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mongo-uri", help="a server to use instead of the embedded one")
    uri = parser.parse_args().mongo_uri
    measure_rating()
    measure_printing()
    with nullcontext(uri) if uri else embedded_mongo() as address:
        measure_store(address)


if __name__ == "__main__":
    main()
