"""The whole linking room in one call, for callers that hold all records in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from terag_pipelines.linking.blocking import BlockingParams, CandidatePairs, find_candidate_pairs
from terag_pipelines.linking.clusters import ClusterParams, ResolvedEntities, resolve_entities
from terag_pipelines.linking.links import Calibrator, LinkParams, decide_links
from terag_pipelines.linking.quality import PairwiseQuality, pair_quality, pairwise_quality
from terag_pipelines.linking.scoring import PairScores, ScoringParams, score_pairs


@dataclass(frozen=True)
class LinkingParams:
    """The parameters of every stage; the defaults are meant for any source."""

    blocking: BlockingParams = field(default_factory=BlockingParams)
    scoring: ScoringParams = field(default_factory=ScoringParams)
    links: LinkParams = field(default_factory=LinkParams)
    clusters: ClusterParams = field(default_factory=ClusterParams)


@dataclass(frozen=True)
class LinkedRecords:
    """What every stage gave; the qualities are None without labels."""

    pairs: CandidatePairs
    scores: PairScores
    links: pa.Table
    resolved: ResolvedEntities
    blocking_quality: PairwiseQuality | None
    quality: PairwiseQuality | None


def link_records(
    records: pa.Table,
    labels: pa.Table | None = None,
    params: LinkingParams = LinkingParams(),
    calibrator: Calibrator | None = None,
    decisions: pa.Table | None = None,
) -> LinkedRecords:
    """ENTITY_RECORDS to entities, as PAIR_DECISIONS say. LABELS are only scored against."""
    pairs = find_candidate_pairs(records, params.blocking)
    scores = score_pairs(records, pairs.table, params.scoring)
    links = decide_links(scores.scores, calibrator, params.links)
    resolved = resolve_entities(records, links, scores.scores, params.clusters, decisions)
    judged = labels is not None and labels.num_rows > 0
    return LinkedRecords(
        pairs=pairs,
        scores=scores,
        links=links,
        resolved=resolved,
        blocking_quality=pair_quality(pairs.table, labels) if judged else None,
        quality=pairwise_quality(resolved.members, labels) if judged else None,
    )
