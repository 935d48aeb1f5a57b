"""An undirected weighted graph in compressed rows, as compiled loops read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from terag_pipelines.errors import RingError
from terag_pipelines.rings.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Nodes = npt.NDArray[np.int32]

MOST_NODES = 2**31 - 2


@dataclass(frozen=True)
class TieGraph:
    """The ties of node v are `ends[starts[v]:starts[v + 1]]`, with `weights` above 0; each is there twice.

    `starts`: n + 1; `ends` and `weights`: two for each tie. No tie of a node with itself; a pair may be tied
    more than once.
    """

    starts: Ints
    ends: Nodes
    weights: Floats

    @property
    def n_nodes(self) -> int:
        """How many nodes there are, those without a tie among them."""
        return len(self.starts) - 1

    def strengths(self) -> Floats:
        """Per node the sum of the weights of its ties."""
        return _sum_rows(self.starts, self.weights)


def tie_graph(
    n_nodes: int, left: npt.ArrayLike, right: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> TieGraph:
    """The graph of ties between nodes numbered from 0; a node's tie with itself is left out.

    Args:
        left, right: node numbers, one pair for each tie.
        weights: one for each tie; 1 without.

    Raises:
        RingError: a weight is not a positive number, a node is not in 0..n_nodes - 1, or there are too many.
    """
    one, two = (np.ascontiguousarray(side, dtype=np.int32) for side in (left, right))
    weighed = np.ones(1) if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
    if not (np.isfinite(weighed).all() and (weighed > 0).all()):
        raise RingError("an edge of the ring graph has a weight that is not a positive number")
    if n_nodes > MOST_NODES or not (_are_within(one, n_nodes) and _are_within(two, n_nodes)):
        raise RingError(f"an edge of the ring graph names a node outside 0..{n_nodes - 1}")
    return TieGraph(*_lay_out_rows(n_nodes, one, two, weighed, weights is not None))


def _are_within(side: Nodes, n_nodes: int) -> bool:
    return not len(side) or bool(side.min() >= 0 and side.max() < n_nodes)


@compiled
def _lay_out_rows(
    n_nodes: int, left: Nodes, right: Nodes, weights: Floats, is_weighted: bool
) -> tuple[Ints, Nodes, Floats]:
    starts = np.zeros(n_nodes + 1, np.int64)
    for tie in range(len(left)):
        if left[tie] != right[tie]:
            starts[left[tie] + 1] += 1
            starts[right[tie] + 1] += 1
    for node in range(n_nodes):
        starts[node + 1] += starts[node]
    free = starts[:-1].copy()
    ends, weighed = np.empty(starts[n_nodes], np.int32), np.empty(starts[n_nodes], np.float64)
    for tie in range(len(left)):
        a, b = left[tie], right[tie]
        if a != b:
            weight = weights[tie] if is_weighted else 1.0
            ends[free[a]], weighed[free[a]] = b, weight
            ends[free[b]], weighed[free[b]] = a, weight
            free[a] += 1
            free[b] += 1
    return starts, ends, weighed


@compiled
def _sum_rows(starts: Ints, values: Floats) -> Floats:
    sums = np.zeros(len(starts) - 1)
    for row in range(len(sums)):
        for place in range(starts[row], starts[row + 1]):
            sums[row] += values[place]
    return sums
