"""What counts as asked of a store: by this process, and lately by others, as their history has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, zip_longest

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.tables import as_frame
from terag_pipelines.tuning.model import BUCKETS_PER_OCTAVE, QUERY_SHAPES, QUERY_WINDOWS
from terag_pipelines.tuning.ports import SampledCall

_SUMS = ("n_calls", "n_errors", "n_rows", "total_latency_ms")
_PERCENTILES = {"p50_latency_ms": 0.5, "p95_latency_ms": 0.95}
Samples = Mapping[str, Sequence[SampledCall]]


def split_windows(windows: pa.Table | None, since: datetime) -> tuple[pa.Table, pa.Table]:
    """QUERY_WINDOWS that ended at `since` or later, and those of before."""
    given = QUERY_WINDOWS.empty() if windows is None else windows
    is_recent = pc.greater_equal(given["ended_at"], pa.scalar(since, given["ended_at"].type))
    return given.filter(is_recent), given.filter(pc.invert(is_recent))


def shapes_of(windows: pa.Table) -> pa.Table:
    """QUERY_SHAPES of all calls in QUERY_WINDOWS, whoever observed them."""
    frame = as_frame(windows)
    shapes = frame.group_by("shape_id", maintain_order=True).agg(
        pl.col("query").first(), *(pl.col(name).sum() for name in _SUMS), pl.col("max_latency_ms").max()
    )
    spread = _spread(frame)
    for name, share in _PERCENTILES.items():
        shapes = shapes.join(_percentiles(spread, name, share), on="shape_id", how="left")
        shapes = shapes.with_columns(pl.min_horizontal(name, "max_latency_ms").alias(name))
    return _as_shapes(shapes)


def joined_shapes(own: pa.Table, others: pa.Table) -> pa.Table:
    """QUERY_SHAPES of two: calls add up; the percentiles are of the one whose median is higher.

    So a shape that is slow for one of them is not hidden by the many quick calls of the other.
    """
    both = pl.concat([as_frame(QUERY_SHAPES.conform(table)) for table in (own, others)])
    slower_first = both.sort(["shape_id", "p50_latency_ms"], descending=[False, True])
    joined = slower_first.group_by("shape_id", maintain_order=True).agg(
        pl.col("query").first(),
        *(pl.col(name).sum() for name in _SUMS),
        *(pl.col(name).first() for name in _PERCENTILES),
        pl.col("max_latency_ms").max(),
    )
    return _as_shapes(joined)


def joined_samples(own: Samples, others: Samples) -> dict[str, tuple[SampledCall, ...]]:
    """Of each shape one of our own and one of others in turn, each call once."""
    shapes = sorted(own.keys() | others.keys())
    return {shape: _each_once(own.get(shape, ()), others.get(shape, ())) for shape in shapes}


def _each_once(own: Iterable[SampledCall], others: Iterable[SampledCall]) -> tuple[SampledCall, ...]:
    found: list[SampledCall] = []
    for call in chain.from_iterable(zip_longest(own, others)):
        if call is not None and call not in found:
            found.append(call)
    return tuple(found)


def _spread(windows: pl.DataFrame) -> pl.DataFrame:
    """How many calls each shape has in each bucket of latency, and in those up to it."""
    buckets = windows.select("shape_id", "buckets", "bucket_calls").explode("buckets", "bucket_calls")
    calls = buckets.drop_nulls().group_by("shape_id", "buckets").agg(pl.col("bucket_calls").sum())
    in_order = calls.sort("shape_id", "buckets")
    return in_order.with_columns(
        pl.col("bucket_calls").cum_sum().over("shape_id").alias("n_so_far"),
        pl.col("bucket_calls").sum().over("shape_id").alias("n_in_all"),
    )


def _percentiles(spread: pl.DataFrame, name: str, share: float) -> pl.DataFrame:
    """By shape, the latency in ms of the bucket in which this share of its calls is reached."""
    is_reached = pl.col("n_so_far") >= (share * pl.col("n_in_all")).ceil()
    middle = 1000 * pl.lit(2.0).pow((pl.col("buckets").min() - 0.5) / BUCKETS_PER_OCTAVE)
    return spread.filter(is_reached).group_by("shape_id").agg(middle.alias(name))


def _as_shapes(frame: pl.DataFrame) -> pa.Table:
    return QUERY_SHAPES.conform(frame.select(QUERY_SHAPES.schema.names).to_arrow().cast(QUERY_SHAPES.schema))
