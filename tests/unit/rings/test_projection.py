from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from terag_pipelines.rings.communities import CommunityParams, find_communities
from terag_pipelines.rings.nodes import index_nodes
from terag_pipelines.rings.projection import ProjectionParams, project_entities
from tests.unit.rings.worlds import World


def ties(world: World, params: ProjectionParams | None = None) -> dict[tuple[int, int], float]:
    edges = project_entities(world.tables(), params or ProjectionParams()).edges
    return {(left, right): weight for left, right, weight in edges.iter_rows()}


def test_the_rarer_an_identifier_the_stronger_the_tie() -> None:
    world = World(6)
    world.devices += [(0, "two hold it"), (1, "two hold it"), *((i, "four hold it") for i in (2, 3, 4, 5))]
    found = ties(world)
    assert found[0, 1] == pytest.approx(1.0)
    assert found[2, 3] == pytest.approx(1 / 3)
    assert len(found) == 1 + 6


def test_an_identifier_of_too_many_ties_nobody() -> None:
    world = World(6)
    world.devices += [(i, "everybody's") for i in range(6)]
    assert ties(world, ProjectionParams(max_identifier_holders=5)) == {}
    assert len(ties(world, ProjectionParams(max_identifier_holders=6))) == 15


def test_a_transfer_ties_by_its_part_in_both_flows_and_fades_with_age() -> None:
    world = World(4)
    world.pay(0, 1, 100, day=0)
    world.pay(2, 3, 100, day=90)
    world.pay(2, 1, 300, day=90)
    found = ties(world, ProjectionParams(half_life_days=90, relay_weight=0))
    assert found[0, 1] == pytest.approx((1 + 1 / 4) / 2 * 0.5)
    assert found[2, 3] == pytest.approx((1 / 4 + 1) / 2)
    assert found[1, 2] == pytest.approx((3 / 4 + 3 / 4) / 2)


def test_a_transfer_of_the_year_9999_is_the_newest_beside_which_others_tie_nobody() -> None:
    world = World(4)
    world.pay(0, 1, 1000, day=1)
    world.pay(2, 3, 1000, day=2_900_000)
    projection = project_entities(world.tables(), ProjectionParams())
    assert projection.edges.select("left", "right").rows() == [(2, 3)]
    assert find_communities(4, projection.edges, CommunityParams()).membership.tolist() == [0, 1, 2, 2]


def test_a_shop_ties_nobody_together_by_transfers() -> None:
    world = World(8)
    for customer in range(1, 8):
        world.pay(customer, 0, 100, day=customer)
    world.pay(1, 2, 100, day=1)
    assert set(ties(world, ProjectionParams(max_counterparties=5))) == {(1, 2)}


def test_records_of_one_entity_are_one_node_and_their_payments_between_them_no_edge() -> None:
    world = World(3)
    world.pay(0, 1, 100, day=1)
    world.pay(1, 2, 100, day=2)
    tables = world.tables()
    merged = pl.DataFrame(pl.from_arrow(tables["entity_members"])).with_columns(
        entity_id=pl.when(pl.col("record_id") == "p:1").then(pl.lit("e:000")).otherwise("entity_id")
    )
    projection = project_entities({**tables, "entity_members": merged.to_arrow()}, ProjectionParams())
    assert projection.index.nodes["entity_id"].to_list() == ["e:000", "e:002"]
    assert projection.transfers.select("source", "target").rows() == [(0, 1)]


def test_an_account_without_a_known_holder_stands_for_itself_as_a_partial_entity() -> None:
    world = World(2)
    world.pay(0, 1, 100, day=1)
    world.payments.append((0, 99, 100, 2.0))  # a99 is in no table
    index = index_nodes(world.tables())
    lone = index.nodes.filter(pl.col("entity_id") == "account:a99")
    assert lone["is_partial"].to_list() == [True]
    assert index.find_subjects(pl.Series(["a99", "p:0", "e:001", "nobody"])).to_list() == [0, 1, 2, None]


def test_no_input_is_an_empty_graph() -> None:
    projection = project_entities({}, ProjectionParams())
    assert len(projection.index) == 0
    assert projection.edges.height == 0


def test_a_number_that_passed_from_one_to_another_ties_nobody() -> None:
    world = World(4)
    number = {"phones": ["+77011234567"], "identifiers": ["card:4400430012345678", "passport:N01234567"]}
    until = {"phone_to": date(2015, 12, 31), "card_to": date(2015, 12, 31)}
    since = {"phone_from": date(2016, 6, 5), "card_from": date(2016, 6, 5)}
    world.people = {0: number | until, 1: number | since, 2: number | since | {"identifiers": []}}
    shared = project_entities(world.tables(), ProjectionParams()).shared
    held = {(left, right, kind) for left, right, kind in shared.select("left", "right", "kind").iter_rows()}
    assert held == {(0, 1, "document"), (1, 2, "phone")}
