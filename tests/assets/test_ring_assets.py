"""Rings as Dagster shows them: drawn with their timelines, members by entity ids alone."""

from __future__ import annotations

import base64
import re

from assets import rings
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.naming import NamedRings, name_rings
from tests.unit.rings.worlds import CYCLE, planted_world

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


def test_no_rings_have_no_pictures() -> None:
    tables = planted_world().tables()
    named = name_rings(score_rings(tables).scores, tables)
    none = NamedRings(named.rings.slice(0, 0), named.members.slice(0, 0))
    assert rings.draw_riskiest(none, tables) == {}
