"""Which accounts stop a ring's money, and whose other money they stop."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from terag_pipelines.rings.interdiction import InterdictionParams, plan_interdictions
from terag_pipelines.rings.interdiction_words import say_interdictions, tell_block
from terag_pipelines.rings.model import FRAUD_RINGS, RING_INTERDICTIONS, RING_MEMBERS
from terag_pipelines.rings.naming import NamingParams, name_rings
from terag_pipelines.rings.sections import section_as_json
from tests.unit.rings.test_doubt import scores_of
from tests.unit.rings.worlds import World, planted_world

Tables = dict[str, pa.Table]


def name(world: World, members: list[int], tables: Tables | None = None) -> tuple[pa.Table, pa.Table, Tables]:
    tables = tables or world.tables()
    named = name_rings(scores_of({f"e:{one:03d}": 0.9 for one in members}), tables)
    assert named.members["entity_id"].to_pylist() == [f"e:{one:03d}" for one in members]
    return named.rings, named.members, tables


def plan(world: World, members: list[int], tables: Tables | None = None) -> list[dict[str, Any]]:
    rows = plan_interdictions(*name(world, members, tables)).to_pylist()
    return sorted(rows, key=lambda row: int(row["rank"]))


def test_a_star_is_stopped_at_its_hub_and_innocent_money_counts_once() -> None:
    world = World(20)
    for mule in (1, 2, 3, 4):
        world.pay(mule, 0, 1_000_000, mule)
    world.pay(10, 0, 70_000, 2)  # others with the hub, in the window
    world.pay(0, 11, 30_000, 3)
    world.pay(10, 1, 9_000_000, 2)  # with a mule: not blocked
    world.pay(10, 11, 5_000_000, 2)  # of nobody in the ring
    world.pay(12, 0, 900_000, 60)  # long after
    [row] = plan(world, [0, 1, 2, 3, 4])
    assert (row["account_id"], row["entity_id"], row["rank"]) == ("a0", "e:000", 1)
    assert (row["flow_minor"], row["stopped_minor"], row["stopped_share"]) == (4_000_000, 4_000_000, 1.0)
    assert (row["innocent_minor"], row["n_innocent_transfers"]) == (100_000, 2)
    assert (row["currency"], row["is_member"], row["is_proven_fewest"]) == ("KZT", True, True)


def test_a_circle_needs_every_other_account_and_spares_the_innocent() -> None:
    world = World(20)
    world.plant_cycle([0, 1, 2, 3], 0, amount_minor=1_000_000)
    world.pay(10, 0, 400_000, 0.5)
    world.pay(10, 2, 400_000, 0.5)
    rows = plan(world, [0, 1, 2, 3])
    assert {row["account_id"] for row in rows} == {"a1", "a3"}
    assert [row["innocent_minor"] for row in rows] == [0, 0]
    assert [row["stopped_share"] >= 0.9 for row in rows] == [False, True]
    assert rows[0]["stopped_minor"] < rows[1]["stopped_minor"] == rows[0]["flow_minor"]


def test_two_collectors_outside_stand_for_all_who_pay_them() -> None:
    """Four members pass a little among themselves, and nearly all of it on to two that live off them."""
    world = World(20)
    for member in (0, 1, 2, 3):
        world.pay(member, (member + 1) % 4, 10_000, 1 + member / 10)
        for collector in (15, 16):
            world.pay(member, collector, 1_000_000, 2)
    world.pay(15, 10, 300_000, 2.5)
    rows = plan(world, [0, 1, 2, 3])
    assert [(row["account_id"], row["is_member"]) for row in rows] == [("a15", False), ("a16", False)]
    assert [row["innocent_minor"] for row in rows] == [300_000, 0]
    assert rows[-1]["stopped_minor"] == 8_000_000
    assert rows[0]["flow_minor"] == 8_040_000


@pytest.mark.parametrize("n_customers", [1, 9])
def test_a_shop_that_members_pay_is_no_collector(n_customers: int) -> None:
    world = World(40)
    world.plant_cycle([0, 1, 2], 0, amount_minor=1_000_000)
    for member in (0, 1):
        world.pay(member, 30, 50_000, 0.5)
    for customer in range(10, 10 + n_customers):
        world.pay(customer, 30, 50_000, 0.5)
    flows = {row["flow_minor"] for row in plan(world, [0, 1, 2])}
    assert flows == {2_970_100 + (100_000 if n_customers == 1 else 0)}


def test_own_accounts_are_neither_flow_nor_innocent() -> None:
    world = World(20)
    for mule in (1, 2, 3):
        world.pay(mule, 0, 1_000_000, mule)
    world.pay(0, 9, 500_000, 2)
    tables = world.tables()
    owner = [
        "p:0" if account == "a9" else f"p:{account[1:]}"
        for account in tables["accounts"]["account_id"].to_pylist()
    ]
    at = tables["accounts"].column_names.index("record_id")
    tables["accounts"] = tables["accounts"].set_column(at, "record_id", pa.array(owner))
    [row] = plan(world, [0, 1, 2, 3], tables)
    assert (row["account_id"], row["flow_minor"], row["innocent_minor"]) == ("a0", 3_000_000, 0)


def test_other_currencies_are_counted_and_not_added() -> None:
    world = World(20)
    for mule in (1, 2, 3):
        world.pay(mule, 0, 1_000_000, mule)
    world.pay(1, 2, 5, 2)
    world.pay(10, 0, 7, 2)
    tables = world.tables()
    currency = ["KZT"] * 3 + ["USD"] * 2
    at = tables["transfers"].column_names.index("currency")
    tables["transfers"] = tables["transfers"].set_column(at, "currency", pa.array(currency))
    [row] = plan(world, [0, 1, 2, 3], tables)
    assert (row["currency"], row["flow_minor"], row["innocent_minor"]) == ("KZT", 3_000_000, 0)
    assert row["n_other_currency_transfers"] == 1
    told = str(section_as_json(tell_block([row], {"e:000": 1})))
    assert "Left out: 1 transfer between members in other currencies" in told


def test_money_of_an_unknown_currency_is_a_currency_of_its_own() -> None:
    world = World(20)
    for mule in (1, 2, 3):
        world.pay(mule, 0, 1_000_000, mule)
    tables = world.tables()
    at = tables["transfers"].column_names.index("currency")
    tables["transfers"] = tables["transfers"].set_column(at, "currency", pa.nulls(3, pa.string()))
    [row] = plan(world, [0, 1, 2, 3], tables)
    assert (row["currency"], row["stopped_minor"]) == (None, 3_000_000)
    assert "unknown currency" in str(section_as_json(tell_block([row], {"e:000": 1})))


def test_the_order_of_rows_changes_nothing_and_the_flow_is_the_rings_amount() -> None:
    world = planted_world()
    tables = world.tables()
    members = [10, 15, 20, 40, 45, 50, 70, 75, 80, 100, 105, 110, 130, 135, 165, 195]
    named = name_rings(scores_of({f"e:{one:03d}": 0.9 for one in members}), tables)
    first = plan_interdictions(named.rings, named.members, tables)
    assert first.num_rows >= 3
    for seed in (1, 2):
        again = plan_interdictions(named.rings, named.members, world.tables(shuffle=seed))
        assert again.equals(first)
    no_collectors = InterdictionParams(min_payers=10**6, window_days=0)
    flow = plan_interdictions(named.rings, named.members, tables, no_collectors)
    amounts = {row["ring_id"]: row["amount_minor"] for row in named.rings.to_pylist()}
    assert {row["ring_id"]: row["flow_minor"] for row in flow.to_pylist()} == amounts


def test_a_ring_without_money_has_no_rows_and_says_so() -> None:
    world = World(10)
    world.devices += [(one, "d") for one in (0, 1, 2)]
    assert plan(world, [0, 1, 2]) == []
    assert "No money moved" in str(section_as_json(tell_block([], {})))
    assert say_interdictions(RING_INTERDICTIONS.empty(), 1) == (
        "accounts to block: 0, in 0 of 1 ring; proven to be the fewest: in 0"
    )


def test_no_rings_have_no_rows() -> None:
    for tables in (World(3).tables(), {}):
        none = plan_interdictions(FRAUD_RINGS.empty(), RING_MEMBERS.empty(), tables)
        assert none.schema.equals(RING_INTERDICTIONS.schema)
        assert none.num_rows == 0
    assert say_interdictions(RING_INTERDICTIONS.empty(), 0) is None


def test_the_window_ends_some_days_after_the_last_transfer() -> None:
    world = World(20)
    for mule in (1, 2, 3):
        world.pay(mule, 0, 1_000_000, 5)
    world.pay(0, 10, 1, 7.9)
    world.pay(0, 10, 1, 8.1)
    world.pay(10, 0, 1, 4.9)
    [row] = plan(world, [0, 1, 2, 3])
    assert row["n_innocent_transfers"] == 1
    assert timedelta(days=InterdictionParams().window_days) == timedelta(
        days=NamingParams().pass_through_days
    )
