"""What a change would do for one client: a line over its covariates, and who is too unlike the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtri

from terag_pipelines.twin.estimation import Ints, Scores, Study
from terag_pipelines.twin.learners import Basis, Floats, fit_basis, fit_ridge
from terag_pipelines.twin.spec import Question

RIDGE_BELOW_ROWS_PER_FEATURE = 100


@dataclass(frozen=True)
class EffectModel:
    """A client's effect, linear in its k clipped, standardised covariates, with the covariance of the line.

    `inverse_spread` (k x k) and `max_distance` say how far from the middle of the study a client may be.
    """

    covariates: tuple[str, ...]
    basis: Basis
    coefficients: Floats
    covariance: Floats
    inverse_spread: Floats
    max_distance: float

    def features(self, values: Floats) -> Floats:
        """A leading 1 and the scaled covariates, one row for each row of values."""
        return np.hstack([np.ones((len(values), 1)), self.basis.scaled(values)])

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Effect and standard error for each row of features."""
        variance = np.einsum("ij,jk,ik->i", features, self.covariance, features)
        return features @ self.coefficients, np.sqrt(np.maximum(variance, 0.0))

    def distance(self, values: Floats) -> Floats:
        """Squared Mahalanobis distance of each row of values from the middle of the study."""
        z = (values - self.basis.centre) / self.basis.scale
        distance: Floats = np.einsum("ij,jk,ik->i", z, self.inverse_spread, z)
        return distance


@dataclass(frozen=True)
class FittedTwin:
    """The effect model of every answerable question: effects for clients that the panel did not hold."""

    models: Mapping[Question, EffectModel]

    def predict(self, question: Question, values: Floats) -> tuple[Floats, Floats]:
        """Effect and standard error for rows of covariates in the model's order; NaN too far from the study.

        Raises: KeyError where the question was refused.
        """
        model = self.models[question]
        effect, error = model.predict(model.features(values))
        is_far = model.distance(values) > model.max_distance
        return np.where(is_far, np.nan, effect), np.where(is_far, np.nan, error)

    def to_json(self) -> str:
        """The models as JSON that reads back to the same bits."""
        rows = [
            {"treatment": question.treatment, "outcome": question.outcome, **_plain(model)}
            for question, model in sorted(self.models.items())
        ]
        return json.dumps(rows, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> FittedTwin:
        """The twin written by `to_json`."""
        return cls({Question(row["treatment"], row["outcome"]): _model(row) for row in json.loads(text)})


def fit_effect_model(names: tuple[str, ...], study: Study, scores: Scores) -> EffectModel:
    """The regression of scores on scaled covariates, with a sandwich covariance clustered by client."""
    kept = scores.has_overlap
    values, target = study.covariates[kept], scores.score[kept]
    basis = fit_basis(values)
    z = basis.scaled(values)
    features = np.hstack([np.ones((len(z), 1)), z])
    coefficients = _fit_line(features, target)
    bread = np.linalg.pinv(features.T @ features)
    covariance = (
        bread @ _clustered_meat(features, target - features @ coefficients, study.client[kept]) @ bread
    )
    inverse_spread = np.asarray(np.linalg.pinv(z.T @ z / max(len(z), 1)), np.float64)
    model = EffectModel(names, basis, coefficients, covariance, inverse_spread, np.inf)
    usual = float(chdtri(max(len(names), 1), 1e-4))
    limit = max(usual, min(4 * usual, float(np.quantile(model.distance(values), 0.999))))
    return EffectModel(names, basis, coefficients, covariance, inverse_spread, limit)


def _fit_line(features: Floats, target: Floats) -> Floats:
    """Least squares, whose intervals hold; ridge where there are too few rows for that to be steady."""
    if len(target) < RIDGE_BELOW_ROWS_PER_FEATURE * features.shape[1] and features.shape[1] > 1:
        return fit_ridge(features, target)
    return np.asarray(np.linalg.lstsq(features, target, rcond=None)[0], np.float64)


def mean_by_client(client: Ints, values: Floats) -> Floats:
    """The mean of the rows of each client; clients are in order."""
    starts = client_starts(client)
    counts = np.diff(np.append(starts, len(client)))
    means: Floats = np.add.reduceat(values, starts, axis=0) / counts.reshape(-1, *[1] * (values.ndim - 1))
    return means


def client_starts(client: Ints) -> Ints:
    """The first row of each client; clients are in order."""
    return np.flatnonzero(np.append(len(client) > 0, np.diff(client) != 0)).astype(np.int64)


def _clustered_meat(features: Floats, residual: Floats, client: Ints) -> Floats:
    sums = np.add.reduceat(features * residual[:, None], client_starts(client), axis=0)
    meat: Floats = sums.T @ sums * (len(sums) / max(len(sums) - 1, 1))
    return meat


def _plain(model: EffectModel) -> dict[str, Any]:
    return {
        "covariates": list(model.covariates),
        "low": model.basis.low.tolist(),
        "high": model.basis.high.tolist(),
        "centre": model.basis.centre.tolist(),
        "scale": model.basis.scale.tolist(),
        "coefficients": model.coefficients.tolist(),
        "covariance": model.covariance.tolist(),
        "inverse_spread": model.inverse_spread.tolist(),
        "max_distance": model.max_distance,
    }


def _model(row: Mapping[str, Any]) -> EffectModel:
    k = len(row["covariates"])
    low, high, centre, scale = (np.array(row[key], np.float64) for key in ("low", "high", "centre", "scale"))
    return EffectModel(
        tuple(row["covariates"]),
        Basis(low, high, centre, scale, (np.array([]),) * k, has_products=False),
        np.array(row["coefficients"], np.float64),
        np.array(row["covariance"], np.float64).reshape(k + 1, k + 1),
        np.array(row["inverse_spread"], np.float64).reshape(k, k),
        float(row["max_distance"]),
    )
