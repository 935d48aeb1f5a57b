from __future__ import annotations

import polars as pl
import pytest

from terag_pipelines.errors import NotFoundError
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.naming import name_rings
from terag_pipelines.rings.pictures import draw_ring, draw_risk_histogram, place_members
from tests.unit.rings.worlds import planted_world

PNG = b"\x89PNG"


def test_a_ring_is_drawn_the_same_each_time() -> None:
    tables = planted_world().tables()
    scores = score_rings(tables).scores
    named = name_rings(scores, tables)
    ring_id = named.rings["ring_id"][0].as_py()
    first = draw_ring(ring_id, named.rings, named.members, tables)
    assert first.startswith(PNG)
    assert first == draw_ring(ring_id, named.rings, named.members, tables)
    assert draw_risk_histogram(scores).startswith(PNG)
    with pytest.raises(NotFoundError):
        draw_ring("ring_none", named.rings, named.members, tables)


def test_a_collector_is_in_the_middle_and_a_circle_in_its_order() -> None:
    flows = pl.DataFrame({"a": [0, 1, 2], "b": [1, 2, 0], "amount": [1.0, 1.0, 1.0]})
    circle = place_members(["link"] * 3, flows)
    assert (circle**2).sum(axis=1) == pytest.approx([1, 1, 1])
    star = pl.DataFrame({"a": [1, 2, 3], "b": [0, 0, 0], "amount": [1.0, 2.0, 3.0]})
    points = place_members(["collector", "mule", "mule", "mule"], star)
    assert points[0].tolist() == [0.0, 0.0]
