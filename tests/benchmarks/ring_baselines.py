"""What ring risk is measured beside, fixed here once for every set: a score per node by each simpler method.

Every method sees the features of one batch; those that learn take the same folds, the same model and the
same labels as ring risk does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score
from threadpoolctl import threadpool_limits

from terag_pipelines.rings.detection import MeasuredEntities
from terag_pipelines.rings.nodes import NodeIndex
from terag_pipelines.rings.risk import RiskParams, cross_fit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

AGGREGATES = (
    "n_in", "n_out", "in_amount", "out_amount", "in_partners", "out_partners", "smallest_amount",
    "largest_amount", "amount_median", "amount_spread", "active_days", "span_days",
)  # fmt: skip
OWN_FIELDS = (
    "n_events", "n_event_days", "events_per_day", "first_event_day", "last_event_day",
    "median_event_gap_days", "night_event_share", "mail_name_misfit", "mail_digits_misfit",
)  # fmt: skip
SMALL_MINOR = 10_000
N_ISOLATION_TREES = 200
SEED = 7


def rank_simply(measured: MeasuredEntities, transfers: pa.Table) -> dict[str, Floats]:
    """Scores that learn from no label: how many transfers below 100 an account has a part in, how many
    counterparties, which share of what came in left within days, and an isolation forest on aggregates.
    """
    features = measured.features
    return {
        "transfers_below_100": count_small(measured.projection.index, transfers),
        "degree": (features["in_partners"] + features["out_partners"]).to_numpy(),
        "pass_through": features["pass_through"].to_numpy(),
        "isolation_forest": isolate(features.select(AGGREGATES).to_numpy()),
    }


def boost_aggregates(
    train: pl.DataFrame, outcomes: Ints, groups: Ints, params: RiskParams, scored: pl.DataFrame
) -> Floats:
    """Boosted trees on account aggregates, out of fold by `groups`."""
    matrices = [features.select(AGGREGATES).to_numpy() for features in (train, scored)]
    return cross_fit(matrices[0], outcomes, groups, params, matrices[1])


def boost_own_fields(features: pl.DataFrame, outcomes: Ints, groups: Ints, params: RiskParams) -> Floats:
    """Boosted trees on a client's own fields and counts of payments, out of fold by `groups`."""
    return cross_fit(features.select(OWN_FIELDS).to_numpy(), outcomes, groups, params)


def count_small(index: NodeIndex, transfers: pa.Table) -> Floats:
    """Per node the transfers below 100 that it pays or gets."""
    moved = pl.DataFrame(
        pl.from_arrow(transfers.select(["source_account", "target_account", "amount_minor"]))
    )
    small = moved.filter(pl.col("amount_minor") < SMALL_MINOR)
    ends = pl.concat([small["source_account"], small["target_account"]]).rename("account_id").to_frame()
    nodes = ends.join(index.accounts, on="account_id")["node"].to_numpy()
    return np.bincount(nodes, minlength=len(index)).astype(np.float64)


def isolate(aggregates: Floats) -> Floats:
    """How soon random cuts set a node apart (Liu, Ting, Zhou, Isolation forest, 2008)."""
    with threadpool_limits(limits=1, user_api="openmp"):
        forest = IsolationForest(n_estimators=N_ISOLATION_TREES, random_state=SEED).fit(aggregates)
        depth: Floats = -forest.score_samples(aggregates)
    return depth


def find_sharers(measured: MeasuredEntities) -> tuple[Floats, Ints]:
    """Per node 1 where an identifier is shared, and the number of its component of shared identifiers."""
    shared, n = measured.projection.shared, len(measured.projection.index)
    pairs = (shared["left"].to_numpy(), shared["right"].to_numpy())
    graph = coo_matrix((np.ones(shared.height), pairs), shape=(n, n))
    component = connected_components(graph, directed=False)[1].astype(np.int64)
    return (np.bincount(component)[component] > 1).astype(np.float64), component


def judge_ranking(scores: Floats, outcomes: Ints) -> dict[str, float]:
    """Average precision, and precision at 100."""
    first = np.argsort(-scores, kind="stable")[:100]
    return {
        "average_precision": float(average_precision_score(outcomes, scores)),
        "precision_at_100": float(outcomes[first].mean()),
    }


def margin_over_best(ours: float, beside: Mapping[str, Mapping[str, Any]], figure: str) -> dict[str, Any]:
    """The best of the simpler methods by a figure, and how many times as much ours is."""
    best = max(beside, key=lambda name: float(beside[name][figure]))
    return {"best_beside": best, "margin": ours / float(beside[best][figure])}
