"""Communities of the ring graph by the Leiden algorithm, the same for the same graph and seed.

Source: Traag, Waltman, van Eck, From Louvain to Leiden (2019); the constant Potts model (CPM) finds small
groups where modularity merges them (Traag, Van Dooren, Nesterov 2011).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import igraph
import leidenalg
import numpy as np
import numpy.typing as npt
import polars as pl

from terag_pipelines.rings import leiden_loops as loops
from terag_pipelines.rings.following import (
    EarlierPartition,
    FollowedPartition,
    FollowParams,
    Search,
    follow_partition,
)
from terag_pipelines.rings.leiden import Keys, LeidenParams, find_partition
from terag_pipelines.rings.resolution import ResolutionChoice, ResolutionParams, choose_resolution
from terag_pipelines.rings.tie_graph import Floats, TieGraph, tie_graph

Membership = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CommunityParams:
    """`resolution`: the mean tie weight within a community under CPM, of the usual kind under modularity.
    None: under CPM it is read off the graph (`ResolutionParams`); where none is clear, and under modularity,
    it is `usual_resolution`.

    A partial entity counts as `partial_size` of a node, or the many who are known from one payment would
    pull communities apart. A community above `max_size` is split again, by leidenalg, which can hold a
    bound. `engine`: our own compiled loops, or igraph's, as a reference.
    """

    objective: Literal["CPM", "modularity"] = "CPM"
    resolution: float | None = None
    usual_resolution: float = 0.02
    choice: ResolutionParams = field(default_factory=ResolutionParams)
    n_iterations: int = 4
    max_size: int = 500
    partial_size: float = 0.1
    seed: int = 7
    engine: Literal["compiled", "igraph"] = "compiled"
    n_threads: int = 2
    follow: FollowParams = field(default_factory=FollowParams)


@dataclass(frozen=True)
class Communities:
    """`membership`: the community number of each node, numbered by their smallest node, from 0.

    `choice`: how the resolution was read off the graph; None where it was given, or nothing could be read.
    `n_split`: communities above the bound that were split again.
    `followed`: how an earlier partition was followed; None where there was none.
    """

    membership: Membership
    resolution: float
    choice: ResolutionChoice | None = None
    n_split: int = 0
    followed: FollowedPartition | None = None


def find_communities(
    n_nodes: int,
    edges: pl.DataFrame,
    params: CommunityParams,
    is_partial: npt.NDArray[np.bool_] | None = None,
    keys: Keys | None = None,
    earlier: EarlierPartition | None = None,
) -> Communities:
    """The communities of `n_nodes` nodes; those without a tie are communities of their own.

    `edges` are left, right, weight, with left < right and sorted, as a Projection has them. `keys`: as
    `find_partition` takes them. An `earlier` partition is followed where that holds up against a fresh run.

    Raises: RingError where a weight is not a positive number, or an edge names a node that is not there.
    """
    graph = tie_graph(n_nodes, *(edges[name].to_numpy() for name in ("left", "right", "weight")))
    sizes = None if is_partial is None else np.where(is_partial, params.partial_size, 1.0)
    choice, resolution = None, params.resolution
    if resolution is None and params.objective == "CPM":
        choice = choose_resolution(
            graph, params.choice, sizes=sizes, keys=keys, seed=params.seed, n_threads=params.n_threads
        )
    if resolution is None:
        resolution = choice.resolution if choice and choice.is_clear else params.usual_resolution
    leiden = LeidenParams(params.objective, resolution, params.n_iterations, params.seed)
    run = _run_igraph if params.engine == "igraph" else find_partition
    found = run(graph, leiden, sizes=sizes, keys=keys, n_threads=params.n_threads)
    followed = None
    if earlier is not None and n_nodes:
        search = Search(graph, leiden, sizes, keys, params.n_threads)
        followed = follow_partition(search, found.astype(np.int32), earlier, params.follow)
        found = followed.label
    n_split = int((np.bincount(found, minlength=1) > params.max_size).sum())
    split = _split_large(graph, found.astype(np.int64), params)
    return Communities(_number_by_first(split), resolution, choice, n_split, followed)


def _as_igraph(graph: TieGraph) -> tuple[Any, Floats]:
    left = np.repeat(np.arange(graph.n_nodes), np.diff(graph.starts))
    once = left < graph.ends
    ends = np.column_stack([left[once], graph.ends[once]])
    return igraph.Graph(n=graph.n_nodes, edges=ends), graph.weights[once]


def _run_igraph(
    graph: TieGraph,
    params: LeidenParams,
    *,
    sizes: Floats | None = None,
    keys: Keys | None = None,  # noqa: ARG001 - igraph visits nodes in an order of its own
    n_threads: int = 1,  # noqa: ARG001 - igraph takes one
) -> Membership:
    """As `find_partition`, by igraph."""
    other, weights = _as_igraph(graph)
    if not len(weights):
        return np.arange(graph.n_nodes)
    # modularity takes the nodes' degrees as their sizes
    own = sizes.tolist() if sizes is not None and params.objective == "CPM" else None
    with _seeded_igraph(params.seed):
        found = other.community_leiden(
            objective_function=params.objective,
            weights=weights.tolist(),
            node_weights=own,
            resolution=params.resolution,
            n_iterations=params.n_iterations,
        )
    return np.asarray(found.membership, dtype=np.int64)


@contextmanager
def _seeded_igraph(seed: int) -> Iterator[None]:
    # igraph draws from one generator for the whole process: it is put back afterwards
    igraph.set_random_number_generator(random.Random(seed))
    try:
        yield
    finally:
        igraph.set_random_number_generator(random)


def _split_large(graph: TieGraph, membership: Membership, params: CommunityParams) -> Membership:
    large = np.flatnonzero(np.bincount(membership, minlength=1) > params.max_size)
    if not len(large):
        return membership
    kept = loops.keep_inside(graph.starts, graph.ends, graph.weights, membership.astype(np.int32))
    membership = membership.copy()
    next_number = int(membership.max()) + 1
    for community in large:
        members = np.flatnonzero(membership == community)
        inside = TieGraph(*loops.take_rows(*kept[:3], members.astype(np.int32)))
        parts = _split_one(inside, params)
        membership[members] = next_number + parts
        next_number += int(parts.max()) + 1
    return membership


def _split_one(graph: TieGraph, params: CommunityParams) -> Membership:
    ids, weights = _as_igraph(graph)
    resolution, parts = 1.0, np.zeros(graph.n_nodes, dtype=np.int64)
    while np.bincount(parts).max() > params.max_size:
        partition = leidenalg.find_partition(
            ids,
            leidenalg.RBConfigurationVertexPartition,
            weights=weights.tolist(),
            resolution_parameter=resolution,
            n_iterations=params.n_iterations,
            seed=params.seed,
        )
        parts, resolution = np.asarray(partition.membership, dtype=np.int64), 2.0 * resolution
    return parts


def _number_by_first(membership: Membership) -> Membership:
    _, first, inverse = np.unique(membership, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
