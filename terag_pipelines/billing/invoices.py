"""Invoices: drafts made of rated lines, tax split exactly over the lines, and what a finalised one holds.

A draft is a pure function of its inputs: the same lines, tenant and price book give the same content and
digest. Number and dates come when the store finalises it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from fractions import Fraction
from itertools import groupby
from typing import Any

import pyarrow as pa

from terag_pipelines.billing.model import INVOICE_LINES, INVOICES
from terag_pipelines.billing.periods import check_month
from terag_pipelines.billing.price_book import Party, PriceBook
from terag_pipelines.billing.tax import tax_on_lines

INVOICE = "invoice"
"""The kind of a monthly invoice; other kinds (credit notes) have numbers and identities of their own."""

DRAFT, FINALISED = "draft", "finalised"


@dataclass(frozen=True)
class InvoiceLine:
    """A position of an invoice; amounts in minor units, `net_minor` without tax."""

    line_number: int
    usage_month: str
    meter: str
    description: str
    charge_model: str
    quantity: int
    unit_price: str | None
    price_steps: str
    net_minor: int
    tax_name: str | None
    tax_rate: str | None
    tax_minor: int

    @property
    def gross_minor(self) -> int:
        """Net and tax."""
        return self.net_minor + self.tax_minor


@dataclass(frozen=True)
class TaxTotal:
    """The lines of one tax rate, summed."""

    tax_name: str | None
    tax_rate: str | None
    net_minor: int
    tax_minor: int


@dataclass(frozen=True)
class DraftInvoice:
    """Everything an invoice says but its number and dates."""

    invoice_id: str
    tenant_id: str
    month: str
    kind: str
    currency: str
    payment_days: int
    seller: Party
    buyer: Party
    lines: tuple[InvoiceLine, ...]

    @property
    def net_minor(self) -> int:
        """Sum of the lines without tax."""
        return sum(line.net_minor for line in self.lines)

    @property
    def tax_minor(self) -> int:
        """Sum of the lines' tax."""
        return sum(line.tax_minor for line in self.lines)

    @property
    def gross_minor(self) -> int:
        """What is to be paid."""
        return self.net_minor + self.tax_minor

    @property
    def taxes(self) -> tuple[TaxTotal, ...]:
        """The totals of each tax rate, in the order of name and rate."""
        groups = groupby(sorted(self.lines, key=_tax_of), key=_tax_of)
        return tuple(_tax_total(list(lines)) for _, lines in groups)

    def as_mapping(self) -> dict[str, Any]:
        """The content as plain mappings, lists, text and integers."""
        return {**asdict(self), "lines": [asdict(line) for line in self.lines]}

    @property
    def content_digest(self) -> str:
        """SHA-256 of the content: equal for equal drafts."""
        canonical = json.dumps(self.as_mapping(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class Invoice:
    """A finalised invoice: a draft that has got its number and dates, for good."""

    content: DraftInvoice
    number: str
    issued_on: date
    due_on: date

    @property
    def invoice_id(self) -> str:
        """The id, the same in every close of the same month."""
        return self.content.invoice_id


def invoice_id_of(seller_id: str, tenant_id: str, month: str, kind: str) -> str:
    """The id of the one invoice of this kind for a seller, tenant and month."""
    identity = json.dumps([seller_id, tenant_id, month, kind], ensure_ascii=False)
    return "inv_" + hashlib.sha256(identity.encode()).hexdigest()[:24]


def draft_invoices(
    rated_lines: pa.Table, tenants: pa.Table, price_book: PriceBook, month: str
) -> tuple[DraftInvoice, ...]:
    """A draft for each tenant with RATED_LINES of the month, in the order of tenant ids.

    Raises: BillingError where the month is malformed.
    """
    check_month(month)
    buyers = {tenant["tenant_id"]: tenant for tenant in tenants.to_pylist()}
    rows = [row for row in rated_lines.to_pylist() if row["month"] == month]
    rows.sort(key=lambda row: (row["tenant_id"], row["line_number"]))
    return tuple(
        _draft(buyers[tenant_id], list(lines), price_book, month)
        for tenant_id, lines in groupby(rows, key=lambda row: row["tenant_id"])
    )


def draft_of(mapping: Mapping[str, Any]) -> DraftInvoice:
    """The draft that `as_mapping` gave."""
    fields = dict(mapping)
    fields["seller"], fields["buyer"] = Party(**fields["seller"]), Party(**fields["buyer"])
    fields["lines"] = tuple(InvoiceLine(**line) for line in fields["lines"])
    return DraftInvoice(**fields)


def draft_tables(drafts: Iterable[DraftInvoice]) -> tuple[pa.Table, pa.Table]:
    """INVOICES and INVOICE_LINES of drafts."""
    rows = [(draft, {"status": DRAFT}) for draft in drafts]
    return _tables(rows)


def invoice_tables(invoices: Iterable[Invoice]) -> tuple[pa.Table, pa.Table]:
    """INVOICES and INVOICE_LINES of finalised invoices."""
    rows = [
        (
            invoice.content,
            {
                "status": FINALISED,
                "number": invoice.number,
                "issued_on": invoice.issued_on,
                "due_on": invoice.due_on,
            },
        )
        for invoice in invoices
    ]
    return _tables(rows)


def _draft(
    tenant: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], price_book: PriceBook, month: str
) -> DraftInvoice:
    tenant_id = tenant["tenant_id"]
    return DraftInvoice(
        invoice_id=invoice_id_of(price_book.seller.party_id, tenant_id, month, INVOICE),
        tenant_id=tenant_id,
        month=month,
        kind=INVOICE,
        currency=price_book.currency,
        payment_days=price_book.plan_of(tenant_id, tenant["plan_id"]).payment_days,
        seller=price_book.seller,
        buyer=_buyer(tenant),
        lines=_taxed([_line(row) for row in rows]),
    )


def _buyer(tenant: Mapping[str, Any]) -> Party:
    known = {key: tenant[key] for key in ("name", "bin", "address", "email") if tenant[key] is not None}
    return Party(party_id=tenant["tenant_id"], **{"name": tenant["tenant_id"], **known})


def _line(row: Mapping[str, Any]) -> InvoiceLine:
    carried = (
        "line_number",
        "usage_month",
        "meter",
        "description",
        "charge_model",
        "quantity",
        "unit_price",
        "price_steps",
        "tax_name",
        "tax_rate",
    )
    return InvoiceLine(**{key: row[key] for key in carried}, net_minor=row["amount_minor"], tax_minor=0)


def _taxed(lines: Sequence[InvoiceLine]) -> tuple[InvoiceLine, ...]:
    taxed: list[InvoiceLine] = []
    for _, group in groupby(sorted(lines, key=_tax_of), key=_tax_of):
        of_rate = list(group)
        rate = Fraction(of_rate[0].tax_rate or 0)
        taxes = tax_on_lines([line.net_minor for line in of_rate], rate)
        taxed += [replace(line, tax_minor=tax) for line, tax in zip(of_rate, taxes, strict=True)]
    return tuple(sorted(taxed, key=lambda line: line.line_number))


def _tax_of(line: InvoiceLine) -> tuple[str, Fraction]:
    return line.tax_name or "", Fraction(line.tax_rate or 0)


def _tax_total(lines: Sequence[InvoiceLine]) -> TaxTotal:
    return TaxTotal(
        lines[0].tax_name,
        lines[0].tax_rate,
        sum(line.net_minor for line in lines),
        sum(line.tax_minor for line in lines),
    )


def _tables(rows: Sequence[tuple[DraftInvoice, Mapping[str, Any]]]) -> tuple[pa.Table, pa.Table]:
    heads = [_head(draft) | dict(status) for draft, status in rows]
    lines = [_line_row(draft, line) for draft, _ in rows for line in draft.lines]
    return (
        INVOICES.conform(pa.Table.from_pylist(heads, INVOICES.schema)),
        INVOICE_LINES.conform(pa.Table.from_pylist(lines, INVOICE_LINES.schema)),
    )


def _head(draft: DraftInvoice) -> dict[str, Any]:
    return {
        "invoice_id": draft.invoice_id,
        "tenant_id": draft.tenant_id,
        "month": draft.month,
        "kind": draft.kind,
        "currency": draft.currency,
        "net_minor": draft.net_minor,
        "tax_minor": draft.tax_minor,
        "gross_minor": draft.gross_minor,
        "n_lines": len(draft.lines),
        "content_digest": draft.content_digest,
    }


def _line_row(draft: DraftInvoice, line: InvoiceLine) -> dict[str, Any]:
    shared = {
        "invoice_id": draft.invoice_id,
        "tenant_id": draft.tenant_id,
        "month": draft.month,
        "currency": draft.currency,
    }
    return shared | asdict(line) | {"gross_minor": line.gross_minor}
