"""The whole linking room in one call, for callers that hold all records in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.joined_texts import written_out
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.best_matches import LeftOver, assign_matches, check_two_sources
from terag_pipelines.linking.blocking import (
    BlockingParams,
    CandidatePairs,
    PairIndex,
    index_pairs,
    tabulate_pairs,
)
from terag_pipelines.linking.clusters import (
    ClusterParams,
    ClusterReport,
    ResolvedEntities,
    cluster_rows,
    forbidden_links,
    identities_of,
    rows_of_decisions,
)
from terag_pipelines.linking.encoding import EncodedRecords, encode_sorted, sort_records
from terag_pipelines.linking.entity_tables import tabulate_entities, tabulate_members
from terag_pipelines.linking.known_pairs import EarlierRun, compare_or_reuse
from terag_pipelines.linking.lineage import NamedEntities, name_entities
from terag_pipelines.linking.links import Calibrator, LinkParams, decide_links, link_probabilities
from terag_pipelines.linking.model import LINK_MODEL
from terag_pipelines.linking.quality import PairwiseQuality, pair_quality, pairwise_quality
from terag_pipelines.linking.scored_rows import Floats, Rows, ScoredRows
from terag_pipelines.linking.scoring import (
    PairScores,
    ScoredPairs,
    ScoringParams,
    score_compared,
    tabulate_scores,
    weights_to_probabilities,
)


@dataclass(frozen=True)
class LinkingParams:
    """The parameters of every stage; the defaults are meant for any source."""

    blocking: BlockingParams = field(default_factory=BlockingParams)
    scoring: ScoringParams = field(default_factory=ScoringParams)
    links: LinkParams = field(default_factory=LinkParams)
    clusters: ClusterParams = field(default_factory=ClusterParams)

    def link_across(self, dataset: str) -> LinkingParams:
        """The same, but only pairs of a record of this dataset with one of another are compared."""
        blocking = replace(self.blocking, across_datasets=True)
        clusters = replace(self.clusters, across=dataset, one_to_one=self.links.one_to_one)
        return replace(self, blocking=blocking, clusters=clusters)


@dataclass(frozen=True, kw_only=True)
class WeighedRecords:
    """Records, their candidate pairs with match weights, and by what is decided which pairs are links."""

    coded: pa.Table  # ENTITY_RECORDS, sorted; texts may be dictionaries or joined later
    encoded: EncodedRecords
    index: PairIndex
    scored: ScoredPairs
    params: LinkingParams
    decisions: pa.Table | None = None  # PAIR_DECISIONS that were given

    @property
    def across(self) -> str | None:
        """The dataset that was linked with the others, where not all with all."""
        return self.params.clusters.across


@dataclass(frozen=True, kw_only=True)
class LinkedRecords(WeighedRecords):
    """What every stage gave. Tables are made when first asked for; `labels` is the entity of each row.

    The qualities are None without labels of the truth.
    """

    rows: ScoredRows
    labels: np.ndarray[tuple[int], np.dtype[np.int64]]
    cluster_report: ClusterReport
    left_over: LeftOver  # of links one to one
    calibrator: Calibrator | None
    truth: pa.Table | None
    earlier: EarlierRun | None
    n_reused_pairs: int
    label_model: pa.Table | None = None  # rows of LINK_MODEL on weights that were learned from labels

    @cached_property
    def ordered(self) -> pa.Table:
        """ENTITY_RECORDS, sorted."""
        return ENTITY_RECORDS.conform(written_out(self.coded)) if _is_coded(self.coded) else self.coded

    @cached_property
    def pairs(self) -> CandidatePairs:
        """CANDIDATE_PAIRS, and how they were found."""
        return CandidatePairs(tabulate_pairs(self.encoded, self.index), self.index.report)

    @cached_property
    def scores(self) -> PairScores:
        """PAIR_SCORES, the LINK_MODEL behind them, and how its fit went."""
        scores = tabulate_scores(self.pairs.table, self.scored)
        if self.label_model is None:
            return scores
        return replace(scores, model=LINK_MODEL.conform(pa.concat_tables([scores.model, self.label_model])))

    @cached_property
    def links(self) -> pa.Table:
        """LINKS."""
        links = decide_links(self.scores.scores, self.calibrator, self.params.links)
        if not self.params.links.one_to_one:
            return links
        is_over = self.rows.probability >= self.params.links.threshold_probability
        return links.filter(pa.array(self.rows.is_link[is_over]))

    @cached_property
    def _links_held(self) -> ScoredRows:
        allowed = self.rows.is_link & ~forbidden_links(identities_of(self.coded), self.rows)
        return self.rows.select(allowed)

    @cached_property
    def _named(self) -> NamedEntities:
        return name_entities(self.coded, self.labels, self.earlier, self._links_held, self.decisions)

    @cached_property
    def members(self) -> pa.Table:
        """ENTITY_MEMBERS."""
        return tabulate_members(self.coded, self.labels, self._named.ids, self._links_held)

    @property
    def changes(self) -> pa.Table:
        """ENTITY_CHANGES since the earlier run; empty without one."""
        return self._named.changes

    @cached_property
    def resolved(self) -> ResolvedEntities:
        """ENTITIES and ENTITY_MEMBERS."""
        entities = tabulate_entities(self.ordered, self.members)
        return ResolvedEntities(entities, self.members, self.changes, self.cluster_report)

    @cached_property
    def blocking_quality(self) -> PairwiseQuality | None:
        """Candidate pairs against the truth."""
        return None if self.truth is None else pair_quality(self.pairs.table, self.truth)

    @cached_property
    def quality(self) -> PairwiseQuality | None:
        """Entities against the truth."""
        return None if self.truth is None else pairwise_quality(self.members, self.truth)


def _is_coded(records: pa.Table) -> bool:
    return any(pa.types.is_dictionary(column.type) for column in records.schema)


def link_records(
    records: pa.Table,
    labels: pa.Table | None = None,
    params: LinkingParams = LinkingParams(),
    calibrator: Calibrator | None = None,
    decisions: pa.Table | None = None,
    earlier: EarlierRun | None = None,
    across: str | None = None,
) -> LinkedRecords:
    """ENTITY_RECORDS to entities. LABELS are only scored against; PAIR_DECISIONS hold exactly.

    With `across`, only pairs of a record of this dataset with one of another are compared.

    With an earlier run, pairs of records that did not change are not compared again and entities keep their
    ids; who belongs together is the same as without it.

    Raises: LinkingError where decisions contradict each other, or links are to be one to one within one
    source.
    """
    params = params if across is None else params.link_across(across)
    across = params.clusters.across
    if params.links.one_to_one and across is None:
        raise LinkingError("only two sources that are linked with each other can be linked one to one")
    if params.links.one_to_one:
        check_two_sources(records)
    ordered = sort_records(records)
    encoded = encode_sorted(ordered)
    index = index_pairs(encoded, params.blocking)
    if across is not None:
        index = _pairs_across(index, np.asarray(pc.equal(ordered["dataset"], across), np.bool_))
    reused = compare_or_reuse(encoded, ordered, index.left, index.right, earlier)
    scored = score_compared(encoded, index.left, index.right, reused.compared, params.scoring)
    weighed = WeighedRecords(
        coded=ordered,
        encoded=encoded,
        index=index,
        scored=scored,
        params=params,
        decisions=decisions,
    )
    return LinkedRecords(
        **vars(weighed),
        **vars(_resolve(weighed, calibrator)),
        calibrator=calibrator,
        truth=labels if labels is not None and labels.num_rows else None,
        earlier=earlier,
        n_reused_pairs=reused.n_reused,
    )


def reweigh_pairs(linked: LinkedRecords, match_weights: Floats, label_model: pa.Table) -> LinkedRecords:
    """The same pairs with other match weights; links and entities are still those of before."""
    scored = replace(linked.scored, match_weights=match_weights)
    return replace(linked, scored=scored, label_model=label_model)


def calibrate_links(linked: LinkedRecords, calibrator: Calibrator | None) -> LinkedRecords:
    """The same scored pairs, decided on by their (calibrated) probabilities and clustered anew; the decisions
    that the records were linked with hold."""
    return replace(linked, **vars(_resolve(linked, calibrator)), calibrator=calibrator)


@dataclass(frozen=True)
class ResolvedRows:
    """What of the scored pairs is a link, the entity of each row, and what one to one left over."""

    rows: ScoredRows
    labels: Rows
    cluster_report: ClusterReport
    left_over: LeftOver


def _resolve(weighed: WeighedRecords, calibrator: Calibrator | None) -> ResolvedRows:
    """Links and entities by the (calibrated) probabilities and by what people decided."""
    ordered, params = weighed.coded, weighed.params
    equals = None if weighed.across is None else weighed.encoded.label_equals()
    identities, decided = identities_of(ordered, equals), rows_of_decisions(ordered, weighed.decisions)
    rows = _as_rows(weighed.index, weighed.scored, calibrator, params.links)
    copies, left_over = weighed.encoded.copies, LeftOver()
    if params.links.one_to_one and weighed.across is not None:
        rows, left_over = assign_matches(ordered, rows, identities, weighed.across, decided, copies)
    labels, report = cluster_rows(ordered, identities, rows, params.clusters, decided, copies)
    return ResolvedRows(rows, labels, report, left_over)


def _pairs_across(index: PairIndex, is_inside: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> PairIndex:
    """The candidate pairs with exactly one record of those inside."""
    keep = is_inside[index.left] != is_inside[index.right]
    report = replace(index.report, n_pairs=int(keep.sum()))
    return PairIndex(index.left[keep], index.right[keep], index.rule_mask[keep], report)


def _as_rows(
    index: PairIndex, scored: ScoredPairs, calibrator: Calibrator | None, params: LinkParams
) -> ScoredRows:
    probability = link_probabilities(weights_to_probabilities(scored.match_weights), calibrator)
    return ScoredRows(
        left=index.left.astype(np.int64),
        right=index.right.astype(np.int64),
        weight=scored.match_weights,
        probability=probability,
        is_link=probability >= params.threshold_probability,
        rests_on_identifier=scored.compared.rests_on_identifier,
        are_namesakes=scored.compared.are_namesakes & (scored.match_weights < 0),
    )
