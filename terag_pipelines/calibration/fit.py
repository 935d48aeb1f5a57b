"""Choosing and fitting the map from scores to probabilities, judged on labels that the fit did not see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit

from terag_pipelines.calibration.metrics import (
    Floats,
    Ints,
    ReliabilityCurve,
    brier_score,
    check_scores,
    expected_calibration_error,
    log_losses,
    reliability_curve,
)
from terag_pipelines.calibration.model import CALIBRATORS
from terag_pipelines.errors import CalibrationError

METHODS = ("identity", "sigmoid", "isotonic")  # simplest first
LOGIT_CLIP = 1e-12


@dataclass(frozen=True)
class CalibrationParams:
    """How a calibrator is chosen. Counts are of labelled scores."""

    n_folds: int = 5
    n_bins: int = 10
    min_labels: int = 50
    min_per_class: int = 5
    seed: int = 7


@dataclass(frozen=True)
class FittedCalibrator:
    """A monotone map from scores in [0, 1] to probabilities in [0, 1].

    `parameters` by method: identity none; sigmoid `slope` (not negative) and `intercept` on the log-odds of
    the score; isotonic `scores` and `values`, the knots of a non-decreasing line.
    """

    calibrator_id: str
    method: str
    parameters: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def apply(self, scores: npt.ArrayLike) -> Floats:
        """The probability of each score, same shape; a missing score (NaN) stays missing."""
        given = np.clip(np.asarray(scores, np.float64), 0.0, 1.0)
        if self.method == "sigmoid":
            return apply_sigmoid(given, self.parameters["slope"][0], self.parameters["intercept"][0])
        if self.method == "isotonic":
            return np.interp(given, self.parameters["scores"], self.parameters["values"]).astype(np.float64)
        return given

    def to_json(self) -> str:
        """The parameters as JSON that reads back to the same bits."""
        return json.dumps({name: list(values) for name, values in self.parameters.items()}, sort_keys=True)

    @classmethod
    def from_json(cls, calibrator_id: str, method: str, parameters: str) -> FittedCalibrator:
        """The calibrator written by `to_json`.

        Raises: CalibrationError where the method is unknown.
        """
        if method not in METHODS:
            raise CalibrationError(f"calibrator {calibrator_id}: unknown method {method!r}, known: {METHODS}")
        return cls(calibrator_id, method, {k: tuple(v) for k, v in json.loads(parameters).items()})


@dataclass(frozen=True)
class Calibration:
    """One fit: its row of CALIBRATORS, the calibrator (None where refused), reliability before and after."""

    row: pa.Table
    fitted: FittedCalibrator | None
    before: ReliabilityCurve | None = None
    after: ReliabilityCurve | None = None


@dataclass(frozen=True)
class Calibrations:
    """Every fit of a batch: the CALIBRATORS table and each calibration by its id."""

    table: pa.Table
    by_id: Mapping[str, Calibration]


def fit_calibrators(
    labelled: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]], params: CalibrationParams | None = None
) -> Calibrations:
    """Fits one calibrator for each id, from its (scores, outcomes)."""
    fits = {name: fit_calibrator(name, *labelled[name], params) for name in sorted(labelled)}
    rows = [fit.row for fit in fits.values()]
    return Calibrations(CALIBRATORS.conform(pa.concat_tables([CALIBRATORS.empty(), *rows])), fits)


def fit_calibrator(
    calibrator_id: str,
    scores: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    params: CalibrationParams | None = None,
) -> Calibration:
    """Chooses identity, sigmoid or isotonic by cross-validated log loss, then fits the choice on all labels.

    Scores that are good already stay as they are. ECE and Brier "after" come from predictions for labels that
    neither the choice of the method nor its fit has seen.
    Labels too few or of one class give a row of method "none" with the reason.

    Raises: CalibrationError where a score is outside [0, 1] or an outcome is neither 0 nor 1.
    """
    params = params or CalibrationParams()
    p, y = _in_order(*check_scores(scores, outcomes))
    if reason := _why_too_few(y, params):
        return Calibration(_row(calibrator_id, "none", "{}", y, {}, reason), None)
    method, reason = choose_method(_held_out_predictions(p, y, params), y)
    fitted = FittedCalibrator(calibrator_id, method, fit_parameters(method, p, y))
    after = _chosen_and_held_out(p, y, params)
    row = _row(calibrator_id, method, fitted.to_json(), y, _figures(p, after, y, params), reason)
    curves = (reliability_curve(said, y, params.n_bins) for said in (p, after))
    return Calibration(row, fitted, *curves)


def load_calibrator(table: pa.Table, calibrator_id: str) -> FittedCalibrator | None:
    """The calibrator of this id from a CALIBRATORS table; None where there is no row or none was fitted."""
    rows = table.filter(pc.equal(table["calibrator_id"], calibrator_id)).to_pylist()
    if not rows or rows[0]["method"] == "none":
        return None
    return FittedCalibrator.from_json(calibrator_id, rows[0]["method"], rows[0]["parameters"])


def choose_method(held_out: Mapping[str, Floats], outcomes: Floats) -> tuple[str, str]:
    """The method of least held-out log loss, or identity where the gain over it is within one standard error.

    Source: one-standard-error rule, Hastie, Tibshirani, Friedman, "Elements of Statistical Learning".
    """
    losses = {method: log_losses(held_out[method], outcomes) for method in METHODS}
    best = min(METHODS[1:], key=lambda method: float(losses[method].mean()))
    gain = losses["identity"] - losses[best]
    is_real = gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))
    told = ", ".join(f"{method} {losses[method].mean():.4f}" for method in METHODS)
    return best if is_real else "identity", f"held-out log loss: {told}"


def fit_parameters(method: str, scores: Floats, outcomes: Floats) -> dict[str, tuple[float, ...]]:
    """The parameters of a method fitted on these labels."""
    if method == "sigmoid":
        return fit_sigmoid(scores, outcomes)
    return fit_isotonic(scores, outcomes) if method == "isotonic" else {}


def fit_sigmoid(scores: Floats, outcomes: Floats) -> dict[str, tuple[float, ...]]:
    """Slope and intercept on the log-odds, by maximum likelihood with targets drawn in from 0 and 1.

    Source: Platt, "Probabilistic Outputs for Support Vector Machines" (1999); the slope is held at 0 or more,
    so that the map is monotone.
    """
    x = logit(np.clip(scores, LOGIT_CLIP, 1 - LOGIT_CLIP))
    centre, scale = float(x.mean()), float(x.std()) or 1.0
    n_positive, n = outcomes.sum(), len(outcomes)
    target = np.where(outcomes == 1, (n_positive + 1) / (n_positive + 2), 1 / (n - n_positive + 2))
    slope, intercept = _minimise_log_loss((x - centre) / scale, target)
    return {"slope": (slope / scale,), "intercept": (intercept - slope * centre / scale,)}


def apply_sigmoid(scores: Floats, slope: float, intercept: float) -> Floats:
    """The logistic curve of slope and intercept on the log-odds of the scores."""
    x = logit(np.clip(scores, LOGIT_CLIP, 1 - LOGIT_CLIP))
    curve: Floats = expit(slope * x + intercept)
    return curve


def fit_isotonic(scores: Floats, outcomes: Floats) -> dict[str, tuple[float, ...]]:
    """Knots of the non-decreasing line nearest to the outcomes (pool adjacent violators), never 0 or 1.

    Each pool takes in one imagined label at the base rate; a second pooling mends the order where small pools
    moved. Source: Zadrozny, Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability
    Estimates" (2002).
    """
    x, place = np.unique(scores, return_inverse=True)
    n, n_positive = np.bincount(place).astype(np.float64), np.bincount(place, outcomes)
    starts = isotonic_regression(n_positive / n, weights=n).blocks[:-1]
    pool_n = np.add.reduceat(n, starts)
    shrunk = (np.add.reduceat(n_positive, starts) + outcomes.mean()) / (pool_n + 1)
    values = isotonic_regression(shrunk, weights=pool_n + 1).x
    ends = np.append(starts[1:], len(x)) - 1
    knots = np.stack([x[starts], x[ends]], axis=1).ravel()
    keep = np.append(True, np.diff(knots) > 0)
    return {"scores": _floats(knots[keep]), "values": _floats(np.repeat(values, 2)[keep])}


def _minimise_log_loss(x: Floats, target: Floats) -> tuple[float, float]:
    def loss_and_gradient(theta: Floats) -> tuple[float, Floats]:
        z = theta[0] * x + theta[1]
        error = expit(z) - target
        loss = np.mean(np.logaddexp(0.0, z) - target * z)
        return float(loss), np.array([np.mean(error * x), np.mean(error)])

    start = np.array([1.0, float(logit(target.mean()))])
    found: Any = minimize(
        loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None), (None, None)]
    )
    return float(found.x[0]), float(found.x[1])


def _held_out_predictions(p: Floats, y: Floats, params: CalibrationParams) -> dict[str, Floats]:
    folds = _folds(y, params)
    held_out = {method: p.copy() for method in METHODS}
    for fold in range(params.n_folds):
        test = folds == fold
        for method in METHODS[1:]:
            fitted = FittedCalibrator("", method, fit_parameters(method, p[~test], y[~test]))
            held_out[method][test] = fitted.apply(p[test])
    return held_out


def _chosen_and_held_out(p: Floats, y: Floats, params: CalibrationParams) -> Floats:
    """The probability of each score by the method that the other folds alone choose and fit."""
    folds = _folds(y, params)
    held_out = np.empty_like(p)
    for fold in range(params.n_folds):
        test = folds == fold
        seen, known = p[~test], y[~test]
        method, _ = choose_method(_held_out_predictions(seen, known, params), known)
        held_out[test] = FittedCalibrator("", method, fit_parameters(method, seen, known)).apply(p[test])
    return held_out


def _folds(y: Floats, params: CalibrationParams) -> Ints:
    """Stratified folds; rows come sorted, so the order of the input does not reach them."""
    random = np.random.default_rng(params.seed)
    folds = np.zeros(len(y), np.int64)
    for outcome in (0.0, 1.0):
        rows = np.flatnonzero(y == outcome)
        folds[random.permutation(rows)] = np.arange(len(rows)) % params.n_folds
    return folds


def _in_order(p: Floats, y: Floats) -> tuple[Floats, Floats]:
    order = np.lexsort((y, p))
    return p[order], y[order]


def _why_too_few(y: Floats, params: CalibrationParams) -> str:
    n_positive = int(y.sum())
    if len(y) < params.min_labels:
        return f"{len(y)} labels, at least {params.min_labels} are needed"
    if min(n_positive, len(y) - n_positive) < max(params.min_per_class, params.n_folds):
        return (
            f"{n_positive} positive and {len(y) - n_positive} negative labels, "
            f"at least {max(params.min_per_class, params.n_folds)} of each are needed"
        )
    return ""


def _figures(p: Floats, after: Floats, y: Floats, params: CalibrationParams) -> dict[str, float]:
    return {
        "ece_before": expected_calibration_error(p, y, params.n_bins),
        "ece_after": expected_calibration_error(after, y, params.n_bins),
        "brier_before": brier_score(p, y),
        "brier_after": brier_score(after, y),
    }


def _row(
    calibrator_id: str, method: str, parameters: str, y: Floats, figures: dict[str, float], reason: str
) -> pa.Table:
    return CALIBRATORS.from_columns(
        calibrator_id=[calibrator_id],
        method=[method],
        parameters=[parameters],
        n_labels=[len(y)],
        n_positive=[int(y.sum())],
        reason=[reason],
        **{name: [value] for name, value in figures.items()},
    )


def _floats(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
