"""How likely each entity is part of a ring: a stated anomaly score, or a model where labels earn it.

No label is ever a feature. A labelled entity is scored by a model that saw neither its label nor any of its
community.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from terag_pipelines.rings.nodes import NodeIndex, Tables, read_frame
from terag_pipelines.rings.signals import explain_nodes, sum_groups, weigh_signals

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_PEERS = 10_000


@dataclass(frozen=True)
class RiskParams:
    """The anomaly score is one half for the evidence of `half_evidence` features in each of which an entity
    is the most extreme of all.

    An entity takes on `neighbour_weight` of the mean evidence about those it is tied to, up to as much as
    there is about itself. A model is trained from `min_per_class` labels of each class on, cross-validated
    in `n_folds` folds of whole communities.
    """

    half_evidence: float = 2.5
    neighbour_weight: float = 0.5
    min_reason_evidence: float = 1.0
    n_reasons: int = 4
    min_per_class: int = 30
    n_folds: int = 5
    n_trees: int = 120
    n_leaves: int = 8
    learning_rate: float = 0.05
    seed: int = 7


@dataclass(frozen=True)
class Risk:
    """Scores by node, in [0, 1]. `outcomes` is 1, 0, or -1 without a training label; for labelled nodes
    `score` is out of fold.

    `anomaly_precision` and `model_precision`: average precision over the labelled nodes; NaN without enough
    labels. `explained`: node, features, reasons.
    """

    score: Floats
    anomaly_score: Floats
    outcomes: Ints
    explained: pl.DataFrame
    is_supervised: bool
    anomaly_precision: float
    model_precision: float


@dataclass(frozen=True)
class RiskInputs:
    """What risk is judged by, per node: `matrix` of features, their evidence and that of those it is tied to,
    for a model; `anomaly_score`; `evidence` by signal.
    """

    matrix: Floats
    anomaly_score: Floats
    evidence: pl.DataFrame


def gather_inputs(features: pl.DataFrame, edges: pl.DataFrame, params: RiskParams) -> RiskInputs:
    """Everything that is known of each node before any label is looked at."""
    evidence = weigh_signals(features)
    own = sum_groups(evidence)
    near = average_neighbours(own, edges)
    inherited = np.minimum(params.neighbour_weight * near, own)  # company corroborates, it does not accuse
    anomaly = score_anomaly(own + inherited, params.half_evidence)
    judged = features.drop("node").with_columns(
        own=pl.Series(own), near=pl.Series(near), anomaly=pl.Series(anomaly)
    )
    return RiskInputs(judged.to_numpy(), anomaly, evidence)  # one copy: it is the largest thing in memory


def assess_risk(
    features: pl.DataFrame, edges: pl.DataFrame, community: Ints, outcomes: Ints, params: RiskParams
) -> Risk:
    """The risk of every node: by a cross-validated model if its average precision is above the anomaly
    score's.

    Where both rank the labelled alike these say too little to learn from: a model of few and easy labels
    errs about those whom nobody labels.
    """
    inputs = gather_inputs(features, edges, params)
    anomaly = inputs.anomaly_score
    explained = explain_nodes(features, inputs.evidence, params.min_reason_evidence, params.n_reasons)
    labelled = outcomes >= 0
    if not has_enough_labels(outcomes, community, params):
        return Risk(anomaly, anomaly, outcomes, explained, False, float("nan"), float("nan"))
    supervised = cross_fit(inputs.matrix, outcomes, community, params)
    plain, learned = (
        float(average_precision_score(outcomes[labelled], scores[labelled]))
        for scores in (anomaly, supervised)
    )
    is_learned = learned > plain
    chosen = supervised if is_learned else anomaly
    return Risk(chosen, anomaly, outcomes, explained, is_learned, plain, learned)


def score_anomaly(evidence: Floats, half_evidence: float) -> Floats:
    """evidence / (evidence + h), h = half_evidence * log10(entities): 0 where nothing is unusual, below 1
    always.

    log10(entities) is the evidence of being the most extreme in one feature. It counts ten thousand
    entities at most: beyond, there are many rings, and a member is as rare as a ring member is, not rarer
    with size.
    """
    half = half_evidence * np.log10(np.clip(len(evidence), 10, MOST_PEERS))
    scores: Floats = evidence / (evidence + half)
    return scores


def average_neighbours(values: Floats, edges: pl.DataFrame) -> Floats:
    """Per node the mean value of those it is tied to, weighted by the ties; 0 without ties."""
    left, right = edges["left"].to_numpy(), edges["right"].to_numpy()
    weight = edges["weight"].to_numpy()
    n = len(values)
    total = np.bincount(left, weight * values[right], n) + np.bincount(right, weight * values[left], n)
    norm = np.bincount(left, weight, n) + np.bincount(right, weight, n)
    means: Floats = total / np.where(norm > 0, norm, 1.0)
    return means


def read_outcomes(tables: Tables, index: NodeIndex, use: str) -> Ints:
    """Per node 1 (fraud), 0 (not) or -1 (no label), from labels of kind "fraud" with that use; one 1
    outweighs 0s.
    """
    labels = read_frame(tables, "labels", ["label_kind", "use", "subject_id", "value"])
    fraud = labels.filter((pl.col("label_kind") == "fraud") & (pl.col("use") == use))
    placed = pl.DataFrame(
        {"node": index.find_subjects(fraud["subject_id"]), "value": (fraud["value"] == "1").cast(pl.Int64)}
    ).drop_nulls()
    by_node = placed.group_by("node").agg(pl.col("value").max())
    outcomes = np.full(len(index), -1, dtype=np.int64)
    outcomes[by_node["node"].to_numpy()] = by_node["value"].to_numpy()
    return outcomes


def has_enough_labels(outcomes: Ints, community: Ints, params: RiskParams) -> bool:
    """Whether both classes have enough labels, in enough communities to make the folds."""
    positive, negative = outcomes == 1, outcomes == 0
    groups = min(len(np.unique(community[positive])), len(np.unique(community[negative])))
    enough = min(positive.sum(), negative.sum()) >= params.min_per_class
    return bool(enough and groups >= params.n_folds)


def cross_fit(
    matrix: Floats, outcomes: Ints, community: Ints, params: RiskParams, scored: Floats | None = None
) -> Floats:
    """A probability per row of `matrix`: for a labelled one (outcome 0 or 1) from a model that saw nothing
    of its community.

    Folds are of whole communities, shuffled by the seed and stratified; a row without a label (-1) is
    scored by a model of all labels. With `scored`, the same rows at another time, models learn from
    `matrix` and the probabilities are those of `scored`.
    """
    # boosting threads spin for each other on a busy machine, and one gives the same bytes everywhere
    with threadpool_limits(limits=1, user_api="openmp"):
        return _cross_fit(matrix, outcomes, community, params, matrix if scored is None else scored)


def _cross_fit(matrix: Floats, outcomes: Ints, community: Ints, params: RiskParams, scored: Floats) -> Floats:
    rows = np.flatnonzero(outcomes >= 0)
    x, y = matrix[rows], outcomes[rows]
    unlabelled = np.flatnonzero(outcomes < 0)
    scores = np.zeros(len(outcomes))
    if len(unlabelled):
        scores[unlabelled] = _new_model(params).fit(x, y).predict_proba(scored[unlabelled])[:, 1]
    folds = StratifiedGroupKFold(params.n_folds, shuffle=True, random_state=params.seed)
    for train, test in folds.split(x, y, groups=community[rows]):
        model = _new_model(params).fit(x[train], y[train])
        scores[rows[test]] = model.predict_proba(scored[rows[test]])[:, 1]
    return scores


def _new_model(params: RiskParams) -> Any:
    return HistGradientBoostingClassifier(
        max_iter=params.n_trees,
        max_leaf_nodes=params.n_leaves,
        min_samples_leaf=10,
        l2_regularization=1.0,
        learning_rate=params.learning_rate,
        early_stopping=False,
        random_state=params.seed,
    )
