"""From one batch's tables to a score for every entity: projection, communities, cycles, features, risk."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.graph.row_hashes import code_values
from terag_pipelines.rings.communities import Communities, CommunityParams, find_communities
from terag_pipelines.rings.features import FeatureParams, measure_nodes
from terag_pipelines.rings.following import EarlierPartition
from terag_pipelines.rings.lineage import EarlierRings
from terag_pipelines.rings.model import RING_SCORES
from terag_pipelines.rings.nodes import NodeIndex, Tables, index_nodes
from terag_pipelines.rings.projection import Projection, ProjectionParams, project_entities
from terag_pipelines.rings.risk import Risk, RiskParams, assess_risk, read_outcomes
from terag_pipelines.rings.trails import CycleParams, find_cycles
from terag_pipelines.tables import as_frame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RingParams:
    """All that decides which scores come out."""

    projection: ProjectionParams = field(default_factory=ProjectionParams)
    communities: CommunityParams = field(default_factory=CommunityParams)
    cycles: CycleParams = field(default_factory=CycleParams)
    features: FeatureParams = field(default_factory=FeatureParams)
    risk: RiskParams = field(default_factory=RiskParams)


@dataclass(frozen=True)
class DetectionReport:
    """Figures that someone would look at. The resolution of communities is clear where it was read off the
    graph; else it is the usual one. `followed`: where communities began as those of the last batch were; the
    agreement and the worth of the result beside a fresh run (`FollowedPartition`) are NaN without a last
    batch. Average precisions are over entities with a training label, NaN without enough.
    """

    n_entities: int
    n_ties: int
    n_hubs: int
    n_communities: int
    largest_community: int
    resolution: float
    is_resolution_clear: bool
    followed: str
    agreement_with_fresh: float
    quality_beside_fresh: float
    n_cycles: int
    n_training_labels: int
    is_supervised: bool
    anomaly_average_precision: float
    model_average_precision: float


@dataclass(frozen=True)
class RingDetection:
    """`scores`: a RING_SCORES table, one row per entity; `communities` in the order of entity ids."""

    scores: pa.Table
    report: DetectionReport
    index: NodeIndex
    communities: Communities

    def labelled_scores(self, labels: pa.Table, use: str = "training") -> tuple[Floats, Ints]:
        """Scores and outcomes (0 or 1) of the entities with a fraud label of this use, in the order of
        entity ids.
        """
        return _labelled(self.scores, read_outcomes({"labels": labels}, self.index, use))


@dataclass(frozen=True)
class MeasuredEntities:
    """One batch as the scores see it, before any label: the graph, its communities, cycles and features."""

    projection: Projection
    communities: Communities
    cycles: pl.DataFrame
    features: pl.DataFrame


def measure_entities(tables: Tables, params: RingParams | None = None) -> MeasuredEntities:
    """The graph of a batch and the features of all its entities, in node order; no label is read."""
    chosen = params or RingParams()
    return _measure_projection(tables, project_entities(tables, chosen.projection), chosen)


def _measure_projection(
    tables: Tables, projection: Projection, params: RingParams, earlier: EarlierRings | None = None
) -> MeasuredEntities:
    is_partial = projection.index.nodes["is_partial"].to_numpy()
    keys = code_values(projection.index.nodes["entity_id"].to_arrow())  # an entity's own, in any batch
    before = None if earlier is None else place_earlier(projection.index, earlier)
    found = find_communities(
        len(projection.index), projection.edges, params.communities, is_partial, keys, before
    )
    cycles = find_cycles(projection.transfers, found.membership, projection.hubs, params.cycles)
    features = measure_nodes(tables, projection, found.membership, cycles, params.features)
    return MeasuredEntities(projection, found, cycles, features.table)


def score_rings(
    tables: Tables, params: RingParams | None = None, earlier: EarlierRings | None = None
) -> RingDetection:
    """Scores every entity of a batch; learns from labels with use "training" only, and only where that
    helps.

    `tables` by name: entity_records, entity_members, accounts, transfers, party_events, relationships,
    labels; a missing one counts as empty. `earlier`: the last batch, whose communities are followed.
    """
    chosen = params or RingParams()
    return score_projection(tables, project_entities(tables, chosen.projection), chosen, earlier)


def score_projection(
    tables: Tables, projection: Projection, params: RingParams, earlier: EarlierRings | None = None
) -> RingDetection:
    """As score_rings, over a graph that was made before."""
    measured = _measure_projection(tables, projection, params, earlier)
    index, community = projection.index, measured.communities.membership
    outcomes = read_outcomes(tables, index, "training")
    risk = assess_risk(measured.features, projection.edges, community, outcomes, params.risk)
    scores = _as_table(index, community, risk)
    return RingDetection(scores, _report(measured, risk), index, measured.communities)


def place_earlier(index: NodeIndex, earlier: EarlierRings) -> EarlierPartition:
    """The communities of the last batch, and who was in its rings, by the nodes of this one."""
    known = as_frame(earlier.communities)
    known = known.with_columns(label=pl.col("community_id").rank("dense").cast(pl.Int64) - 1)
    joined = index.nodes.select("entity_id").join(known, on="entity_id", how="left", maintain_order="left")
    in_ring = index.nodes["entity_id"].is_in(pl.Series(values=earlier.traces["entity_id"]).implode())
    return EarlierPartition(joined["label"].fill_null(-1).to_numpy(), in_ring.to_numpy())


def labelled_scores(ring_scores: pa.Table, tables: Tables, use: str = "training") -> tuple[Floats, Ints]:
    """As RingDetection.labelled_scores, from a stored RING_SCORES table and the tables it was made from.

    The scores of entities with a training label are out of fold: a calibrator may learn from them.
    """
    return _labelled(ring_scores, read_outcomes(tables, index_nodes(tables), use))


def _labelled(ring_scores: pa.Table, outcomes: Ints) -> tuple[Floats, Ints]:
    known = outcomes >= 0
    return ring_scores["score"].to_numpy()[known], outcomes[known]


def _as_table(index: NodeIndex, community: Ints, risk: Risk) -> pa.Table:
    entity_ids = index.nodes["entity_id"]
    _, first, sizes = np.unique(community, return_index=True, return_counts=True)
    spoken = index.nodes.select("node").join(risk.explained, on="node", how="left", maintain_order="left")
    return RING_SCORES.from_columns(
        entity_id=entity_ids.to_arrow(),
        community_id=entity_ids.gather(first[community]).to_arrow(),
        n_members=sizes[community],
        score=risk.score,
        anomaly_score=risk.anomaly_score,
        is_supervised=np.full(len(index), risk.is_supervised),
        features=spoken["features"].fill_null("{}").to_arrow(),
        reasons=spoken["reasons"].fill_null([]).to_arrow() if len(index) else [],
    )


def _report(measured: MeasuredEntities, risk: Risk) -> DetectionReport:
    projection, found = measured.projection, measured.communities
    community = found.membership
    sizes = np.bincount(community) if len(community) else np.zeros(1, dtype=np.int64)
    return DetectionReport(
        n_entities=len(projection.index),
        n_ties=projection.edges.height,
        n_hubs=len(projection.hubs),
        n_communities=int((sizes > 0).sum()),
        largest_community=int(sizes.max()),
        resolution=found.resolution,
        is_resolution_clear=found.choice is not None and found.choice.is_clear,
        followed=found.followed.way if found.followed else "nothing earlier",
        agreement_with_fresh=found.followed.agreement if found.followed else np.nan,
        quality_beside_fresh=found.followed.quality if found.followed else np.nan,
        n_cycles=measured.cycles["cycle"].n_unique(),
        n_training_labels=int((risk.outcomes >= 0).sum()),
        is_supervised=risk.is_supervised,
        anomaly_average_precision=risk.anomaly_precision,
        model_average_precision=risk.model_precision,
    )
