"""Folds of labelled pairs for cross-validation: no record that a model has seen is among those it is asked.

Pairs are no independent examples: what is learned from one pair of a record helps with its other pairs. So
records, not pairs, are dealt to folds, and a pair is scored by a model that saw neither of its records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from terag_pipelines.linking.components import label_components

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RecordFolds:
    """The group and the fold of both records of each labelled pair, each (n_pairs, 2)."""

    groups: Ints
    folds: Ints

    def splits(self) -> Iterator[tuple[Mask, Mask]]:
        """Pairs to learn from and pairs to score, as masks: every pair is scored once.

        The pairs to score have their records in one fold, or in the same two; no record of these folds is in
        a pair to learn from.
        """
        low, high = self.folds.min(axis=1), self.folds.max(axis=1)
        for one, other in np.unique(np.column_stack([low, high]), axis=0):
            touched = np.isin(self.folds, (one, other))
            yield ~(touched[:, 0] | touched[:, 1]), (low == one) & (high == other)

    def hold_out(self, predict: Callable[[Mask, Mask], Floats]) -> Floats:
        """What `predict` (pairs to learn from, pairs to score) says of every pair."""
        said = np.zeros(len(self.folds))
        for seen, asked in self.splits():
            said[asked] = predict(seen, asked)
        return said

    def standard_error(self, values: Floats) -> float:
        """Of the mean of one value for each pair, where pairs with records of one group hang together.

        Source: Cameron, Gelbach, Miller, "Robust Inference with Multiway Clustering" (2011), by the groups of
        the left and of the right record.
        """
        off = values - values.mean()
        left, right = self.groups.T
        both = left * (int(self.groups.max(initial=0)) + 1) + right
        of_left, of_right, of_both = (_squared_sums(groups, off) for groups in (left, right, both))
        return float(np.sqrt(max(of_left, of_right, of_left + of_right - of_both)) / len(values))


def deal_folds(left: Ints, right: Ints, outcomes: Ints, n_folds: int, seed: int) -> RecordFolds:
    """Folds of records (numbers) of labelled pairs with outcomes 1 (match) and 0.

    Records that labelled pairs connect share a fold. Where nearly all are connected, as by labels that tell
    the entity of every record, only those that matches connect do.
    """
    ids, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    ends = places.reshape(2, -1).astype(np.int64)
    groups = label_components(ends[0], ends[1], len(ids))
    if np.bincount(groups[ends[0]]).max(initial=0) > len(left) / n_folds:
        alike = ends[:, outcomes == 1]
        groups = label_components(alike[0], alike[1], len(ids))
    sizes = np.bincount(groups[ends].ravel())
    folds = _deal(sizes, n_folds, seed)
    return RecordFolds(groups[ends].T, folds[groups[ends]].T)


def _deal(sizes: Ints, n_folds: int, seed: int) -> Ints:
    """The fold of each group: shuffled, large ones first, each to the fold that holds least."""
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    fold_of, filled = np.zeros(len(sizes), np.int64), np.zeros(n_folds)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold_of[group] = int(np.argmin(filled))
        filled[fold_of[group]] += sizes[group]
    return fold_of


def _squared_sums(groups: Ints, values: Floats) -> float:
    which = np.unique(groups, return_inverse=True)[1]
    return float((np.bincount(which, values) ** 2).sum())
