"""Closing a month: usage in, drafts, finalised invoices, and what has changed since they were finalised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from terag_pipelines.billing.invoices import DraftInvoice, Invoice, draft_invoices
from terag_pipelines.billing.periods import last_day
from terag_pipelines.billing.ports import BillingStore, RecordedUsage, TenantClose
from terag_pipelines.billing.price_book import PriceBook
from terag_pipelines.billing.rating import RatedUsage, rate_totals
from terag_pipelines.billing.usage import assign_months
from terag_pipelines.errors import BillingError, NotFoundError, RenderingError

MAX_ATTEMPTS = 100  # each one lost means that another closer has committed


@dataclass(frozen=True)
class InvoiceDifference:
    """A finalised invoice that the usage and prices of today would make otherwise.

    The invoice stays as it is: more usage goes to the next month to be closed, the rest needs a credit note.
    """

    invoice_id: str
    number: str
    tenant_id: str
    month: str
    fields: tuple[str, ...]  # "seller", "buyer", "lines 2026-06 api_calls", ... ; names, never values
    net_minor: int
    draft_net_minor: int


@dataclass(frozen=True)
class Drafts:
    """What closing the month now would issue, and how it was rated."""

    invoices: tuple[DraftInvoice, ...]
    credits_due: tuple[str, ...]  # tenants whose lines sum to less than nothing: no invoice can say that
    closing: tuple[TenantClose, ...]
    rated: RatedUsage


@dataclass(frozen=True)
class ClosedMonth:
    """The finalised invoices of a month, which of them are new, and what differs from today's drafts."""

    month: str
    invoices: tuple[Invoice, ...]
    new_invoice_ids: frozenset[str]
    differences: tuple[InvoiceDifference, ...]
    drafts: Drafts


class BillingCore:
    """Billing over a store: records usage, drafts and closes months. Holds no state of its own."""

    def __init__(self, store: BillingStore) -> None:
        self._store = store

    def record_usage(self, usage_events: pa.Table, tenants: pa.Table, price_book: PriceBook) -> RecordedUsage:
        """Stores USAGE_EVENTS, each once, with the month that it falls into where its tenant is.

        Events that no invoice can carry (no id, no time, ...) are left to `rate_usage`, which names them.
        """
        self._store.put_tenants(tenants)
        return self._store.record_usage(assign_months(usage_events, tenants, price_book.time_zone).recorded())

    def draft_month(self, tenants: pa.Table, price_book: PriceBook, month: str) -> Drafts:
        """The drafts of a month over all recorded usage; nothing is written. Raises: as rate_usage."""
        books = self._store.seller_books(price_book.seller.party_id)
        rated = rate_totals(self._store.usage_totals(month), tenants, price_book, month, books.history)
        drafts = draft_invoices(rated.lines, tenants, price_book, month)
        billable = _billable(tenants, rated)
        return Drafts(
            invoices=drafts,
            credits_due=tuple(draft.tenant_id for draft in drafts if draft.gross_minor < 0),
            closing=_closing(drafts, billable, books.revisions),
            rated=rated,
        )

    def close_month(
        self, tenants: pa.Table, price_book: PriceBook, month: str, issued_on: date
    ) -> ClosedMonth:
        """Issues the month's invoices, once: closed again, it gives the same invoices and says what differs.

        Usage that comes after the close goes to the next month that is closed. Tenants that cannot be billed
        stay open and are named in `drafts.rated.report`.
        Raises: BillingError where the month is not over on `issued_on` or the ledgers change all the time.
        """
        if issued_on <= last_day(month):
            raise BillingError(f"the month {month} is not over on {issued_on}: it cannot be closed")
        seller_id = price_book.seller.party_id
        before = frozenset(
            invoice.invoice_id for invoice in self._store.invoices(seller_id=seller_id, month=month)
        )
        drafts = self._close(tenants, price_book, month, issued_on)
        invoices = self._store.invoices(seller_id=seller_id, month=month)
        return ClosedMonth(
            month=month,
            invoices=invoices,
            new_invoice_ids=frozenset(invoice.invoice_id for invoice in invoices) - before,
            differences=find_differences(invoices, drafts.invoices),
            drafts=drafts,
        )

    def invoice(self, invoice_id: str) -> Invoice:
        """A finalised invoice. Raises: NotFoundError."""
        return self._store.invoice(invoice_id)

    def document_of(self, invoice_id: str, render: Callable[[Invoice], bytes]) -> bytes:
        """The invoice's document: as kept, or rendered and kept. Raises: NotFoundError, RenderingError."""
        kept = self._kept_document(invoice_id)
        if kept is not None:
            return kept
        return self._store.attach_document(invoice_id, render(self._store.invoice(invoice_id)))

    def documents_of(
        self,
        invoices: Sequence[Invoice],
        render_many: Callable[[Iterable[Invoice]], Iterator[bytes | RenderingError]],
    ) -> Iterator[tuple[Invoice, bytes | RenderingError]]:
        """Each invoice with its document, or with the error that it alone met while it was rendered."""
        kept = {invoice.invoice_id: self._kept_document(invoice.invoice_id) for invoice in invoices}
        rendered = render_many(invoice for invoice in invoices if kept[invoice.invoice_id] is None)
        for invoice in invoices:
            found = kept[invoice.invoice_id] or next(rendered)
            if isinstance(found, bytes) and kept[invoice.invoice_id] is None:
                found = self._store.attach_document(invoice.invoice_id, found)
            yield invoice, found

    def _kept_document(self, invoice_id: str) -> bytes | None:
        try:
            return self._store.document(invoice_id)
        except NotFoundError:
            return None

    def _close(self, tenants: pa.Table, price_book: PriceBook, month: str, issued_on: date) -> Drafts:
        for _ in range(MAX_ATTEMPTS):
            drafts = self.draft_month(tenants, price_book, month)
            stale = self._store.close(price_book.seller.party_id, month, drafts.closing, issued_on)
            if not stale:
                return drafts
        raise BillingError(f"the ledgers of {len(stale)} tenants kept changing while {month} was closed")


def find_differences(
    invoices: Iterable[Invoice], drafts: Iterable[DraftInvoice]
) -> tuple[InvoiceDifference, ...]:
    """Each finalised invoice whose draft of today differs from it, and in which fields."""
    draft_of = {draft.invoice_id: draft for draft in drafts}
    found = [_difference(invoice, draft_of.get(invoice.invoice_id)) for invoice in invoices]
    return tuple(difference for difference in found if difference is not None)


def _difference(invoice: Invoice, draft: DraftInvoice | None) -> InvoiceDifference | None:
    content = invoice.content
    if draft is not None and draft.content_digest == content.content_digest:
        return None
    return InvoiceDifference(
        invoice_id=content.invoice_id,
        number=invoice.number,
        tenant_id=content.tenant_id,
        month=content.month,
        fields=_changed_fields(content, draft),
        net_minor=content.net_minor,
        draft_net_minor=0 if draft is None else draft.net_minor,
    )


def _changed_fields(content: DraftInvoice, draft: DraftInvoice | None) -> tuple[str, ...]:
    if draft is None:
        return ("no longer drafted",)
    then, now = content.as_mapping(), draft.as_mapping()
    heads = sorted(key for key in then if key != "lines" and then[key] != now[key])
    lines_then, lines_now = (_lines_by_supply(side) for side in (content, draft))
    changed = sorted(
        key for key in lines_then.keys() | lines_now.keys() if lines_then.get(key) != lines_now.get(key)
    )
    return (*heads, *(f"line {usage_month} {meter}" for usage_month, meter in changed))


def _lines_by_supply(draft: DraftInvoice) -> dict[tuple[str, str], object]:
    return {(line.usage_month, line.meter): line for line in draft.lines}


def _billable(tenants: pa.Table, rated: RatedUsage) -> list[str]:
    unbillable = {tenant.tenant_id for tenant in rated.report.unbillable}
    return sorted(set(tenants["tenant_id"].to_pylist()) - unbillable)


def _closing(
    drafts: Iterable[DraftInvoice], billable: Iterable[str], revisions: Mapping[str, int]
) -> tuple[TenantClose, ...]:
    draft_of = {draft.tenant_id: draft for draft in drafts}
    return tuple(
        TenantClose(tenant_id, draft_of.get(tenant_id), revisions.get(tenant_id, 0))
        for tenant_id in billable
        if tenant_id not in draft_of or draft_of[tenant_id].gross_minor >= 0
    )
