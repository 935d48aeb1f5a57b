from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import adjusted_rand_score

from terag_pipelines.errors import RingError
from terag_pipelines.rings.communities import CommunityParams, find_communities


def planted_graph(n_groups: int, size: int, seed: int = 5) -> tuple[np.ndarray, pl.DataFrame]:
    """Groups with 90% of their inner pairs tied, and a third as many ties between groups at random."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(n_groups), size)
    left, right = np.triu_indices(len(truth), k=1)
    same = truth[left] == truth[right]
    kept = np.where(same, rng.random(len(left)) < 0.9, rng.random(len(left)) < 0.3 * size / len(truth))
    edges = pl.DataFrame({"left": left[kept], "right": right[kept], "weight": np.ones(kept.sum())})
    return truth, edges


def memberships(n_nodes: int, edges: pl.DataFrame, params: CommunityParams) -> np.ndarray:
    return find_communities(n_nodes, edges, params).membership


def test_small_planted_groups_are_found_where_modularity_merges_them() -> None:
    truth, edges = planted_graph(60, 6)
    potts = memberships(len(truth), edges, CommunityParams(resolution=0.2, n_iterations=-1))
    modular = memberships(
        len(truth), edges, CommunityParams(objective="modularity", resolution=1.0, n_iterations=-1)
    )
    assert adjusted_rand_score(truth, potts) > 0.9
    assert adjusted_rand_score(truth, potts) > adjusted_rand_score(truth, modular)


@pytest.mark.parametrize("engine", ["compiled", "igraph"])
def test_the_same_seed_gives_the_same_communities_and_another_run_between_changes_nothing(
    engine: Literal["compiled", "igraph"],
) -> None:
    truth, edges = planted_graph(20, 8)
    params = CommunityParams(resolution=0.1, engine=engine)
    first = memberships(len(truth), edges, params)
    memberships(len(truth), edges, replace(params, seed=99))
    assert np.array_equal(first, memberships(len(truth), edges, params))
    assert adjusted_rand_score(truth, first) > 0.9


def test_a_community_above_the_bound_is_split_and_none_stays_above_it() -> None:
    truth, edges = planted_graph(4, 40)
    whole = memberships(len(truth), edges, CommunityParams(resolution=0.01, max_size=1000))
    bounded = memberships(len(truth), edges, CommunityParams(resolution=0.01, max_size=25))
    assert np.bincount(whole).max() > 25
    assert np.bincount(bounded).max() <= 25
    for community in range(bounded.max() + 1):  # a split never joins what was apart
        assert len(np.unique(whole[bounded == community])) == 1


def test_a_community_is_split_where_its_ties_are_weak_whatever_the_order_of_edges() -> None:
    rng = np.random.default_rng(11)
    half = np.zeros(40, dtype=np.int64)
    half[rng.permutation(40)[:20]] = 1
    left, right = np.triu_indices(40, k=1)
    weight = np.where(half[left] == half[right], 1.0, 0.01)
    edges = pl.DataFrame({"left": left + 7, "right": right + 7, "weight": weight})
    few = CommunityParams(resolution=0.001, max_size=20)
    assert adjusted_rand_score(half, memberships(47, edges, few)[7:]) == 1.0


def test_the_resolution_is_read_off_a_graph_that_has_one_and_is_the_usual_one_where_it_has_none() -> None:
    truth, edges = planted_graph(40, 10)
    found = find_communities(len(truth), edges, CommunityParams())
    assert found.choice is not None
    assert found.choice.is_clear
    assert found.resolution == found.choice.resolution
    assert adjusted_rand_score(truth, found.membership) > 0.99
    left, right = np.random.default_rng(3).integers(0, 400, (2, 2400))
    chance = pl.DataFrame({"left": left, "right": right, "weight": 1.0}).filter(
        pl.col("left") < pl.col("right")
    )
    unclear = find_communities(400, chance, CommunityParams())
    assert unclear.choice is not None
    assert not unclear.choice.is_clear
    assert unclear.resolution == CommunityParams().usual_resolution


def test_nodes_without_ties_are_alone_and_communities_are_numbered_by_their_first_node() -> None:
    edges = pl.DataFrame({"left": [1], "right": [3], "weight": [1.0]})
    assert memberships(5, edges, CommunityParams()).tolist() == [0, 1, 2, 1, 3]
    assert memberships(0, edges.clear(), CommunityParams()).tolist() == []
    assert memberships(3, edges.clear(), CommunityParams()).tolist() == [0, 1, 2]


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_that_is_no_positive_number_is_refused(weight: float) -> None:
    edges = pl.DataFrame({"left": [0], "right": [1], "weight": [weight]})
    with pytest.raises(RingError, match="weight"):
        find_communities(2, edges, CommunityParams())


def test_an_edge_to_a_node_that_is_not_there_is_refused() -> None:
    edges = pl.DataFrame({"left": [0], "right": [9], "weight": [1.0]})
    with pytest.raises(RingError, match="outside"):
        find_communities(2, edges, CommunityParams())
