"""What billing asks of a store: usage once, months closed once, numbers without gaps, documents kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import pyarrow as pa

from terag_pipelines.billing.history import History
from terag_pipelines.billing.invoices import DraftInvoice, Invoice


@dataclass(frozen=True)
class RecordedUsage:
    """What came of a delivery of usage: new events, known ones, and known ids that came with other content.

    The first content of an id stays.
    """

    n_new: int
    n_known: int
    n_conflicting: int


@dataclass(frozen=True)
class SellerBooks:
    """A seller's books as they were read: history, and for each tenant the revision of its ledger."""

    history: History = field(default_factory=History)
    revisions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TenantClose:
    """What closing a month means for one tenant."""

    tenant_id: str
    draft: DraftInvoice | None  # None: nothing to invoice, the month is closed all the same
    revision: int  # of the ledger that the draft was made from; 0 where the tenant has none yet


class BillingStore(Protocol):
    """The system of record of billing.

    Every method may raise StoreUnavailableError (no answer in time; safe to repeat) or StoreError.
    """

    def record_usage(self, usage: pa.Table) -> RecordedUsage:
        """Stores each event of RECORDED_USAGE once: dedup and storing are one write (tenant and event id)."""
        ...

    def usage_totals(self, until_month: str) -> pa.Table:
        """USAGE_TOTALS of all recorded usage up to and including a month."""
        ...

    def usage_of(self, tenant_id: str, usage_month: str) -> pa.Table:
        """The recorded events (RECORDED_USAGE) of one tenant and month: what an invoice line adds up."""
        ...

    def put_tenants(self, tenants: pa.Table) -> None:
        """Stores TENANTS, replacing those with the same id."""
        ...

    def tenants(self) -> pa.Table:
        """All stored TENANTS."""
        ...

    def seller_books(self, seller_id: str) -> SellerBooks:
        """History and revisions. Usage totals read after this never miss what a revision has billed."""
        ...

    def close(
        self, seller_id: str, month: str, closes: Sequence[TenantClose], issued_on: date
    ) -> frozenset[str]:
        """Closes the month for each tenant and issues its invoice, if any, with the next number of the year.

        Number, ledger and invoice change together or not at all. A tenant whose month is closed already is
        left as it is. Gives the tenants whose ledger has another revision by now: draft those again.
        """
        ...

    def invoice(self, invoice_id: str) -> Invoice:
        """A finalised invoice. Raises: NotFoundError."""
        ...

    def invoices(
        self, *, seller_id: str | None = None, tenant_id: str | None = None, month: str | None = None
    ) -> tuple[Invoice, ...]:
        """The finalised invoices of a seller, tenant, month, in the order of their numbers."""
        ...

    def attach_document(self, invoice_id: str, content: bytes) -> bytes:
        """Keeps the document of an invoice, and gives the one that is kept: the first stays.

        Raises: NotFoundError where there is no such invoice.
        """
        ...

    def document(self, invoice_id: str) -> bytes:
        """The kept document. Raises: NotFoundError."""
        ...
