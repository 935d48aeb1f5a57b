"""Learners of match weights from labelled pairs: what they see of a pair, how they are fitted, what they say.

All see the comparison pattern (the level of every field), the adjustments by term frequency and the like, and
the match weight that was learned without labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit
from threadpoolctl import threadpool_limits

from terag_pipelines.linking.adjustments import (
    JOINT,
    NAME_COLUMNS,
    SHARED_COLUMNS,
    AdjustmentParams,
    adjustment_parts,
)
from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.encoding import EncodedRecords
from terag_pipelines.linking.patterns import ComparedPairs

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
ADJUSTMENTS = (*NAME_COLUMNS, "address", *SHARED_COLUMNS, *JOINT)
LOGISTIC, BOOSTED = "logistic", "boosted"
MAX_WEIGHT = 30.0  # bits; beyond it a match weight says nothing more
LEAST_PROBABILITY = 1e-6  # of a boosted learner; its leaves cannot tell more
LN2 = float(np.log(2.0))


@dataclass(frozen=True)
class PairFeatures:
    """What learners see of pairs: the unsupervised weight (n,), the levels (n, n_fields) of `fields`, and
    ADJUSTMENTS (n, n_adjustments), both in bits."""

    fields: tuple[str, ...]
    weights: Floats
    levels: npt.NDArray[np.int8]
    adjustments: Floats

    def select(self, mask: Mask) -> PairFeatures:
        """The pairs under the mask."""
        return PairFeatures(self.fields, self.weights[mask], self.levels[mask], self.adjustments[mask])


def see_pairs(
    records: EncodedRecords,
    pairs: tuple[Codes, Codes],
    compared: ComparedPairs,
    weights: Floats,
    fields: tuple[str, ...],
    params: AdjustmentParams,
) -> PairFeatures:
    """The features of pairs of rows that were compared and weighed, in the given fields."""
    levels = {name: compared.levels(name) for name in fields}
    # by all fields: what is known beside names counts, though no labelled pair knows it
    parts = adjustment_parts(records, *pairs, compared.known_levels(), params)
    columns = [np.broadcast_to(parts.get(name, 0.0), len(weights)) for name in ADJUSTMENTS]
    held = np.clip(weights, -MAX_WEIGHT, MAX_WEIGHT)
    stacked = np.column_stack(list(levels.values())) if fields else np.zeros((len(weights), 0), np.int8)
    return PairFeatures(fields, held, stacked, np.column_stack(columns))


class PairLearner(Protocol):
    """A fitted learner."""

    def weigh(self, features: PairFeatures) -> Floats:
        """Match weights of pairs, in bits: log2 of the odds, (n,)."""


@dataclass(frozen=True)
class LogisticParams:
    """Standard deviations of the Gaussian prior around the unsupervised weight, in nats or as factors.

    Told on populations that were made for it: of those that predict well, the ones that stay nearer to it.
    """

    of_level: float = 2.0
    of_factor: float = 1.0
    of_intercept: float = 5.0


@dataclass(frozen=True)
class LogisticLearner:
    """A correction of the unsupervised weight: a factor for it and for each adjustment, bits for each level.

    A level that no label shows, and a batch without labels, leave the unsupervised weight as it is.
    """

    coefficients: Floats

    @classmethod
    def fit(
        cls, features: PairFeatures, outcomes: Floats, params: LogisticParams = LogisticParams()
    ) -> LogisticLearner:
        """The most probable coefficients: ridge regression with the unsupervised weight as offset."""
        design, offset = _design(features), LN2 * features.weights
        n_factors = 1 + len(ADJUSTMENTS)
        spread = np.full(design.shape[1], params.of_level)
        spread[0], spread[1 : 1 + n_factors] = params.of_intercept, params.of_factor

        def loss_and_gradient(theta: Floats) -> tuple[float, Floats]:
            z = offset + design @ theta
            loss = float((np.logaddexp(0.0, z) - outcomes * z).sum() + 0.5 * ((theta / spread) ** 2).sum())
            return loss, design.T @ (expit(z) - outcomes) + theta / spread**2

        def curvature(theta: Floats) -> Floats:
            said = expit(offset + design @ theta)
            weighted = design.multiply((said * (1 - said))[:, None]).tocsr()
            return np.asarray((design.T @ weighted).toarray()) + np.diag(1 / spread**2)

        start = np.zeros(design.shape[1])
        with threadpool_limits(1, "blas"):  # no threads that wait for each other on busy cores
            found: Any = minimize(loss_and_gradient, start, jac=True, hess=curvature, method="trust-exact")
        return cls(np.asarray(found.x, np.float64))

    def weigh(self, features: PairFeatures) -> Floats:
        """Match weights of pairs, in bits."""
        return features.weights + np.asarray(_design(features) @ self.coefficients) / LN2


LEVEL_SLOTS = 16  # a level is a 4-bit number


def _design(features: PairFeatures) -> csr_array:
    """Columns: one, the weight, the adjustments (nats), then an indicator of each level of each field."""
    n, n_fields = features.levels.shape
    numbers = np.column_stack([np.ones(n), LN2 * features.weights, LN2 * features.adjustments])
    n_numbers = numbers.shape[1]
    slots = n_numbers + LEVEL_SLOTS * np.arange(n_fields) + features.levels.astype(np.int64)
    columns = np.hstack([np.broadcast_to(np.arange(n_numbers), (n, n_numbers)), slots])
    values = np.hstack([numbers, np.ones((n, n_fields))])
    starts = np.arange(n + 1) * columns.shape[1]
    shape = (n, n_numbers + LEVEL_SLOTS * n_fields)
    return csr_array((values.ravel(), columns.ravel(), starts), shape=shape)


@dataclass(frozen=True)
class BoostedParams:
    """Trees small and few enough for some hundred labels."""

    learning_rate: float = 0.1
    n_trees: int = 100
    max_leaves: int = 8
    min_pairs_of_leaf: int = 10
    l2_penalty: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class BoostedLearner:
    """Boosted trees in which neither a greater weight or adjustment nor a closer level can count against."""

    model: Any

    @classmethod
    def fit(
        cls, features: PairFeatures, outcomes: Floats, params: BoostedParams = BoostedParams()
    ) -> BoostedLearner:
        """Gradient boosting of the log loss, all numbers and levels held monotone."""
        from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import, and rarely needed

        table = _table(features)
        table[:, np.isnan(table).all(axis=0)] = (
            0.0  # a field that no label knows: trees cannot be split by it
        )
        model = HistGradientBoostingClassifier(
            learning_rate=params.learning_rate,
            max_iter=params.n_trees,
            max_leaf_nodes=params.max_leaves,
            min_samples_leaf=params.min_pairs_of_leaf,
            l2_regularization=params.l2_penalty,
            monotonic_cst=[1] * table.shape[1],
            early_stopping=False,
            random_state=params.seed,
        )
        with threadpool_limits(1, "openmp"):
            return cls(model.fit(table, outcomes.astype(np.int64)))

    def weigh(self, features: PairFeatures) -> Floats:
        """Match weights of pairs, in bits."""
        with threadpool_limits(1, "openmp"):
            said = self.model.predict_proba(_table(features))[:, 1]
        held = np.clip(said, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        return np.asarray(np.log2(held / (1 - held)), np.float64)


def _table(features: PairFeatures) -> Floats:
    """Columns that all grow with agreement; a missing field is NaN."""
    closeness = np.where(features.levels > 0, -features.levels.astype(np.float64), np.nan)
    return np.column_stack([features.weights, features.adjustments, closeness])


@dataclass(frozen=True)
class FittedLearner:
    """A learner and the unsupervised weights (least, most, in bits) that its labels cover.

    Reviews ask about doubtful pairs: of the others their labels say nothing. Beyond the weights that are
    covered the learned weight grows as the unsupervised one does.
    """

    learner: PairLearner
    least: float
    most: float

    def weigh(self, features: PairFeatures) -> Floats:
        """Match weights of pairs, in bits."""
        held = np.clip(features.weights, self.least, self.most)
        return self.learner.weigh(replace(features, weights=held)) + (features.weights - held)


def fit_learner(name: str, features: PairFeatures, outcomes: Floats) -> FittedLearner:
    """The learner of one name, fitted to labelled pairs with outcomes 1 (match) and 0."""
    weights = features.weights
    return FittedLearner(LEARNERS[name](features, outcomes), float(weights.min()), float(weights.max()))


LEARNERS: Mapping[str, Callable[[PairFeatures, Floats], PairLearner]] = MappingProxyType(
    {LOGISTIC: LogisticLearner.fit, BOOSTED: BoostedLearner.fit}
)
"""Simplest first."""
