from __future__ import annotations

from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.pictures import draw_risk_histogram
from tests.unit.rings.worlds import planted_world


def test_scores_are_drawn_the_same_each_time() -> None:
    scores = score_rings(planted_world().tables()).scores
    first = draw_risk_histogram(scores)
    assert first.startswith(b"\x89PNG")
    assert first == draw_risk_histogram(scores)
