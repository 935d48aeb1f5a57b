"""The fewest accounts, proven against every set of every size."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.rings.cover import CoverParams, Weighted, cover_weight

SOLVED = CoverParams(most_tried=0)
GREEDY = CoverParams(most_tried=0, most_exact_nodes=0)


def graph(edges: dict[tuple[int, int], int], costs: list[int]) -> Weighted:
    left, right = (np.array([edge[side] for edge in edges], np.int64) for side in (0, 1))
    weight = np.array(list(edges.values()), np.int64)
    return Weighted(left, right, weight, np.array(costs, np.int64))


@st.composite
def graphs(draw: st.DrawFn) -> Weighted:
    n = draw(st.integers(2, 8))
    pairs = list(combinations(range(n), 2))
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    weights = draw(st.lists(st.integers(1, 1000), min_size=len(chosen), max_size=len(chosen)))
    costs = draw(st.lists(st.integers(0, 50), min_size=n, max_size=n))
    return graph(dict(zip(chosen, weights, strict=True)), costs)


def best_of_all(one: Weighted, percent: int) -> tuple[int, int]:
    """The least size, and the least cost of that size, by trying every set."""
    for size in range(1, len(one.cost) + 1):
        fitting = [
            int(one.cost[list(chosen)].sum())
            for chosen in combinations(range(len(one.cost)), size)
            if 100 * one.touched(np.array(chosen)) >= percent * one.total
        ]
        if fitting:
            return size, min(fitting)
    raise AssertionError("all nodes touch all edges")


@settings(max_examples=150, deadline=None)
@given(graphs(), st.sampled_from([50, 90, 100]))
def test_no_smaller_and_no_cheaper_set_does(one: Weighted, percent: int) -> None:
    size, cost = best_of_all(one, percent)
    found = cover_weight(one, CoverParams(wanted_percent=percent))
    assert len(found.chosen) == len(set(found.chosen.tolist())) == size == found.n_least
    assert int(one.cost[found.chosen].sum()) == cost
    assert 100 * one.touched(found.chosen) >= percent * one.total


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_the_integer_programme_finds_the_same(one: Weighted) -> None:
    size, cost = best_of_all(one, 90)
    found = cover_weight(one, SOLVED)
    assert (len(found.chosen), found.n_least, int(one.cost[found.chosen].sum())) == (size, size, cost)
    assert 100 * one.touched(found.chosen) >= 90 * one.total


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_a_greedy_cover_is_enough_and_its_bound_holds(one: Weighted) -> None:
    size, _ = best_of_all(one, 90)
    found = cover_weight(one, GREEDY)
    assert found.n_least <= size <= len(found.chosen)
    assert found.is_proven == (len(found.chosen) == found.n_least)
    assert 100 * one.touched(found.chosen) >= 90 * one.total


def test_what_the_solver_lets_through_by_a_rounding_is_not_enough() -> None:
    """Of 10**13 the wanted 90% are missed by one: a share that no solver's tolerance tells from enough."""
    amount = 10**13
    wanted = 9 * amount // 10
    one = graph({(0, 1): wanted - 1, (2, 3): amount - wanted + 1}, [0, 0, 0, 0])
    for params in (CoverParams(), SOLVED):
        found = cover_weight(one, params)
        assert len(found.chosen) == 2
        assert found.is_proven


@pytest.mark.parametrize("params", [CoverParams(), SOLVED, GREEDY])
def test_a_graph_without_edges_needs_nothing(params: CoverParams) -> None:
    found = cover_weight(graph({}, [1, 2]), params)
    assert (len(found.chosen), found.n_least) == (0, 0)


def test_a_large_sparse_graph_is_solved_and_a_larger_one_is_bounded() -> None:
    rng = np.random.default_rng(3)
    for n, is_exact in ((60, True), (150, False)):
        edges = {tuple(sorted(rng.choice(n, 2, replace=False).tolist())): 1 for _ in range(2 * n)}
        weighed = {edge: int(rng.integers(1, 10**9)) for edge in edges}
        one = graph(weighed, rng.integers(0, 10**9, n).tolist())  # type: ignore[arg-type]
        found = cover_weight(one)
        assert found.is_proven or not is_exact
        assert 100 * one.touched(found.chosen) >= 90 * one.total
        assert n // 8 < found.n_least <= len(found.chosen)


def test_the_order_is_that_of_what_each_adds() -> None:
    one = graph({(0, 1): 5, (0, 2): 5, (3, 4): 9, (3, 0): 3, (5, 6): 2}, [0] * 7)
    assert cover_weight(one, CoverParams(wanted_percent=100)).chosen.tolist()[:2] == [0, 3]
