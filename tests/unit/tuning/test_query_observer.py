"""The observer folds calls into shapes, counts them exactly and keeps little."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np
import pytest

from resources.query_observer import QueryObserver, fingerprint

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Steps:
    """A clock that goes on by the given seconds at every second reading: each call takes one of them."""

    def __init__(self, durations):
        self._times = iter(np.repeat(np.cumsum([0.0, *durations]), 2)[1:])

    def __call__(self):
        return float(next(self._times))


def test_literals_parameters_and_spaces_are_no_part_of_a_shape():
    queries = [
        "MATCH (e:Entity {name: 'O\\'Hara'})\n  WHERE e.n > 10 RETURN e LIMIT $limit",
        'MATCH (e:Entity {name: "x"}) WHERE e.n > 3.5e2 RETURN e LIMIT $n',
    ]
    assert {fingerprint(query) for query in queries} == {
        "MATCH (e:Entity {name: ?}) WHERE e.n > ? RETURN e LIMIT ?"
    }


def test_names_with_digits_and_quoted_names_stay():
    assert fingerprint("MATCH (n1:`Label 2`) RETURN n1.p3") == "MATCH (n1:`Label 2`) RETURN n1.p3"


def test_calls_rows_errors_and_latency_are_counted():
    observer = QueryObserver(Steps([0.001, 0.002, 0.004]))
    observer.run("RETURN $a", {"a": 1}, lambda: [1, 2])
    observer.run("RETURN $b", {"b": 1}, lambda: [1])
    with pytest.raises(ZeroDivisionError):
        observer.run("RETURN $c", {}, lambda: [1 // 0])
    (row,) = observer.snapshot().to_pylist()
    assert (row["query"], row["n_calls"], row["n_rows"], row["n_errors"]) == ("RETURN ?", 3, 3, 1)
    assert row["total_latency_ms"] == pytest.approx(7.0)
    assert row["max_latency_ms"] == pytest.approx(4.0)
    assert row["p50_latency_ms"] == pytest.approx(2.0, rel=0.05)


def test_percentiles_are_within_five_percent():
    seconds = np.random.default_rng(5).lognormal(-6, 1, 4_000)
    observer = QueryObserver(Steps(seconds))
    for _ in seconds:
        observer.run("RETURN 1", {}, list)
    (row,) = observer.snapshot().to_pylist()
    for name, share in (("p50_latency_ms", 50), ("p95_latency_ms", 95)):
        assert row[name] == pytest.approx(1000 * np.percentile(seconds, share), rel=0.06)


def test_only_calls_that_read_are_sampled_and_only_a_few():
    observer = QueryObserver(n_samples=3)
    for n in [0, 0, *range(9)]:
        observer.run("MATCH (n) RETURN $n", {"n": n}, list, is_sampled=True)
        observer.run("CREATE (n {n: $n})", {"n": n}, list)
    (calls,) = observer.samples().values()
    assert [call.parameters["n"] for call in calls] == [0, 1, 2]
    assert next(iter(observer.samples())) in observer.snapshot()["shape_id"].to_pylist()


def test_samples_are_taken_once_and_new_subjects_come_after():
    observer = QueryObserver(n_samples=2)

    def ask(*subjects):
        for n in subjects:
            observer.run("MATCH (n) RETURN $n", {"n": n}, list, is_sampled=True)

    def taken():
        return [[call.parameters["n"] for call in calls] for calls in observer.take_samples().values()]

    ask(1, 1, 2, 3)
    assert (taken(), taken()) == ([[1, 2]], [])
    ask(3, 2)
    assert taken() == [[3, 2]]
    (first,) = observer.samples().values()
    assert [call.parameters["n"] for call in first] == [1, 2]


def test_shapes_without_end_are_counted_together():
    observer = QueryObserver(max_shapes=10)
    for n in range(100):
        observer.run(f"MATCH (n:L{n}) RETURN n", {}, list)
    assert observer.snapshot().num_rows == 11
    assert sum(observer.snapshot()["n_calls"].to_pylist()) == 100


def test_threads_lose_no_call():
    observer, ticks = QueryObserver(), count()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: observer.run(f"RETURN x{n % 5}", {}, lambda: [next(ticks)]), range(4_000)))
    shapes = observer.snapshot()
    assert shapes["n_calls"].to_pylist() == shapes["n_rows"].to_pylist() == [800] * 5


def test_nothing_observed_is_an_empty_table():
    assert QueryObserver().snapshot().num_rows == 0


def test_comments_are_no_part_of_a_shape_and_a_text_that_looks_like_one_is_a_literal():
    query = "MATCH (e) // of Aigerim\nWHERE e.url = 'http://x' /* 8701 */ RETURN e"
    assert fingerprint(query) == "MATCH (e) WHERE e.url = ? RETURN e"


def test_windows_hold_what_was_asked_in_each_and_the_snapshot_all():
    observer = QueryObserver(Steps([0.001, 0.004, 0.002]))
    observer.run("RETURN $a", {"a": 1}, lambda: [1])
    observer.run("RETURN $a", {"a": 1}, lambda: [1])
    (first,) = observer.close_window("me", NOON, NOON + MINUTE).to_pylist()
    observer.run("RETURN $a", {"a": 1}, lambda: [1])
    (second,) = observer.close_window("me", NOON + MINUTE, NOON + 2 * MINUTE).to_pylist()
    assert (first["n_calls"], second["n_calls"]) == (2, 1)
    assert (first["max_latency_ms"], second["max_latency_ms"]) == pytest.approx((4.0, 2.0))
    assert (first["started_at"], second["ended_at"]) == (NOON, NOON + 2 * MINUTE)
    assert sum(first["bucket_calls"]) == 2
    assert observer.close_window("me", NOON, NOON + MINUTE).num_rows == 0
    (row,) = observer.snapshot().to_pylist()
    assert (row["n_calls"], row["total_latency_ms"]) == (3, pytest.approx(7.0))


def test_no_call_is_lost_or_counted_twice_when_a_window_closes_meanwhile():
    observer, windows = QueryObserver(), []

    def close(n):
        windows.append(observer.close_window("me", NOON + n * MINUTE, NOON + (n + 1) * MINUTE))

    with ThreadPoolExecutor(8) as pool:
        calls = pool.map(lambda n: observer.run(f"RETURN x{n % 5}", {}, list), range(4_000))
        closings = pool.map(close, range(40))
        list(calls), list(closings)
    close(40)
    assert sum(sum(window["n_calls"].to_pylist()) for window in windows) == 4_000
    assert observer.snapshot()["n_calls"].to_pylist() == [800] * 5
