"""Groups that stand out by their ties alone: planted cliques are found, graphs without any give none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from terag_pipelines.rings.dense_groups import DenseParams, find_dense_groups

Pair = tuple[int, int]


def clique(members: list[int]) -> set[Pair]:
    return {(a, b) for a in members for b in members if a < b}


def tree(members: list[int], seed: int) -> set[Pair]:
    rng = np.random.default_rng(seed)
    return {(members[int(rng.integers(0, at))], members[at]) for at in range(1, len(members))}


def edges_of(pairs: set[Pair], weight: float = 1.0) -> pl.DataFrame:
    ordered = sorted({(min(pair), max(pair)) for pair in pairs})
    return pl.DataFrame(
        {
            "left": [a for a, _ in ordered],
            "right": [b for _, b in ordered],
            "weight": [weight] * len(ordered),
        },
        schema={"left": pl.Int64, "right": pl.Int64, "weight": pl.Float64},
    )


def forest(n_trees: int = 20, size: int = 12) -> tuple[np.ndarray, set[Pair]]:
    """Communities that are trees with two ties more."""
    community = np.repeat(np.arange(n_trees), size)
    pairs: set[Pair] = set()
    for number in range(n_trees):
        members = list(range(number * size, (number + 1) * size))
        pairs |= tree(members, number) | {(members[0], members[-1]), (members[1], members[-2])}
    return community, pairs


def test_a_clique_in_a_community_of_a_sparse_graph_is_its_core() -> None:
    community, pairs = forest()
    planted = [24, 26, 28, 30, 33, 35]
    found = find_dense_groups(community, edges_of(pairs | clique(planted)), DenseParams())
    assert np.flatnonzero(found.group >= 0).tolist() == planted
    (row,) = found.table.to_dicts()
    assert (row["n_members"], row["density"]) == (6, 1.0)
    assert row["usual_density"] < 0.4
    assert found.node_scores()[planted].tolist() == [row["score"]] * 6
    assert found.node_scores().sum() == pytest.approx(6 * row["score"])


def test_the_denser_and_larger_the_surer() -> None:
    community, pairs = forest()
    scores = []
    for n in (5, 7, 9):
        found = find_dense_groups(
            community, edges_of(pairs | clique(list(range(24, 24 + n)))), DenseParams(least_score=0.0)
        )
        scores.append(found.table["score"].max())
    assert scores == sorted(scores)
    assert 0.5 < scores[0] < scores[2] < 1.0  # type: ignore[operator]


def test_nothing_stands_out_where_all_are_alike() -> None:
    community, pairs = forest()
    assert find_dense_groups(community, edges_of(pairs), DenseParams()).table.is_empty()
    community = np.repeat(np.arange(10), 6)
    cliques = set().union(*(clique(list(range(6 * at, 6 * at + 6))) for at in range(10)))
    assert find_dense_groups(community, edges_of(cliques), DenseParams()).table.is_empty()


def test_weak_ties_make_no_dense_group() -> None:
    community, pairs = forest()
    strong = edges_of(pairs)
    weak = edges_of(clique([24, 26, 28, 30, 33, 35]) - set(strong.select("left", "right").rows()), 0.1)
    mixed = pl.concat([strong, weak])
    assert find_dense_groups(community, mixed, DenseParams()).table.is_empty()


@pytest.mark.parametrize("n_nodes", [0, 1, 2, 3])
def test_graphs_too_small_for_a_group(n_nodes: int) -> None:
    edges = edges_of(clique(list(range(n_nodes))))
    found = find_dense_groups(np.zeros(n_nodes, np.int64), edges, DenseParams())
    assert found.table.is_empty()
    assert found.node_scores().tolist() == [0.0] * n_nodes
