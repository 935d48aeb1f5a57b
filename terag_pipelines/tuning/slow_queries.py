"""Which query shapes are slow enough to do something about."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from terag_pipelines.tables import as_frame
from terag_pipelines.tuning.model import QUERY_SHAPES, QUERY_WINDOWS, SLOW_SHAPES

MAD_TO_SIGMA = 1.4826
"""The median absolute deviation times this is the standard deviation of normal data (Hampel 1974)."""


@dataclass(frozen=True)
class SlowQueryParams:
    """When a shape of `min_calls` calls or more is slow.

    Absolutely: its median is `slow_ms` or more. Against its own past: its median is over that of its past
    windows' medians by more than `n_deviations` robust deviations, by more than `min_rise` of it, and by more
    than `min_rise_ms`. Windows of fewer than `min_calls` calls say nothing; with fewer than `min_windows`
    others there is no past.
    """

    slow_ms: float = 2.0
    min_calls: int = 5
    n_deviations: float = 4.0
    min_rise: float = 0.5
    min_rise_ms: float = 0.5
    min_windows: int = 5


@dataclass(frozen=True)
class SlowQueryDetector:
    """Picks slow shapes by an absolute threshold and by one that follows from each shape's own past."""

    params: SlowQueryParams = SlowQueryParams()

    def find(self, shapes: pa.Table, past: pa.Table | None = None) -> pa.Table:
        """The slow ones of QUERY_SHAPES as SLOW_SHAPES, the one that fixing would save most time first.

        `past`: QUERY_WINDOWS of before. What is fast for a shape is its own past median, or `slow_ms` where
        that is less or there is no past.
        """
        windows = QUERY_WINDOWS.empty() if past is None else past
        judged = as_frame(QUERY_SHAPES.conform(shapes)).join(self._normal(windows), on="shape_id", how="left")
        found = self._judge(judged.filter(pl.col("n_calls") >= self.params.min_calls))
        ordered = found.filter(pl.col("why").is_not_null()).sort(
            ["saved_ms", "shape_id"], descending=[True, False]
        )
        return ordered.select(SLOW_SHAPES.schema.names).to_arrow().cast(SLOW_SHAPES.schema)

    def _normal(self, past: pa.Table) -> pl.DataFrame:
        """For each shape with enough past: the median of its windows' medians, and its threshold."""
        chosen, medians = self.params, pl.col("p50_latency_ms")
        deviation = MAD_TO_SIGMA * (medians - medians.median()).abs().median()
        normal = (
            as_frame(past, ["shape_id", "n_calls", "p50_latency_ms"])
            .filter(pl.col("n_calls") >= chosen.min_calls)
            .group_by("shape_id")
            .agg(medians.median().alias("normal_ms"), deviation.alias("deviation_ms"), pl.len().alias("n"))
            .filter(pl.col("n") >= chosen.min_windows)
        )
        rise = pl.max_horizontal(
            chosen.n_deviations * pl.col("deviation_ms"),
            chosen.min_rise * pl.col("normal_ms"),
            pl.lit(chosen.min_rise_ms),
        )
        return normal.select("shape_id", "normal_ms", (pl.col("normal_ms") + rise).alias("adaptive_ms"))

    def _judge(self, shapes: pl.DataFrame) -> pl.DataFrame:
        is_slow = pl.col("p50_latency_ms") >= self.params.slow_ms
        is_slower = (pl.col("p50_latency_ms") > pl.col("adaptive_ms")).fill_null(False)
        why = (
            pl.when(is_slow & is_slower)
            .then(pl.lit("both"))
            .when(is_slow)
            .then(pl.lit("absolute"))
            .when(is_slower)
            .then(pl.lit("adaptive"))
        )
        fast = pl.min_horizontal(pl.col("normal_ms"), pl.lit(self.params.slow_ms))
        saved = (pl.col("total_latency_ms") - pl.col("n_calls") * fast).clip(lower_bound=0.0)
        return shapes.with_columns(why.alias("why"), saved.alias("saved_ms"))
