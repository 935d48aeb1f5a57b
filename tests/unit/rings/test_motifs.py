from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.rings.motifs import count_motifs, payment_graph
from terag_pipelines.rings.surroundings import average_around

NOBODY = pl.Series("hub", [], dtype=pl.Int64)
N = 6
Pairs = set[tuple[int, int]]

pairs_of_few = st.sets(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)).filter(lambda p: p[0] != p[1]))


def as_frame(pairs: Pairs) -> pl.DataFrame:
    schema = {"source": pl.Int64, "target": pl.Int64}
    return pl.DataFrame(sorted(pairs), schema=schema, orient="row")


def closed_by_hand(pairs: Pairs, node: int, length: int) -> int:
    others = [other for other in range(N) if other != node]
    tours = ((node, *middle, node) for middle in itertools.permutations(others, length - 1))
    return sum(all(step in pairs for step in itertools.pairwise(tour)) for tour in tours)


@given(pairs_of_few)
def test_motifs_are_those_that_enumeration_finds(pairs: Pairs) -> None:
    found = count_motifs(payment_graph(N, as_frame(pairs), NOBODY))
    deals = pairs | {(b, a) for a, b in pairs}
    for node in range(N):
        row = found.row(node, named=True)
        partners = [other for other in range(N) if (node, other) in deals]
        triangles = sum(pair in deals for pair in itertools.combinations(partners, 2))
        assert row["n_mutual"] == sum({(node, o), (o, node)} <= pairs for o in range(N))
        assert row["n_triangles"] == triangles
        assert row["clustering"] == pytest.approx(triangles / max(len(partners) * (len(partners) - 1) / 2, 1))
        assert row["n_closed_threes"] == closed_by_hand(pairs, node, 3)
        assert row["n_closed_fours"] == closed_by_hand(pairs, node, 4)
        assert row["n_two_on"] == sum(a == node and b == c and d != node for a, b in pairs for c, d in pairs)
        assert row["n_two_back"] == sum(
            d == node and b == c and a != node for a, b in pairs for c, d in pairs
        )


def test_a_ring_that_closes_stands_out_from_payments_that_fan_out() -> None:
    ring = {(0, 1), (1, 2), (2, 3), (3, 0)}
    fan = {(4, other) for other in range(5, 15)}
    found = count_motifs(payment_graph(15, as_frame(ring | fan), NOBODY))
    assert found["n_closed_fours"].to_list() == [1] * 4 + [0] * 11


def test_repeated_payments_count_once_and_those_of_hubs_not_at_all() -> None:
    frame = as_frame({(0, 1), (1, 0), (1, 2), (2, 0)})
    twice, hubs = pl.concat([frame, frame]), pl.Series("hub", [2], dtype=pl.Int64)
    assert count_motifs(payment_graph(3, twice, NOBODY)).equals(count_motifs(payment_graph(3, frame, NOBODY)))
    without = count_motifs(payment_graph(3, frame, hubs))
    assert without["n_mutual"].to_list() == [1, 1, 0]
    assert without["n_triangles"].to_list() == [0, 0, 0]


def test_surroundings_are_means_and_maxima_of_payers_and_payees() -> None:
    graph = payment_graph(4, as_frame({(0, 2), (1, 2), (2, 3)}), NOBODY)
    seen = average_around(pl.DataFrame({"x": [1.0, 3.0, 10.0, 5.0]}), graph, ["x"])
    assert seen["payers_mean_x"].to_list() == [0, 0, 2, 10]
    assert seen["payers_max_x"].to_list() == [0, 0, 3, 10]
    assert seen["payees_mean_x"].to_list() == [10, 10, 5, 0]


def test_nobody_has_no_motifs() -> None:
    empty = payment_graph(0, as_frame(set()), NOBODY)
    assert count_motifs(empty).height == 0
    assert np.array_equal(count_motifs(payment_graph(2, as_frame(set()), NOBODY))["n_triangles"], [0, 0])
