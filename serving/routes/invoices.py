"""Finalised invoices and their PDFs; a key bound to a tenant sees that tenant's only."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel

from serving.dependencies import PortsOf, allowed
from serving.ports import Ports
from terag_pipelines.billing.invoices import Invoice
from terag_pipelines.errors import NotFoundError
from terag_pipelines.security.api_keys import Caller
from terag_pipelines.security.roles import Permission

router = APIRouter(prefix="/v1/invoices", tags=["invoices"])
InvoiceId = Annotated[str, Path(min_length=1, max_length=100)]
BillingCaller = Annotated[Caller, Depends(allowed(Permission.READ_INVOICES))]


class InvoiceLineAnswer(BaseModel):
    """A position; prices are decimal text in major units, null where several prices apply."""

    line_number: int
    usage_month: str
    meter: str
    description: str
    charge_model: str
    quantity: int
    unit_price: str | None
    net_minor: int
    tax_name: str | None
    tax_rate: str | None
    tax_minor: int


class InvoiceAnswer(BaseModel):
    """A finalised invoice; it never changes again."""

    invoice_id: str
    number: str
    tenant_id: str
    month: str
    currency: str
    issued_on: date
    due_on: date
    net_minor: int
    tax_minor: int
    gross_minor: int
    lines: list[InvoiceLineAnswer]


@router.get("/{invoice_id}")
def invoice(invoice_id: InvoiceId, ports: PortsOf, caller: BillingCaller) -> InvoiceAnswer:
    """The invoice of this id."""
    return _answer(_seen_by(caller, ports, invoice_id))


@router.get(
    "/{invoice_id}/pdf", response_class=Response, responses={200: {"content": {"application/pdf": {}}}}
)
def invoice_pdf(invoice_id: InvoiceId, ports: PortsOf, caller: BillingCaller) -> Response:
    """The invoice as it was sent."""
    found = _seen_by(caller, ports, invoice_id)
    content = ports.invoices.document_of(invoice_id, ports.render_invoice)
    name = f'inline; filename="{found.number}.pdf"'
    return Response(content, media_type="application/pdf", headers={"Content-Disposition": name})


def _seen_by(caller: Caller, ports: Ports, invoice_id: str) -> Invoice:
    """The invoice; one of another tenant does not exist for the caller."""
    found = ports.invoices.invoice(invoice_id)
    if caller.tenant_id not in (None, found.content.tenant_id):
        raise NotFoundError(f"there is no invoice {invoice_id[:40]}")
    return found


def _answer(found: Invoice) -> InvoiceAnswer:
    content = found.content
    return InvoiceAnswer(
        invoice_id=content.invoice_id,
        number=found.number,
        tenant_id=content.tenant_id,
        month=content.month,
        currency=content.currency,
        issued_on=found.issued_on,
        due_on=found.due_on,
        net_minor=content.net_minor,
        tax_minor=content.tax_minor,
        gross_minor=content.gross_minor,
        lines=[InvoiceLineAnswer.model_validate(asdict(line)) for line in content.lines],
    )
