"""Invoices against the truth, where a source carries it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class InvoiceQuality:
    """How many invoices there should be, how many were issued and exact, and by how much the rest is off."""

    n_true: int
    n_issued: int  # those of a tenant and month that the truth names
    n_exact: int
    n_unexpected: int  # issued where the truth has none
    difference_minor: int  # sum of absolute differences of net amounts; what was not issued counts whole

    def __str__(self) -> str:
        text = f"{self.n_exact} of {self.n_true} invoices exact to the minor unit"
        return text if not self.n_unexpected else f"{text}, {self.n_unexpected} unexpected"


def invoice_quality(invoices: pa.Table, labels: pa.Table, month: str | None = None) -> InvoiceQuality | None:
    """INVOICES against LABELS of kind "invoice" and use "truth": tenant, month, net amount in minor units.

    Only months that have invoices are compared, or `month`; None where the truth says nothing of them.
    """
    issued = {(row["tenant_id"], row["month"]): row["net_minor"] for row in invoices.to_pylist()}
    months = {month} if month else {key[1] for key in issued}
    truth = {key: net for key, net in _truth(labels).items() if key[1] in months}
    if not truth:
        return None
    return InvoiceQuality(
        n_true=len(truth),
        n_issued=len(truth.keys() & issued.keys()),
        n_exact=sum(issued.get(key) == net for key, net in truth.items()),
        n_unexpected=len(issued.keys() - truth.keys()),
        difference_minor=sum(abs(net - issued.get(key, 0)) for key, net in truth.items()),
    )


def _truth(labels: pa.Table) -> dict[tuple[str, str], int]:
    is_truth = (pc.field("label_kind") == "invoice") & (pc.field("use") == "truth")
    rows = labels.filter(is_truth).to_pylist()
    return {(row["subject_id"], row["object_id"]): int(row["value"]) for row in rows}
