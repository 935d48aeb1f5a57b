"""Usage events to totals: each event counted once, in the month that it fell into where its tenant is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa

from terag_pipelines.billing.model import RECORDED_USAGE, UNRATED_USAGE, USAGE_TOTALS
from terag_pipelines.billing.periods import months_of, time_zone_of
from terag_pipelines.errors import BillingError
from terag_pipelines.tables import as_frame

MAX_QUANTITY = 10**12
"""Of one event; the sum of nine million such events still fits 64 bits."""

_IDENTITY = ["tenant_id", "event_id"]
_INSTANT = pl.Datetime("us", "UTC")
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class AssignedUsage:
    """Usage with its month (polars, columns of RECORDED_USAGE), what was refused, how many were repeats."""

    usage: pl.DataFrame
    refused: pa.Table  # UNRATED_USAGE
    n_events: int
    n_duplicates: int

    def recorded(self) -> pa.Table:
        """The usage as a RECORDED_USAGE table."""
        return RECORDED_USAGE.conform(_strings(self.usage))


def assign_months(usage_events: pa.Table, tenants: pa.Table, default_zone: str) -> AssignedUsage:
    """Each event once, with its month in its tenant's time zone; an unknown tenant has the default zone.

    An event is known by tenant and event id, as CloudEvents does by source and id: two tenants may both
    call one of theirs "1".
    """
    events = as_frame(usage_events).with_columns(pl.col("occurred_at").cast(_INSTANT))
    marked = events.with_columns(_refusal().alias("reason"))
    refused = marked.filter(pl.col("reason").is_not_null())
    valid = marked.filter(pl.col("reason").is_null()).drop("reason")
    once = _each_once(valid)
    return AssignedUsage(
        usage=_with_month(once, _zones(tenants, default_zone), default_zone),
        refused=_as_unrated(refused.with_columns(pl.lit("").alias("usage_month"))),
        n_events=events.height,
        n_duplicates=valid.height - once.height,
    )


def total_usage(usage: pl.DataFrame) -> pa.Table:
    """Quantity and number of events of each tenant, meter and month."""
    totals = usage.group_by("tenant_id", "meter", "usage_month").agg(
        pl.col("quantity").sum(), pl.len().cast(pl.Int64).alias("n_events")
    )
    return USAGE_TOTALS.conform(_strings(totals))


def unrated_table(totals: pl.DataFrame) -> pa.Table:
    """An UNRATED_USAGE table of totals with a reason, equal reasons summed up."""
    keys = list(UNRATED_USAGE.key)
    grouped = totals.group_by(keys).agg(pl.col("quantity").sum(), pl.col("n_events").sum().cast(pl.Int64))
    return UNRATED_USAGE.conform(_strings(grouped.select(UNRATED_USAGE.schema.names)))


def _as_unrated(refused: pl.DataFrame) -> pa.Table:
    bounded = pl.col("quantity").clip(-MAX_QUANTITY, MAX_QUANTITY).fill_null(0)
    texts = pl.col("tenant_id", "meter").fill_null("")
    return unrated_table(refused.with_columns(bounded, texts, pl.lit(1, pl.Int64).alias("n_events")))


def _refusal() -> pl.Expr:
    quantity, at = pl.col("quantity"), pl.col("occurred_at")
    absent = [
        pl.when(pl.col(column).is_null()).then(pl.lit(f"no {column}"))
        for column in ("event_id", "tenant_id", "meter", "quantity", "occurred_at")
    ]
    return pl.coalesce(
        *absent,
        pl.when(quantity < 0).then(pl.lit("a negative quantity")),
        pl.when(quantity > MAX_QUANTITY).then(pl.lit(f"a quantity above {MAX_QUANTITY}")),
        pl.when((at < _EARLIEST) | (at >= _LATEST)).then(pl.lit("a time outside 2000 to 2099")),
    )


def _each_once(events: pl.DataFrame) -> pl.DataFrame:
    if not events.select(_IDENTITY).is_duplicated().any():
        return events
    in_order = events.sort([*_IDENTITY, "occurred_at", "meter", "quantity"])
    return in_order.unique(subset=_IDENTITY, keep="first", maintain_order=True)


def _zones(tenants: pa.Table, default_zone: str) -> pl.DataFrame:
    zone_of = {
        tenant: zone if _is_known_zone(zone) else default_zone
        for tenant, zone in zip(
            tenants["tenant_id"].to_pylist(), tenants["time_zone"].to_pylist(), strict=True
        )
    }
    schema = {"tenant_id": pl.String, "time_zone": pl.String}
    return pl.DataFrame({"tenant_id": list(zone_of), "time_zone": list(zone_of.values())}, schema)


def _is_known_zone(zone: str | None) -> bool:
    try:
        return zone is not None and time_zone_of(zone) is not None
    except BillingError:
        return False


def _with_month(events: pl.DataFrame, zones: pl.DataFrame, default_zone: str) -> pl.DataFrame:
    zoned = events.join(zones, on="tenant_id", how="left").with_columns(
        pl.col("time_zone").fill_null(default_zone)
    )
    parts = [
        part.with_columns(months_of(part["occurred_at"].dt.epoch("us").to_numpy(), zone).alias("usage_month"))
        for (zone,), part in zoned.partition_by("time_zone", as_dict=True, maintain_order=True).items()
    ]
    merged = pl.concat(parts) if parts else zoned.with_columns(pl.lit(None, pl.String).alias("usage_month"))
    return merged.select(RECORDED_USAGE.schema.names)


def _strings(frame: pl.DataFrame) -> pa.Table:
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    texts = [
        pa.field(field.name, pa.string() if pa.types.is_large_string(field.type) else field.type)
        for field in table.schema
    ]
    return table.cast(pa.schema(texts))
