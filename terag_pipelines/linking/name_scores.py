"""How probable it is that two full names are one person's or one organisation's.

Without labels by stated weights (Fellegi and Sunter's, in bits) of the features of name_pairs; with labels by
the learner that predicts best in folds that share no name, calibrated on what those folds held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from terag_pipelines.calibration.fit import CalibrationParams, FittedCalibrator, fit_calibrator
from terag_pipelines.calibration.metrics import log_losses
from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.name_pairs import FEATURES, ComparedNames, compare_name_pairs
from terag_pipelines.linking.name_words import ORGANISATION, PERSON, Texts

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DEFAULT_THRESHOLD = 0.5  # more probably one than two
STATED = "stated"

# Bits for each unit of a feature. Two whole words that agree are needed for a person, one telling word for a
# firm; one word against another outweighs what two agreeing words say, as between twins and namesakes.
_PERSON_WEIGHTS = {
    "exact": 4.0,
    "sound": 3.5,
    "close": 3.0,
    "variant": 2.5,
    "near": 1.5,
    "initial": 0.5,
    "bare_patronymic": -0.5,
    "far": -6.0,
    "light": 0.3,
    "complete": 3.0,
    "beyond_two": -3.0,
    "conflict": -9.0,
    "light_conflict": -0.5,
    "extra": -1.0,
    "extra_patronymic": -0.5,
    "extra_light": -0.3,
    "number_conflict": -2.0,
    "number_extra": -0.5,
    "sex_conflict": -9.0,
}
_ORGANISATION_WEIGHTS = {
    "exact": 5.0,
    "sound": 4.0,
    "close": 3.5,
    "near": 1.5,
    "initial": 0.5,
    "far": -6.0,
    "light": 1.0,
    "acronym": 6.0,
    "complete": 3.0,
    "beyond_two": -3.5,
    "conflict": -9.0,
    "light_conflict": -5.0,
    "extra": -5.0,
    "extra_light": -1.5,
    "number_conflict": -9.0,
    "number_extra": -3.0,
    "form_same": 0.5,
    "form_different": -1.5,
}
WEIGHTS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {PERSON: MappingProxyType(_PERSON_WEIGHTS), ORGANISATION: MappingProxyType(_ORGANISATION_WEIGHTS)}
)
PRIOR_WEIGHTS = MappingProxyType({PERSON: -5.0, ORGANISATION: -4.0})


def weigh_names(compared: ComparedNames, kind: str) -> Floats:
    """The match weight (bits) of compared pairs by the stated weights; NaN where names cannot be compared."""
    weights = np.array([WEIGHTS[kind].get(feature, 0.0) for feature in FEATURES])
    total: Floats = PRIOR_WEIGHTS[kind] + compared.features @ weights
    return np.where(compared.column("not_comparable") == 1, np.nan, total)


def score_names(left: pa.Array, right: pa.Array, kind: str) -> Floats:
    """The probability that two names are one's, without labels; NaN where scripts cannot be compared.

    Raises: LinkingError where the arrays differ in length or the kind is unknown.
    """
    return probability_of(weigh_names(compare_name_pairs(left, right, kind), kind))


def probability_of(weights: Floats) -> Floats:
    """Probability out of bits of evidence; NaN stays."""
    return np.asarray(1 / (1 + np.exp2(-np.clip(weights, -1000, 1000))))


def describe_score(left: str, right: str, kind: str) -> list[tuple[str, float, float]]:
    """Of one pair each feature that speaks, its value and its bits: with the prior they make the weight."""
    compared = compare_name_pairs(pa.array([left]), pa.array([right]), kind)
    return [
        (feature, float(value), float(value) * WEIGHTS[kind][feature])
        for feature, value in zip(FEATURES, compared.features[0], strict=True)
        if value and feature in WEIGHTS[kind]
    ]


@dataclass(frozen=True)
class NameScorerParams:
    """How a supervised scorer is chosen; folds share no name."""

    n_folds: int = 5
    seed: int = 7
    calibration: CalibrationParams = field(default_factory=CalibrationParams)


@dataclass(frozen=True)
class FittedNameScorer:
    """A scorer of name pairs: `method` is "stated" where no learner won; `match_share` that of the labels."""

    method: str
    model: Any
    calibrator: FittedCalibrator
    match_share: float
    held_out_log_loss: Mapping[str, float]

    def score(
        self, left: pa.Array, right: pa.Array, kinds: Texts, match_share: float | None = None
    ) -> Floats:
        """The calibrated probability of each pair, of the kind given for each; NaN is never given.

        `match_share` is the share of matches among the pairs asked about, where it is not that of the labels.

        Raises: LinkingError where arrays differ in length or a kind is unknown.
        """
        said = self.calibrator.apply(predict(self.method, self.model, tabulate_pairs(left, right, kinds)))
        return said if match_share is None else move_prior(said, self.match_share, match_share)


def move_prior(probabilities: Floats, old_share: float, new_share: float) -> Floats:
    """Probabilities for another share of matches, by Bayes' rule; 0 and 1 move as their neighbours do."""
    held = np.clip(probabilities, 1e-9, 1 - 1e-9)
    factor = (new_share / (1 - new_share)) / (old_share / (1 - old_share))
    odds = factor * held / (1 - held)
    return np.asarray(odds / (1 + odds))


def tabulate_pairs(left: pa.Array, right: pa.Array, kinds: Texts) -> Floats:
    """What learners see (n_pairs, n_features + 2): features, stated weight, whether an organisation.

    Raises: LinkingError where arrays differ in length or a kind is unknown.
    """
    if not (len(left) == len(right) == len(kinds)) or set(kinds) - {PERSON, ORGANISATION}:
        raise LinkingError("names and kinds are not lists of one length, of persons and organisations")
    table = np.zeros((len(left), len(FEATURES) + 2))
    for kind in (PERSON, ORGANISATION):
        at = np.flatnonzero(kinds == kind)
        rows = pa.array(at)
        compared = compare_name_pairs(left.take(rows), right.take(rows), kind)
        weight = np.nan_to_num(weigh_names(compared, kind), nan=PRIOR_WEIGHTS[kind])
        is_organisation = np.full(len(at), float(kind == ORGANISATION))
        table[at] = np.column_stack([compared.features, weight, is_organisation])
    return table


def fit_name_scorer(
    left: pa.Array,
    right: pa.Array,
    kinds: Texts,
    labels: npt.ArrayLike,
    params: NameScorerParams = NameScorerParams(),
) -> FittedNameScorer:
    """The learner of least held-out log loss, or the stated weights, fitted on all labels and calibrated.

    Where labels are too few, or folds cannot be made that each leave both outcomes, the stated weights it is.

    Raises: LinkingError where arrays differ in length or a kind is unknown.
    """
    table, outcomes = tabulate_pairs(left, right, kinds), np.asarray(labels, np.float64)
    order = _content_order(left, right, kinds)
    table, outcomes = table[order], outcomes[order]
    folds = group_folds(left.take(pa.array(order)), right.take(pa.array(order)), params)
    methods = METHODS if _can_learn(outcomes, folds, params.calibration) else (STATED,)
    held_out = {method: _hold_out(method, table, outcomes, folds) for method in methods}
    losses = {name: float(log_losses(said, outcomes).mean()) for name, said in held_out.items()}
    method = min(methods, key=lambda name: losses[name])
    calibration = fit_calibrator("names", held_out[method], outcomes, params.calibration)
    calibrator = calibration.fitted or FittedCalibrator("names", "identity")
    return FittedNameScorer(
        method, fit_method(method, table, outcomes), calibrator, float(outcomes.mean()), losses
    )


def _can_learn(outcomes: Floats, folds: Ints, params: CalibrationParams) -> bool:
    n_matches = outcomes.sum()
    seen = [outcomes[folds != fold] for fold in np.unique(folds)]
    return (
        len(outcomes) >= params.min_labels
        and min(n_matches, len(outcomes) - n_matches) >= params.min_per_class
        and all(0 < part.sum() < len(part) for part in seen)
    )


def _content_order(left: pa.Array, right: pa.Array, kinds: Texts) -> Ints:
    """Rows by content, so that the order of the input does not reach the fit."""
    sides = np.array([left.to_pylist(), right.to_pylist()], object).astype(str)
    return np.lexsort((kinds.astype(str), sides[1], sides[0])).astype(np.int64)


def group_folds(left: pa.Array, right: pa.Array, params: NameScorerParams) -> Ints:
    """A fold for each pair, so that no name stands in two: pairs linked by names in common stay together."""
    names = pa.concat_arrays([left, right]).dictionary_encode()
    codes = names.indices.to_numpy()
    one, other = codes[: len(left)], codes[len(left) :]
    groups = label_components(one, other, len(names.dictionary))[one]
    distinct, which, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    shuffled = np.random.default_rng(params.seed).permutation(len(distinct))
    fold_of, filled = np.zeros(len(distinct), np.int64), np.zeros(params.n_folds)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold_of[group] = int(np.argmin(filled))
        filled[fold_of[group]] += sizes[group]
    return fold_of[which]


def _hold_out(method: str, table: Floats, outcomes: Floats, folds: Ints) -> Floats:
    said = np.zeros(len(outcomes))
    for fold in np.unique(folds):
        seen = folds != fold
        said[~seen] = predict(method, fit_method(method, table[seen], outcomes[seen]), table[~seen])
    return said


def fit_method(method: str, table: Floats, outcomes: Floats) -> Any:
    """The model of one method; None for the stated weights."""
    if method == STATED:
        return None
    return _LEARNERS[method]().fit(table, outcomes.astype(np.int64))


def predict(method: str, model: Any, table: Floats) -> Floats:
    """The probability by a model of one method."""
    if method == STATED:
        return probability_of(table[:, len(FEATURES)])
    said: Floats = model.predict_proba(table)[:, 1]
    return said


_LEARNERS: Mapping[str, Any] = MappingProxyType(
    {
        "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2_000)),
        "trees": lambda: ExtraTreesClassifier(300, min_samples_leaf=2, random_state=0),
        "boosting": lambda: HistGradientBoostingClassifier(
            learning_rate=0.05, max_iter=150, max_leaf_nodes=8, min_samples_leaf=10, random_state=0
        ),
    }
)
METHODS = (STATED, *_LEARNERS)  # simplest first
