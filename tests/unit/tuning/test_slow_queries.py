"""Slow shapes are those over a threshold, fixed or of their own past; what saves most comes first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from terag_pipelines.tuning.model import INDEX_TRIALS, QUERY_SHAPES, QUERY_WINDOWS, SLOW_SHAPES
from terag_pipelines.tuning.pictures import draw_trials
from terag_pipelines.tuning.slow_queries import SlowQueryDetector, SlowQueryParams

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
SHAPES = QUERY_SHAPES.from_columns(
    shape_id=["often", "rare", "fast", "worst"],
    query=["a", "b", "c", "d"],
    n_calls=[10, 2, 1_000, 5],
    total_latency_ms=[100.0, 500.0, 900.0, 600.0],
    p50_latency_ms=[10.0, 250.0, 0.9, 120.0],
)


def windows_of(shape_id, medians, n_calls=20):
    """One window a minute for a shape."""
    starts = [NOON + timedelta(minutes=n) for n in range(len(medians))]
    return QUERY_WINDOWS.from_columns(
        observer_id=["o"] * len(medians),
        started_at=starts,
        ended_at=[start + timedelta(minutes=1) for start in starts],
        shape_id=[shape_id] * len(medians),
        n_calls=[n_calls] * len(medians),
        p50_latency_ms=medians,
    )


def test_slow_shapes_are_ranked_by_the_time_that_fixing_saves():
    found = SlowQueryDetector(SlowQueryParams(slow_ms=10.0, min_calls=5)).find(SHAPES)
    assert found["shape_id"].to_pylist() == ["worst", "often"]
    assert found["saved_ms"].to_pylist() == [600.0 - 5 * 10.0, 0.0]
    assert set(found["why"].to_pylist()) == {"absolute"}


def test_a_shape_that_is_often_asked_outranks_a_slower_one_that_is_not():
    shapes = QUERY_SHAPES.from_columns(
        shape_id=["often", "slow"],
        n_calls=[1_000, 10],
        total_latency_ms=[5_000.0, 1_000.0],
        p50_latency_ms=[5.0, 100.0],
    )
    found = SlowQueryDetector(SlowQueryParams(slow_ms=2.0)).find(shapes)
    assert found["shape_id"].to_pylist() == ["often", "slow"]


def test_a_fast_shape_that_became_slower_than_its_past_is_told():
    past = windows_of("fast", [0.10, 0.11, 0.09, 0.10, 0.12, 0.10])
    (row,) = SlowQueryDetector(SlowQueryParams(slow_ms=1_000.0)).find(SHAPES, past).to_pylist()
    assert (row["shape_id"], row["why"]) == ("fast", "adaptive")
    assert row["normal_ms"] == pytest.approx(0.10)
    assert row["saved_ms"] == pytest.approx(900.0 - 1_000 * 0.10)


def test_both_thresholds_are_named():
    past = windows_of("worst", [3.0] * 6)
    found = SlowQueryDetector(SlowQueryParams(slow_ms=10.0)).find(SHAPES, past).to_pylist()
    assert {row["shape_id"]: row["why"] for row in found} == {"worst": "both", "often": "absolute"}


@pytest.mark.parametrize(
    "medians",
    [[0.8] * 9, [0.1, 2.0, 0.1, 2.0, 0.1, 2.0], [0.1] * 4],
    ids=["its normal", "noisy past", "short past"],
)
def test_a_shape_within_its_own_past_is_not_slow(medians):
    found = SlowQueryDetector(SlowQueryParams(slow_ms=1_000.0)).find(SHAPES, windows_of("fast", medians))
    assert found.num_rows == 0


def test_windows_of_few_calls_are_no_past():
    past = windows_of("fast", [0.1] * 9, n_calls=4)
    assert SlowQueryDetector(SlowQueryParams(slow_ms=1_000.0)).find(SHAPES, past).num_rows == 0


def test_one_outlying_window_does_not_move_what_is_normal():
    past = windows_of("fast", [0.1] * 8 + [500.0])
    (row,) = SlowQueryDetector(SlowQueryParams(slow_ms=1_000.0)).find(SHAPES, past).to_pylist()
    assert row["normal_ms"] == pytest.approx(0.1)


def test_the_order_of_shapes_and_windows_changes_nothing():
    past = pa.concat_tables([windows_of("fast", [0.1] * 6), windows_of("worst", [3.0] * 6)])
    detector = SlowQueryDetector()
    mixed = detector.find(SHAPES.take([3, 1, 0, 2]), past.take(list(range(11, -1, -1))))
    assert mixed.equals(detector.find(SHAPES, past))


def test_no_calls_no_slow_shapes():
    assert SlowQueryDetector().find(QUERY_SHAPES.empty()).schema.equals(SLOW_SHAPES.schema)


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
