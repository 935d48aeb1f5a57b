from __future__ import annotations

from pathlib import Path

from terag_pipelines.rings.detection import score_rings
from tests.unit.rings.planted_kinds import FLOORS, make_linked_bank, measure_kinds


def test_every_planted_kind_is_found_at_its_floor(tmp_path: Path) -> None:
    # banks of seed 7 were looked at while scores were made, this one was not
    tables = make_linked_bank(5000, 21, tmp_path)
    found = measure_kinds(score_rings(tables), tables)
    assert set(found.recall) == set(FLOORS)
    assert {kind: share for kind, share in found.recall.items() if share < FLOORS[kind]} == {}, found
