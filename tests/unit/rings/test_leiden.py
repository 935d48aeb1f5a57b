"""Leiden on compiled loops: as good as the reference, the same everywhere, and true to what it is given."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import igraph
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from terag_pipelines.errors import RingError
from terag_pipelines.rings.leiden import LeidenParams, find_partition, modularity, potts_quality
from terag_pipelines.rings.tie_graph import TieGraph, tie_graph


def planted(
    n_groups: int, size: int, seed: int, inner: float = 0.5, outer: float = 0.02
) -> tuple[np.ndarray, TieGraph]:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(n_groups), size)
    left, right = np.triu_indices(len(truth), k=1)
    kept = rng.random(len(left)) < np.where(truth[left] == truth[right], inner, outer)
    weights = rng.uniform(0.5, 1.5, kept.sum())
    return truth, tie_graph(len(truth), left[kept], right[kept], weights)


def as_igraph(graph: TieGraph) -> tuple[igraph.Graph, list[float]]:
    left = np.repeat(np.arange(graph.n_nodes), np.diff(graph.starts))
    once = left < graph.ends
    return igraph.Graph(n=graph.n_nodes, edges=np.c_[left[once], graph.ends[once]]), graph.weights[
        once
    ].tolist()


def islands(n_islands: int) -> TieGraph:
    """Components of different sizes, their nodes mixed."""
    parts = [planted(2 + number % 4, 6, number, 0.8, 0.1)[1] for number in range(n_islands)]
    offsets = np.cumsum([0, *(part.n_nodes for part in parts)])
    place = np.random.default_rng(5).permutation(offsets[-1])
    rows = [np.repeat(np.arange(part.n_nodes), np.diff(part.starts)) for part in parts]
    left = np.concatenate([row + at for row, at in zip(rows, offsets, strict=False)])
    right = np.concatenate([part.ends + at for part, at in zip(parts, offsets, strict=False)])
    weights = np.concatenate([part.weights for part in parts])
    once = left < right
    return tie_graph(int(offsets[-1]), place[left[once]], place[right[once]], weights[once])


@pytest.mark.parametrize("seed", range(5))
def test_modularity_is_as_high_as_that_of_igraph(seed: int) -> None:
    _, graph = planted(30, 20, seed, 0.3, 0.02)
    reference, weights = as_igraph(graph)
    theirs = reference.community_leiden("modularity", weights=weights, n_iterations=-1)
    ours = find_partition(graph, LeidenParams("modularity", 1.0, -1))
    assert modularity(graph, theirs.membership) == pytest.approx(
        reference.modularity(theirs, weights=weights)
    )
    assert modularity(graph, ours) >= theirs.q - 0.005


@pytest.mark.parametrize("seed", range(5))
def test_planted_groups_come_back_under_the_constant_potts_model_and_are_worth_what_igraph_finds(
    seed: int,
) -> None:
    truth, graph = planted(30, 20, seed)
    ours = find_partition(graph, LeidenParams("CPM", 0.1, -1))
    assert adjusted_rand_score(truth, ours) > 0.99
    reference, weights = as_igraph(graph)
    theirs = reference.community_leiden("CPM", weights=weights, resolution=0.1, n_iterations=-1).membership
    assert potts_quality(graph, ours, 0.1) >= potts_quality(graph, theirs, 0.1) - 1e-6


@pytest.mark.parametrize("objective", ["CPM", "modularity"])
def test_components_in_threads_give_what_they_give_in_one(objective: str) -> None:
    graph = islands(40)
    params = LeidenParams(objective, 1.0 if objective == "modularity" else 0.3, 4)  # type: ignore[arg-type]
    alone = find_partition(graph, params)
    assert len(np.unique(alone)) > 40
    for n_threads in (2, 3, 8):
        assert np.array_equal(find_partition(graph, params, n_threads=n_threads), alone)


def test_another_process_gives_the_same_bytes() -> None:
    code = "from tests.unit.rings.test_leiden import *; print(digest())"
    told = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout.strip()
        for _ in range(2)
    }
    assert told == {digest()}


def digest() -> str:
    label = find_partition(planted(40, 15, 1)[1], LeidenParams("CPM", 0.1, 4), n_threads=2)
    return hashlib.sha256(label.astype("<i4").tobytes()).hexdigest()


def test_keys_decide_the_order_of_visits_not_the_rows_that_nodes_have() -> None:
    """Nodes in another order, with the same keys: the same groups."""
    _, graph = planted(25, 12, 3, 0.4, 0.06)
    keys = np.random.default_rng(1).integers(0, 2**62, graph.n_nodes).astype(np.uint64)
    place = np.random.default_rng(2).permutation(graph.n_nodes)
    left = np.repeat(np.arange(graph.n_nodes), np.diff(graph.starts))
    once = left < graph.ends
    moved = tie_graph(graph.n_nodes, place[left[once]], place[graph.ends[once]], graph.weights[once])
    moved_keys = np.empty_like(keys)
    moved_keys[place] = keys
    one = find_partition(graph, LeidenParams("CPM", 0.15, 4), keys=keys)
    other = find_partition(moved, LeidenParams("CPM", 0.15, 4), keys=moved_keys)
    assert adjusted_rand_score(one, other[place]) > 0.98


def test_fixed_nodes_stay_where_they_were_and_others_may_join_them() -> None:
    truth, graph = planted(6, 10, 2, 0.9, 0.01)
    start = np.arange(graph.n_nodes)
    start[:10] = [0] * 5 + [1] * 5  # one group held apart
    is_fixed = np.arange(graph.n_nodes) < 10
    label = find_partition(graph, LeidenParams("CPM", 0.1, 4), start=start, is_fixed=is_fixed)
    assert len(set(label[:5])) == len(set(label[5:10])) == 1
    assert label[0] != label[5]
    assert adjusted_rand_score(truth[10:], label[10:]) > 0.99


def test_a_partition_to_begin_with_is_kept_where_nothing_is_better() -> None:
    truth, graph = planted(10, 12, 4, 0.9, 0.01)
    assert np.array_equal(find_partition(graph, LeidenParams("CPM", 0.2, 1), start=truth), truth)


@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11), st.floats(0.01, 10)), max_size=40),
    st.floats(0.01, 2),
)
def test_any_graph_is_parted_into_connected_communities_no_worse_than_everybody_alone(
    ties: list[tuple[int, int, float]], resolution: float
) -> None:
    left, right, weights = (list(part) for part in zip(*ties, strict=True)) if ties else ([], [], [])
    graph = tie_graph(12, left, right, weights)
    label = find_partition(graph, LeidenParams("CPM", resolution, -1))
    assert potts_quality(graph, label, resolution) >= -1e-9
    reference, _ = as_igraph(graph)
    for community in np.unique(label):
        assert reference.induced_subgraph(np.flatnonzero(label == community).tolist()).is_connected()
    _, first = np.unique(label, return_index=True)
    assert np.array_equal(first, np.sort(first))


def test_nodes_without_ties_and_ties_with_oneself_are_taken_as_they_are() -> None:
    graph = tie_graph(4, [0, 1, 2], [0, 2, 1], [5.0, 1.0, 1.0])
    assert find_partition(graph, LeidenParams("CPM", 0.1)).tolist() == [0, 1, 1, 2]
    assert find_partition(tie_graph(0, [], []), LeidenParams()).tolist() == []
    assert modularity(tie_graph(2, [], []), [0, 1]) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": [0, 1]}, "for each node"),
        ({"start": [0, 1, 7]}, "from 0 to 2"),
        ({"sizes": np.ones(2)}, "one for each of 3"),
        ({"keys": np.ones(9, np.uint64)}, "one for each of 3"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RingError, match=message):
        find_partition(tie_graph(3, [0], [1]), LeidenParams(), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("resolution", [-1.0, float("nan"), float("inf")])
def test_a_resolution_that_is_no_number_from_zero_on_is_refused(resolution: float) -> None:
    with pytest.raises(RingError, match="resolution"):
        find_partition(tie_graph(3, [0], [1]), LeidenParams("CPM", resolution))


def test_a_weight_without_sense_is_refused_by_the_graph() -> None:
    with pytest.raises(RingError, match="weight"):
        tie_graph(2, [0], [1], [0.0])
    with pytest.raises(RingError, match="outside"):
        tie_graph(2, [0], [2])
