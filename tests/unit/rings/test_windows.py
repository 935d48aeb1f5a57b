from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from terag_pipelines.entities.manifests import Manifest
from terag_pipelines.errors import ManifestError
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.interdiction import plan_interdictions
from terag_pipelines.rings.naming import NamedRings, name_rings
from terag_pipelines.rings.scenes import look_at_rings
from terag_pipelines.rings.windows import RingSpec, place_windows, read_rings, say_windows
from tests.unit.rings.worlds import World

OLD, NEW = [2, 4, 6, 8], [12, 14, 16, 18]


def manifest(rings: dict[str, Any] | None) -> Manifest:
    return Manifest(name="any", files=(), rings=rings)


@pytest.fixture
def world() -> World:
    """Two circles ninety days apart, of which some members of the new one also did so long ago."""
    world = World(60).plant_cycle(OLD, day=3).plant_cycle(NEW, day=93)
    for person in range(20, 50):
        world.pay(person, person + 1, 10_000 * person, day=2 * person)
    world.pay(12, 14, 5_000_000, day=4)
    return world


def windowed(world: World, days: float | None) -> dict[str, pa.Table]:
    tables = world.tables()
    return tables | {"ring_windows": place_windows(tables, RingSpec(days))}


def find(tables: dict[str, pa.Table]) -> NamedRings:
    return name_rings(score_rings(tables).scores, tables)


def rings_of(named: NamedRings) -> list[list[str]]:
    rings: dict[str, list[str]] = {}
    for row in named.members.to_pylist():
        rings.setdefault(row["ring_id"], []).append(row["entity_id"])
    return sorted(rings.values())


def ids(people: list[int]) -> list[str]:
    return [f"e:{person:03d}" for person in people]


def test_without_a_window_all_the_time_counts(world: World) -> None:
    tables = windowed(world, None)
    assert rings_of(find(tables)) == rings_of(find(world.tables())) == [ids(OLD), ids(NEW)]
    assert say_windows(tables["ring_windows"]).startswith("all transfers and events count")


def test_what_lies_before_the_window_makes_no_ring(world: World) -> None:
    tables = windowed(world, 30)
    assert rings_of(find(tables)) == [ids(NEW)]
    told = {row["table_name"]: row for row in tables["ring_windows"].to_pylist()}["transfers"]
    times = tables["transfers"]["occurred_at"].to_pylist()
    assert told["n_before"] == sum(at < told["since"] for at in times) > 0
    assert told["until"] == max(times)
    assert f"{told['n_before']:,} of {len(times):,} transfers" in say_windows(tables["ring_windows"])


def test_a_case_and_a_block_are_of_the_window_too(world: World) -> None:
    whole, late = windowed(world, None), windowed(world, 30)
    named = find(late)
    ring_id = named.rings["ring_id"].to_pylist()[0]
    sums = []
    for tables in (whole, late):
        scene = look_at_rings([ring_id], named.rings, named.members, tables)[0]
        sums.append(sum(one.amount_minor for one in scene.transfers))
    assert sums[0] - sums[1] == 5_000_000
    flow = plan_interdictions(named.rings, named.members, late)["flow_minor"].to_pylist()
    assert flow[0] == sums[1]


def test_a_device_used_before_the_window_ties_nobody() -> None:
    world = World(30)
    for person in range(3):
        world.pay(person, 10 + person, 1_000 + person, day=1)
    world.pay(20, 21, 9_000, day=99)
    tables = world.tables()
    devices = pa.array(["one"] * 3 + [None] * (tables["transfers"].num_rows - 3), pa.string())
    moved = tables["transfers"].sort_by("occurred_at")
    place = moved.schema.get_field_index("device_id")
    tables["transfers"] = moved.set_column(place, moved.schema.field(place), devices)
    pairs = []
    for days in (None, 30):
        seen = tables | {"ring_windows": place_windows(tables, RingSpec(days))}
        features = score_rings(seen).scores["features"].to_pylist()
        pairs.append(sum("shared_device" in one for one in features))
    assert pairs == [3, 0]


def test_a_batch_without_times_has_no_window() -> None:
    tables = World(3).tables()
    windows = place_windows(tables, RingSpec(30)).to_pylist()
    assert {row["since"] for row in windows} == {None}


@pytest.mark.parametrize("rings", [None, {}, {"window_days": None}])
def test_a_manifest_need_not_say_anything(rings: dict[str, Any] | None) -> None:
    assert read_rings(manifest(rings)) == RingSpec()


@pytest.mark.parametrize("days", [0, -1, True, "90", [90], 999_999, float("inf")])
def test_a_window_is_a_number_of_days(days: object) -> None:
    with pytest.raises(ManifestError, match=r"rings\.window_days: a number of days above 0"):
        read_rings(manifest({"window_days": days}))


def test_an_unknown_key_is_told() -> None:
    with pytest.raises(ManifestError, match=r"rings: unknown \['windows'\], known are \['window_days'\]"):
        read_rings(manifest({"windows": 3}))
