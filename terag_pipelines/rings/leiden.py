"""The Leiden algorithm on compiled loops: the same partition for the same graph, keys and seed, everywhere.

Source: Traag, Waltman, van Eck, From Louvain to Leiden: guaranteeing well-connected communities (2019); nodes
of a community are merged where that gains most, as Traag's leidenalg does, not at random.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
import numpy.typing as npt

from terag_pipelines.errors import RingError
from terag_pipelines.rings import leiden_loops as loops
from terag_pipelines.rings.tie_graph import Floats, Nodes, TieGraph

Keys = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
MOST_ITERATIONS = 100


@dataclass(frozen=True)
class LeidenParams:
    """`resolution`: under CPM the least mean weight between members, under modularity the usual factor.

    `n_iterations`: how often the algorithm starts again from what it found; -1 until nothing changes.
    """

    objective: Literal["CPM", "modularity"] = "CPM"
    resolution: float = 0.02
    n_iterations: int = 2
    seed: int = 7


@dataclass(frozen=True)
class _Level:
    """A graph whose nodes stand for one or more of the first one, their masses, and keys to sort by."""

    graph: TieGraph
    mass: Floats
    order_key: Keys
    is_fixed: Mask

    @property
    def order(self) -> Nodes:
        """The nodes by their keys."""
        return np.argsort(self.order_key, kind="stable").astype(np.int32)


def find_partition(
    graph: TieGraph,
    params: LeidenParams,
    *,
    sizes: Floats | None = None,
    keys: Keys | None = None,
    start: npt.ArrayLike | None = None,
    is_fixed: Mask | None = None,
    n_threads: int = 1,
) -> Nodes:
    """The community of each node, numbered by their first nodes from 0.

    Components do not influence each other, so they are worked on in parallel, with the same result as in one
    thread.

    Args:
        sizes: of the nodes under CPM; 1 without.
        keys: what decides, with the seed, in which order nodes are visited: a number that belongs to a node,
            whatever else there is, keeps the result alike where the graph changes a little. Row numbers
            without.
        start: a partition to begin with, as numbers from 0; each node alone without.
        is_fixed: nodes that stay in the community of `start`; others may join them.
        n_threads: at most so many components are worked on at once.

    Raises:
        RingError: a parameter or an array does not fit.
    """
    level = _first_level(graph, params, sizes, keys, is_fixed)
    label, resolution = _read_start(graph.n_nodes, start), _resolution_of(graph, params)
    n_iterations = params.n_iterations if params.n_iterations >= 0 else MOST_ITERATIONS
    pieces = _share_components(graph, n_threads)
    with ThreadPoolExecutor(n_threads) as pool:
        found = pool.map(lambda piece: _find_within(level, piece, resolution, n_iterations, label), pieces)
        for piece, n_before, own in zip(pieces, accumulate(map(len, pieces), initial=0), found, strict=False):
            label[piece] = n_before + own
    return loops.number_by_first(label)[0]


def modularity(graph: TieGraph, label: npt.ArrayLike, resolution: float = 1.0) -> float:
    """Newman's modularity of a partition; 0 for a graph without ties."""
    of, strengths = np.asarray(label, dtype=np.int32), graph.strengths()
    total = float(strengths.sum())
    if not total:
        return 0.0
    inside = loops.sum_inside(graph.starts, graph.ends, graph.weights, of) / total
    return float(inside - resolution * ((np.bincount(of, strengths) / total) ** 2).sum())


def potts_quality(
    graph: TieGraph, label: npt.ArrayLike, resolution: float, sizes: Floats | None = None
) -> float:
    """What a partition is worth under the constant Potts model: weight inside less the cost of every pair."""
    of = np.asarray(label, dtype=np.int32)
    inside = loops.sum_inside(graph.starts, graph.ends, graph.weights, of) / 2
    masses, squares = np.bincount(of, sizes), np.bincount(of, None if sizes is None else sizes**2)
    return float(inside - resolution * (masses**2 - squares).sum() / 2)


def _first_level(
    graph: TieGraph, params: LeidenParams, sizes: Floats | None, keys: Keys | None, is_fixed: Mask | None
) -> _Level:
    n = graph.n_nodes
    own = np.ones(n) if sizes is None else np.asarray(sizes, dtype=np.float64)
    named = np.arange(n, dtype=np.uint64) if keys is None else np.asarray(keys, dtype=np.uint64)
    fixed = np.zeros(n, dtype=np.bool_) if is_fixed is None else np.asarray(is_fixed, dtype=np.bool_)
    if any(len(array) != n for array in (own, named, fixed)):
        raise RingError(f"sizes, keys and fixed nodes are not one for each of {n} nodes")
    mass = own if params.objective == "CPM" else graph.strengths()
    return _Level(graph, mass, mix(named, params.seed), fixed)


def _resolution_of(graph: TieGraph, params: LeidenParams) -> float:
    if not (np.isfinite(params.resolution) and params.resolution >= 0):
        raise RingError(f"a resolution must be a number of 0 or more, not {params.resolution}")
    if params.objective == "CPM":
        return params.resolution
    return params.resolution / max(float(graph.weights.sum()), np.finfo(float).tiny)


def _read_start(n: int, start: npt.ArrayLike | None) -> Nodes:
    if start is None:
        return np.arange(n, dtype=np.int32)
    given = np.asarray(start)
    if len(given) != n or (n and (given.min() < 0 or given.max() >= n)):
        raise RingError(f"a partition to start with needs a number from 0 to {n - 1} for each node")
    return loops.number_by_first(given.astype(np.int32))[0]


def mix(keys: Keys, seed: int) -> Keys:
    """Keys that look random, others for each seed (the finalizer of SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        mixed = keys + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _share_components(graph: TieGraph, n_threads: int) -> list[Nodes]:
    """The nodes in so many shares, none of which is tied to another, with as many ties each as that goes."""
    if n_threads < 2:
        return [np.arange(graph.n_nodes, dtype=np.int32)]
    component, first = loops.number_by_first(loops.label_components(graph.starts, graph.ends))
    load = loops.sum_by_part(component, np.diff(graph.starts) + 1.0, len(first))
    share, total = np.zeros(len(first), dtype=np.int64), np.zeros(n_threads)
    for number in np.argsort(-load, kind="stable"):
        share[number] = total.argmin()
        total[share[number]] += load[number]
    of = share[component]
    return [
        np.flatnonzero(of == number).astype(np.int32) for number in range(n_threads) if (of == number).any()
    ]


def _find_within(level: _Level, nodes: Nodes, resolution: float, n_iterations: int, label: Nodes) -> Nodes:
    """The communities of nodes that have no tie to others, numbered from 0."""
    if len(nodes) < level.graph.n_nodes:
        level = _take(level, nodes)
    own = loops.number_by_first(label[nodes])[0]
    for _ in range(n_iterations):
        before = own
        own = _run_once(level, resolution, own)
        if np.array_equal(own, before):
            break
    return own


def _run_once(level: _Level, resolution: float, label: Nodes) -> Nodes:
    """Moves, refines and folds until nothing moves any more; the communities, numbered by first node."""
    folds: list[Nodes] = []
    label = label.copy()
    while True:
        graph, order = level.graph, level.order
        loops.move_nodes(
            graph.starts, graph.ends, graph.weights, level.mass, resolution, order, level.is_fixed, label
        )
        label, first = loops.number_by_first(label)
        if len(first) == graph.n_nodes:
            break
        part, label, folded = _fold(level, resolution, order, label)
        if folded.graph.n_nodes == graph.n_nodes:
            break
        folds.append(part)
        level = folded
    for part in reversed(folds):
        label = label[part]
    return label


def _fold(level: _Level, resolution: float, order: Nodes, label: Nodes) -> tuple[Nodes, Nodes, _Level]:
    """The part of each node, and the community of each part, in the level whose nodes are the parts."""
    graph = level.graph
    starts, ends, weights, cuts = loops.keep_inside(graph.starts, graph.ends, graph.weights, label)
    parts = loops.refine_communities(starts, ends, weights, level.mass, resolution, order, label, cuts)
    part, first = loops.number_by_first(parts)
    folded = TieGraph(*loops.fold_graph(graph.starts, graph.ends, graph.weights, part, len(first)))
    mass = loops.sum_by_part(part, level.mass, len(first))
    is_fixed = loops.sum_by_part(part, level.is_fixed.astype(np.float64), len(first)) > 0
    return part, label[first], _Level(folded, mass, level.order_key[first], is_fixed)


def _take(level: _Level, nodes: Nodes) -> _Level:
    graph = level.graph
    taken = TieGraph(*loops.take_rows(graph.starts, graph.ends, graph.weights, nodes))
    return _Level(taken, level.mass[nodes], level.order_key[nodes], level.is_fixed[nodes])
