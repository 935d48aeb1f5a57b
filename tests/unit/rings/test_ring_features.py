from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.model import RING_FEATURES, RING_MEMBERS
from terag_pipelines.rings.naming import name_rings
from terag_pipelines.rings.projection import ProjectionParams, project_entities
from terag_pipelines.rings.ring_feature_words import tell_features
from terag_pipelines.rings.ring_features import measure_rings
from terag_pipelines.rings.sections import Rows
from tests.unit.rings.worlds import START, World, make_table

CIRCLE, FAN = [2, 4, 6, 8], [12, 14, 16, 18, 20]


def members(rings: dict[str, list[int]]) -> pa.Table:
    rows = [
        {"ring_id": ring_id, "entity_id": f"e:{person:03d}", "role": "associate", "score": 0.5}
        for ring_id, people in rings.items()
        for person in people
    ]
    return make_table(RING_MEMBERS, rows)


def measure(world: World, **opened: int) -> dict[str, dict[str, Any]]:
    """Features by ring: `opened` says how many days before the start an account was opened."""
    tables = world.tables()
    days = [opened.get(account) for account in tables["accounts"]["account_id"].to_pylist()]
    on = [None if n is None else START.date() - timedelta(days=n) for n in days]
    place = tables["accounts"].schema.get_field_index("opened_on")
    tables["accounts"] = tables["accounts"].set_column(
        place, tables["accounts"].schema.field(place), pa.array(on, pa.date32())
    )
    projection = project_entities(tables, ProjectionParams())
    found = measure_rings(members({"circle": CIRCLE, "fan": FAN}), projection, tables)
    return {row["ring_id"]: row for row in found.to_pylist()}


@pytest.fixture
def world() -> World:
    return (
        World(40, n_outside=10).plant_cycle(CIRCLE, day=3).plant_fan_in(FAN, day=20, amount_minor=9_000_000)
    )


def test_a_circle_and_a_fan_differ_in_shape(world: World) -> None:
    found = measure(world)
    circle, fan = found["circle"], found["fan"]
    assert (circle["n_circles"], circle["circle_share"]) == (1, 1.0)
    assert (fan["n_circles"], fan["circle_share"]) == (0, 0.0)
    assert (circle["n_members"], circle["n_ties"], circle["density"]) == (4, 4, pytest.approx(4 / 6))
    assert (fan["n_members"], fan["n_ties"], fan["density"]) == (5, 4, pytest.approx(4 / 10))
    assert (circle["fan_in"], fan["fan_in"], fan["fan_out"]) == (pytest.approx(1 / 3), 1.0, 0.25)


def test_money_that_stays_and_money_that_leaves(world: World) -> None:
    found = measure(world)
    assert found["circle"]["inside_share"] == pytest.approx(1.0)
    assert found["circle"]["span_days"] == pytest.approx(0.75)
    assert found["fan"]["inside_share"] == pytest.approx(0.5, abs=0.05)  # the collector sends it out again
    assert found["fan"]["pass_through"] == pytest.approx(0.9, abs=0.05)
    assert found["fan"]["n_relayed"] == 4
    assert found["fan"]["relay_hours"] == pytest.approx(2.4)


def test_what_nobody_passes_on_counts_as_received(world: World) -> None:
    world.pay(30, 2, 100_000_000, day=50)
    before, after = measure(World(40).plant_cycle(CIRCLE, day=3)), measure(world)
    assert after["circle"]["pass_through"] < 0.5 < before["circle"]["pass_through"]


def test_amounts_that_are_round_or_just_below_a_limit() -> None:
    world = World(40)
    for place, amount in enumerate((950_000_000, 990_000_000, 5_000_000, 1_234_567)):
        world.pay(CIRCLE[place], CIRCLE[(place + 1) % 4], amount, 10 * place)
    found = measure(world)["circle"]
    assert found["n_just_below"] == 2
    assert found["round_share"] == 0.75


def test_things_that_members_share_are_counted_once(world: World) -> None:
    world.devices = [(2, "one"), (4, "one"), (6, "one"), (8, "lone"), (30, "lone")]
    found = measure(world)
    assert (found["circle"]["shared_device"], found["fan"]["shared_device"]) == (1, 0)


def test_what_many_hold_is_no_tie_of_a_ring(world: World) -> None:
    world.devices = [(person, "kiosk") for person in range(25)]
    tables = world.tables()
    found = measure(world)
    assert (found["circle"]["shared_device"], found["fan"]["shared_device"]) == (0, 0)
    scores = score_rings(tables).scores
    reasons = [one for row in name_rings(scores, tables).rings.to_pylist() for one in row["reasons"]]
    assert reasons
    assert not any("device" in one for one in reasons)


def test_closeness_is_that_of_the_closest_member(world: World) -> None:
    world.people[30] = {"is_watchlist": True}
    world.pay(2, 30, 1_000, day=40)
    world.label([12, 14], "fraud", "1", "training").label([6], "fraud", "1", "truth")
    found = measure(world)
    assert (found["circle"]["watchlist_closeness"], found["fan"]["watchlist_closeness"]) == (0.5, 0.0)
    assert (found["circle"]["fraud_closeness"], found["fan"]["fraud_closeness"]) == (0.0, 1.0)
    assert (found["circle"]["n_labelled_fraud"], found["fan"]["n_labelled_fraud"]) == (0, 2)


def test_newness_is_of_accounts_whose_opening_is_known(world: World) -> None:
    found = measure(world, a2=1, a4=1_000)
    assert found["circle"]["new_account_share"] == 0.5
    assert found["fan"]["new_account_share"] is None


def test_no_rings_have_no_features(world: World) -> None:
    tables = world.tables()
    found = measure_rings(RING_MEMBERS.empty(), project_entities(tables, ProjectionParams()), tables)
    assert found.equals(RING_FEATURES.empty())


def test_members_who_neither_pay_nor_share_have_features_too() -> None:
    found = measure(World(40))["circle"]
    assert (found["n_members"], found["n_ties"], found["density"]) == (4, 0, 0.0)
    assert found["pass_through"] is found["inside_share"] is found["round_share"] is None


def test_a_median_between_two_counts_is_not_rounded_to_one(world: World) -> None:
    first = measure(world)["circle"]
    rings = [first | {"ring_id": f"r{n}", "n_members": n} for n in (4, 8, 9)]
    (section,) = tell_features("r4", rings)
    assert isinstance(section.blocks[0], Rows)
    assert section.blocks[0].rows[0] == ("members", "4", "8.5")


def test_the_only_ring_is_compared_with_none(world: World) -> None:
    (section,) = tell_features("circle", [measure(world)["circle"]])
    assert isinstance(section.blocks[0], Rows)
    assert section.blocks[0].rows[0] == ("members", "4", "-")


def test_a_case_shows_what_is_known_beside_the_other_rings(world: World) -> None:
    (section,) = tell_features("circle", list(measure(world).values()))
    shown = section.blocks[0]
    assert isinstance(shown, Rows)
    rows = {row[0]: row[1:] for row in shown.rows}
    assert rows["members on a circle"] == ("100%", "0%")
    assert "shared by two or more: iin" not in rows
    assert "accounts that were new at the first transfer" not in rows
    assert tell_features("another", list(measure(world).values())) == ()
