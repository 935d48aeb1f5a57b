"""The fewest nodes that touch a wanted part of a graph's weight: a weighted partial vertex cover.

Of several smallest sets the one that costs least. Small choices are tried one and all, in integers; beyond,
up to `most_exact_nodes`, an integer programme is solved by branch and bound (HiGHS), and each of its answers
is checked in integers. Larger graphs, and those on which branch and bound finds no end, are covered greedily,
with the bound of the linear programme (Bshouty and Burroughs 1998) beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import ceil, comb
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CoverParams:
    """`wanted_percent` of the weight is to be touched.

    Up to `most_tried` sets of one size are tried one and all. Branch and bound ends when branches times edges
    reach `most_work` (seconds on a dense graph); then, and beyond `most_exact_nodes`, the cover is greedy.
    """

    wanted_percent: int = 90
    most_tried: int = 50_000
    most_exact_nodes: int = 60
    most_work: int = 100_000


@dataclass(frozen=True)
class Weighted:
    """A graph of nodes 0..n-1: edges between different nodes with weights, nodes with costs; all integers."""

    left: Ints
    right: Ints
    weight: Ints
    cost: Ints

    @property
    def total(self) -> int:
        """The weight of all edges."""
        return int(self.weight.sum())

    def degrees(self) -> Ints:
        """The weight of each node's edges."""
        degrees = np.zeros(len(self.cost), np.int64)
        np.add.at(degrees, self.left, self.weight)
        np.add.at(degrees, self.right, self.weight)
        return degrees

    def touched(self, chosen: Ints) -> int:
        """The weight of the edges with an end among the chosen nodes."""
        return int(self.weight[np.isin(self.left, chosen) | np.isin(self.right, chosen)].sum())

    def without(self, chosen: Ints) -> Weighted:
        """The graph without the edges that the chosen nodes touch."""
        rest = ~(np.isin(self.left, chosen) | np.isin(self.right, chosen))
        return Weighted(self.left[rest], self.right[rest], self.weight[rest], self.cost)


@dataclass(frozen=True)
class Cover:
    """The chosen nodes, in the order of what each adds; no fewer than `n_least` can do."""

    chosen: Ints
    n_least: int

    @property
    def is_proven(self) -> bool:
        """Whether no smaller set can do."""
        return len(self.chosen) == self.n_least


def cover_weight(graph: Weighted, params: CoverParams = CoverParams()) -> Cover:
    """The fewest nodes that touch the wanted part of the weight, and of such sets the cheapest.

    Equally cheap ones: the first in the order of nodes where sets are tried one and all; else whichever the
    solver finds first, the same each time. Costs beyond that are compared to a millionth of their sum.
    """
    wanted = -(-params.wanted_percent * graph.total // 100)
    if not wanted:
        return Cover(np.zeros(0, np.int64), 0)
    n = _least_by_degree(graph.degrees(), wanted)
    while comb(len(graph.cost), n) <= params.most_tried:
        if (found := _try_all(graph, n, wanted)) is not None:
            return Cover(_order(graph, found), n)
        n += 1
    if len(graph.cost) > params.most_exact_nodes:
        return _cover_greedily(graph, wanted, max(n, _bound_by_lp(graph, wanted)))
    return _solve(graph, wanted, n, params)


def _least_by_degree(degrees: Ints, wanted: int) -> int:
    """So many nodes at least: not even the heaviest, were no edge between them, touch more."""
    return 1 + int(np.searchsorted(np.cumsum(np.sort(degrees)[::-1]), wanted))


def _try_all(graph: Weighted, n: int, wanted: int) -> Ints | None:
    """The cheapest set of n nodes that touches enough, the first of several; None where none does."""
    sets = np.array(list(combinations(range(len(graph.cost)), n)), np.int64)
    between = np.zeros((len(graph.cost), len(graph.cost)), np.int64)
    np.add.at(between, (graph.left, graph.right), graph.weight)
    between += between.T
    touched = graph.degrees()[sets].sum(axis=1)
    for one, two in combinations(range(n), 2):
        touched -= between[sets[:, one], sets[:, two]]
    enough = np.flatnonzero(touched >= wanted)
    if not len(enough):
        return None
    found: Ints = sets[enough[np.argmin(graph.cost[sets[enough]].sum(axis=1))]]
    return found


def _order(graph: Weighted, chosen: Ints) -> Ints:
    """The chosen nodes, each time the one that adds most, the first of several."""
    order: list[int] = []
    left = np.sort(chosen)
    while len(left):
        best = int(left[np.argmax(graph.without(np.array(order, np.int64)).degrees()[left])])
        order.append(best)
        left = left[left != best]
    return np.array(order, np.int64)


def _cover_greedily(graph: Weighted, wanted: int, n_least: int) -> Cover:
    """Each time the node that adds most, the cheapest of several; then without those that are not needed."""
    chosen: list[int] = []
    while graph.touched(np.array(chosen, np.int64)) < wanted:
        degrees = graph.without(np.array(chosen, np.int64)).degrees()
        chosen.append(int(np.lexsort((graph.cost, -degrees))[0]))
    for node in sorted(chosen, key=lambda one: (-int(graph.cost[one]), one)):
        rest = [one for one in chosen if one != node]
        if graph.touched(np.array(rest, np.int64)) >= wanted:
            chosen = rest
    return Cover(_order(graph, np.array(chosen, np.int64)), n_least)


def _solve(graph: Weighted, wanted: int, n_least: int, params: CoverParams) -> Cover:
    """By integer programmes; what the solver's tolerance let through is forbidden, and it is solved anew."""
    too_little: list[Ints] = []
    while True:
        most_branches = 1 + params.most_work // len(graph.weight)
        found = _run_programme(graph, wanted, too_little, n_least, most_branches)
        if found.status != 0:
            bound = 0.0 if found.mip_dual_bound is None else float(found.mip_dual_bound)
            return _cover_greedily(graph, wanted, max(n_least, ceil(bound - 0.5 - 1e-6)))
        chosen = np.flatnonzero(found.x[: len(graph.cost)] > 0.5)
        if graph.touched(chosen) >= wanted:
            return Cover(_order(graph, chosen), len(chosen))
        too_little.append(chosen)


def _run_programme(
    graph: Weighted, wanted: int, too_little: list[Ints], n_least: int, most_branches: int
) -> Any:
    """Variables: is a node chosen, how far is an edge touched. One node more weighs more than all costs."""
    n, m = len(graph.cost), len(graph.weight)
    cost = 0.5 * graph.cost / max(int(graph.cost.sum()), 1)
    rows = [_touch(graph, wanted), LinearConstraint(_row(np.arange(n), n + m), n_least)]
    rows += [LinearConstraint(_row(np.setdiff1d(np.arange(n), chosen), n + m), 1) for chosen in too_little]
    return milp(
        np.concatenate([1 + cost, np.zeros(m)]),
        integrality=np.concatenate([np.ones(n), np.zeros(m)]),
        bounds=Bounds(0, 1),
        constraints=[_tie_edges(graph), *rows],
        options={"node_limit": most_branches, "mip_rel_gap": 0.0},
    )


def _row(columns: Ints, width: int) -> csr_array:
    return csr_array((np.ones(len(columns)), (np.zeros(len(columns), np.int64), columns)), shape=(1, width))


def _touch(graph: Weighted, wanted: int) -> LinearConstraint:
    """Enough weight is touched, as a share of all."""
    share = np.concatenate([np.zeros(len(graph.cost)), graph.weight / graph.total])
    return LinearConstraint(share[None, :], wanted / graph.total)


def _tie_edges(graph: Weighted) -> LinearConstraint:
    """An edge is touched no further than its ends are chosen."""
    n, m = len(graph.cost), len(graph.weight)
    edge = np.arange(m)
    columns = np.concatenate([graph.left, graph.right, n + edge])
    values = np.concatenate([np.ones(2 * m), -np.ones(m)])
    return LinearConstraint(coo_array((values, (np.tile(edge, 3), columns)), shape=(m, n + m)).tocsr(), 0)


def _bound_by_lp(graph: Weighted, wanted: int) -> int:
    """No fewer nodes can do: the linear programme in which a node may be chosen in part."""
    n, m = len(graph.cost), len(graph.weight)
    found = milp(
        np.concatenate([np.ones(n), np.zeros(m)]),
        bounds=Bounds(0, 1),
        constraints=[_tie_edges(graph), _touch(graph, wanted)],
    )
    return ceil(found.fun - 1e-6) if found.status == 0 else 1
