"""Drafts: a golden invoice worked out by hand, sums that hold, identity and digest."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.billing.history import History
from terag_pipelines.billing.invoices import (
    DraftInvoice,
    Invoice,
    draft_invoices,
    draft_of,
    draft_tables,
    invoice_tables,
)
from terag_pipelines.billing.price_book import PriceBook, parse_price_book
from terag_pipelines.billing.rating import rate_usage
from terag_pipelines.billing.tax import tax_in_force
from terag_pipelines.money import round_half_up
from tests.unit.billing.cases import at, price_book, price_book_mapping, tenants, usage


def _drafts(
    events: pa.Table, table: pa.Table, month: str, book: PriceBook | None = None, **history: Any
) -> tuple[DraftInvoice, ...]:
    book = book or price_book()
    rated = rate_usage(events, table, book, month, History(**history))
    return draft_invoices(rated.lines, table, book, month)


def _january() -> DraftInvoice:
    events = usage(
        ("acme", "api_calls", 1_003, at(2026, 1, 3)),
        ("acme", "what_if_answers", 1, at(2025, 12, 3)),
    )
    drafts = _drafts(events, tenants(acme="starter"), "2026-01", closed=frozenset({("acme", "2025-12")}))
    return drafts[0]


def test_a_golden_invoice() -> None:
    draft = _january()
    assert [(line.meter, line.net_minor, line.tax_minor) for line in draft.lines] == [
        ("base_fee", 1_500_000, 240_000),
        ("api_calls", 375, 60),
        ("what_if_answers", 4_500, 540),
    ]
    assert (draft.net_minor, draft.tax_minor, draft.gross_minor) == (1_504_875, 240_600, 1_745_475)
    assert [(tax.tax_rate, tax.net_minor, tax.tax_minor) for tax in draft.taxes] == [
        ("0.12", 4_500, 540),
        ("0.16", 1_500_375, 240_060),
    ]
    assert (draft.buyer.name, draft.buyer.bin) == ("ТОО «acme»", "990140000385")


def test_a_draft_survives_being_stored() -> None:
    draft = _january()
    assert draft_of(draft.as_mapping()) == draft
    assert draft_of(draft.as_mapping()).content_digest == draft.content_digest


@pytest.mark.parametrize("name", [field.name for field in fields(DraftInvoice)])
def test_the_digest_covers_every_field(name: str) -> None:
    draft = _january()
    others: dict[str, Any] = {
        "payment_days": 15,
        "seller": replace(draft.seller, iban=""),
        "buyer": replace(draft.buyer, name="someone else"),
        "lines": draft.lines[:-1],
    }
    assert replace(draft, **{name: others.get(name, "other")}).content_digest != draft.content_digest


def test_the_id_is_that_of_seller_tenant_month_and_kind() -> None:
    table = tenants(acme="starter", beta="starter")
    ids = {draft.invoice_id for month in ("2026-01", "2026-02") for draft in _drafts(usage(), table, month)}
    assert len(ids) == 4
    assert ids == {
        draft.invoice_id for month in ("2026-02", "2026-01") for draft in _drafts(usage(), table, month)
    }


def test_tables_of_drafts_and_invoices() -> None:
    draft = _january()
    heads, lines = draft_tables([draft])
    assert heads.to_pylist()[0]["status"] == "draft"
    assert heads.to_pylist()[0]["number"] is None
    heads, lines = invoice_tables([Invoice(draft, "2026-000001", date(2026, 2, 1), date(2026, 2, 15))])
    head = heads.to_pylist()[0]
    assert (head["status"], head["number"], head["due_on"]) == ("finalised", "2026-000001", date(2026, 2, 15))
    for column, total in (("net_minor", draft.net_minor), ("gross_minor", draft.gross_minor)):
        assert sum(lines[column].to_pylist()) == head[column] == total
    assert [table.num_rows for table in draft_tables([])] == [0, 0]


prices = st.integers(0, 10**7).map(lambda n: f"{n // 1000}.{n % 1000:03d}")


def _check_sums(currency: str, price: str, quantities: list[int], rate: int) -> None:
    mapping = price_book_mapping(currency)
    mapping["plans"]["starter"]["meters"] = {
        f"m{n}": {"model": "per_unit", "unit_price": price} for n in range(len(quantities))
    }
    mapping["taxes"] = [{"name": "VAT", "rate": f"0.{rate:04d}"}]
    book = parse_price_book(mapping)
    table = tenants(acme="starter").set_column(6, "currency", pa.array([currency]))
    events = usage(*(("acme", f"m{n}", quantity, at(2026, 7, 3)) for n, quantity in enumerate(quantities)))
    draft = _drafts(events, table, "2026-07", book)[0]
    tax = tax_in_force(book.taxes, date(2026, 7, 31))
    assert tax is not None
    assert sum(line.net_minor for line in draft.lines) == draft.net_minor
    assert sum(line.tax_minor for line in draft.lines) == draft.tax_minor
    assert draft.tax_minor == round_half_up(draft.net_minor * tax.rate)
    assert sum(line.gross_minor for line in draft.lines) == draft.gross_minor


invoices_of_any_kind = given(
    st.sampled_from(["KZT", "USD", "JPY"]),
    prices,
    st.lists(st.integers(1, 10**6), min_size=1, max_size=6),
    st.integers(0, 9999),
)


@settings(max_examples=200, deadline=None)
@invoices_of_any_kind
def test_lines_sum_to_the_total(currency: str, price: str, quantities: list[int], rate: int) -> None:
    _check_sums(currency, price, quantities, rate)


@pytest.mark.torture
@settings(max_examples=10_000, deadline=None)
@invoices_of_any_kind
def test_lines_sum_to_the_total_ten_thousand_times(
    currency: str, price: str, quantities: list[int], rate: int
) -> None:
    _check_sums(currency, price, quantities, rate)
