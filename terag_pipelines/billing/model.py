"""The tables of billing: what was used, what it costs, what was invoiced, and what could not be rated."""

from __future__ import annotations

import pyarrow as pa

from terag_pipelines.entities.model import INSTANT
from terag_pipelines.tables import TableSchema

TEXT = pa.string()

RECORDED_USAGE = TableSchema(
    name="recorded_usage",
    schema=pa.schema(
        [
            ("tenant_id", TEXT),
            ("event_id", TEXT),  # unique for its tenant (CloudEvents: source + id)
            ("meter", TEXT),
            ("quantity", pa.int64()),
            ("occurred_at", INSTANT),
            ("usage_month", TEXT),  # "YYYY-MM" in the tenant's time zone; fixed when the event is recorded
        ]
    ),
    key=("tenant_id", "event_id"),
)

USAGE_TOTALS = TableSchema(
    name="usage_totals",
    schema=pa.schema(
        [
            ("tenant_id", TEXT),
            ("meter", TEXT),
            ("usage_month", TEXT),
            ("quantity", pa.int64()),
            ("n_events", pa.int64()),
        ]
    ),
    key=("tenant_id", "meter", "usage_month"),
)

BILLED_USAGE = TableSchema(
    name="billed_usage",
    schema=pa.schema(
        [
            ("tenant_id", TEXT),
            ("month", TEXT),  # of the invoice
            ("meter", TEXT),
            ("usage_month", TEXT),  # of the usage: earlier than the invoice's month where it came late
            ("quantity", pa.int64()),
        ]
    ),
    key=("tenant_id", "month", "meter", "usage_month"),
)

RATED_LINES = TableSchema(
    name="rated_lines",
    schema=pa.schema(
        [
            ("tenant_id", TEXT),
            ("month", TEXT),  # of the invoice
            ("line_number", pa.int32()),  # 1 is the first line
            ("usage_month", TEXT),  # of the supply; its last day is the turnover date
            ("meter", TEXT),  # "base_fee" for the plan's own fee
            ("description", TEXT),
            ("charge_model", TEXT),  # "flat", "per_unit", "graduated", "volume", "package"
            ("quantity", pa.int64()),
            ("unit_price", TEXT),  # decimal, major units; null where several prices apply
            ("price_steps", TEXT),  # JSON: [{"quantity", "unit_price", "units"}], price per `units` units
            ("amount_minor", pa.int64()),  # net of tax
            ("currency", TEXT),
            ("tax_name", TEXT),  # null where no tax applies
            ("tax_rate", TEXT),  # decimal share, "0.16"
        ]
    ),
    key=("tenant_id", "month", "line_number"),
)

UNRATED_USAGE = TableSchema(
    name="unrated_usage",
    schema=pa.schema(
        [
            ("tenant_id", TEXT),
            ("meter", TEXT),
            ("usage_month", TEXT),  # "" where the events carry no time, or one that no month can hold
            ("reason", TEXT),
            ("quantity", pa.int64()),
            ("n_events", pa.int64()),
        ]
    ),
    key=("tenant_id", "meter", "usage_month", "reason"),
)

INVOICES = TableSchema(
    name="invoices",
    schema=pa.schema(
        [
            ("invoice_id", TEXT),
            ("number", TEXT),  # null in a draft; gapless per seller and year
            ("tenant_id", TEXT),
            ("month", TEXT),
            ("kind", TEXT),  # "invoice"
            ("currency", TEXT),
            ("net_minor", pa.int64()),
            ("tax_minor", pa.int64()),
            ("gross_minor", pa.int64()),
            ("n_lines", pa.int32()),
            ("status", TEXT),  # "draft", "finalised"
            ("issued_on", pa.date32()),
            ("due_on", pa.date32()),
            ("content_digest", TEXT),  # SHA-256 of everything but number and dates
        ]
    ),
    key=("tenant_id", "month", "kind"),
)

INVOICE_LINES = TableSchema(
    name="invoice_lines",
    schema=pa.schema(
        [
            ("invoice_id", TEXT),
            ("line_number", pa.int32()),
            ("tenant_id", TEXT),
            ("month", TEXT),
            ("usage_month", TEXT),
            ("meter", TEXT),
            ("description", TEXT),
            ("charge_model", TEXT),
            ("quantity", pa.int64()),
            ("unit_price", TEXT),
            ("price_steps", TEXT),
            ("net_minor", pa.int64()),
            ("tax_name", TEXT),
            ("tax_rate", TEXT),
            ("tax_minor", pa.int64()),
            ("gross_minor", pa.int64()),
            ("currency", TEXT),
        ]
    ),
    key=("invoice_id", "line_number"),
)
