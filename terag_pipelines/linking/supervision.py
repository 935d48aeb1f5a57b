"""With labels: match weights learned from them, where that wins over the weights learned without.

A learner is chosen only if, in cross-validation by records, it predicts the labels better than the
unsupervised weight with a calibrator of its own does, by more than one standard error of the difference.
What it says is a match weight like any other: calibrator, links and clusters follow as usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from terag_pipelines.calibration.fit import fit_calibrator
from terag_pipelines.calibration.metrics import log_losses
from terag_pipelines.linking.adjustments import AdjustmentParams
from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.comparison import ORGANISATION, ORGANISATION_CODE, PERSON
from terag_pipelines.linking.encoding import EncodedRecords, encode_records
from terag_pipelines.linking.label_folds import Ints, Mask, RecordFolds, deal_folds
from terag_pipelines.linking.links import labelled_pairs
from terag_pipelines.linking.model import LABELS_FIELD, LINK_MODEL, PAIR_SCORES
from terag_pipelines.linking.pair_learners import (
    LEARNERS,
    FittedLearner,
    PairFeatures,
    fit_learner,
    see_pairs,
)
from terag_pipelines.linking.patterns import ComparedPairs, parse_patterns
from terag_pipelines.linking.scoring import PairScores, weights_to_probabilities

Floats = npt.NDArray[np.float64]
UNSUPERVISED = "unsupervised"


@dataclass(frozen=True)
class SupervisionParams:
    """When and how a learner is tried.

    At least `min_per_kind` labelled pairs match and as many do not; of more than `max_pairs` labelled pairs
    so many are drawn.
    """

    n_folds: int = 5
    min_per_kind: int = 30
    max_pairs: int = 50_000
    n_at_once: int = 200_000
    seed: int = 7
    adjustments: AdjustmentParams = field(default_factory=AdjustmentParams)


@dataclass(frozen=True)
class ScorerTrial:
    """How one scorer predicted labels that it had not seen: mean log loss in nats, and the gain over the
    unsupervised weight with its standard error."""

    party_type: str
    scorer: str
    log_loss: float
    gain: float
    standard_error: float


@dataclass(frozen=True)
class ScorerChoice:
    """Of one party type: the scorer that was chosen and why, how many labelled pairs, what was tried."""

    party_type: str
    scorer: str
    reason: str
    n_matches: int
    n_others: int
    trials: tuple[ScorerTrial, ...] = ()

    @property
    def is_learned(self) -> bool:
        """Whether the weights are learned from labels."""
        return self.scorer != UNSUPERVISED

    @property
    def n_labels(self) -> int:
        """Labelled pairs."""
        return self.n_matches + self.n_others

    @property
    def sentence(self) -> str:
        """The choice in one line."""
        how = f"match weights learned from {self.n_labels:,} labelled pairs ({self.scorer})"
        told = how if self.is_learned else "match weights as learned without labels"
        return f"{self.party_type}: {told}: {self.reason}"


@dataclass(frozen=True)
class Supervision:
    """What labels changed: the choice for each party type, and the match weight of every pair, in bits."""

    choices: tuple[ScorerChoice, ...]
    match_weights: Floats

    @property
    def is_learned(self) -> bool:
        """Whether any weights are learned from labels."""
        return any(choice.is_learned for choice in self.choices)

    @property
    def trials(self) -> tuple[ScorerTrial, ...]:
        """Everything that was tried."""
        return tuple(trial for choice in self.choices for trial in choice.trials)

    @property
    def model(self) -> pa.Table:
        """Rows of LINK_MODEL, one for each learned scorer."""
        rows = [_model_row(choice) for choice in self.choices if choice.is_learned]
        return pa.Table.from_pylist(rows, LINK_MODEL.schema)

    @property
    def sentence(self) -> str:
        """What was chosen and why, in one line."""
        return "; ".join(choice.sentence for choice in self.choices) or "no label judges a compared pair"

    def as_json(self) -> list[dict[str, Any]]:
        """The choices for machines."""
        return [asdict(choice) for choice in self.choices]


@dataclass(frozen=True)
class WeighedPairs:
    """Scored pairs as arrays: rows of records, patterns, and the unsupervised match weights in bits."""

    records: EncodedRecords
    left: Codes
    right: Codes
    compared: ComparedPairs
    weights: Floats

    def select(self, places: Ints | slice) -> WeighedPairs:
        """The pairs at these places."""
        keys, kinds = self.compared.keys[places], self.compared.is_organisation[places]
        pairs = ComparedPairs(keys, kinds)
        return WeighedPairs(self.records, self.left[places], self.right[places], pairs, self.weights[places])

    def see(self, fields: tuple[str, ...], params: AdjustmentParams) -> PairFeatures:
        """What learners see."""
        return see_pairs(self.records, (self.left, self.right), self.compared, self.weights, fields, params)


def supervise_scores(
    records: pa.Table, scores: PairScores, labels: pa.Table, params: SupervisionParams = SupervisionParams()
) -> tuple[PairScores, Supervision]:
    """PAIR_SCORES over ENTITY_RECORDS with weights learned from LABELS of use "training", where that wins.

    Raises: LinkingError where scores have a level that is not compared in this version.
    """
    weights = scores.scores["match_weight"].to_numpy()
    if labelled_pairs(scores.scores, labels, "training").is_empty():
        return scores, Supervision((), weights)
    encoded = encode_records(records)
    judged = labelled_pairs(scores.scores, leave_out_copies(labels, encoded), "training")
    left, right = (encoded.positions(scores.scores[side]) for side in ("left_id", "right_id"))
    kinds = encoded.party_types == ORGANISATION_CODE
    compared = ComparedPairs(parse_patterns(scores.scores["pattern"]), kinds[left] | kinds[right])
    pairs = WeighedPairs(encoded, left.astype(np.int32), right.astype(np.int32), compared, weights)
    supervision = supervise(pairs, judged, params)
    return note_supervision(scores, supervision), supervision


def leave_out_copies(labels: pa.Table, records: EncodedRecords) -> pa.Table:
    """LABELS without those of records that follow others: a thousand copies say one thing, not a thousand."""
    follows = records.copies.follows(len(records))
    if follows is None:
        return labels
    followers = records.record_ids.filter(pa.array(follows))
    ends = [pc.is_in(labels[end], value_set=followers) for end in ("subject_id", "object_id")]
    return labels.filter(pc.invert(pc.or_(*ends)))


def supervise(
    pairs: WeighedPairs, judged: pl.DataFrame, params: SupervisionParams = SupervisionParams()
) -> Supervision:
    """Match weights for pairs by those of them that labels judge (links.labelled_pairs), where they win.

    A labelled pair has the weight that a learner gives it which saw neither of its records: its label does
    not leak into its score, so that calibrator and figures are honest.
    """
    places, outcomes = judged["place"].to_numpy().astype(np.int64), judged["outcome"].to_numpy()
    weights, choices = pairs.weights.copy(), []
    for party_type in (PERSON, ORGANISATION):
        is_kind = pairs.compared.is_organisation == (party_type == ORGANISATION)
        inside = is_kind[places]
        if not inside.any():
            continue
        labelled = _draw(places[inside], outcomes[inside], params)
        fitted = choose_scorer(party_type, pairs, *labelled, params)
        choices.append(fitted.choice)
        if fitted.learner is not None:
            at = np.flatnonzero(is_kind)
            weights[at] = _weigh_all(fitted.learner, fitted.fields, pairs, at, params)
            weights[labelled[0]] = fitted.held_out
    return Supervision(tuple(choices), weights)


@dataclass(frozen=True)
class FittedScorer:
    """The choice for one party type; a learner fitted to all labels where one won, and the weights of the
    labelled pairs by learners that saw neither record."""

    choice: ScorerChoice
    fields: tuple[str, ...]
    learner: FittedLearner | None
    held_out: Floats


def choose_scorer(
    party_type: str, pairs: WeighedPairs, places: Ints, outcomes: Ints, params: SupervisionParams
) -> FittedScorer:
    """The scorer of least held-out log loss; the unsupervised weight where the gain over it is within one
    standard error, or labels are too few.

    Source: one-standard-error rule, Hastie, Tibshirani, Friedman, "Elements of Statistical Learning".
    """
    labelled = pairs.select(places)
    n_matches = int(outcomes.sum())
    untried = ScorerChoice(party_type, UNSUPERVISED, "", n_matches, len(outcomes) - n_matches)
    folds = deal_folds(
        labelled.left.astype(np.int64), labelled.right.astype(np.int64), outcomes, params.n_folds, params.seed
    )
    if reason := _why_not(outcomes, folds, params):
        return FittedScorer(replace(untried, reason=reason), (), None, labelled.weights)
    fields = tuple(labelled.compared.known_levels())
    features, truth = labelled.see(fields, params.adjustments), outcomes.astype(np.float64)
    held_out = {name: _hold_out(name, features, truth, folds) for name in LEARNERS}
    trials = _try_scorers(party_type, _hold_out_unsupervised(features, truth, folds), held_out, truth, folds)
    choice = _choose(untried, trials)
    learner = fit_learner(choice.scorer, features, truth) if choice.is_learned else None
    return FittedScorer(choice, fields, learner, held_out.get(choice.scorer, labelled.weights))


def _draw(places: Ints, outcomes: Ints, params: SupervisionParams) -> tuple[Ints, Ints]:
    if len(places) <= params.max_pairs:
        return places, outcomes
    drawn = np.random.default_rng(params.seed).choice(len(places), params.max_pairs, replace=False)
    return places[np.sort(drawn)], outcomes[np.sort(drawn)]


def _why_not(outcomes: Ints, folds: RecordFolds, params: SupervisionParams) -> str:
    n_matches = int(outcomes.sum())
    if min(n_matches, len(outcomes) - n_matches) < params.min_per_kind:
        told = f"{n_matches:,} labelled pairs match and {len(outcomes) - n_matches:,} do not"
        return f"{told}; a learner is tried with {params.min_per_kind} of each"
    if any(not 0 < outcomes[seen].sum() < seen.sum() for seen, _ in folds.splits()):
        return "labels hang together so much that no folds can be made of them that share no record"
    return ""


def _hold_out(name: str, features: PairFeatures, outcomes: Floats, folds: RecordFolds) -> Floats:
    """Match weights of every labelled pair by a learner that saw neither record."""

    def weigh(seen: Mask, asked: Mask) -> Floats:
        return fit_learner(name, features.select(seen), outcomes[seen]).weigh(features.select(asked))

    return folds.hold_out(weigh)


def _hold_out_unsupervised(features: PairFeatures, outcomes: Floats, folds: RecordFolds) -> Floats:
    """Probabilities by the unsupervised weight, calibrated by labels of other records where enough."""
    raw = weights_to_probabilities(features.weights)

    def calibrate(seen: Mask, asked: Mask) -> Floats:
        fitted = fit_calibrator("links", raw[seen], outcomes[seen]).fitted
        return raw[asked] if fitted is None else fitted.apply(raw[asked])

    with threadpool_limits(1, "blas"):  # no threads that wait for each other on busy cores
        return folds.hold_out(calibrate)


def _try_scorers(
    party_type: str,
    unsupervised: Floats,
    held_out: Mapping[str, Floats],
    outcomes: Floats,
    folds: RecordFolds,
) -> tuple[ScorerTrial, ...]:
    base = log_losses(unsupervised, outcomes)
    trials = [ScorerTrial(party_type, UNSUPERVISED, float(base.mean()), 0.0, 0.0)]
    for name, weights in held_out.items():
        losses = log_losses(weights_to_probabilities(weights), outcomes)
        error = folds.standard_error(base - losses)
        trials.append(
            ScorerTrial(party_type, name, float(losses.mean()), float((base - losses).mean()), error)
        )
    return tuple(trials)


def _choose(untried: ScorerChoice, trials: Sequence[ScorerTrial]) -> ScorerChoice:
    best = min(trials[1:], key=lambda trial: trial.log_loss)
    is_real = best.gain > best.standard_error
    losses = ", ".join(f"{trial.scorer} {trial.log_loss:.3g}" for trial in trials)
    word = "over" if is_real else "not over"
    told = f"the gain of {best.gain:.2g} is {word} one standard error ({best.standard_error:.2g})"
    reason = f"held-out log loss: {losses}; {told}"
    scorer = best.scorer if is_real else UNSUPERVISED
    return replace(untried, scorer=scorer, reason=reason, trials=tuple(trials))


def _weigh_all(
    learner: FittedLearner, fields: tuple[str, ...], pairs: WeighedPairs, at: Ints, params: SupervisionParams
) -> Floats:
    parts = [at[start : start + params.n_at_once] for start in range(0, len(at), params.n_at_once)]
    said = [learner.weigh(pairs.select(part).see(fields, params.adjustments)) for part in parts]
    return np.concatenate(said)


def note_supervision(scores: PairScores, supervision: Supervision) -> PairScores:
    """PAIR_SCORES with the weights that labels gave, and LINK_MODEL with a row for each learned scorer."""
    weights = supervision.match_weights
    columns = {
        "match_weight": pa.array(weights),
        "match_probability": pa.array(weights_to_probabilities(weights)),
    }
    table = scores.scores
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, values)
    model = LINK_MODEL.conform(pa.concat_tables([scores.model, supervision.model]))
    return PairScores(PAIR_SCORES.conform(table), model, scores.diagnostics)


def _model_row(choice: ScorerChoice) -> dict[str, Any]:
    share = choice.n_matches / choice.n_labels
    return {
        "party_type": choice.party_type,
        "field": LABELS_FIELD,
        "level": choice.scorer,
        "level_rank": 1,
        "m_probability": share,
        "u_probability": 1 - share,
        "match_weight": 0.0,
        "n_pairs": float(choice.n_labels),
        "source": "labels",
    }
