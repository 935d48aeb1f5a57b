"""Decision: which scored pairs are links, by a threshold on their probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.linking.model import LINKS

Floats = npt.NDArray[np.float64]


class Calibrator(Protocol):
    """What turns a raw probability into one that means what it says: calibration.fit.FittedCalibrator."""

    def apply(self, scores: Floats) -> Floats:
        """Calibrated probabilities, aligned with the scores."""


@dataclass(frozen=True)
class LinkParams:
    """A pair is a link from this link probability on.

    With `one_to_one`, for two sources that are linked with each other and hold each thing once, a record
    links with at most one of the other side: best_matches says which.
    """

    threshold_probability: float = 0.7
    one_to_one: bool = False


def decide_links(
    pair_scores: pa.Table, calibrator: Calibrator | None = None, params: LinkParams = LinkParams()
) -> pa.Table:
    """LINKS: the pairs of PAIR_SCORES whose probability, calibrated where it can be, is high enough."""
    probabilities = link_probabilities(pair_scores["match_probability"].to_numpy(), calibrator)
    keep = pa.array(probabilities >= params.threshold_probability)
    table = pair_scores.append_column("link_probability", pa.array(probabilities)).filter(keep)
    calibrated = pa.repeat(pa.scalar(calibrator is not None), table.num_rows)
    return LINKS.conform(table.append_column("is_calibrated", calibrated))


def link_probabilities(raw: Floats, calibrator: Calibrator | None) -> Floats:
    """Match probabilities, calibrated where there is a calibrator."""
    return raw if calibrator is None else np.asarray(calibrator.apply(raw), dtype=np.float64)


def labelled_scores(
    pair_scores: pa.Table, labels: pa.Table, use: str
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Match probabilities and outcomes (1 match, 0 not) of the scored pairs that LABELS of this use judge."""
    judged = labelled_pairs(pair_scores, labels, use)
    return judged["match_probability"].to_numpy(), judged["outcome"].to_numpy()


def labelled_pairs(pair_scores: pa.Table, labels: pa.Table, use: str) -> pl.DataFrame:
    """The pairs of PAIR_SCORES that LABELS of this use judge, by id: left_id, right_id, match_probability,
    `place` (the row in PAIR_SCORES) and `outcome` (1 match, 0 not).

    A label of kind "pair" judges its pair; two labels of kind "entity" judge the pair of their subjects.
    """
    scores = pl.from_arrow(pair_scores.select(["left_id", "right_id", "match_probability"]))
    known = pl.from_arrow(labels)
    assert isinstance(scores, pl.DataFrame)  # noqa: S101 - a table gives a frame
    assert isinstance(known, pl.DataFrame)  # noqa: S101
    known = known.filter(pl.col("use") == use)
    judged = scores.with_row_index("place")
    judged = judged.join(_pair_outcomes(known), on=["left_id", "right_id"], how="left")
    judged = judged.join(_entities_of(known, "left"), on="left_id", how="left")
    judged = judged.join(_entities_of(known, "right"), on="right_id", how="left")
    same_entity = (pl.col("left_value") == pl.col("right_value")).cast(pl.Int64)
    judged = judged.with_columns(outcome=pl.coalesce("pair_outcome", same_entity)).drop_nulls("outcome")
    return judged.sort("left_id", "right_id")


def _pair_outcomes(labels: pl.DataFrame) -> pl.DataFrame:
    pairs = labels.filter(pl.col("label_kind") == "pair")
    return pairs.select(
        left_id=pl.min_horizontal("subject_id", "object_id"),
        right_id=pl.max_horizontal("subject_id", "object_id"),
        pair_outcome=(pl.col("value") == "1").cast(pl.Int64),
    ).unique(["left_id", "right_id"], keep="first", maintain_order=True)


def _entities_of(labels: pl.DataFrame, side: str) -> pl.DataFrame:
    entities = labels.filter(pl.col("label_kind") == "entity").unique(
        "subject_id", keep="first", maintain_order=True
    )
    return entities.select(pl.col("subject_id").alias(f"{side}_id"), pl.col("value").alias(f"{side}_value"))
