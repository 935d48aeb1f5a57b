"""Communities of the ring graph by the Leiden algorithm, the same for the same graph and seed.

Source: Traag, Waltman, van Eck, From Louvain to Leiden (2019); the constant Potts model (CPM) finds small
groups where modularity merges them (Traag, Van Dooren, Nesterov 2011).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import igraph
import leidenalg
import numpy as np
import numpy.typing as npt
import polars as pl

from terag_pipelines.errors import RingError

Membership = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CommunityParams:
    """`resolution`: the mean tie weight within a community under CPM, of the usual kind under modularity.

    A partial entity counts as `partial_size` of a node, or the many who are known from one payment would
    pull communities apart. A community above `max_size` is split again, by leidenalg, which can hold a
    bound.
    """

    objective: Literal["CPM", "modularity"] = "CPM"
    resolution: float = 0.02
    n_iterations: int = 4
    max_size: int = 500
    partial_size: float = 0.1
    seed: int = 7


def find_communities(
    n_nodes: int,
    edges: pl.DataFrame,
    params: CommunityParams,
    is_partial: npt.NDArray[np.bool_] | None = None,
) -> Membership:
    """The community number of each of `n_nodes` nodes; numbered by their smallest node, from 0.

    `edges` are left, right, weight, with left < right and sorted, as a Projection has them. Nodes without a
    tie are communities of their own.

    Raises: RingError where a weight is not a positive number, or an edge names a node that is not there.
    """
    ends, weights = _check_edges(n_nodes, edges)
    connected, local = np.unique(ends, return_inverse=True)
    graph = igraph.Graph(n=len(connected), edges=local.reshape(ends.shape))
    membership = np.arange(n_nodes, dtype=np.int64) + len(connected)
    if len(ends):
        sizes = np.where(is_partial[connected], params.partial_size, 1.0) if is_partial is not None else None
        inner = _split_large(graph, weights, _run_leiden(graph, weights, sizes, params), params)
        membership[connected] = inner
    return _number_by_first(membership)


def _check_edges(n_nodes: int, edges: pl.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    ends = edges.select(pl.col("left", "right").cast(pl.Int64)).to_numpy().reshape(-1, 2)
    weights = edges["weight"].cast(pl.Float64).to_numpy()
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise RingError("an edge of the ring graph has a weight that is not a positive number")
    if len(ends) and (ends.min() < 0 or ends.max() >= n_nodes):
        raise RingError(f"an edge of the ring graph names a node outside 0..{n_nodes - 1}")
    return ends, weights


def _run_leiden(
    graph: Any,
    weights: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.float64] | None,
    params: CommunityParams,
) -> Membership:
    # modularity takes the nodes' degrees as their sizes
    own = sizes.tolist() if sizes is not None and params.objective == "CPM" else None
    with _seeded_igraph(params.seed):
        found = graph.community_leiden(
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


def _split_large(
    graph: Any, weights: npt.NDArray[np.float64], membership: Membership, params: CommunityParams
) -> Membership:
    membership = membership.copy()
    next_number = int(membership.max()) + 1
    for community in np.flatnonzero(np.bincount(membership) > params.max_size):
        members = np.flatnonzero(membership == community)
        parts = _split_one(graph, weights, members, params)
        membership[members] = next_number + parts
        next_number += int(parts.max()) + 1
    return membership


def _split_one(
    graph: Any, weights: npt.NDArray[np.float64], members: Membership, params: CommunityParams
) -> Membership:
    ids = graph.induced_subgraph(members.tolist(), implementation="create_from_scratch")
    ends = np.asarray(graph.get_edgelist(), dtype=np.int64)
    inside = np.isin(ends, members).all(axis=1)
    resolution, parts = 1.0, np.zeros(len(members), dtype=np.int64)
    while np.bincount(parts).max() > params.max_size:
        partition = leidenalg.find_partition(
            ids,
            leidenalg.RBConfigurationVertexPartition,
            weights=weights[inside].tolist(),
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
