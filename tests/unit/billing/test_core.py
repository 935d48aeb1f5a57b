"""Closing months over the store in memory: once, in any order, with late usage, and with differences told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from terag_pipelines.billing.core import BillingCore
from terag_pipelines.billing.invoices import Invoice
from terag_pipelines.billing.ports import TenantClose
from terag_pipelines.billing.price_book import PriceBook, parse_price_book
from terag_pipelines.entities.model import TENANTS
from terag_pipelines.errors import BillingError, NotFoundError, RenderingError
from tests.unit.billing.cases import at, price_book, price_book_mapping, tenants, usage
from tests.unit.billing.memory_store import MemoryBilling

AUGUST = date(2026, 8, 1)
SEPTEMBER = date(2026, 9, 1)


@pytest.fixture
def core() -> BillingCore:
    return BillingCore(MemoryBilling())


def _use(core: BillingCore, *events: Any, start: int = 0) -> None:
    core.record_usage(usage(*events, start=start), tenants(acme="starter"), price_book())


def test_a_month_closes_once(core: BillingCore) -> None:
    table, book = tenants(acme="starter", beta="growth"), price_book()
    _use(core, ("acme", "what_if_answers", 2, at(2026, 7, 3)), ("beta", "graph_reads", 1, at(2026, 7, 3)))
    first = core.close_month(table, book, "2026-07", AUGUST)
    again = core.close_month(table, book, "2026-07", date(2026, 8, 9))
    assert [invoice.number for invoice in first.invoices] == ["2026-000001", "2026-000002"]
    assert [invoice.due_on for invoice in first.invoices] == [date(2026, 8, 15), date(2026, 8, 31)]
    assert len(first.new_invoice_ids) == 2
    assert again.invoices == first.invoices
    assert (again.new_invoice_ids, again.differences) == (frozenset(), ())


def test_a_month_that_is_not_over_cannot_be_closed_but_drafted(core: BillingCore) -> None:
    table, book = tenants(acme="starter"), price_book()
    with pytest.raises(BillingError, match="not over"):
        core.close_month(table, book, "2026-07", date(2026, 7, 31))
    assert len(core.draft_month(table, book, "2026-07").invoices) == 1
    assert core.close_month(table, book, "2026-07", AUGUST).new_invoice_ids


def test_late_usage_goes_to_the_next_month_that_is_closed(core: BillingCore) -> None:
    table, book = tenants(acme="starter"), price_book()
    _use(core, ("acme", "api_calls", 1_500, at(2026, 7, 3)))
    july = core.close_month(table, book, "2026-07", AUGUST)
    _use(core, ("acme", "api_calls", 100, at(2026, 7, 4)), start=10)

    told = core.close_month(table, book, "2026-07", AUGUST)
    assert told.invoices == july.invoices
    assert [difference.fields for difference in told.differences] == [("line 2026-07 api_calls",)]
    assert told.differences[0].draft_net_minor - told.differences[0].net_minor == 12_500

    august = core.close_month(table, book, "2026-08", SEPTEMBER)
    late = [line for line in august.invoices[0].content.lines if line.usage_month == "2026-07"]
    assert [(line.quantity, line.net_minor) for line in late] == [(100, 12_500)]
    assert core.close_month(table, book, "2026-07", AUGUST).differences == ()
    assert core.close_month(table, book, "2026-08", SEPTEMBER).differences == ()


def test_months_may_be_closed_in_any_order(core: BillingCore) -> None:
    table, book = tenants(acme="starter"), price_book()
    _use(core, ("acme", "what_if_answers", 1, at(2026, 7, 3)), ("acme", "what_if_answers", 2, at(2026, 8, 3)))
    core.close_month(table, book, "2026-08", SEPTEMBER)
    core.close_month(table, book, "2026-07", SEPTEMBER)
    billed = {
        invoice.content.month: [line.quantity for line in invoice.content.lines if line.meter != "base_fee"]
        for month in ("2026-07", "2026-08")
        for invoice in core.close_month(table, book, month, SEPTEMBER).invoices
    }
    assert billed == {"2026-07": [1], "2026-08": [2]}


def test_a_tenant_without_anything_to_bill_is_closed_too(core: BillingCore) -> None:
    table, book = tenants(acme="growth"), price_book()
    assert core.close_month(table, book, "2026-07", AUGUST).invoices == ()
    _use(core, ("acme", "graph_reads", 5, at(2026, 7, 3)))
    assert core.close_month(table, book, "2026-07", AUGUST).invoices == ()
    lines = core.close_month(table, book, "2026-08", SEPTEMBER).invoices[0].content.lines
    assert [(line.usage_month, line.quantity) for line in lines] == [("2026-07", 5)]


def test_a_tenant_with_an_unknown_plan_stays_open(core: BillingCore) -> None:
    book = price_book()
    _use(core, ("acme", "what_if_answers", 5, at(2026, 7, 3)))
    closed = core.close_month(tenants(acme="vanished", beta="starter"), book, "2026-07", AUGUST)
    assert [invoice.content.tenant_id for invoice in closed.invoices] == ["beta"]
    assert [tenant.tenant_id for tenant in closed.drafts.rated.report.unbillable] == ["acme"]
    mended = core.close_month(tenants(acme="starter", beta="starter"), book, "2026-07", AUGUST)
    assert [invoice.number for invoice in mended.invoices] == ["2026-000001", "2026-000002"]


def _plan_change(mapping: dict[str, Any]) -> None:
    mapping["plans"]["starter"]["meters"]["what_if_answers"]["unit_price"] = "46"


def _fee_change(mapping: dict[str, Any]) -> None:
    mapping["plans"]["starter"]["base_fee_minor"] += 1


def _tax_change(mapping: dict[str, Any]) -> None:
    mapping["taxes"][1]["rate"] = "0.17"


def _seller_change(mapping: dict[str, Any]) -> None:
    mapping["seller"]["name"] = "ТОО «Другое»"


def _days_change(mapping: dict[str, Any]) -> None:
    mapping["plans"]["starter"]["payment_days"] = 60


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (_plan_change, ("line 2026-07 what_if_answers",)),
        (_fee_change, ("line 2026-07 base_fee",)),
        (_tax_change, ("line 2026-07 base_fee", "line 2026-07 what_if_answers")),
        (_seller_change, ("seller",)),
        (_days_change, ("payment_days",)),
    ],
)
def test_a_finalised_invoice_never_changes_what_differs_is_told(
    core: BillingCore, change: Callable[[dict[str, Any]], None], fields: tuple[str, ...]
) -> None:
    table = tenants(acme="starter")
    _use(core, ("acme", "what_if_answers", 2, at(2026, 7, 3)))
    first = core.close_month(table, price_book(), "2026-07", AUGUST)
    mapping = price_book_mapping()
    change(mapping)
    again = core.close_month(table, parse_price_book(mapping), "2026-07", AUGUST)
    assert again.invoices == first.invoices
    assert [difference.fields for difference in again.differences] == [fields]


@pytest.mark.parametrize("column", ["name", "bin", "address", "email"])
def test_a_change_of_the_buyer_is_told_too(core: BillingCore, column: str) -> None:
    table, book = tenants(acme="starter"), price_book()
    first = core.close_month(table, book, "2026-07", AUGUST)
    at_column = TENANTS.schema.get_field_index(column)
    changed = table.set_column(at_column, column, pa.array(["secret value"]))
    again = core.close_month(changed, book, "2026-07", AUGUST)
    assert again.invoices == first.invoices
    assert [difference.fields for difference in again.differences] == [("buyer",)]
    assert "secret value" not in str(again.differences)


def test_lines_below_zero_are_no_invoice_and_keep_the_month_open(core: BillingCore) -> None:
    """A volume price that falls with late usage can make the late line a credit greater than the rest."""
    table, book = tenants(acme="enterprise"), price_book()
    _use(core, ("acme", "api_calls", 10_000, at(2026, 7, 3)))
    core.close_month(table, book, "2026-07", AUGUST)
    _use(core, ("acme", "api_calls", 1, at(2026, 7, 3)), start=5)
    closed = core.close_month(table, book, "2026-08", SEPTEMBER)
    assert closed.invoices == ()
    assert closed.drafts.credits_due == ("acme",)


class _Racing(MemoryBilling):
    """Before its first close another closer bills the late usage in another month."""

    def __init__(self, book: PriceBook, table: pa.Table) -> None:
        super().__init__()
        self._book, self._table, self.is_racing = book, table, False

    def close(
        self, seller_id: str, month: str, closes: Sequence[TenantClose], issued_on: date
    ) -> frozenset[str]:
        if self.is_racing:
            self.is_racing = False
            BillingCore(self).close_month(self._table, self._book, "2026-09", date(2026, 10, 1))
        return super().close(seller_id, month, closes, issued_on)


def test_late_usage_that_a_racer_has_billed_is_not_billed_again() -> None:
    table, book = tenants(acme="starter"), price_book()
    store = _Racing(book, table)
    core = BillingCore(store)
    core.close_month(table, book, "2026-07", AUGUST)
    _use(core, ("acme", "what_if_answers", 7, at(2026, 7, 3)))
    store.is_racing = True
    core.close_month(table, book, "2026-08", SEPTEMBER)
    late = [
        (invoice.content.month, line.quantity)
        for invoice in store.invoices()
        for line in invoice.content.lines
        if line.meter == "what_if_answers"
    ]
    assert late == [("2026-09", 7)]


def test_a_document_is_rendered_once(core: BillingCore) -> None:
    invoice = core.close_month(tenants(acme="starter"), price_book(), "2026-07", AUGUST).invoices[0]
    contents = iter([b"first", b"second"])

    def render(_: Invoice) -> bytes:
        return next(contents)

    assert [core.document_of(invoice.invoice_id, render) for _ in range(2)] == [b"first", b"first"]
    with pytest.raises(NotFoundError):
        core.document_of("inv_none", render)


def test_an_invoice_that_cannot_be_rendered_does_not_stop_the_others(core: BillingCore) -> None:
    table = tenants(a="starter", b="starter", c="starter")
    invoices = core.close_month(table, price_book(), "2026-07", AUGUST).invoices
    core.document_of(invoices[0].invoice_id, lambda _: b"kept")
    error = RenderingError("too long")

    def render_many(wanted: Iterable[Invoice]) -> Iterator[bytes | RenderingError]:
        return (error if invoice == invoices[1] else invoice.number.encode() for invoice in wanted)

    documents = dict(core.documents_of(invoices, render_many))
    assert list(documents.values()) == [b"kept", error, b"2026-000003"]
    with pytest.raises(RenderingError):
        core.document_of(invoices[1].invoice_id, lambda _: (_ for _ in ()).throw(error))
