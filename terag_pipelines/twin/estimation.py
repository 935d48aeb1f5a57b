"""The average effect and each client's, by cross-fitted doubly robust scores with errors clustered by client.

Binary treatments take the augmented inverse propensity score (Robins, Rotnitzky, Zhao 1994). Continuous ones,
with m(x) = E[T|x], l(x) = E[Y|x], v(x) = Var(T|x) and an R-learner's effect t(x) (Nie, Wager 2021), take

    score = t(x) + (T - m(x)) / v(x) * (Y - l(x) - t(x) * (T - m(x)))

for an effect that is linear in T and varies with x. The mean score is the average effect (Chernozhukov and
others, "Double/debiased machine learning", 2018); its regression on covariates gives the effect of a client,
with intervals (Semenova, Chernozhukov 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from terag_pipelines.twin.learners import (
    CHUNK_ROWS,
    Basis,
    Bools,
    Floats,
    choose_learner,
    fit_basis,
    predict_in_chunks,
)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TwinParams:
    """How effects are estimated and when they are refused."""

    seed: int = 7
    level: float = 0.95
    n_folds: int = 5
    max_training_rows: int = 50_000  # of each fold's regressions, by whole clients; scores are of all rows
    max_trial_rows: int = 8_000  # for choosing between basis and trees
    max_dowhy_rows: int = 10_000
    n_simulations: int = 10  # of each refutation
    min_clients: int = 50
    min_arm_rows: int = 50
    min_arm_clients: int = 20  # below, intervals from sums by client are too narrow
    overlap_margin: float = 0.02  # a propensity nearer than this to 0 or 1 has no comparable others
    min_overlap_share: float = 0.9
    min_free_variance: float = 0.02  # of a continuous treatment, once the covariates are known
    max_broken_independence: float = 0.1  # partial correlation where the graph says none
    is_on_treated: bool = False  # average over the treated instead of over all


@dataclass(frozen=True)
class Study:
    """Complete rows of one question, by client and month: n values, covariates n x k, client codes."""

    treatment: Floats
    outcome: Floats
    covariates: Floats
    client: Ints

    @property
    def is_binary(self) -> bool:
        """Whether the treatment is 0 or 1."""
        return bool(np.all((self.treatment == 0) | (self.treatment == 1)))

    def take(self, rows: Bools | Ints) -> Study:
        """The study of these rows."""
        return Study(self.treatment[rows], self.outcome[rows], self.covariates[rows], self.client[rows])


@dataclass(frozen=True)
class Scores:
    """Out-of-fold figures of every row: expected treatment and its variance, the score, comparability."""

    expected_treatment: Floats
    treatment_variance: Floats
    score: Floats
    has_overlap: Bools


@dataclass(frozen=True)
class AverageEffect:
    """The average effect with its cluster-robust standard error and interval."""

    effect: float
    standard_error: float
    low: float
    high: float


def assign_folds(study: Study, n_folds: int, seed: int) -> Ints:
    """A fold for each row; all rows of a client share one."""
    clients, place = np.unique(study.client, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(clients))
    return np.asarray(order % n_folds, np.int64)[place]


def sample_clients(client: Ints, max_rows: int, seed: int) -> Bools:
    """A mask of about so many rows, of whole clients drawn by the seed."""
    if len(client) <= max_rows:
        return np.ones(len(client), np.bool_)
    clients, place = np.unique(client, return_inverse=True)
    drawn = np.random.default_rng(seed).random(len(clients)) < max_rows / len(client)
    return np.asarray(drawn[place], np.bool_)


def cross_predict(
    study: Study,
    target: Floats,
    folds: Ints,
    params: TwinParams,
    is_share: bool = False,
    arm: Bools | None = None,
) -> Floats:
    """The mean of the target given covariates, each row by a fit that saw no row of its client.

    `arm` is a mask of the rows to learn from; every row gets a prediction.
    """
    seen = np.ones(len(target), np.bool_) if arm is None else arm
    if not study.covariates.shape[1]:
        means = [target[(folds != fold) & seen].mean() for fold in range(params.n_folds)]
        return np.asarray(means, np.float64)[folds]
    trial = np.flatnonzero(seen)
    trial = trial[sample_clients(study.client[trial], params.max_trial_rows, params.seed + 1)]
    halves = assign_folds(study.take(trial), 2, params.seed + 2) == 0
    learner = choose_learner(study.covariates[trial], target[trial], halves, is_share, params.seed)
    said = np.zeros(len(target))
    for fold in range(params.n_folds):
        training = np.flatnonzero((folds != fold) & seen)
        training = training[sample_clients(study.client[training], params.max_training_rows, params.seed + 3)]
        model = learner(study.covariates[training], target[training])
        said[folds == fold] = predict_in_chunks(model, study.covariates[folds == fold])
    return said


def score_rows(study: Study, params: TwinParams) -> Scores:
    """The doubly robust score of every row, cross-fitted over clients."""
    folds = assign_folds(study, params.n_folds, params.seed)
    return _score_binary(study, folds, params) if study.is_binary else _score_continuous(study, folds, params)


def _score_binary(study: Study, folds: Ints, params: TwinParams) -> Scores:
    share = np.clip(cross_predict(study, study.treatment, folds, params, is_share=True), 1e-4, 1 - 1e-4)
    is_treated = study.treatment == 1
    without = cross_predict(study, study.outcome, folds, params, arm=~is_treated)
    has_overlap = share <= 1 - params.overlap_margin
    if params.is_on_treated:
        weight = _normalised(share / (1 - share), ~is_treated, has_overlap)
        treated = is_treated / is_treated[has_overlap].mean()
        score = (treated - weight) * (study.outcome - without)
        return Scores(share, share * (1 - share), score, has_overlap)
    with_it = cross_predict(study, study.outcome, folds, params, arm=is_treated)
    has_overlap &= share >= params.overlap_margin
    weight = _normalised(1 / share, is_treated, has_overlap) - _normalised(
        1 / (1 - share), ~is_treated, has_overlap
    )
    left = study.outcome - np.where(is_treated, with_it, without)
    return Scores(share, share * (1 - share), with_it - without + weight * left, has_overlap)


def _normalised(weight: Floats, arm: Bools, kept: Bools) -> Floats:
    """One arm's weights brought to a mean of 1 over the rows kept, so that a few matter less (Hájek)."""
    inside = np.where(arm, weight, 0.0)
    mean = inside[kept].mean() if kept.any() else 0.0
    return inside / mean if mean > 0 else inside


def _score_continuous(study: Study, folds: Ints, params: TwinParams) -> Scores:
    expected = cross_predict(study, study.treatment, folds, params)
    treatment_left = study.treatment - expected
    outcome_left = study.outcome - cross_predict(study, study.outcome, folds, params)
    typical = float(np.mean(treatment_left**2))
    said = cross_predict(study, treatment_left**2, folds, params)
    variance, has_overlap = np.maximum(said, 0.1 * typical), said > 0.05 * typical
    first = _first_effect(study, treatment_left, outcome_left, folds, has_overlap, params)
    score = first + treatment_left / variance * (outcome_left - first * treatment_left)
    return Scores(expected, variance, score, has_overlap)


def estimate_average(study: Study, scores: Scores, level: float) -> AverageEffect:
    """The mean score of rows with overlap; its error sums scores by client: months are not independent."""
    score, client = scores.score[scores.has_overlap], study.client[scores.has_overlap]
    effect = float(score.mean())
    _, place = np.unique(client, return_inverse=True)
    sums = np.bincount(place, score - effect)
    n_clients = len(sums)
    error = float(np.sqrt(np.sum(sums**2) * n_clients / max(n_clients - 1, 1)) / len(score))
    half = float(ndtri(0.5 + level / 2)) * error
    return AverageEffect(effect, error, effect - half, effect + half)


def _first_effect(
    study: Study, treatment_left: Floats, outcome_left: Floats, folds: Ints, kept: Bools, params: TwinParams
) -> Floats:
    """The R-learner's effect of each row: residual outcome on residual treatment times (1, covariates)."""
    basis = fit_basis(study.covariates)
    effect = np.zeros(len(folds))
    for fold in range(params.n_folds):
        training = (folds != fold) & kept
        coefficients = _fit_r_learner(
            basis, study.take(training), treatment_left[training], outcome_left[training]
        )
        z = basis.scaled(study.covariates[folds == fold])
        effect[folds == fold] = coefficients[0] + z @ coefficients[1:]
    return effect


def _fit_r_learner(basis: Basis, study: Study, treatment_left: Floats, outcome_left: Floats) -> Floats:
    k = study.covariates.shape[1] + 1
    gram, moment = np.zeros((k, k)), np.zeros(k)
    for start in range(0, len(treatment_left), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        z = basis.scaled(study.covariates[rows])
        features = np.hstack([np.ones((len(z), 1)), z]) * treatment_left[rows, None]
        gram += features.T @ features
        moment += features.T @ outcome_left[rows]
    penalty = np.full(k, 1e-3 * gram[0, 0])
    penalty[0] = 1e-12 * gram[0, 0] + 1e-300
    return np.asarray(np.linalg.solve(gram + np.diag(penalty), moment), np.float64)
