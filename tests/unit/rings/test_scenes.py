"""Scenes from the tables of a batch: who is in them, what moved between them, and what they share."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest

from terag_pipelines.errors import NotFoundError
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.naming import NamedRings, name_rings
from terag_pipelines.rings.scenes import RingScene, look_at_ring, look_at_rings
from tests.unit.rings.worlds import CYCLE, SHARED, planted_world

Tables = dict[str, pa.Table]


@pytest.fixture(scope="module")
def tables() -> Tables:
    return planted_world().tables()


@pytest.fixture(scope="module")
def named(tables: Tables) -> NamedRings:
    return name_rings(score_rings(tables).scores, tables)


@pytest.fixture(scope="module")
def scenes(tables: Tables, named: NamedRings) -> dict[str, RingScene]:
    found = look_at_rings(named.rings["ring_id"].to_pylist(), named.rings, named.members, tables)
    return {scene.kind: scene for scene in found}


def test_a_scene_agrees_with_the_tables_of_its_ring(named: NamedRings, scenes: dict[str, RingScene]) -> None:
    members = pl.DataFrame(pl.from_arrow(named.members))
    for scene in scenes.values():
        ring = scene.ring
        assert len(scene.members) == ring["n_members"]
        assert len(scene.transfers) == ring["n_transfers"]
        assert len(scene.shared) == ring["n_shared_identifiers"]
        assert sum(one.amount_minor for one in scene.transfers) == ring["amount_minor"]
        assert (scene.transfers[0].occurred_at, scene.transfers[-1].occurred_at) == (
            ring["first_at"],
            ring["last_at"],
        )
        mine = members.filter(pl.col("ring_id") == ring["ring_id"])
        assert {m.entity_id: m.out_amount_minor for m in scene.members} == dict(
            mine.select("entity_id", "out_amount_minor").iter_rows()
        )


def test_members_of_a_cycle_are_numbered_as_money_goes(scenes: dict[str, RingScene]) -> None:
    scene = scenes["cycle"]
    number = {member.entity_id: member.number for member in scene.members}
    round_it = [number[f"e:{person:03d}"] for person in CYCLE]
    n = len(CYCLE)
    assert {(b - a) % n for a, b in zip(round_it, [*round_it[1:], round_it[0]], strict=True)} == {1}


def test_the_collector_is_member_one_of_a_fan_in(scenes: dict[str, RingScene]) -> None:
    assert scenes["fan_in"].members[0].role == "collector"


def test_what_is_shared_names_its_holders_and_others_outside(
    tables: Tables, named: NamedRings, scenes: dict[str, RingScene]
) -> None:
    scene = scenes["shared_identity"]
    number = {member.entity_id: member.number for member in scene.members}
    holders = tuple(sorted(number[f"e:{person:03d}"] for person in SHARED))
    assert {(one.kind, one.holders, one.n_outside) for one in scene.shared} == {
        ("device", holders, 0),
        ("phone", holders, 0),
    }
    world = planted_world()
    world.people[7] = {"phones": ["+77010000001"]}
    seen = look_at_ring(scene.ring["ring_id"], named.rings, named.members, world.tables())
    assert {one.n_outside for one in seen.shared if one.kind == "phone"} == {1}


def test_rows_in_another_order_are_the_same_scene(named: NamedRings, scenes: dict[str, RingScene]) -> None:
    shuffled = planted_world().tables(shuffle=5)
    for scene in scenes.values():
        assert look_at_ring(scene.ring["ring_id"], named.rings, named.members, shuffled) == scene


def test_a_ring_that_is_not_there_is_not_found(tables: Tables, named: NamedRings) -> None:
    with pytest.raises(NotFoundError, match="ring_none"):
        look_at_ring("ring_none", named.rings, named.members, tables)
