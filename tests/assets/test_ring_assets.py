"""Rings as Dagster shows them: drawn with their timelines, members by entity ids alone."""

from __future__ import annotations

import base64
import re
from typing import Any

import pyarrow as pa

from assets import rings
from resources.bindings import SourceResource
from terag_pipelines.calibration.model import CALIBRATORS
from terag_pipelines.linking.model import ENTITY_CHANGES
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.lineage import EarlierRings, communities_of
from terag_pipelines.rings.naming import NamedRings, name_rings
from terag_pipelines.tables import digest
from tests.unit.rings.worlds import CYCLE, World, planted_world

DATA = re.compile(r"!\[picture\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)")
NAME, PHONE = "Айгүл Сәрсенбаева", "+77010000001"


def test_the_riskiest_rings_are_drawn_without_a_personal_value() -> None:
    world = planted_world()
    for person in CYCLE:
        world.people[person] = {"display_name": NAME}
    tables = world.tables()
    at = tables["transfers"].column_names.index("source_name")
    names = [[NAME] * tables["transfers"].num_rows]
    tables["transfers"] = tables["transfers"].set_column(at, "source_name", names)
    named = name_rings(score_rings(tables).scores, tables)
    ids = set(named.rings["ring_id"].to_pylist())
    shown = rings.draw_riskiest(named, tables)
    assert len(shown) == min(rings.N_DRAWN, len(ids))
    assert shown.keys() <= ids
    for ring_id, value in shown.items():
        drawing, timeline = (base64.b64decode(code).decode() for code in DATA.findall(value.value))
        assert ring_id in drawing
        assert "transfers between members" in timeline
        members = named.members.filter([one == ring_id for one in named.members["ring_id"].to_pylist()])
        assert all(entity_id in drawing for entity_id in members["entity_id"].to_pylist())
        assert not any(value in drawing + timeline for value in (NAME, PHONE, "device-1"))


def find(source: SourceResource, tables: dict[str, pa.Table]) -> dict[str, Any]:
    """The outputs of both assets by name, and the metadata of the events."""
    scores = rings.ring_scores(source, **tables).value
    named = rings.named_rings(source, scores, CALIBRATORS.empty(), ENTITY_CHANGES.empty(), **tables)
    outputs = {output.output_name: output for output in named}
    told = {name: value.value for name, value in outputs["ring_events"].metadata.items()}
    return {name: output.value for name, output in outputs.items()} | {"ring_scores": scores, "told": told}


def serve(source: SourceResource, settled: str, tables: dict[str, pa.Table], found: dict[str, Any]) -> None:
    """Notes the batch as its promotion does."""
    left = EarlierRings(communities_of(found["ring_scores"]), found["ring_traces"], found["ring_history"])
    source.registry().note(settled, tables["entity_records"], tables["entity_members"], left)


def grown_world() -> World:
    """The planted world in which the cycle has two more members, and the one of shared things is no more."""
    world = planted_world()
    for day in (12, 42, 72):
        world.plant_cycle([*CYCLE, 160, 190], day)
    world.devices.clear()
    world.people.clear()
    return world


def test_the_next_batch_of_a_source_takes_over_ids_and_repeated_is_the_same(source: SourceResource) -> None:
    registry, before, after = source.registry(), planted_world().tables(), grown_world().tables()
    registry.begin("one")
    first, first_batch = find(source, before), source.batch_id()
    assert set(first["ring_events"]["event"].to_pylist()) == {"born"}
    serve(source, "one", before, first)
    registry.begin("two")
    assert source.batch_id() != first_batch
    second = find(source, after)
    [cycle] = [row["ring_id"] for row in first["fraud_rings"].to_pylist() if row["kind"] == "cycle"]
    event = {row["ring_id"]: row for row in second["ring_events"].to_pylist()}[cycle]
    assert (event["event"], event["n_members_before"], event["first_batch_number"]) == ("grew", 5, 1)
    assert event["batch"] == source.batch_id()
    members = {row["entity_id"] for row in second["ring_members"].to_pylist() if row["ring_id"] == cycle}
    assert members >= {f"e:{person:03d}" for person in (*CYCLE, 160, 190)}
    assert f"| {cycle} | grew | 5 |" in second["told"]["largest_changes"]
    serve(source, "two", after, second)
    registry.begin("two")
    again = find(source, after)
    for name in ("ring_scores", "fraud_rings", "ring_members", "ring_events", "ring_history", "ring_traces"):
        assert digest(again[name]) == digest(second[name]), name


def test_rings_that_did_not_change_only_continue_in_the_next_batch(source: SourceResource) -> None:
    registry, tables = source.registry(), planted_world().tables()
    registry.begin("one")
    first = find(source, tables)
    serve(source, "one", tables, first)
    registry.begin("the same by another name")
    second = find(source, tables)
    assert set(second["ring_events"]["event"].to_pylist()) == {"continued"}
    assert digest(second["ring_members"]) == digest(first["ring_members"])
    assert second["told"]["largest_changes"] == "nothing"


def test_no_rings_have_no_pictures() -> None:
    tables = planted_world().tables()
    named = name_rings(score_rings(tables).scores, tables)
    none = NamedRings(named.rings.slice(0, 0), named.members.slice(0, 0))
    assert rings.draw_riskiest(none, tables) == {}
