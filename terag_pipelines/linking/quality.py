"""Quality against the truth: pairs of records put together rightly, wrongly, or not at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.calibration.metrics import assign_bins, expected_calibration_error
from terag_pipelines.linking.links import labelled_scores
from terag_pipelines.tables import as_frame

N_BINS = 10


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
    joined = as_frame(members).join(truth_of(labels), on="record_id", how="inner")
    n_found, n_true = _count_pairs(joined, "entity_id"), _count_pairs(joined, "truth")
    n_right = _count_pairs(joined, "entity_id", "truth")
    return _quality(n_right, n_found, n_true)


def pair_quality(pairs: pa.Table, labels: pa.Table) -> PairwiseQuality:
    """LINKS or CANDIDATE_PAIRS against the same truth; the recall of candidate pairs is that of blocking."""
    truth = truth_of(labels)
    left, right = (truth.rename({"record_id": f"{s}_id", "truth": f"{s}_truth"}) for s in ("left", "right"))
    frame = as_frame(pairs, ["left_id", "right_id"])
    joined = frame.join(left, on="left_id", how="inner").join(right, on="right_id", how="inner")
    n_right = joined.filter(pl.col("left_truth") == pl.col("right_truth")).height
    return _quality(n_right, joined.height, _count_pairs(truth, "truth"))


def truth_of(labels: pa.Table) -> pl.DataFrame:
    """record_id and truth of LABELS of kind "entity" and use "truth", one row for each record."""
    frame = as_frame(labels).filter((pl.col("label_kind") == "entity") & (pl.col("use") == "truth"))
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


# Calibration of links


@dataclass(frozen=True)
class LinkCalibration:
    """How far the probabilities of links are from what labels say.

    `ece` is the expected calibration error over ten bins; `chance_ece` what it would be on average by chance
    alone if every probability were right, with so few labels. `is_calibrated`: a calibrator made them.
    """

    is_calibrated: bool
    n_labelled: int
    ece: float | None
    chance_ece: float | None
    share_right: float | None
    mean_probability: float | None

    def is_within(self, max_ece: float) -> bool:
        """Whether links that claim to be calibrated are, beyond chance; the others claim nothing."""
        if not self.is_calibrated or self.ece is None or self.chance_ece is None:
            return True
        return self.ece - self.chance_ece <= max_ece


def link_calibration(links: pa.Table, labels: pa.Table, use: str = "truth") -> LinkCalibration:
    """LINKS against LABELS of one use: link probabilities and the share of them that is right."""
    is_calibrated = bool(links.num_rows) and bool(links["is_calibrated"][0].as_py())
    at = links.column_names.index("match_probability")
    said = links.set_column(at, "match_probability", links["link_probability"])
    probabilities, outcomes = labelled_scores(said, labels, use)
    n = len(probabilities)
    if not n:
        return LinkCalibration(is_calibrated, 0, None, None, None, None)
    return LinkCalibration(
        is_calibrated=is_calibrated,
        n_labelled=n,
        ece=expected_calibration_error(probabilities, outcomes, N_BINS),
        chance_ece=_chance_ece(probabilities),
        share_right=float(outcomes.mean()),
        mean_probability=float(probabilities.mean()),
    )


def _chance_ece(probabilities: npt.NDArray[np.float64]) -> float:
    """The mean ECE of right probabilities: in each bin the mean distance of a normal deviate from 0."""
    bins = assign_bins(probabilities, N_BINS, "width")
    variance = np.bincount(bins, probabilities * (1 - probabilities), N_BINS)
    return float(np.sqrt(2 * variance / np.pi).sum() / len(probabilities))
