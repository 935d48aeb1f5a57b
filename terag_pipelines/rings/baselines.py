"""Simpler ways to rank entities, to print beside ours: what a ring score must beat to be worth its keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.ensemble import IsolationForest
from threadpoolctl import threadpool_limits

from terag_pipelines.rings.communities import CommunityParams, find_communities
from terag_pipelines.rings.features import FeatureParams, measure_nodes
from terag_pipelines.rings.nodes import Tables, read_in_window
from terag_pipelines.rings.projection import Projection, ProjectionParams, project_entities
from terag_pipelines.rings.risk import RiskParams, cross_fit, has_enough_labels, read_outcomes
from terag_pipelines.rings.trails import CYCLE_SCHEMA

Floats = npt.NDArray[np.float64]

AGGREGATES = ("n_in", "n_out", "in_amount", "out_amount", "in_partners", "out_partners", "smallest_amount",
              "largest_amount", "amount_median", "amount_spread", "active_days", "span_days")  # fmt: skip
TABULAR = (*AGGREGATES, "n_events", "n_event_days", "events_per_day", "first_event_day", "last_event_day",
           "median_event_gap_days", "night_event_share", "mail_name_misfit",
           "mail_digits_misfit")  # fmt: skip


@dataclass(frozen=True)
class BaselineParams:
    """`small_minor`: a transfer below it counts as small, for the rule that counts small transfers."""

    projection: ProjectionParams = field(default_factory=ProjectionParams)
    communities: CommunityParams = field(default_factory=lambda: CommunityParams(resolution=0.02))
    risk: RiskParams = field(default_factory=RiskParams)
    small_minor: int = 10_000
    seed: int = 7


def score_baselines(tables: Tables, params: BaselineParams) -> Mapping[str, Floats]:
    """By name one score per node in [0, 1], those left out whose input the source lacks.

    shared_identifiers: 1 for everybody in a connected component of shared identifiers. degree,
    small_transfers: a count, over its largest. isolation_forest: on account aggregates. tabular_booster: on
    the entity's own fields and counts alone, out of fold by community on the training labels.
    """
    projection = project_entities(tables, params.projection)
    found: dict[str, Floats] = {}
    if projection.shared.height:
        found["shared_identifiers"] = _in_component(projection)
    is_partial = projection.index.nodes["is_partial"].to_numpy()
    community = find_communities(
        len(projection.index), projection.edges, params.communities, is_partial
    ).membership
    features = measure_nodes(
        tables, projection, community, pl.DataFrame(schema=CYCLE_SCHEMA), FeatureParams()
    ).table
    if projection.transfers.height:
        found["degree"] = _over_largest((features["in_partners"] + features["out_partners"]).to_numpy())
        found["small_transfers"] = _over_largest(_count_small(tables, projection, params.small_minor))
        found["isolation_forest"] = _isolate(features.select(AGGREGATES).to_numpy(), params.seed)
    outcomes = read_outcomes(tables, projection.index, "training")
    if has_enough_labels(outcomes, community, params.risk):
        found["tabular_booster"] = cross_fit(
            features.select(TABULAR).to_numpy(), outcomes, community, params.risk
        )
    return found


def _in_component(projection: Projection) -> Floats:
    hard = projection.shared.filter(~pl.col("kind").is_in(["address", "ip"]))
    n = len(projection.index)
    graph = coo_matrix(
        (np.ones(hard.height), (hard["left"].to_numpy(), hard["right"].to_numpy())), shape=(n, n)
    )
    component = connected_components(graph, directed=False)[1]
    return (np.bincount(component)[component] > 1).astype(np.float64)


def _count_small(tables: Tables, projection: Projection, small_minor: int) -> Floats:
    accounts = projection.index.accounts
    columns = ["source_account", "target_account", "amount_minor", "occurred_at"]
    transfers = read_in_window(tables, "transfers", columns)
    small = transfers.filter(pl.col("amount_minor") < small_minor)
    ends = pl.concat([small["source_account"], small["target_account"]]).rename("account_id").to_frame()
    counted = ends.join(accounts, on="account_id")["node"].to_numpy()
    return np.bincount(counted, minlength=len(projection.index)).astype(np.float64)


def _over_largest(counts: Floats) -> Floats:
    return counts / max(float(counts.max(initial=0.0)), 1.0)


def _isolate(aggregates: Floats, seed: int) -> Floats:
    with threadpool_limits(limits=1, user_api="openmp"):
        forest = IsolationForest(n_estimators=200, random_state=seed).fit(aggregates)
        depth: Floats = -forest.score_samples(aggregates)
    return depth
