"""How far probabilities are from what happened: ECE, Brier score, log loss, reliability with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from terag_pipelines.errors import CalibrationError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Binning = Literal["width", "mass"]

LOG_LOSS_CLIP = 1e-6


@dataclass(frozen=True)
class ReliabilityCurve:
    """What was said against what happened, one element for each bin that holds at least one score."""

    n: Ints
    mean_probability: Floats
    observed_share: Floats
    observed_low: Floats
    observed_high: Floats


def check_scores(probabilities: npt.ArrayLike, outcomes: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Both as float arrays of one length, probabilities within [0, 1] and outcomes 0 or 1.

    Raises: CalibrationError where they are not.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(outcomes, np.float64)
    if p.ndim != 1 or p.shape != y.shape:
        raise CalibrationError(f"scores {p.shape} and outcomes {y.shape} are not two lists of one length")
    if not np.all((p >= 0) & (p <= 1)):
        raise CalibrationError("a score is missing or outside [0, 1]")
    if not np.all((y == 0) | (y == 1)):
        raise CalibrationError("an outcome is neither 0 nor 1")
    return p, y


def assign_bins(probabilities: Floats, n_bins: int, binning: Binning) -> Ints:
    """The bin of each score: of equal width over [0, 1], or of equal count with ties kept together."""
    if binning == "width":
        return np.minimum((probabilities * n_bins).astype(np.int64), n_bins - 1)
    first_rank = np.searchsorted(np.sort(probabilities), probabilities, side="left")
    return (first_rank * n_bins) // max(len(probabilities), 1)


def expected_calibration_error(
    probabilities: npt.ArrayLike, outcomes: npt.ArrayLike, n_bins: int = 10, binning: Binning = "width"
) -> float:
    """The mean distance of said and observed share over the bins, weighted by their counts; NaN if empty.

    Source: Naeini, Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning".
    """
    p, y = check_scores(probabilities, outcomes)
    if not len(p):
        return float("nan")
    bins = assign_bins(p, n_bins, binning)
    gaps = np.bincount(bins, p, n_bins) - np.bincount(bins, y, n_bins)
    return float(np.abs(gaps).sum() / len(p))


def brier_score(probabilities: npt.ArrayLike, outcomes: npt.ArrayLike) -> float:
    """The mean squared distance of probability and outcome (Brier, 1950); NaN if empty."""
    p, y = check_scores(probabilities, outcomes)
    return float(np.mean((p - y) ** 2)) if len(p) else float("nan")


def log_losses(probabilities: Floats, outcomes: Floats) -> Floats:
    """Each row's -log of the probability given to what happened, in nats, at most -log(1e-6)."""
    said = np.where(outcomes == 1, probabilities, 1 - probabilities)
    losses: Floats = -np.log(np.clip(said, LOG_LOSS_CLIP, 1 - LOG_LOSS_CLIP))
    return losses


def wilson_interval(
    n_positive: npt.ArrayLike, n: npt.ArrayLike, level: float = 0.95
) -> tuple[Floats, Floats]:
    """The score interval of a share (Wilson, 1927), which stays within [0, 1] and never closes."""
    k, total = np.asarray(n_positive, np.float64), np.asarray(n, np.float64)
    z2 = float(ndtri(0.5 + level / 2)) ** 2
    centre = (k + z2 / 2) / (total + z2)
    half = np.sqrt(z2 * (k * (total - k) / total + z2 / 4)) / (total + z2)
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def reliability_curve(
    probabilities: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    n_bins: int = 10,
    binning: Binning = "width",
    level: float = 0.95,
) -> ReliabilityCurve:
    """Mean probability and observed share with its Wilson interval for each bin that is not empty."""
    p, y = check_scores(probabilities, outcomes)
    bins = assign_bins(p, n_bins, binning)
    count = np.bincount(bins, minlength=n_bins)
    full = count > 0
    n, n_positive = count[full], np.bincount(bins, y, n_bins)[full]
    low, high = wilson_interval(n_positive, n, level)
    mean = np.bincount(bins, p, n_bins)[full] / n
    return ReliabilityCurve(n.astype(np.int64), mean, n_positive / n, low, high)
