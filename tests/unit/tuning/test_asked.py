"""What others asked counts with what this process asked: figures add up, calls are of both, each once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from resources.query_observer import QueryObserver
from terag_pipelines.tuning.asked import joined_samples, joined_shapes, shapes_of, split_windows
from terag_pipelines.tuning.model import QUERY_SHAPES, QUERY_WINDOWS
from terag_pipelines.tuning.ports import SampledCall
from tests.unit.tuning.test_query_observer import Steps

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def observed(seconds, query="RETURN $a"):
    observer = QueryObserver(Steps(seconds))
    for _ in seconds:
        observer.run(query, {"a": 1}, lambda: [1, 2])
    return observer


def window(nth, *observers):
    at = NOON + nth * MINUTE
    windows = [o.close_window(f"o{n}", at, at + MINUTE) for n, o in enumerate(observers)]
    return QUERY_WINDOWS.conform(pa.concat_tables(windows))


def test_windows_of_several_observers_are_the_shapes_that_one_would_have_seen():
    seconds = np.random.default_rng(3).lognormal(-6, 1, 900)
    parts = [observed(part) for part in np.split(seconds, 3)]
    told = shapes_of(window(0, *parts)).to_pylist()
    alone = observed(seconds).snapshot().to_pylist()
    for row, expected in zip(told, alone, strict=True):
        assert row == {k: pytest.approx(v) if isinstance(v, float) else v for k, v in expected.items()}


def test_no_window_is_no_shape():
    assert shapes_of(QUERY_WINDOWS.empty()).equals(QUERY_SHAPES.empty())
    assert [part.num_rows for part in split_windows(None, NOON)] == [0, 0]


def test_windows_are_recent_by_their_end():
    windows = pa.concat_tables([window(n, observed([0.001])) for n in range(3)])
    recent, before = split_windows(windows, NOON + 2 * MINUTE)
    assert [part["started_at"].to_pylist()[0] for part in (recent, before)] == [NOON + MINUTE, NOON]
    assert (recent.num_rows, before.num_rows) == (2, 1)


def test_calls_add_up_and_the_slower_median_is_not_hidden_by_many_quick_calls():
    own, others = observed([0.010] * 4), observed([0.001] * 90)
    for pair in ((own, others), (others, own)):
        (row,) = joined_shapes(*(one.snapshot() for one in pair)).to_pylist()
        assert (row["n_calls"], row["n_rows"]) == (94, 188)
        assert row["total_latency_ms"] == pytest.approx(4 * 10 + 90 * 1)
        assert row["p50_latency_ms"] == pytest.approx(10.0, rel=0.05)
        assert row["max_latency_ms"] == pytest.approx(10.0)


def test_shapes_of_only_one_are_as_they_were():
    own, others = observed([0.010] * 4).snapshot(), observed([0.001] * 9, "MATCH (n) RETURN n").snapshot()
    assert joined_shapes(own, others).equals(QUERY_SHAPES.conform(pa.concat_tables([own, others])))
    assert joined_shapes(own, QUERY_SHAPES.empty()).equals(own)


def test_calls_are_of_both_in_turn_and_each_once():
    own, others = ([SampledCall("q", {"n": n}) for n in numbers] for numbers in ((1, 2, 3), (9, 2)))
    told = joined_samples({"s": own}, {"s": others, "t": others})
    assert [call.parameters["n"] for call in told["s"]] == [1, 9, 2, 3]
    assert told["t"] == tuple(others)
