"""Invoices scored against the truth that a source carries."""

from __future__ import annotations

from terag_pipelines.billing.history import History
from terag_pipelines.billing.invoices import draft_invoices, draft_tables
from terag_pipelines.billing.quality import InvoiceQuality, invoice_quality
from terag_pipelines.billing.rating import rate_usage
from terag_pipelines.entities.model import LABELS
from tests.unit.billing.cases import price_book, tenants, usage


def test_invoices_against_the_truth() -> None:
    table, book = tenants(a="starter", b="starter", c="starter"), price_book()
    rated = rate_usage(usage(), table, book, "2026-07", History())
    invoices, _ = draft_tables(draft_invoices(rated.lines, table, book, "2026-07"))
    labels = LABELS.from_columns(
        label_kind=["invoice"] * 5 + ["ring"],
        subject_id=["a", "b", "d", "a", "a", "a"],
        object_id=["2026-07", "2026-07", "2026-07", "2026-08", "2026-07", "2026-07"],
        value=["1500000", "1400000", "7", "9", "8", "x"],
        use=["truth"] * 4 + ["training", "truth"],
    )
    expected = InvoiceQuality(n_true=3, n_issued=2, n_exact=1, n_unexpected=1, difference_minor=100_007)
    assert invoice_quality(invoices, labels) == expected
    assert str(expected) == "1 of 3 invoices exact to the minor unit, 1 unexpected"


def test_without_truth_there_is_no_score() -> None:
    invoices, _ = draft_tables([])
    assert invoice_quality(invoices, LABELS.empty()) is None
    assert invoice_quality(invoices, LABELS.empty(), "2026-07") is None
