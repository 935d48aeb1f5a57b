from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.rings.features import FeatureParams, measure_nodes, measure_pass_through
from terag_pipelines.rings.passing import sum_passed
from terag_pipelines.rings.projection import ProjectionParams, project_entities
from terag_pipelines.rings.trails import CycleParams, find_cycles
from tests.unit.rings.worlds import World


def measure(world: World) -> pl.DataFrame:
    tables = world.tables()
    projection = project_entities(tables, ProjectionParams())
    community = np.zeros(len(projection.index), dtype=np.int64)
    cycles = find_cycles(projection.transfers, community, projection.hubs, CycleParams())
    return measure_nodes(tables, projection, community, cycles, FeatureParams()).table


def test_pass_through_is_the_share_that_leaves_within_the_window() -> None:
    world = World(4)
    world.pay(0, 1, 1000, day=1)
    world.pay(1, 2, 600, day=2)
    world.pay(0, 1, 1000, day=20)
    world.pay(1, 2, 900, day=30)
    moved = project_entities(world.tables(), ProjectionParams()).transfers
    passed = measure_pass_through(moved, FeatureParams(pass_through_days=3))
    assert dict(passed.select("node", "pass_through").iter_rows())[1] == pytest.approx(600 / 2000)


def test_one_payment_is_not_the_onward_way_of_many_receipts() -> None:
    world = World(12)
    for payer in range(1, 11):
        world.pay(payer, 0, 1000, day=payer / 10)
    world.pay(0, 11, 1000, day=2)
    rows = measure(world)
    assert rows["pass_through"][0] == pytest.approx(0.1)
    assert rows["n_relayed"][0] == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 9), st.integers(0, 40)), max_size=30
    )
)
def test_what_is_passed_on_is_what_payments_in_turn_can_carry(rows: list[tuple[int, int, int, int]]) -> None:
    moved = pl.DataFrame(
        [(a, (a + step) % 4, float(amount), hour * 3_600_000_000) for a, step, amount, hour in rows],
        schema={"source": pl.Int64, "target": pl.Int64, "amount": pl.Float64, "at": pl.Int64},
        orient="row",
    )
    passed = dict(sum_passed(moved, window_days=0.5).iter_rows())
    for node in moved["source"].unique():
        assert passed[node] == pytest.approx(pass_on_in_turn(moved, node, window_hours=12))


def pass_on_in_turn(moved: pl.DataFrame, node: int, window_hours: int) -> float:
    came = sorted([at, amount] for at, amount in moved.filter(target=node).select("at", "amount").iter_rows())
    total = 0.0
    for at, amount in moved.filter(source=node).sort("at").select("at", "amount").iter_rows():
        left = amount
        for receipt in came:
            if 0 <= at - receipt[0] <= window_hours * 3_600_000_000:
                part = min(left, receipt[1])
                receipt[1], left, total = receipt[1] - part, left - part, total + part
    return total


def test_a_huge_amount_of_another_hides_nothing_that_was_passed_on() -> None:
    world = World(6)
    world.pay(0, 1, 4 * 10**18, day=1)
    for day in (1, 2, 3, 4):
        world.pay(2, 3, 10 + day, day=day)
        world.pay(3, 4, 10 + day, day=day + 0.5)
    rows = measure(world)
    assert rows["pass_through"][3] == pytest.approx(1.0)


def test_a_collector_gathers_from_people_who_just_got_the_money() -> None:
    world = World(60, n_outside=20).plant_fan_in([0, 1, 2, 3, 4, 5], day=5)
    for person in range(20, 40):
        world.pay(person, person + 1, 10_000 * person, day=person)
    rows = measure(world)
    assert rows["n_relay_sources"][0] == 5
    assert rows["fan_in_burst"][0] == 5
    assert rows["gathering"][0] > 4
    assert rows["n_relayed"][1:6].to_list() == [1] * 5
    assert rows["n_relayed"][6:].sum() == 0


def test_mules_are_known_by_those_who_pass_money_on_beside_them() -> None:
    world = World(60, n_outside=20).plant_fan_in([0, 1, 2, 3, 4, 5], day=5)
    for person in range(20, 40):
        world.pay(person, person + 1, 10_000 * person, day=person)
    rows = measure(world)
    assert rows["fellow_relayers"][1:6].to_list() == [4] * 5
    assert rows["fellow_relayers"][6:60].sum() == 0


def test_a_payment_that_many_pass_on_to_a_hub_makes_no_fellows() -> None:
    world = World(150)
    for person in range(1, 120):
        world.pay(120 + person % 30, person, 1_000_000, day=person / 10)
        world.pay(person, 0, 990_000, day=person / 10 + 0.1)
    assert measure(world)["fellow_relayers"][1:120].max() < 5


def test_a_cycle_is_seen_by_each_of_its_members_alone() -> None:
    world = World(20).plant_cycle([2, 4, 6, 8], day=3)
    world.pay(9, 2, 5_000_000, 1)
    rows = measure(world)
    on_cycle = rows.filter(pl.col("n_long_cycles") > 0)["node"].to_list()
    assert on_cycle == [2, 4, 6, 8]
    assert rows["cycle_share"].to_list()[4] == pytest.approx(1.0)
    assert rows["cycle_share"][9] == 0


def test_shared_identifiers_are_counted_by_kind() -> None:
    world = World(5)
    world.devices += [(0, "d1"), (1, "d1"), (0, "d2"), (2, "d2"), (3, "own")]
    world.people[1] = {"phones": ["+77010000001"], "address_key": "abai 1"}
    world.people[4] = {"phones": ["+77010000001"], "address_key": "abai 1"}
    rows = measure(world)
    assert rows["shared_device"].to_list() == [2, 1, 1, 0, 0]
    assert rows["shared_phone"].to_list() == [0, 1, 0, 0, 1]
    assert rows["shared_address"].to_list() == [0, 1, 0, 0, 1]
    assert rows["n_sharers"].to_list() == [2, 2, 1, 0, 1]  # an address alone makes no sharer


def test_closeness_to_a_watchlist_halves_with_each_step() -> None:
    world = World(5)
    world.people[0] = {"is_watchlist": True}
    world.pay(0, 1, 100, 1)
    world.pay(2, 1, 100, 2)
    world.pay(3, 2, 100, 3)
    assert measure(world)["watchlist_closeness"].to_list() == [1.0, 0.5, 0.25, 0.0, 0.0]


def test_an_address_in_another_name_is_noticed() -> None:
    world = World(4)
    named = {"given_key": "aigul", "family_key": "serik"}
    world.people[0] = {**named, "emails": ["aigul.s@mail.kz"]}
    world.people[1] = {**named, "emails": ["boris77@mail.kz"]}
    world.people[2] = {"emails": ["boris77@mail.kz"]}
    assert measure(world)["mail_name_misfit"].to_list() == [0, 1, 0, 0]


def test_a_world_without_payments_has_features_that_are_all_numbers() -> None:
    rows = measure(World(3))
    assert rows.height == 3
    assert rows.null_count().sum_horizontal().item() == 0
    assert rows.drop("node", "is_partial", "community_size").to_numpy().sum() == 0
