"""Quality against the truth: pairs of records put together rightly, wrongly, or not at all."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pyarrow as pa


@dataclass(frozen=True)
class PairwiseQuality:
    """Pairs of labelled records: found in one entity, truly of one entity, and both."""

    precision: float
    recall: float
    f1: float
    n_true_pairs: int
    n_found_pairs: int


def pairwise_quality(members: pa.Table, labels: pa.Table) -> PairwiseQuality:
    """ENTITY_MEMBERS against LABELS of kind "entity" and use "truth", over the records that have a label."""
    joined = _frame(members).join(_truth(labels), on="record_id", how="inner")
    n_found, n_true = _count_pairs(joined, "entity_id"), _count_pairs(joined, "truth")
    n_right = _count_pairs(joined, "entity_id", "truth")
    return _quality(n_right, n_found, n_true)


def pair_quality(pairs: pa.Table, labels: pa.Table) -> PairwiseQuality:
    """LINKS or CANDIDATE_PAIRS against the same truth; the recall of candidate pairs is that of blocking."""
    truth = _truth(labels)
    left, right = (truth.rename({"record_id": f"{s}_id", "truth": f"{s}_truth"}) for s in ("left", "right"))
    frame = _frame(pairs.select(["left_id", "right_id"]))
    joined = frame.join(left, on="left_id", how="inner").join(right, on="right_id", how="inner")
    n_right = joined.filter(pl.col("left_truth") == pl.col("right_truth")).height
    return _quality(n_right, joined.height, _count_pairs(truth, "truth"))


def _frame(table: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table))


def _truth(labels: pa.Table) -> pl.DataFrame:
    frame = _frame(labels).filter((pl.col("label_kind") == "entity") & (pl.col("use") == "truth"))
    frame = frame.unique("subject_id", keep="first", maintain_order=True)
    return frame.select(record_id="subject_id", truth="value")


def _count_pairs(frame: pl.DataFrame, *columns: str) -> int:
    sizes = frame.group_by(columns).len().select(n=pl.col("len").cast(pl.Int64))
    return int(sizes.select((pl.col("n") * (pl.col("n") - 1) // 2).sum()).item())


def _quality(n_right: int, n_found: int, n_true: int) -> PairwiseQuality:
    precision = n_right / n_found if n_found else 1.0
    recall = n_right / n_true if n_true else 1.0
    f1 = 2 * n_right / (n_found + n_true) if n_found + n_true else 1.0
    return PairwiseQuality(precision, recall, f1, n_true, n_found)
