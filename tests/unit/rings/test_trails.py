from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.rings import trails
from terag_pipelines.rings.flows import MICROSECONDS_PER_DAY
from terag_pipelines.rings.trails import CycleParams, RelayParams, find_cycles, find_relays

NOBODY = pl.Series("hub", [], dtype=pl.Int64)
Payment = tuple[int, int, float, int]


def as_frame(payments: list[Payment]) -> pl.DataFrame:
    rows = [(a, b, float(amount), day * MICROSECONDS_PER_DAY) for a, b, amount, day in payments]
    schema = {"source": pl.Int64, "target": pl.Int64, "amount": pl.Float64, "at": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def cycles_of(payments: list[Payment], params: CycleParams, n_nodes: int = 8) -> set[tuple[int, ...]]:
    found = find_cycles(as_frame(payments), np.zeros(n_nodes, dtype=np.int64), NOBODY, params)
    return {tuple(steps) for steps in found.group_by("cycle").agg("transfer")["transfer"].to_list()}


def cycles_by_hand(payments: list[Payment], params: CycleParams) -> set[tuple[int, ...]]:
    found = set()
    for length in range(params.min_length, params.max_length + 1):
        for rows in itertools.permutations(range(len(payments)), length):
            steps = [payments[row] for row in rows]
            pairs = list(itertools.pairwise(steps))
            chained = all(one[1] == two[0] for one, two in pairs) and steps[-1][1] == steps[0][0]
            simple = len({step[0] for step in steps}) == length
            in_time = all(one[3] <= two[3] for one, two in pairs)
            soon = steps[-1][3] - steps[0][3] <= params.window_days
            carried = all(params.min_carried <= two[2] / one[2] <= params.max_carried for one, two in pairs)
            turned = any(frozenset(one) == frozenset(rows) for one in found)
            if chained and simple and in_time and soon and carried and not turned:
                found.add(rows)
    return found


payments_of_few = st.lists(
    st.tuples(
        st.integers(0, 4), st.integers(0, 4), st.sampled_from([50.0, 80.0, 100.0]), st.integers(0, 12)
    ).filter(lambda payment: payment[0] != payment[1]),
    max_size=7,
)


@settings(max_examples=150, deadline=None)
@given(payments_of_few)
def test_the_search_finds_exactly_the_cycles_that_enumeration_finds(payments: list[Payment]) -> None:
    params = CycleParams(max_length=4, window_days=8, min_carried=0.7, max_carried=1.1)
    assert cycles_of(payments, params) == cycles_by_hand(payments, params)


def test_money_that_goes_back_in_time_is_no_cycle() -> None:
    assert cycles_of([(0, 1, 100, 3), (1, 2, 99, 2), (2, 0, 98, 1)], CycleParams()) == set()
    assert cycles_of([(0, 1, 100, 1), (1, 2, 99, 2), (2, 0, 98, 3)], CycleParams()) == {(0, 1, 2)}


def test_a_cycle_whose_transfers_are_of_one_instant_is_found_once() -> None:
    payments: list[Payment] = [(0, 1, 100, 1), (1, 2, 100, 1), (2, 0, 100, 1)]
    assert cycles_of(payments, CycleParams()) == {(0, 1, 2)}


def test_however_few_paths_are_followed_every_transfer_is_begun_with() -> None:
    payments: list[Payment] = [(step, step + 1, 100, step) for step in range(29)]
    payments += [(29, 0, 100, 29), (30, 31, 100, 1), (31, 30, 100, 2)]
    assert cycles_of(payments, CycleParams(max_paths=10), n_nodes=32) == {(30, 31)}


def test_of_many_next_transfers_the_first_are_looked_at() -> None:
    payments: list[Payment] = [(0, 1, 100, 1)] + [(1, 2, 100 - step, 1 + step) for step in range(1, 10)]
    days = RelayParams(window_days=30, min_carried=0.5)
    found = find_relays(as_frame(payments), NOBODY, days)
    first = find_relays(as_frame(payments), NOBODY, replace(days, max_next=4))
    assert (found.height, first.height) == (9, 4)


def test_next_transfers_that_do_not_fit_in_memory_at_once_are_all_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    ends = rng.integers(0, 6, (300, 2))
    payments: list[Payment] = [(int(a), int(b), 100, int(a + b)) for a, b in ends if a != b]
    whole = [
        find_relays(as_frame(payments), NOBODY, RelayParams()),
        cycles_of(payments, CycleParams(max_length=3)),
    ]
    monkeypatch.setattr(trails, "STEPS_AT_ONCE", 7)
    assert find_relays(as_frame(payments), NOBODY, RelayParams()).equals(whole[0])
    assert cycles_of(payments, CycleParams(max_length=3)) == whole[1]


def test_cycles_through_a_hub_or_across_communities_are_not_searched() -> None:
    payments = as_frame([(0, 1, 100, 1), (1, 0, 99, 2)])
    together, apart = np.array([0, 0]), np.array([0, 1])
    hub = pl.Series("hub", [1], dtype=pl.Int64)
    assert find_cycles(payments, together, NOBODY, CycleParams()).height == 2
    assert find_cycles(payments, together, hub, CycleParams()).height == 0
    assert find_cycles(payments, apart, NOBODY, CycleParams()).height == 0


def test_a_relay_passes_on_most_of_what_came_soon_after_to_somebody_else() -> None:
    payments = [
        (0, 1, 100, 1),
        (1, 2, 95, 2),  # relays the first
        (1, 3, 40, 2),  # too little
        (1, 0, 95, 2),  # back to where it came from
        (1, 4, 95, 9),  # too late
    ]
    found = find_relays(as_frame(payments), NOBODY, RelayParams(window_days=2))
    assert found.rows() == [(0, 1)]
    assert find_relays(as_frame(payments), pl.Series("hub", [1]), RelayParams()).rows() == []


def test_small_payments_are_not_relays() -> None:
    assert (
        find_relays(as_frame([(0, 1, 0.5, 1), (1, 2, 0.5, 1)]), NOBODY, RelayParams(min_amount=1.0)).height
        == 0
    )


def test_nothing_to_search_finds_nothing() -> None:
    empty = as_frame([])
    assert find_cycles(empty, np.zeros(0, dtype=np.int64), NOBODY, CycleParams()).height == 0
    assert find_relays(empty, NOBODY, RelayParams()).height == 0
