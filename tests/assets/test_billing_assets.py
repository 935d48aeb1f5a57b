"""A month billed by Dagster over the store in memory: nothing is lost, and exceptions are told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import pyarrow as pa
import pytest

from assets import billing
from resources import bindings
from resources.bindings import BillingResource, PrinterResource
from terag_pipelines.billing.core import BillingCore
from terag_pipelines.billing.invoices import Invoice
from terag_pipelines.billing.price_book import parse_price_book
from terag_pipelines.entities.model import LABELS, PRICE_BOOKS, USAGE_EVENTS
from tests.unit.billing.cases import at, price_book_mapping, tenants, usage
from tests.unit.billing.memory_store import MemoryBilling

JULY = at(2026, 7, 3)


class _InMemory(BillingResource):
    store: ClassVar = MemoryBilling()

    @contextmanager
    def open(self) -> Iterator[Any]:
        yield self.store


class _NoPrinter(PrinterResource):
    def print_all(self, core: BillingCore, invoices: Sequence[Invoice]) -> Path:  # noqa: ARG002
        return Path("nowhere")


@pytest.fixture(autouse=True)
def _empty_books() -> None:
    _InMemory.store = MemoryBilling()


def bill(events: pa.Table, table: pa.Table) -> dg.ExecuteInProcessResult:
    content = json.dumps(price_book_mapping(), default=str)
    given = {
        "usage_events": events,
        "tenants": table,
        "price_books": PRICE_BOOKS.from_columns(price_book_id=["prices"], content=[content]),
        "labels": LABELS.empty(),
    }
    sources = [_source(name, value) for name, value in given.items()]
    assets = [billing.usage_totals, billing.rated_usage, billing.issued_invoices]
    resources = {"billing": _InMemory(), "printer": _NoPrinter(), "io_manager": dg.InMemoryIOManager()}
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [*sources, *assets], resources=resources, partition_key="2026-07", instance=instance
        )


def _source(name: str, value: pa.Table) -> dg.AssetsDefinition:
    @dg.asset(name=name)
    def given() -> pa.Table:
        return value

    return given


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(asset)]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_usage_that_no_invoice_can_carry_is_listed_with_its_reason() -> None:
    events = pa.concat_tables(
        [
            usage(
                ("acme", "what_if_answers", 2, JULY),
                ("acme", "what_if_answers", 10**13, JULY),
                ("acme", "what_if_answers", 3, at(1999, 7, 3)),
            ),
            USAGE_EVENTS.from_columns(event_id=["n1"], tenant_id=["acme"], meter=["api_calls"], quantity=[1]),
        ]
    )
    unrated = bill(events, tenants(acme="starter")).output_for_node("rated_usage", "unrated_usage")
    assert {(row["reason"], row["n_events"]) for row in unrated.to_pylist()} == {
        ("a quantity above 1000000000000", 1),
        ("a time outside 2000 to 2099", 1),
        ("no occurred_at", 1),
    }


def test_a_tenant_without_an_invoice_and_a_changed_one_are_named() -> None:
    first = metadata_of(bill(usage(), tenants(acme="starter", lost="vanished")), "invoices")
    assert first["note"] == "1 new, 0 differ from what is due now, 1 tenants could not be invoiced"
    assert "lost" in first["unbillable"]
    assert first["differences"] == "nothing"

    again = metadata_of(
        bill(usage(("acme", "what_if_answers", 1, JULY)), tenants(acme="starter")), "invoices"
    )
    assert again["note"] == "0 new, 1 differ from what is due now"
    assert "line 2026-07 what_if_answers" in again["differences"]
    assert again["unbillable"] == "nothing"


def test_the_files_of_two_sellers_do_not_replace_each_other() -> None:
    names = set()
    for seller in ("180440012345", "210940000124", "../../etc"):
        core, mapping = BillingCore(MemoryBilling()), price_book_mapping()
        mapping["seller"]["id"] = seller
        book = parse_price_book(mapping)
        closed = core.close_month(tenants(acme="starter"), book, "2026-07", date(2026, 8, 1))
        names.add(bindings._pdf_name(closed.invoices[0]))
    assert names == {
        "180440012345-2026-000001.pdf",
        "210940000124-2026-000001.pdf",
        "_etc-2026-000001.pdf",
    }
