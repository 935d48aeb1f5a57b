"""How good entities are against the truth: the same figures for us and for the peers."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from terag_pipelines.entities.model import LABELS
from terag_pipelines.linking.quality import PairwiseQuality, pairwise_quality


def told(quality: PairwiseQuality) -> dict[str, float]:
    """Precision, recall and F1 of pairs."""
    return {name: getattr(quality, name) for name in ("precision", "recall", "f1")}


def labels_of(truth: pl.DataFrame) -> pa.Table:
    """LABELS out of record_id and true entity."""
    return LABELS.from_columns(
        label_kind=["entity"] * len(truth),
        subject_id=truth["record_id"].to_arrow(),
        object_id=[""] * len(truth),
        value=truth["entity"].cast(pl.String).to_arrow(),
        use=["truth"] * len(truth),
    )


def score_entities(members: pl.DataFrame, truth: pl.DataFrame) -> dict[str, object]:
    """Figures of record_id and found entity against record_id and true entity."""
    joined = members.join(truth, on="record_id", how="inner")
    entities = pa.table(
        {"record_id": joined["record_id"].to_arrow(), "entity_id": joined["found"].cast(pl.String).to_arrow()}
    )
    n_wrong = int(joined.group_by("found").agg(pl.col("entity").n_unique() > 1)["entity"].sum())
    return {
        "clusters": told(pairwise_quality(entities, labels_of(truth))),
        "b_cubed": b_cubed(joined),
        "false_merges": n_wrong,
        "false_merges_per_100k_entities": 100_000 * n_wrong / max(truth["entity"].n_unique(), 1),
    }


def b_cubed(joined: pl.DataFrame) -> dict[str, float]:
    """B-cubed precision, recall and F1 (Bagga, Baldwin 1998), the mean over records."""
    together = joined.with_columns(
        n=pl.len().over("found", "entity"), n_found=pl.len().over("found"), n_true=pl.len().over("entity")
    )
    precision = float((together["n"] / together["n_found"]).mean() or 0.0)  # type: ignore[arg-type]
    recall = float((together["n"] / together["n_true"]).mean() or 0.0)  # type: ignore[arg-type]
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / (precision + recall)}
