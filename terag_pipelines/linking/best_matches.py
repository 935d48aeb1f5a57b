"""Links between two sources that hold each thing once: every record has at most one match on the other side.

Which links stay is the assignment of greatest total match weight within each connected component, not a
greedy choice: the log odds of a set of links are the sum of theirs, so that this is the most probable one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.scored_rows import DecidedRows, Mask, Rows, ScoredRows

Floats = npt.NDArray[np.float64]
LEAST_WEIGHT = 1e-3  # bits; a link that only a calibrator or a low threshold makes one is still a link
EDGES_AT_ONCE = 2_000  # components are solved together up to so many links: time grows with their square


def keep_best_matches(
    scored: ScoredRows, allowed: Mask, is_first_side: Mask, decided: DecidedRows
) -> ScoredRows:
    """The scored pairs of rows, of whose allowed links only those of the best assignment are links.

    `is_first_side` (n_records,) says on which side each row is. What people decided holds: rows decided to be
    one count as one, with no further match where both sides are in it; a pair decided to be apart is no link.
    """
    groups = _decided_groups(len(is_first_side), decided)
    sides = [np.bincount(groups[rows], minlength=len(groups)) > 0 for rows in _rows_by_side(is_first_side)]
    is_open = ~(sides[0] & sides[1])
    one, other = groups[scored.left], groups[scored.right]
    apart = _pair_keys(*(groups[side] for side in decided.apart))
    usable = allowed & is_open[one] & is_open[other] & ~np.isin(_pair_keys(one, other), apart)
    at = _heaviest_of_each(one, other, scored.weight, np.flatnonzero(usable))
    first = np.where(sides[0][one[at]], one[at], other[at])
    second = one[at] + other[at] - first
    weights = np.maximum(scored.weight[at], LEAST_WEIGHT)
    is_link = np.zeros(len(allowed), bool)
    is_link[at[assign_best(first, second, weights)]] = True
    is_link |= allowed & (one == other)
    return replace(scored, is_link=is_link)


def sides_of(ordered: pa.Table, across: str) -> Mask:
    """Which of sorted records are of the dataset that is linked with the others."""
    return np.asarray(pc.equal(ordered["dataset"], across), np.bool_)


def assign_best(left: Rows, right: Rows, weights: Floats) -> Mask:
    """Which edges, each between a node on the left and one on the right, make the assignment of greatest
    total weight: no node in two. No pair of nodes comes twice; weights are above 0."""
    chosen = np.zeros(len(left), bool)
    if not len(left):
        return chosen
    components = _components(left, right)
    sizes = np.bincount(components)
    alone = sizes[components] == 1
    chosen[alone] = True
    rest = np.flatnonzero(~alone)
    order = rest[np.argsort(components[rest], kind="stable")]
    ends = np.cumsum(sizes[np.unique(components[order])])
    batches = np.repeat(ends // EDGES_AT_ONCE, np.diff(ends, prepend=0))
    for part in np.split(order, np.flatnonzero(np.diff(batches)) + 1):
        chosen[part[_solve(left[part], right[part], weights[part])]] = True
    return chosen


def _solve(left: Rows, right: Rows, weights: Floats) -> Rows:
    """The edges of the best assignment. Each left node may also go to a place of its own, which costs its
    match: so an assignment of all is the best of any."""
    lefts, one = np.unique(left, return_inverse=True)
    rights, other = np.unique(right, return_inverse=True)
    n, highest = len(lefts), float(weights.max(initial=0.0)) + 1.0
    rows = np.concatenate([one, np.arange(n)])
    columns = np.concatenate([other, len(rights) + np.arange(n)])
    costs = np.concatenate([highest - weights, np.full(n, highest)])
    shape = (n, len(rights) + n)
    graph = coo_array((costs, (rows, columns)), shape=shape).tocsr()
    matched = np.full(n, -1)
    at, to = min_weight_full_bipartite_matching(csr_array(graph))
    matched[at] = to
    return np.flatnonzero(matched[one] == other)


def _components(left: Rows, right: Rows) -> Rows:
    lefts, one = np.unique(left, return_inverse=True)
    rights, other = np.unique(right, return_inverse=True)
    return label_components(one, len(lefts) + other, len(lefts) + len(rights))[one]


def _decided_groups(n: int, decided: DecidedRows) -> Rows:
    return label_components(*decided.together, n)


def _rows_by_side(is_first_side: Mask) -> tuple[Rows, Rows]:
    return np.flatnonzero(is_first_side), np.flatnonzero(~is_first_side)


def _pair_keys(one: Rows, other: Rows) -> Rows:
    return (np.minimum(one, other) << 32) | np.maximum(one, other)


def _heaviest_of_each(one: Rows, other: Rows, weights: Floats, at: Rows) -> Rows:
    """Of the pairs at these places the heaviest between each two groups; ties go to the first."""
    keys = _pair_keys(one[at], other[at])
    order = np.lexsort((at, -weights[at], keys))
    first = np.flatnonzero(np.diff(keys[order], prepend=-1))
    return np.sort(at[order[first]])
