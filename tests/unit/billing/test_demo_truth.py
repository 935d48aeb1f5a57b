"""The demo bank's tenants: rated here, worked out there, with no code in common."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest
import yaml

from terag_pipelines.billing.core import BillingCore
from terag_pipelines.billing.price_book import parse_price_book
from terag_pipelines.billing.rating import rate_usage
from terag_pipelines.demo.calendar import Calendar
from terag_pipelines.demo.price_book import PRICE_BOOK
from terag_pipelines.demo.randomness import open_streams
from terag_pipelines.demo.tenants import Tenancy, serve_tenants
from terag_pipelines.entities.model import TENANTS, USAGE_EVENTS
from tests.unit.billing.memory_store import MemoryBilling

MONTH = "2026-06"


def _demo(seed: int) -> tuple[Tenancy, pa.Table, pa.Table]:
    demo = serve_tenants(Calendar(MONTH), open_streams(seed)["usage"])
    events = demo.usage.rename_columns({"tenant": "tenant_id"}).cast(USAGE_EVENTS.schema)
    columns = demo.tenants.to_pydict()
    columns["plan_id"] = columns.pop("plan")
    columns["started_on"] = [date.fromisoformat(day) for day in columns["started_on"]]
    return demo, events, TENANTS.from_columns(**columns)


@pytest.mark.parametrize("seed", [1, 7, 2026])
def test_every_net_total_is_exact(seed: int) -> None:
    demo, events, tenants = _demo(seed)
    book = parse_price_book(yaml.safe_load(PRICE_BOOK))
    rated = rate_usage(events, tenants, book, MONTH)
    net = dict.fromkeys(demo.net_totals, 0)
    for line in rated.lines.to_pylist():
        net[line["tenant_id"]] += line["amount_minor"]
    assert net == demo.net_totals
    assert rated.report.n_duplicate_events > 0
    assert rated.report.n_unrated_events == 0


def test_the_month_can_be_closed_and_the_next_takes_nothing_twice() -> None:
    demo, events, tenants = _demo(7)
    book = parse_price_book(yaml.safe_load(PRICE_BOOK))
    core = BillingCore(MemoryBilling())
    core.record_usage(events, tenants, book)
    closed = core.close_month(tenants, book, MONTH, date(2026, 7, 1))
    assert {
        invoice.content.tenant_id: invoice.content.net_minor for invoice in closed.invoices
    } == demo.net_totals
    july = core.close_month(tenants, book, "2026-07", date(2026, 8, 1))
    assert {line.usage_month for invoice in july.invoices for line in invoice.content.lines} == {"2026-07"}
