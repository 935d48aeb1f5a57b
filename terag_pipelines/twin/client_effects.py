"""What a change would do for one client: a line over its covariates, and who is too unlike the others.

A client's effect is that of clients with its covariates. Its interval holds the uncertainty of the line and
the spread that boosted trees still find about it; what no covariate tells of a client is in no interval.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import chdtri

from terag_pipelines.twin.effect_lines import (
    choose_basis,
    client_starts,
    fit_line,
    line_covariance,
    measure_leftover,
    whole_clients,
)
from terag_pipelines.twin.estimation import Ints, Scores, Study
from terag_pipelines.twin.learners import Basis, Floats
from terag_pipelines.twin.spec import Question


@dataclass(frozen=True)
class EffectModel:
    """A client's effect, a line over features of its k clipped, standardised covariates, with its covariance.

    `leftover` is the standard deviation of effects about the line, as far as trees foretell it.
    `inverse_spread` (k x k) and `max_distance` say how far from the middle of the study a client may be.
    """

    covariates: tuple[str, ...]
    basis: Basis
    coefficients: Floats
    covariance: Floats
    leftover: float
    inverse_spread: Floats
    max_distance: float

    def features(self, values: Floats) -> Floats:
        """A leading 1 and what the basis makes of the covariates, one row for each row of values."""
        return self.basis.expand(values)

    def features_by_client(self, client: Ints, values: Floats) -> Floats:
        """The mean features of each client's rows; clients are in order."""
        return np.concatenate(
            [mean_by_client(client[rows], self.features(values[rows])) for rows in whole_clients(client)]
        )

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Effect and standard error for each row of features."""
        variance = np.einsum("ij,jk,ik->i", features, self.covariance, features)
        return features @ self.coefficients, np.sqrt(np.maximum(variance, 0.0) + self.leftover**2)

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


def fit_effect_model(names: tuple[str, ...], study: Study, scores: Scores, seed: int) -> EffectModel:
    """The regression of scores on covariates, with a sandwich covariance clustered by client."""
    kept = scores.has_overlap
    values, target, client = study.covariates[kept], scores.score[kept], study.client[kept]
    basis = choose_basis(values, target, client, seed)
    coefficients = fit_line(basis, values, target)
    said = [basis.expand(values[rows]) @ coefficients for rows in whole_clients(client)]
    residual = target - np.concatenate(said)
    covariance = line_covariance(basis, values, residual, client)
    leftover = measure_leftover(values, residual, client, seed)
    z = basis.scaled(values)
    inverse_spread = np.asarray(np.linalg.pinv(z.T @ z / max(len(z), 1)), np.float64)
    model = EffectModel(names, basis, coefficients, covariance, leftover, inverse_spread, np.inf)
    usual = float(chdtri(max(len(names), 1), 1e-4))
    limit = max(usual, min(4 * usual, float(np.quantile(model.distance(values), 0.999))))
    return replace(model, max_distance=limit)


def mean_by_client(client: Ints, values: Floats) -> Floats:
    """The mean of the rows of each client; clients are in order."""
    starts = client_starts(client)
    counts = np.diff(np.append(starts, len(client)))
    means: Floats = np.add.reduceat(values, starts, axis=0) / counts.reshape(-1, *[1] * (values.ndim - 1))
    return means


def _plain(model: EffectModel) -> dict[str, Any]:
    return {
        "covariates": list(model.covariates),
        "low": model.basis.low.tolist(),
        "high": model.basis.high.tolist(),
        "centre": model.basis.centre.tolist(),
        "scale": model.basis.scale.tolist(),
        "knots": [knots.tolist() for knots in model.basis.knots],
        "has_products": model.basis.has_products,
        "coefficients": model.coefficients.tolist(),
        "covariance": model.covariance.tolist(),
        "leftover": model.leftover,
        "inverse_spread": model.inverse_spread.tolist(),
        "max_distance": model.max_distance,
    }


def _model(row: Mapping[str, Any]) -> EffectModel:
    k = len(row["covariates"])
    low, high, centre, scale = (np.array(row[key], np.float64) for key in ("low", "high", "centre", "scale"))
    knots = tuple(np.array(places, np.float64) for places in row["knots"])
    coefficients = np.array(row["coefficients"], np.float64)
    return EffectModel(
        tuple(row["covariates"]),
        Basis(low, high, centre, scale, knots, bool(row["has_products"])),
        coefficients,
        np.array(row["covariance"], np.float64).reshape(len(coefficients), len(coefficients)),
        float(row["leftover"]),
        np.array(row["inverse_spread"], np.float64).reshape(k, k),
        float(row["max_distance"]),
    )
