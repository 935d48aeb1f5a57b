"""A month of usage: exact totals by hand, resent events, the edges of the local month."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from terag_pipelines.demo.bank import DemoBank
from terag_pipelines.demo.price_book import net_total_minor
from terag_pipelines.demo.tenants import METERS
from tests.unit.demo.test_bank import frame

BOOK = """
plans:
  small:
    base_fee_minor: 1000
    meters:
      steps:
        model: graduated
        tiers: [{up_to: 10, unit_price: "0"}, {up_to: 20, unit_price: "1.25"}, {unit_price: "0.333"}]
      units: {model: per_unit, unit_price: "0.015"}
      packs: {model: package, package_size: 100, package_price: "7.00"}
      bulk: {model: volume, tiers: [{up_to: 5, unit_price: "2"}, {unit_price: "1"}]}
"""


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ({}, 1000),
        ({"steps": 10}, 1000),
        ({"steps": 15}, 1000 + 625),
        ({"steps": 23}, 1000 + 1250 + 100),  # 3 * 0.333 = 0.999 rounds to 1.00
        ({"units": 1}, 1000 + 2),  # 1.5 minor units round half up
        ({"units": 3}, 1000 + 5),  # 4.5, once for the whole line
        ({"packs": 1}, 1000 + 700),
        ({"packs": 100}, 1000 + 700),
        ({"packs": 101}, 1000 + 1400),
        ({"bulk": 5}, 1000 + 1000),
        ({"bulk": 6}, 1000 + 600),
        ({"steps": 15, "units": 3, "packs": 1, "bulk": 6}, 1000 + 625 + 5 + 700 + 600),
    ],
)
def test_net_total_by_hand(used: dict[str, int], expected: int) -> None:
    assert net_total_minor("small", used, BOOK) == expected


def test_truth_counts_each_event_once_and_by_local_month(bank: DemoBank) -> None:
    start, end = datetime(2026, 9, 30, 19, tzinfo=UTC), datetime(2026, 10, 31, 19, tzinfo=UTC)
    usage = frame(bank, "usage_events.parquet").with_columns(pl.col("tenant", "meter").cast(pl.String))
    once = usage.unique("event_id").filter((pl.col("occurred_at") >= start) & (pl.col("occurred_at") < end))
    used = {
        (tenant, meter): n
        for tenant, meter, n in once.group_by("tenant", "meter").agg(pl.col("quantity").sum()).iter_rows()
    }
    plans = dict(frame(bank, "tenants.csv").select("tenant_id", "plan").iter_rows())
    for tenant, month, value in frame(bank, "truth/invoices.csv").iter_rows():
        quantities = {meter: used.get((tenant, meter), 0) for meter in METERS}
        assert month == "2026-10"
        assert int(value) == net_total_minor(plans[tenant], quantities)


def test_usage_has_what_makes_billing_hard(bank: DemoBank) -> None:
    start, end = datetime(2026, 9, 30, 19, tzinfo=UTC), datetime(2026, 10, 31, 19, tzinfo=UTC)
    usage = frame(bank, "usage_events.parquet")
    at = usage["occurred_at"]
    tenants = set(frame(bank, "tenants.csv")["tenant_id"])
    assert 20_000 < usage.height < 60_000
    assert usage["event_id"].n_unique() < usage.height
    assert (at < start).any()
    assert (at >= end).any()
    assert (at == start).any()
    assert (at == end).any()
    assert usage["quantity"].min() >= 1
    assert len(tenants - set(usage["tenant"].cast(pl.String))) == 2


def test_every_tier_of_some_plan_is_reached(bank: DemoBank) -> None:
    usage = frame(bank, "usage_events.parquet").with_columns(pl.col("tenant", "meter").cast(pl.String))
    calls = usage.filter(pl.col("meter") == "api_calls").group_by("tenant").agg(pl.col("quantity").sum())
    plans = frame(bank, "tenants.csv").select("tenant_id", "plan")
    most = (
        calls.join(plans, left_on="tenant", right_on="tenant_id")
        .group_by("plan")
        .agg(low=pl.col("quantity").min(), high=pl.col("quantity").max())
    )
    reached = {plan: (low, high) for plan, low, high in most.iter_rows()}
    assert reached["starter"][0] < 10_000 or reached["starter"][1] > 1000
    assert reached["enterprise"][0] < 50_000
