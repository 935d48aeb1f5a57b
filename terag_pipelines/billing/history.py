"""What invoices have billed so far, and what is therefore still due."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from terag_pipelines.billing.model import BILLED_USAGE
from terag_pipelines.tables import as_frame

_KEYS = ["tenant_id", "meter", "usage_month"]


@dataclass(frozen=True)
class History:
    """The quantities that invoices carry (BILLED_USAGE), and which (tenant, month) are closed."""

    billed: pa.Table = field(default_factory=BILLED_USAGE.empty)
    closed: frozenset[tuple[str, str]] = frozenset()


def due_usage(totals: pa.Table, month: str, history: History) -> pl.DataFrame:
    """USAGE_TOTALS of a month, and of earlier closed months where more was recorded than billed.

    `quantity` is what no other invoice carries, `before` what invoices of earlier months do. Invoices of this
    very month do not count, so that it can be drafted again and compared.
    """
    merged = (
        as_frame(totals)
        .join(_billed(history, month), on=_KEYS, how="left")
        .join(_closed(history), on=["tenant_id", "usage_month"], how="left")
        .with_columns(pl.col("elsewhere", "before").fill_null(0))
        .with_columns((pl.col("quantity") - pl.col("elsewhere")).alias("quantity"))
    )
    is_late = (pl.col("usage_month") < month) & pl.col("is_closed") & (pl.col("quantity") != 0)
    due = merged.filter((pl.col("usage_month") == month) | is_late)
    return due.sort("tenant_id", "usage_month", "meter")


def _billed(history: History, month: str) -> pl.DataFrame:
    others = as_frame(history.billed).filter(pl.col("month") != month)
    return others.group_by(_KEYS).agg(
        pl.col("quantity").sum().alias("elsewhere"),
        pl.col("quantity").filter(pl.col("month") < month).sum().alias("before"),
    )


def _closed(history: History) -> pl.DataFrame:
    schema = {"tenant_id": pl.String, "usage_month": pl.String}
    pairs = pl.DataFrame(sorted(history.closed), schema=schema, orient="row")
    return pairs.with_columns(pl.lit(True).alias("is_closed"))
