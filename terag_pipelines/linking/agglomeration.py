"""Clusters inside doubtful components: best supported merges first, within constraints, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.scored_rows import Floats, Mask, Rows

UNKNOWN, SEVERAL = -1, -2


@dataclass(frozen=True)
class Edges:
    """What is known between clusters, each pair once, ordered by (left, right); left < right.

    `weight` is the sum over `n_seen` compared pairs of members; `is_link` where one of them is a link,
    `is_forbidden` where one of them must not be together.
    """

    left: Rows
    right: Rows
    weight: Floats
    n_seen: Rows
    is_link: Mask
    is_forbidden: Mask

    def select(self, mask: Mask) -> Edges:
        """The edges under the mask."""
        return Edges(*(values[mask] for values in vars(self).values()))

    def relabel(self, labels: Rows) -> Edges:
        """The edges between the clusters that the labels make of the clusters."""
        one, other = labels[self.left], labels[self.right]
        low, high = np.minimum(one, other), np.maximum(one, other)
        order = np.lexsort((high, low))
        order = order[low[order] != high[order]]
        low, high = low[order], high[order]
        first = np.flatnonzero((np.diff(low, prepend=-1) != 0) | (np.diff(high, prepend=-1) != 0))
        if len(first) == 0:
            return self.select(np.zeros(len(self.left), bool))
        return Edges(
            low[first],
            high[first],
            np.add.reduceat(self.weight[order], first),
            np.add.reduceat(self.n_seen[order], first),
            np.logical_or.reduceat(self.is_link[order], first),
            np.logical_or.reduceat(self.is_forbidden[order], first),
        )


class Marks:
    """Identities of one kind, by cluster: a code, UNKNOWN, or SEVERAL where people joined different ones."""

    def __init__(self, codes: Rows) -> None:
        self._codes = codes.copy()
        self._sets: dict[int, frozenset[int]] = {}

    def conflict(self, left: Rows, right: Rows) -> Mask:
        """Where two clusters are known to be of different identities."""
        one, other = self._codes[left], self._codes[right]
        found = (one >= 0) & (other >= 0) & (one != other)
        for at in np.flatnonzero(
            ((one == SEVERAL) | (other == SEVERAL)) & (one != UNKNOWN) & (other != UNKNOWN)
        ):
            found[at] = not self._held(int(left[at])) & self._held(int(right[at]))
        return np.asarray(found)

    def merge(self, kept: Rows, gone: Rows) -> None:
        """Cluster kept[i] takes over the identity of gone[i]; no cluster is in both."""
        one, other = self._codes[kept], self._codes[gone]
        differ = (one != UNKNOWN) & (other != UNKNOWN) & ((one != other) | (one == SEVERAL))
        moved = (one == UNKNOWN) & (other == SEVERAL)
        for at in np.flatnonzero(differ | moved):
            held = self._held(int(kept[at])) | self._held(int(gone[at]))
            self._sets[int(kept[at])] = held
        self._codes[kept] = np.where(differ, SEVERAL, np.where(one == UNKNOWN, other, one))

    def _held(self, cluster: int) -> frozenset[int]:
        code = int(self._codes[cluster])
        return self._sets[cluster] if code == SEVERAL else frozenset({code} - {UNKNOWN})


class Sizes:
    """How many members clusters have; with sides, how many on each of the two.

    Where there are sides, two members of one side could not be compared: their pair is none.
    """

    def __init__(self, counts: Rows, are_sides: bool) -> None:
        self._counts, self._are_sides = counts, are_sides

    @classmethod
    def of(cls, labels: Rows, n: int, is_first_side: Mask | None = None) -> Sizes:
        """Of n clusters, by the cluster of each member."""
        if is_first_side is None:
            return cls(np.bincount(labels, minlength=n)[None, :], False)
        sides = (is_first_side, ~is_first_side)
        return cls(np.stack([np.bincount(labels[side], minlength=n) for side in sides]), True)

    def totals(self) -> Rows:
        """The members of each cluster."""
        return np.asarray(self._counts.sum(axis=0))

    def pairs_between(self, left: Rows, right: Rows) -> Rows:
        """The pairs of a member of left[i] with one of right[i] that could be compared."""
        one, other = self._counts[:, left], self._counts[:, right]
        return np.asarray((one * (other[::-1] if self._are_sides else other)).sum(axis=0))

    def pairs_within(self) -> Rows:
        """The pairs of members of each cluster that could be compared."""
        if self._are_sides:
            return np.asarray(self._counts.prod(axis=0))
        return np.asarray(self._counts[0] * (self._counts[0] - 1) // 2)

    def merge(self, kept: Rows, gone: Rows) -> None:
        """Cluster kept[i] takes over the members of gone[i]; no cluster is in both."""
        self._counts[:, kept] += self._counts[:, gone]


def agglomerate(
    sizes: Sizes,
    edges: Edges,
    marks: Sequence[Marks],
    together: tuple[Rows, Rows],
    unseen_weight: float,
) -> Rows:
    """The cluster of each member, named by its first member, by average linkage over match weights; `sizes`
    are those of clusters of one.

    Two clusters merge where a link joins them, the average weight between their members is above 0 (a pair
    that was not compared but could be counts `unseen_weight`; one that could not counts nothing), none of
    their members are forbidden to meet and no mark conflicts.
    Pairs in `together` are merged first, whatever speaks against it. Reciprocal nearest neighbours are merged
    in rounds: average linkage is reducible, so that the order of merges does not matter (Murtagh, 1983).
    """
    n = len(sizes.totals())
    labels = np.arange(n)
    for kept, gone in _rounds_of(n, together):
        labels = _merge(labels, sizes, marks, kept, gone)
    edges = edges.relabel(labels)
    while True:
        kept, gone = _reciprocal_neighbours(edges, sizes, marks, unseen_weight)
        if len(kept) == 0:
            return labels
        merged = _merge(np.arange(n), sizes, marks, kept, gone)
        labels, edges = merged[labels], edges.relabel(merged)


def _rounds_of(n: int, together: tuple[Rows, Rows]) -> Iterator[tuple[Rows, Rows]]:
    """Merges that make one cluster of each component of the pairs: in each round neighbours, two by two."""
    groups = label_components(*together, n)
    order, sizes = np.argsort(groups, kind="stable"), np.bincount(groups)
    place = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # within the component, in order
    step = 1
    while step < sizes.max(initial=0):
        at = np.flatnonzero(place % (2 * step) == step)
        yield order[at - step], order[at]
        step *= 2


def _merge(labels: Rows, sizes: Sizes, marks: Sequence[Marks], kept: Rows, gone: Rows) -> Rows:
    """Labels after gone[i] became part of kept[i], for clusters; sizes and marks follow in place."""
    sizes.merge(kept, gone)
    for mark in marks:
        mark.merge(kept, gone)
    becomes = np.arange(len(labels))
    becomes[gone] = kept
    return becomes[labels]


def _reciprocal_neighbours(
    edges: Edges, sizes: Sizes, marks: Sequence[Marks], unseen_weight: float
) -> tuple[Rows, Rows]:
    """Pairs of clusters that are each other's best merge; ties go to the pair that comes first."""
    n_pairs = np.maximum(sizes.pairs_between(edges.left, edges.right), 1)  # of decisions alone there are none
    average = (edges.weight + (n_pairs - edges.n_seen) * unseen_weight) / n_pairs
    possible = edges.is_link & ~edges.is_forbidden & (average > 0)
    for mark in marks:
        possible &= ~mark.conflict(edges.left, edges.right)
    at = np.flatnonzero(possible)
    at = at[np.argsort(-average[at], kind="stable")][::-1]  # the best last, so that it is what stays
    best = np.full(len(sizes.totals()), -1)
    both = np.stack([edges.left[at], edges.right[at]], axis=1).ravel()
    best[both] = np.repeat(at, 2)
    chosen = np.unique(best[best >= 0])
    mutual = chosen[(best[edges.left[chosen]] == chosen) & (best[edges.right[chosen]] == chosen)]
    return edges.left[mutual], edges.right[mutual]
