"""A BillingStore in memory, for tests; the contract suite holds it to what MongoDB does."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from terag_pipelines.billing.history import History
from terag_pipelines.billing.invoices import Invoice
from terag_pipelines.billing.model import BILLED_USAGE, RECORDED_USAGE, USAGE_TOTALS
from terag_pipelines.billing.ports import RecordedUsage, SellerBooks, TenantClose
from terag_pipelines.entities.model import TENANTS
from terag_pipelines.errors import NotFoundError


class MemoryBilling:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._usage: dict[tuple[str, str], dict[str, Any]] = {}
        self._tenants: dict[str, dict[str, Any]] = {}
        self._revisions: Counter[tuple[str, str]] = Counter()
        self._closed: set[tuple[str, str, str]] = set()
        self._last: Counter[tuple[str, int]] = Counter()
        self._invoices: dict[str, Invoice] = {}
        self._documents: dict[str, bytes] = {}

    def record_usage(self, usage: pa.Table) -> RecordedUsage:
        n_new = n_conflicting = 0
        with self._lock:
            for row in usage.to_pylist():
                known = self._usage.setdefault((row["tenant_id"], row["event_id"]), row)
                n_new += known is row
                n_conflicting += known != row
        return RecordedUsage(n_new, usage.num_rows - n_new - n_conflicting, n_conflicting)

    def usage_totals(self, until_month: str) -> pa.Table:
        quantity: Counter[tuple[str, str, str]] = Counter()
        n_events: Counter[tuple[str, str, str]] = Counter()
        for row in list(self._usage.values()):
            key = (row["tenant_id"], row["meter"], row["usage_month"])
            if row["usage_month"] <= until_month:
                quantity[key] += row["quantity"]
                n_events[key] += 1
        names = ("tenant_id", "meter", "usage_month")
        keys = {name: [key[at] for key in n_events] for at, name in enumerate(names)}
        return USAGE_TOTALS.from_columns(
            **keys, quantity=[quantity[key] for key in n_events], n_events=list(n_events.values())
        )

    def usage_of(self, tenant_id: str, usage_month: str) -> pa.Table:
        rows = [
            row
            for row in self._usage.values()
            if (row["tenant_id"], row["usage_month"]) == (tenant_id, usage_month)
        ]
        return RECORDED_USAGE.conform(pa.Table.from_pylist(rows, RECORDED_USAGE.schema))

    def put_tenants(self, tenants: pa.Table) -> None:
        self._tenants |= {row["tenant_id"]: row for row in tenants.to_pylist()}

    def tenants(self) -> pa.Table:
        return TENANTS.conform(pa.Table.from_pylist(list(self._tenants.values()), TENANTS.schema))

    def seller_books(self, seller_id: str) -> SellerBooks:
        with self._lock:
            billed: Counter[tuple[str, str, str, str]] = Counter()
            for invoice in self._of_seller(seller_id):
                for line in invoice.content.lines:
                    if line.charge_model != "flat":
                        key = (invoice.content.tenant_id, invoice.content.month, line.meter, line.usage_month)
                        billed[key] += line.quantity
            names = ("tenant_id", "month", "meter", "usage_month")
            keys = {name: [key[at] for key in billed] for at, name in enumerate(names)}
            closed = {(tenant, month) for seller, tenant, month in self._closed if seller == seller_id}
            revisions = {
                tenant: count for (seller, tenant), count in self._revisions.items() if seller == seller_id
            }
        table = BILLED_USAGE.from_columns(**keys, quantity=list(billed.values()))
        return SellerBooks(History(table, frozenset(closed)), revisions)

    def close(
        self, seller_id: str, month: str, closes: Sequence[TenantClose], issued_on: date
    ) -> frozenset[str]:
        stale = set()
        with self._lock:
            for close in closes:
                ledger = (seller_id, close.tenant_id)
                if (*ledger, month) in self._closed:
                    continue
                if self._revisions[ledger] != close.revision:
                    stale.add(close.tenant_id)
                    continue
                self._revisions[ledger] += 1
                self._closed.add((*ledger, month))
                self._issue(seller_id, close, issued_on)
        return frozenset(stale)

    def invoice(self, invoice_id: str) -> Invoice:
        if invoice_id not in self._invoices:
            raise NotFoundError(f"there is no invoice {invoice_id}")
        return self._invoices[invoice_id]

    def invoices(
        self, *, seller_id: str | None = None, tenant_id: str | None = None, month: str | None = None
    ) -> tuple[Invoice, ...]:
        return tuple(
            invoice
            for invoice in self._invoices.values()
            if seller_id in (None, invoice.content.seller.party_id)
            and tenant_id in (None, invoice.content.tenant_id)
            and month in (None, invoice.content.month)
        )

    def attach_document(self, invoice_id: str, content: bytes) -> bytes:
        self.invoice(invoice_id)
        return self._documents.setdefault(invoice_id, content)

    def document(self, invoice_id: str) -> bytes:
        if invoice_id not in self._documents:
            raise NotFoundError(f"no document is kept for the invoice {invoice_id}")
        return self._documents[invoice_id]

    def _issue(self, seller_id: str, close: TenantClose, issued_on: date) -> None:
        if close.draft is None:
            return
        self._last[seller_id, issued_on.year] += 1
        number = f"{issued_on.year}-{self._last[seller_id, issued_on.year]:06d}"
        due_on = issued_on + timedelta(days=close.draft.payment_days)
        content = replace(close.draft)
        self._invoices[content.invoice_id] = Invoice(content, number, issued_on, due_on)

    def _of_seller(self, seller_id: str) -> list[Invoice]:
        return [
            invoice for invoice in self._invoices.values() if invoice.content.seller.party_id == seller_id
        ]
