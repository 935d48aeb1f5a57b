from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from terag_pipelines.rings.alerts import RUNBOOK
from terag_pipelines.rings.model import FRAUD_RINGS, RING_MEMBERS
from terag_pipelines.rings.quality import judge_detection, judge_rings, judge_risk, judge_scores
from tests.unit.rings.worlds import World


def test_scores_are_judged_at_the_threshold_and_over_all() -> None:
    quality = judge_scores(np.array([0.9, 0.8, 0.6, 0.2]), np.array([1, 0, 1, 1]))
    assert (quality.precision, quality.recall) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert quality.average_precision == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert quality.precision_at_100 == pytest.approx(3 / 4)


def test_without_a_threshold_the_best_one_is_taken() -> None:
    scores, outcomes = np.array([10.0, 7.0, 3.0, 1.0]), np.array([1, 1, 0, 0])
    assert judge_scores(scores, outcomes, None).f1 == 1.0
    assert judge_scores(scores, outcomes, 0.5).f1 < 1.0


def test_a_planted_ring_is_found_where_half_of_the_union_is_common() -> None:
    world = World(10).label([0, 1, 2, 3], "ring", "A", "truth").label([5, 6, 7], "ring", "B", "truth")
    named = pl.DataFrame(
        {
            "ring_id": ["r1"] * 3 + ["r2"] * 3,
            "entity_id": ["e:000", "e:001", "e:002", "e:007", "e:008", "e:009"],
        }
    ).with_columns(role=pl.lit("mule"), score=0.9, in_amount_minor=0, out_amount_minor=0)
    recovery = judge_rings(RING_MEMBERS.conform(named.to_arrow()), world.tables())
    assert recovery is not None
    assert recovery.table["overlap"].to_list() == [pytest.approx(3 / 4), pytest.approx(1 / 5)]
    assert (recovery.n_planted, recovery.n_found) == (2, 1)


def test_a_source_without_truth_is_not_judged() -> None:
    tables = World(3).tables()
    assert judge_rings(RING_MEMBERS.empty(), tables) is None
    scores = {"score": [0.1, 0.2, 0.3]}
    quality = judge_detection(pl.DataFrame(scores).to_arrow(), RING_MEMBERS.empty(), tables)
    assert (quality.scores, dict(quality.baselines)) == (None, {})


def test_the_runbook_that_alerts_name_exists_and_has_a_part_for_each_rule() -> None:
    text = (Path(__file__).parents[3] / RUNBOOK).read_text()
    for rule in ("risk", "amount", "watchlist", "growth"):
        assert f"## Rule `{rule}`" in text


def test_the_stated_risk_stands_beside_what_is_so() -> None:
    world = World(6).label([0], "fraud", "1", "truth").label([1, 2, 3], "fraud", "0", "truth")
    rings = pa.Table.from_pylist(
        [
            {"ring_id": "a", "risk_score": 0.5, "risk_probability": 0.9},
            {"ring_id": "b", "risk_score": 0.7, "risk_probability": None},
        ],
        FRAUD_RINGS.schema,
    )
    in_rings = [("a", 0), ("a", 1), ("a", 2), ("b", 3), ("b", 5)]
    members = pa.Table.from_pylist(
        [{"ring_id": ring, "entity_id": f"e:{person:03d}"} for ring, person in in_rings], RING_MEMBERS.schema
    )
    assert judge_risk(rings, members, world.tables()) == (pytest.approx(0.8), pytest.approx((1 / 3 + 0) / 2))
    assert judge_risk(rings.slice(0, 0), members.slice(0, 0), world.tables()) is None
