"""One way to find the communities of one graph, in a process of its own: edge array to membership.

python -m tests.benchmarks.community_run FILE WAY      prints a JSON line
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from terag_pipelines.rings.leiden import LeidenParams, find_partition, modularity
from terag_pipelines.rings.resolution import choose_resolution
from terag_pipelines.rings.tie_graph import TieGraph, tie_graph
from tests.benchmarks.measuring import measured, tell
from tests.benchmarks.planted_graphs import Ints, PlantedGraph

N_ORACLE_STEPS = 30


def main() -> None:
    """Runs it, with the graph's build counted."""
    graph, way = PlantedGraph.read(Path(sys.argv[1])), sys.argv[2]
    peer, packages, run = WAYS[way]
    if "warm" in way:
        _warm_up()
    found, cost = measured(lambda: run(graph))
    label, figures = found if isinstance(found, tuple) else (found, {})
    figures["modularity"] = modularity(_ours(graph), np.unique(label, return_inverse=True)[1])
    if len(graph.truth) <= 100_000:
        figures["ari"] = float(adjusted_rand_score(graph.truth, label))
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    figures["digest"] = hashlib.sha256(first[inverse].astype("<i8").tobytes()).hexdigest()[:8]
    sizes = {"graph": graph.name, "n_nodes": len(graph.truth), "n_edges": len(graph.edges)}
    tell("communities", way, cost, packages, peer, **sizes, n_communities=len(first), **figures)


def _ours(graph: PlantedGraph) -> TieGraph:
    return tie_graph(len(graph.truth), graph.edges[:, 0], graph.edges[:, 1])


def _warm_up() -> None:
    small = tie_graph(3, np.array([0], np.int32), np.array([1], np.int32))
    find_partition(small, LeidenParams("modularity", 1.0), n_threads=2)


def _chosen(graph: PlantedGraph) -> tuple[Ints, dict[str, Any]]:
    choice = choose_resolution(_ours(graph), n_threads=2)
    assert choice is not None
    told = {
        "resolution": choice.resolution,
        "agreement": choice.agreement,
        "by_chance": choice.chance_agreement,
    }
    return choice.label.astype(np.int64), told | {"is_clear": choice.is_clear}


def _best_in_hindsight(graph: PlantedGraph) -> tuple[Ints, dict[str, Any]]:
    """The resolution that a search with the truth in hand picks."""
    ties, n = _ours(graph), len(graph.truth)
    steps = np.geomspace(2 * len(graph.edges) / (n * (n - 1)), 0.5, N_ORACLE_STEPS)
    labels = [find_partition(ties, LeidenParams("CPM", float(step), 3)) for step in steps]
    scores = [adjusted_rand_score(graph.truth, label) for label in labels]
    best = int(np.argmax(scores))
    return labels[best].astype(np.int64), {"resolution": float(steps[best])}


def _modularity_by(n_threads: int) -> Callable[[PlantedGraph], Ints]:
    def run(graph: PlantedGraph) -> Ints:
        params = LeidenParams("modularity", 1.0, 2)
        return find_partition(_ours(graph), params, n_threads=n_threads).astype(np.int64)

    return run


def _igraph(graph: PlantedGraph) -> Ints:
    import igraph

    igraph.set_random_number_generator(random.Random(1))
    built = igraph.Graph(n=len(graph.truth), edges=graph.edges)
    return np.array(built.community_leiden(objective_function="modularity", n_iterations=2).membership)


def _leidenalg(graph: PlantedGraph) -> Ints:
    import igraph
    import leidenalg

    built = igraph.Graph(n=len(graph.truth), edges=graph.edges)
    found = leidenalg.find_partition(built, leidenalg.ModularityVertexPartition, n_iterations=2, seed=1)
    return np.array(found.membership)


def _networkit(graph: PlantedGraph) -> Ints:
    import networkit
    from scipy.sparse import coo_matrix

    networkit.setNumberOfThreads(1)
    networkit.setSeed(1, False)
    n, (left, right) = len(graph.truth), graph.edges.T.astype(np.uint64)
    built = networkit.GraphFromCoo(coo_matrix((np.ones(len(left)), (left, right)), shape=(n, n)), n=n)
    run = networkit.community.ParallelLeiden(built)
    run.run()
    return np.array(run.getPartition().getVector())


OURS = ("numba", "numpy", "scikit-learn")
WAYS: dict[str, tuple[str, tuple[str, ...], Callable[[PlantedGraph], Any]]] = {
    "chosen resolution": ("terag", OURS, _chosen),
    "best resolution in hindsight": ("terag, truth in hand", OURS, _best_in_hindsight),
    "modularity, warm": ("terag", OURS, _modularity_by(1)),
    "modularity, warm, two threads": ("terag", OURS, _modularity_by(2)),
    "modularity, cold": ("terag", OURS, _modularity_by(1)),
    "modularity by igraph": ("igraph", ("igraph",), _igraph),
    "modularity by leidenalg": ("leidenalg", ("leidenalg",), _leidenalg),
    "modularity by networkit": ("networkit", ("networkit",), _networkit),
}


if __name__ == "__main__":
    main()
