"""Clusters inside doubtful components: best supported merges first, within constraints, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

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
    """How many members clusters have, from clusters of one on.

    Members of one code in `equals` (-1 for none) say the same but could not be compared: their pair is none.
    """

    def __init__(self, n: int, equals: Rows | None = None) -> None:
        self._counts = np.ones(n, np.int64)
        rows = np.flatnonzero(equals >= 0) if equals is not None else np.zeros(0, np.int64)
        codes = np.unique(equals[rows], return_inverse=True)[1] if equals is not None else rows
        shape = (n, int(codes.max(initial=-1)) + 1)
        self._equals = csr_array((np.ones(len(rows), np.int64), (rows, codes)), shape=shape)

    def __len__(self) -> int:
        return len(self._counts)

    def pairs_between(self, left: Rows, right: Rows) -> Rows:
        """The pairs of a member of left[i] with one of right[i] that could be compared."""
        pairs = self._counts[left] * self._counts[right]
        if self._equals.nnz:
            pairs -= self._equals[left].multiply(self._equals[right]).sum(axis=1)
        return np.asarray(pairs)

    def merge(self, kept: Rows, gone: Rows) -> None:
        """Cluster kept[i] takes over the members of gone[i]; no cluster is in both."""
        self._counts[kept] += self._counts[gone]
        if self._equals.nnz:
            becomes = np.arange(len(self))
            becomes[gone] = kept
            ones = np.ones(len(self), np.int64)
            moves = csr_array((ones, (becomes, np.arange(len(self)))), shape=(len(self), len(self)))
            self._equals = csr_array(moves @ self._equals)


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
    labels = np.arange(len(sizes))
    for kept, gone in _rounds_of(len(sizes), together):
        labels = _merge(labels, sizes, marks, kept, gone)
    edges = edges.relabel(labels)
    while True:
        kept, gone = _reciprocal_neighbours(edges, sizes, marks, unseen_weight)
        if len(kept) == 0:
            return labels
        merged = _merge(np.arange(len(sizes)), sizes, marks, kept, gone)
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
    n_pairs = np.maximum(sizes.pairs_between(edges.left, edges.right), 1)  # none between equals kept apart
    average = (edges.weight + (n_pairs - edges.n_seen) * unseen_weight) / n_pairs
    possible = edges.is_link & ~edges.is_forbidden & (average > 0)
    for mark in marks:
        possible &= ~mark.conflict(edges.left, edges.right)
    at = np.flatnonzero(possible)
    at = at[np.argsort(-average[at], kind="stable")][::-1]  # the best last, so that it is what stays
    best = np.full(len(sizes), -1)
    both = np.stack([edges.left[at], edges.right[at]], axis=1).ravel()
    best[both] = np.repeat(at, 2)
    chosen = np.unique(best[best >= 0])
    mutual = chosen[(best[edges.left[chosen]] == chosen) & (best[edges.right[chosen]] == chosen)]
    return edges.left[mutual], edges.right[mutual]
