"""Latent classes of pairs, more than two: matches, relatives of one household, strangers.

Winkler (1993), "Improved decision rules in the Fellegi-Sunter model of record linkage": relatives share
surname, address and telephone, so that of two classes EM may find the members of households instead of the
matches; a class of their own keeps the two apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from terag_pipelines.linking.levels import Levels
from terag_pipelines.linking.patterns import PatternCounts

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LatentClass:
    """What a class of pairs is held to be: its share, and by field the probabilities of the known levels."""

    share: float
    tables: tuple[Floats, ...]

    def log_odds(self, patterns: Levels) -> Floats:
        """Log of the share times the likelihood of each pattern; missing fields are neutral."""
        total = np.full(len(patterns), np.log(self.share))
        for at, table in enumerate(self.tables):
            total += np.append(0.0, np.log(table))[patterns[:, at]]
        return total


@dataclass(frozen=True)
class FittedClasses:
    """`posteriors` (n_classes, n_patterns) of the classes in the order given, and how EM went."""

    posteriors: Floats
    n_iterations: int
    converged: bool


def fit_classes(
    prior: Sequence[LatentClass],
    counts: PatternCounts,
    prior_strength: float,
    max_iterations: int,
    tolerance: float,
) -> FittedClasses:
    """EM from the prior classes, each of which counts as `prior_strength` pairs in each field."""
    posteriors = _posteriors(prior, counts.patterns)
    for iteration in range(1, max_iterations + 1):
        classes = _maximise(prior, posteriors * counts.counts, counts.patterns, prior_strength)
        updated = _posteriors(classes, counts.patterns)
        moved = float(np.abs(updated - posteriors).max(initial=0))
        posteriors = updated
        if moved < tolerance:
            return FittedClasses(posteriors, iteration, True)
    return FittedClasses(posteriors, max_iterations, False)


def _posteriors(classes: Sequence[LatentClass], patterns: Levels) -> Floats:
    logs = np.stack([each.log_odds(patterns) for each in classes])
    odds = np.exp(logs - logs.max(axis=0))
    return np.asarray(odds / odds.sum(axis=0))


def _maximise(
    prior: Sequence[LatentClass], expected: Floats, patterns: Levels, strength: float
) -> list[LatentClass]:
    sums = expected.sum(axis=1) + strength * np.array([each.share for each in prior])
    shares = sums / sums.sum()
    return [
        LatentClass(
            float(share),
            tuple(
                _shares(patterns[:, at], weights, table, strength) for at, table in enumerate(before.tables)
            ),
        )
        for before, share, weights in zip(prior, shares, expected, strict=True)
    ]


def _shares(levels: npt.NDArray[np.int8], weights: Floats, prior: Floats, strength: float) -> Floats:
    seen = np.bincount(levels, weights, minlength=len(prior) + 1)[1:] + strength * prior
    return np.asarray(seen / seen.sum())
