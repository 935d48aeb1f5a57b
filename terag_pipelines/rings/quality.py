"""How good scores and rings are against the truth, with simpler methods beside them. Only here is truth
read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from sklearn.metrics import average_precision_score, precision_recall_curve, precision_recall_fscore_support

from terag_pipelines.calibration.fit import FittedCalibrator
from terag_pipelines.rings.baselines import BaselineParams, score_baselines
from terag_pipelines.rings.nodes import NodeIndex, Tables, index_nodes, read_frame
from terag_pipelines.rings.risk import read_outcomes
from terag_pipelines.tables import as_frame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ScoreQuality:
    """Over entities with a true label; `f1`, `precision`, `recall` at the threshold, `average_precision`
    over all.

    `precision_at_100` is the share of fraud among the 100 highest scores (among all, where there are
    fewer).
    """

    n_entities: int
    n_fraud: int
    f1: float
    precision: float
    recall: float
    average_precision: float
    precision_at_100: float


@dataclass(frozen=True)
class RingRecovery:
    """`table`: planted (label), n_members, ring_id (the best match, null without), overlap (Jaccard), by
    label.

    A planted ring is found where its best overlap is one half or more.
    """

    n_planted: int
    n_found: int
    mean_overlap: float
    table: pl.DataFrame


@dataclass(frozen=True)
class RingQuality:
    """None where the source tells no truth of the kind. `baselines` by name, on the same entities.

    The threshold of a baseline that is no probability is the one with the best F1, picked with the truth in
    hand: a favour that our own scores do not get.
    """

    scores: ScoreQuality | None
    baselines: Mapping[str, ScoreQuality]
    recovery: RingRecovery | None


def judge_detection(
    ring_scores: pa.Table,
    ring_members: pa.Table,
    tables: Tables,
    params: BaselineParams | None = None,
    calibrator: FittedCalibrator | None = None,
) -> RingQuality:
    """Scores, rings and baselines against labels with use "truth"; scores as probabilities with a calibrator.

    The scores of entities with a training label are out of fold by community, so they may be judged on the
    same labels.
    """
    index = index_nodes(tables)
    outcomes = read_outcomes(tables, index, "truth")
    known = outcomes >= 0
    recovery = judge_rings(ring_members, tables, index)
    if not 0 < (outcomes[known] == 1).sum() < known.sum():
        return RingQuality(None, {}, recovery)
    scored = ring_scores["score"].to_numpy()[known]
    if calibrator is not None:
        scored = calibrator.apply(scored)
    baselines = score_baselines(tables, params or BaselineParams())
    beside = {
        name: judge_scores(values[known], outcomes[known], 0.5 if name == "tabular_booster" else None)
        for name, values in baselines.items()
    }
    return RingQuality(judge_scores(scored, outcomes[known]), beside, recovery)


def judge_scores(scores: Floats, outcomes: Ints, threshold: float | None = 0.5) -> ScoreQuality:
    """Quality of scores against outcomes 0 and 1, both of which must occur; without a threshold at the one
    of best F1.
    """
    cut = _best_threshold(scores, outcomes) if threshold is None else threshold
    precision, recall, f1, _ = precision_recall_fscore_support(
        outcomes, scores >= cut, average="binary", zero_division=0.0
    )
    top = np.argsort(-scores, kind="stable")[:100]
    return ScoreQuality(
        n_entities=len(outcomes),
        n_fraud=int(outcomes.sum()),
        f1=float(f1),
        precision=float(precision),
        recall=float(recall),
        average_precision=float(average_precision_score(outcomes, scores)),
        precision_at_100=float(outcomes[top].mean()),
    )


def _best_threshold(scores: Floats, outcomes: Ints) -> float:
    precision, recall, thresholds = precision_recall_curve(outcomes, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[int(f1[:-1].argmax())])


def judge_rings(
    ring_members: pa.Table, tables: Tables, index: NodeIndex | None = None
) -> RingRecovery | None:
    """For each planted ring the named ring that overlaps it most; None where no ring is labelled."""
    planted = _planted_rings(tables, index or index_nodes(tables))
    if planted.is_empty():
        return None
    named = as_frame(ring_members, ["ring_id", "entity_id"])
    sizes = named.group_by("ring_id").agg(n_named=pl.len())
    wanted = planted.group_by("planted").agg(n_members=pl.len().cast(pl.Int64))
    both = planted.join(named, on="entity_id").group_by("planted", "ring_id").agg(n_both=pl.len())
    overlap = pl.col("n_both") / (pl.col("n_members") + pl.col("n_named") - pl.col("n_both"))
    best = (
        both.join(sizes, on="ring_id")
        .join(wanted, on="planted")
        .with_columns(overlap=overlap)
        .sort(["planted", "overlap", "ring_id"], descending=[False, True, False])
        .unique("planted", keep="first", maintain_order=True)
    )
    table = (
        wanted.join(best.select("planted", "ring_id", "overlap"), on="planted", how="left")
        .with_columns(pl.col("overlap").fill_null(0.0))
        .sort("planted")
    )
    found = table["overlap"] >= 0.5
    return RingRecovery(table.height, int(found.sum()), float(table["overlap"].to_numpy().mean()), table)


def judge_risk(fraud_rings: pa.Table, ring_members: pa.Table, tables: Tables) -> tuple[float, float] | None:
    """Over rings with members of a true label: the mean risk that they state, and the mean share of fraud.

    The first is above the second where labels to learn from were not drawn at random: reviewers look at the
    suspicious first. None where nobody in a ring has a true label.
    """
    index = index_nodes(tables)
    truth = index.nodes.select("entity_id").with_columns(is_fraud=read_outcomes(tables, index, "truth"))
    rings = as_frame(fraud_rings, ["ring_id", "risk_probability", "risk_score"])
    members = as_frame(ring_members, ["ring_id", "entity_id"])
    known = members.join(rings, on="ring_id").join(truth, on="entity_id").filter(pl.col("is_fraud") >= 0)
    if known.is_empty():
        return None
    stated = pl.coalesce("risk_probability", "risk_score").first()
    by_ring = known.group_by("ring_id").agg(stated=stated, true=pl.col("is_fraud").mean()).sort("ring_id")
    return float(by_ring["stated"].to_numpy().mean()), float(by_ring["true"].to_numpy().mean())


def _planted_rings(tables: Tables, index: NodeIndex) -> pl.DataFrame:
    labels = read_frame(tables, "labels", ["label_kind", "use", "subject_id", "value"])
    rings = labels.filter((pl.col("label_kind") == "ring") & (pl.col("use") == "truth"))
    nodes = pl.DataFrame(
        {"planted": rings["value"], "node": index.find_subjects(rings["subject_id"])}
    ).drop_nulls()
    return nodes.join(index.nodes, on="node").select("planted", "entity_id").unique()
