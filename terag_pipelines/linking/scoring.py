"""Scoring: candidate pairs to match weights and probabilities, with the model that gave them.

Comparing is a pure function of the pairs, learning needs only counts of patterns, which add up over
partitions, and weighing is a pure function again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.adjustments import AdjustmentParams, adjustment_parts
from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.chance import StandIn, chance_part
from terag_pipelines.linking.comparison import ORGANISATION, PERSON, FuzzyMatcher, compare_pairs
from terag_pipelines.linking.encoding import PARTY_TYPES, EncodedRecords, encode_records
from terag_pipelines.linking.evidence import (
    ChanceAgreement,
    EvidenceDiagnostics,
    EvidenceParams,
    FittedEvidence,
    fit_evidence,
)
from terag_pipelines.linking.levels import FIELD_BY_NAME, FIELDS, Compared
from terag_pipelines.linking.model import LINK_MODEL, PAIR_SCORES
from terag_pipelines.linking.patterns import (
    ComparedPairs,
    PatternCounts,
    count_patterns,
    merge_counts,
    pattern_keys,
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoringParams:
    """How evidence is learned and weighed.

    EM sees, besides the candidate pairs, `random_share` times as many pairs drawn at random with `seed`:
    nearly all non-matches, they steady u where blocking left few. Of 21 made-up populations half as many
    gave a lower log loss than a quarter in 18 and better entities in 15 (worse in 1); as many again found
    more, but made twice the wrong links that they expected where households were many. At most
    `max_random_pairs` are drawn and counted for all.
    """

    random_share: float = 0.5
    max_random_pairs: int = 50_000
    seed: int = 0
    evidence: EvidenceParams = field(default_factory=EvidenceParams)
    adjustments: AdjustmentParams = field(default_factory=AdjustmentParams)


@dataclass(frozen=True)
class PairScores:
    """PAIR_SCORES, the LINK_MODEL behind them and how its fit went, one entry for each party type present."""

    scores: pa.Table
    model: pa.Table
    diagnostics: tuple[EvidenceDiagnostics, ...]


@dataclass(frozen=True)
class ScoredPairs:
    """Scores as arrays aligned with the pairs that were asked for, and the models that gave them."""

    compared: ComparedPairs
    match_weights: Floats
    models: tuple[FittedEvidence, ...]

    @property
    def patterns(self) -> pa.Array:
        """The pattern of each pair, as text."""
        return pa.array(self.compared.texts, pa.string()).take(pa.array(self.compared.which_pattern))


def score_pairs(records: pa.Table, pairs: pa.Table, params: ScoringParams = ScoringParams()) -> PairScores:
    """Match weights (log2 posterior odds) of CANDIDATE_PAIRS over ENTITY_RECORDS, learned without labels.

    Raises: LinkingError where a pair names a record that is not there.
    """
    encoded = encode_records(records)
    left, right = encoded.positions(pairs["left_id"]), encoded.positions(pairs["right_id"])
    if (left < 0).any() or (right < 0).any():
        raise LinkingError("candidate_pairs name a record_id that entity_records do not have")
    scored = score_rows(encoded, left.astype(np.int32), right.astype(np.int32), params)
    return tabulate_scores(pairs, scored)


def tabulate_scores(pairs: pa.Table, scored: ScoredPairs) -> PairScores:
    """PAIR_SCORES and LINK_MODEL out of arrays."""
    columns = {
        "left_id": pairs["left_id"],
        "right_id": pairs["right_id"],
        "pattern": scored.patterns,
        "match_weight": pa.array(scored.match_weights),
        "match_probability": pa.array(weights_to_probabilities(scored.match_weights)),
    }
    model = pa.concat_tables([LINK_MODEL.empty(), *(tabulate_model(fitted) for fitted in scored.models)])
    diagnostics = tuple(fitted.diagnostics for fitted in scored.models)
    return PairScores(PAIR_SCORES.conform(pa.table(columns)), LINK_MODEL.conform(model), diagnostics)


def weights_to_probabilities(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Posterior probability out of log2 odds."""
    return 1 / (1 + np.exp2(-np.clip(weights, -1000, 1000)))


def score_rows(records: EncodedRecords, left: Codes, right: Codes, params: ScoringParams) -> ScoredPairs:
    """Scores of pairs of rows; persons and organisations have a model each."""
    return score_compared(records, left, right, FuzzyMatcher(records).compare(left, right), params)


def score_compared(
    records: EncodedRecords, left: Codes, right: Codes, compared: ComparedPairs, params: ScoringParams
) -> ScoredPairs:
    """The same for pairs that were compared before."""
    follows = records.copies.follows(len(records))
    telling = compared if follows is None else compared.select(~(follows[left] | follows[right]))
    scorer = fit_scorer(records, telling, params)
    return ScoredPairs(compared, scorer.weigh(records, left, right, compared), scorer.models)


@dataclass(frozen=True)
class EvidenceScorer:
    """What was learned of each party type that has pairs: it weighs compared pairs of any records.

    Weighing is a pure function of the pairs; the records tell how rare the values are that they agree on.
    """

    models: tuple[FittedEvidence, ...]
    adjustments: AdjustmentParams

    def weigh(self, records: EncodedRecords, left: Codes, right: Codes, compared: ComparedPairs) -> Floats:
        """Match weights of compared pairs of rows, in bits: prior, levels, and what levels do not tell."""
        weights = np.zeros(len(compared.keys))
        for model in self.models:
            mask = compared.is_organisation == (model.party_type == ORGANISATION)
            at = slice(None) if mask.all() else np.flatnonzero(mask)
            levels = compared.select(mask).known_levels()
            weights[at] = self._weigh_party(model, records, (left[at], right[at]), levels)
        return weights

    def _weigh_party(
        self, model: FittedEvidence, records: EncodedRecords, pairs: tuple[Codes, Codes], levels: Compared
    ) -> Floats:
        total = np.full(len(pairs[0]), model.prior_weight)
        for name in model.fields:
            if name in levels:
                total += model.level_weights(name)[levels[name]]
        parts = adjustment_parts(records, *pairs, levels, self.adjustments)
        total += sum(parts.values()) + np.zeros(len(total))
        if model.is_stand_in:
            by_level = {name: model.level_weights(name) for name in model.fields}
            usual = self.adjustments.usual_holders
            evidence = StandIn(model.prior_weight, by_level, model.match_share, usual)
            total += chance_part(records, pairs, levels, parts, evidence)
        return total


def fit_scorer(records: EncodedRecords, compared: ComparedPairs, params: ScoringParams) -> EvidenceScorer:
    """The evidence of each party type that has pairs, learned from how often each pattern occurs."""
    kinds = [(PERSON, False), (ORGANISATION, True)]
    counted = [(party_type, compared.count(is_organisation)) for party_type, is_organisation in kinds]
    models = [
        _fit_model(records, party_type, counts, params) for party_type, counts in counted if counts.n_pairs
    ]
    return EvidenceScorer(tuple(models), params.adjustments)


def _fit_model(
    records: EncodedRecords, party_type: str, counts: PatternCounts, params: ScoringParams
) -> FittedEvidence:
    random = count_random_pairs(records, party_type, counts, params)
    chance = ChanceAgreement(len(records) - len(records.copies), random)
    return fit_evidence(party_type, merge_counts([counts, random]).of_known_fields(), params.evidence, chance)


def count_random_pairs(
    records: EncodedRecords, party_type: str, counts: PatternCounts, params: ScoringParams
) -> PatternCounts:
    """Patterns, in the fields of `counts`, of records paired at random; partial records stay out."""
    other = PARTY_TYPES.index(ORGANISATION if party_type == PERSON else PERSON)
    rows = np.flatnonzero(_may_be_drawn(records, other)).astype(np.int32)
    n_wanted = int(params.random_share * counts.n_pairs) if len(rows) > 1 else 0
    n_draws = min(n_wanted, params.max_random_pairs)
    drawn = (
        np.random.default_rng(params.seed).choice(rows, (2, n_draws))
        if n_draws
        else np.zeros((2, 0), np.int32)
    )
    left, right = drawn[:, drawn[0] != drawn[1]]
    compared = compare_pairs(records, left, right)
    levels = {name: compared.get(name, np.zeros(len(left), np.int8)) for name in counts.fields}
    known = {
        f: v if party_type in FIELD_BY_NAME[f].party_types else np.zeros_like(v) for f, v in levels.items()
    }
    found = count_patterns(counts.fields, pattern_keys(known))
    return replace(found, counts=found.counts * (n_wanted / max(n_draws, 1)))


def _may_be_drawn(records: EncodedRecords, other_type: int) -> npt.NDArray[np.bool_]:
    whole = (records.party_types != other_type) & ~records.is_partial
    follows = records.copies.follows(len(records))
    return np.asarray(whole if follows is None else whole & ~follows)


def tabulate_model(fitted: FittedEvidence) -> pa.Table:
    """LINK_MODEL rows of one model; the row "prior" is the share of matches among candidate pairs."""
    learned = "default" if fitted.diagnostics.fallback else "em"
    share, n = fitted.match_share, float(fitted.diagnostics.n_pairs)
    rows = [("prior", "match", 1, share, 1 - share, fitted.prior_weight, n, learned)]
    order = [known.name for known in FIELDS if known.name in fitted.fields]
    for at, name in sorted((fitted.fields.index(name), name) for name in order):
        weights = fitted.level_weights(name)[1:]
        seen = fitted.level_counts[at]
        for k, level in enumerate(FIELD_BY_NAME[name].levels):
            source = learned if seen[k] else "default"
            m, u = float(fitted.m[at][k]), float(fitted.u[at][k])
            rows.append((name, level.name, k + 1, m, u, float(weights[k]), float(seen[k]), source))
    names = LINK_MODEL.schema.names[1:]
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return LINK_MODEL.from_columns(party_type=[fitted.party_type] * len(rows), **columns)
