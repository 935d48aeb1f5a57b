"""Regressions that stand behind an effect: ridge and logistic on a flexible basis, or boosted trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CHUNK_ROWS = 100_000
ROWS_PER_FEATURE = 20
RIDGE_GRID = 10.0 ** np.arange(-7, 2)


class Regression(Protocol):
    """A fitted conditional mean."""

    def predict(self, covariates: Floats) -> Floats:
        """The mean of each row."""
        ...


@dataclass(frozen=True)
class Basis:
    """Standardised covariates, their squares, bends at quantiles and pairwise products.

    Columns of few values have neither squares nor bends.


    `low`, `high` hold values within what was seen, so that one absurd value cannot carry a fit.
    """

    low: Floats
    high: Floats
    centre: Floats
    scale: Floats
    knots: tuple[Floats, ...]
    has_products: bool

    def scaled(self, covariates: Floats) -> Floats:
        """Covariates clipped to what was seen, mean 0 and spread 1."""
        clipped: Floats = (np.clip(covariates, self.low, self.high) - self.centre) / self.scale
        return clipped

    def expand(self, covariates: Floats) -> Floats:
        """One row of features for each row of covariates, a leading 1 among them."""
        z = self.scaled(covariates)
        bends = [np.maximum(z[:, [j]] - knots, 0.0) for j, knots in enumerate(self.knots) if len(knots)]
        left, right = np.triu_indices(z.shape[1], 1) if self.has_products else (np.array([], int),) * 2
        curves = z[:, [j for j, knots in enumerate(self.knots) if len(knots)]] ** 2
        return np.hstack([np.ones((len(z), 1)), z, curves, *bends, z[:, left] * z[:, right]])


def fit_basis(covariates: Floats, n_features: float = 0.0) -> Basis:
    """A basis of about so many features: squares and bends, then products, where there is room."""
    n, k = covariates.shape
    low, high = _usual_range(covariates) if n else (np.zeros(k),) * 2
    clipped = np.clip(covariates, low, high)
    scale = clipped.std(axis=0) if n else np.ones(k)
    scale = np.where(scale > 0, scale, 1.0)
    centre = clipped.mean(axis=0) if n else np.zeros(k)
    z = (clipped - centre) / scale
    room = n_features - k - 1
    shares = [0.1, 0.3, 0.5, 0.7, 0.9] if room >= 6 * k else ([0.33, 0.67] if room >= 3 * k else [])
    knots = tuple(_knots(z[:, j], shares) for j in range(k))
    has_products = room - sum(len(bends) + 1 for bends in knots if len(bends)) >= k * (k - 1) // 2
    return Basis(low, high, centre, scale, knots, has_products)


def _usual_range(covariates: Floats) -> tuple[Floats, Floats]:
    """All but one in a thousand at either end, and a quarter more: tails keep their shape."""
    low, high = (np.quantile(covariates, share, axis=0) for share in (0.001, 0.999))
    room = 0.25 * (high - low)
    return np.maximum(low - room, covariates.min(axis=0)), np.minimum(high + room, covariates.max(axis=0))


def _knots(z: Floats, shares: list[float]) -> Floats:
    if not shares or len(np.unique(z[:10_000])) < 10:
        return np.array([])
    inner: Floats = np.unique(np.quantile(z, shares))
    return inner


@dataclass(frozen=True)
class BasisRegression:
    """A mean that is linear in the basis, through a logistic curve where `is_share`."""

    basis: Basis
    coefficients: Floats
    is_share: bool

    def predict(self, covariates: Floats) -> Floats:
        """The mean of each row."""
        line: Floats = self.basis.expand(covariates) @ self.coefficients
        return np.asarray(expit(line), np.float64) if self.is_share else line


@dataclass(frozen=True)
class BoostedRegression:
    """Histogram gradient boosting of scikit-learn."""

    trees: Any
    is_share: bool

    def predict(self, covariates: Floats) -> Floats:
        """The mean of each row."""
        with threadpool_limits(1, "openmp"):
            if self.is_share:
                return np.asarray(self.trees.predict_proba(covariates)[:, 1], np.float64)
            return np.asarray(self.trees.predict(covariates), np.float64)


def fit_on_basis(covariates: Floats, target: Floats, is_share: bool) -> BasisRegression:
    """Ridge with the penalty of least cross-validated error; logistic where the target is 0 or 1."""
    n_telling = 2 * min(target.sum(), len(target) - target.sum()) if is_share else len(target)
    basis = fit_basis(covariates, n_telling / ROWS_PER_FEATURE)
    features = basis.expand(covariates)
    fit = fit_logistic if is_share else fit_ridge
    return BasisRegression(basis, fit(features, target), is_share)


def fit_boosted(covariates: Floats, target: Floats, is_share: bool, seed: int) -> BoostedRegression:
    """Boosted trees of a size that suits the rows; no early stopping, which would hang on a split."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if is_share else HistGradientBoostingRegressor
    leaf = int(np.clip(len(target) // 200, 10, 100))
    trees = kind(
        max_iter=80,
        learning_rate=0.1,
        max_leaf_nodes=16,
        min_samples_leaf=leaf,
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(
        1, "openmp"
    ):  # threads that wait for each other cost more than they give on busy cores
        return BoostedRegression(trees.fit(covariates, target), is_share)


def choose_learner(
    covariates: Floats, target: Floats, is_first_half: Bools, is_share: bool, seed: int
) -> Callable[[Floats, Floats], Regression]:
    """The learner of least squared error when each half predicts the other; trees must gain 1%."""

    def on_basis(x: Floats, y: Floats) -> Regression:
        return fit_on_basis(x, y, is_share)

    def boosted(x: Floats, y: Floats) -> Regression:
        return fit_boosted(x, y, is_share, seed)

    error = {0: 0.0, 1: 0.0}
    for half in (is_first_half, ~is_first_half):
        for place, learner in enumerate((on_basis, boosted)):
            said = learner(covariates[half], target[half]).predict(covariates[~half])
            error[place] += float(np.sum((target[~half] - said) ** 2))
    return boosted if error[1] < 0.99 * error[0] else on_basis


def fit_ridge(features: Floats, target: Floats) -> Floats:
    """Coefficients of ridge regression, the leading 1 not penalised, the penalty chosen by GCV.

    Source: Golub, Heath, Wahba, "Generalized Cross-Validation" (Technometrics 1979).
    """
    means, target_mean = features[:, 1:].mean(axis=0), target.mean()
    x, y = features[:, 1:] - means, target - target_mean
    values, vectors = np.linalg.eigh(x.T @ x)
    values = np.maximum(values, 0.0)
    projected = vectors.T @ (x.T @ y)
    penalty = _least_gcv(values, projected, float(y @ y), len(y))
    slopes = vectors @ (projected / (values + penalty))
    return np.append(target_mean - means @ slopes, slopes)


def _least_gcv(values: Floats, projected: Floats, total: float, n: int) -> float:
    """The ridge penalty of the grid, in units of the largest eigenvalue, that predicts left-out rows best."""
    penalties = RIDGE_GRID * max(float(values.max(initial=0.0)), 1e-12)
    shrunk = values[None, :] + penalties[:, None]
    residual = total - np.sum(projected**2 * (2 / shrunk - values / shrunk**2), axis=1)
    freedom = n - 1 - np.sum(values / shrunk, axis=1)
    errors = np.where(freedom > 0, residual / np.maximum(freedom, 1e-9) ** 2, np.inf)
    return float(penalties[int(np.argmin(errors))])


def fit_logistic(features: Floats, target: Floats, n_steps: int = 25) -> Floats:
    """Coefficients of logistic regression with a light penalty, by Newton steps halved if too long."""
    penalty = np.ones(features.shape[1])
    penalty[0] = 1e-9
    theta = np.zeros(features.shape[1])
    theta[0] = np.log((target.mean() + 1e-9) / (1 - target.mean() + 1e-9))
    loss = _logistic_loss(features, target, theta, penalty)
    for _ in range(n_steps):
        share: Floats = expit(features @ theta)
        gradient = features.T @ (share - target) + penalty * theta
        hessian = (features * (share * (1 - share))[:, None]).T @ features + np.diag(penalty)
        step: Floats = np.linalg.solve(hessian, gradient).astype(np.float64)
        theta, new_loss = _step_down(features, target, theta, step, penalty, loss)
        if loss - new_loss < 1e-9 * abs(loss):
            break
        loss = new_loss
    return theta


def _step_down(
    features: Floats, target: Floats, theta: Floats, step: Floats, penalty: Floats, loss: float
) -> tuple[Floats, float]:
    for halving in range(12):
        moved = theta - step / 2**halving
        new_loss = _logistic_loss(features, target, moved, penalty)
        if new_loss <= loss:
            return moved, new_loss
    return theta, loss


def _logistic_loss(features: Floats, target: Floats, theta: Floats, penalty: Floats) -> float:
    line = features @ theta
    return float(np.sum(np.logaddexp(0.0, line) - target * line) + 0.5 * np.sum(penalty * theta**2))


def predict_in_chunks(model: Regression, covariates: Floats) -> Floats:
    """Predictions row by row in chunks, so that wide features of millions of rows never exist at once."""
    starts = range(0, len(covariates), CHUNK_ROWS)
    parts = [model.predict(covariates[start : start + CHUNK_ROWS]) for start in starts]
    return np.concatenate(parts) if parts else np.zeros(0)
