"""Slow shapes are those that are slow and often asked, the most expensive in all first."""

from __future__ import annotations

from terag_pipelines.tuning.model import INDEX_TRIALS, QUERY_SHAPES
from terag_pipelines.tuning.pictures import draw_trials
from terag_pipelines.tuning.slow_queries import SlowQueryDetector, SlowQueryParams

SHAPES = QUERY_SHAPES.from_columns(
    shape_id=["often", "rare", "fast", "worst"],
    query=["a", "b", "c", "d"],
    n_calls=[10, 2, 1_000, 5],
    total_latency_ms=[100.0, 500.0, 900.0, 600.0],
    p50_latency_ms=[10.0, 250.0, 0.9, 120.0],
)


def test_slow_shapes_are_ranked_by_total_time():
    found = SlowQueryDetector(SlowQueryParams(slow_ms=10.0, min_calls=5)).find(SHAPES)
    assert found["shape_id"].to_pylist() == ["worst", "often"]


def test_no_calls_no_slow_shapes():
    assert SlowQueryDetector().find(QUERY_SHAPES.empty()).num_rows == 0


def test_times_are_no_part_of_a_digest():
    assert not QUERY_SHAPES.digested
    assert not INDEX_TRIALS.digested


def test_a_picture_shows_trials_or_says_that_there_were_none():
    tried = INDEX_TRIALS.from_columns(
        trial_id=["t"],
        label=["Entity"],
        property=["display_name"],
        index_kind=["range"],
        decision=["kept"],
        db_hits_before=[1_000],
        db_hits_after=[10],
        latency_before_ms=[5.0],
        latency_after_ms=[1.0],
        reason=["r"],
    )
    pictures = [draw_trials(tried), draw_trials(INDEX_TRIALS.empty())]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert pictures[0] != pictures[1]
