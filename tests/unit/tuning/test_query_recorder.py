"""What was observed reaches its history once, whatever happens to the history meanwhile."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from resources.query_observer import QueryObserver
from resources.query_recorder import QueryRecorder, recording
from tests.unit.tuning.memory_history import MemoryCallHistory, MemoryQueryHistory

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def recorder_of(observer, history, **rest):
    """A recorder whose clock goes on by a minute at each reading."""
    minutes = count()
    return QueryRecorder(observer, history, lambda: NOON + timedelta(minutes=next(minutes)), **rest)


QUERY = "MATCH (n {name: $name}) RETURN n"


def ask(observer, n_calls):
    for n in range(n_calls):
        observer.run(QUERY, {"name": f"Aigerim {n}"}, list, is_sampled=True)


def test_each_window_is_stored_with_its_start_and_end():
    observer, history = QueryObserver(), MemoryQueryHistory()
    recorder = recorder_of(observer, history)
    for n_calls in (3, 0, 5):
        ask(observer, n_calls)
        assert recorder.record()
    stored = history.windows().to_pylist()
    assert [(row["n_calls"], row["started_at"].minute, row["ended_at"].minute) for row in stored] == [
        (3, 0, 1),
        (5, 2, 3),
    ]


def test_what_is_observed_while_the_history_is_away_is_stored_when_it_is_back():
    observer, history = QueryObserver(), MemoryQueryHistory()
    recorder = recorder_of(observer, history)
    history.is_away = True
    for _ in range(4):
        ask(observer, 2)
        assert not recorder.record()
    assert recorder.state.n_pending_windows == 4
    history.is_away = False
    assert recorder.record()
    assert history.windows()["n_calls"].to_pylist() == [2] * 4
    assert recorder.state.n_pending_windows == recorder.state.n_dropped_windows == 0


def test_what_waits_is_bounded_and_what_was_dropped_is_counted_and_told(caplog):
    observer, history = QueryObserver(), MemoryQueryHistory()
    recorder = recorder_of(observer, history, max_pending=3)
    history.is_away = True
    with caplog.at_level(logging.WARNING):
        for n_calls in (1, 2, 3, 4, 5):
            ask(observer, n_calls)
            recorder.record()
    state = recorder.state
    assert (state.n_pending_windows, state.n_dropped_windows, state.n_dropped_calls) == (3, 2, 1 + 2)
    assert "n_dropped_calls=3" in caplog.text
    history.is_away = False
    recorder.record()
    assert history.windows()["n_calls"].to_pylist() == [3, 4, 5]


def test_no_parameter_reaches_the_history():
    observer, history = QueryObserver(), MemoryQueryHistory()
    recorder = recorder_of(observer, history)
    ask(observer, 20)
    recorder.record()
    assert "Aigerim" not in str(history.windows().to_pylist())


def names(calls):
    return [call.parameters["name"] for kept in calls.calls().values() for call in kept]


def test_a_few_calls_of_each_window_reach_their_history():
    observer, calls = QueryObserver(n_samples=2), MemoryCallHistory()
    recorder = recorder_of(observer, MemoryQueryHistory(), calls=calls)
    ask(observer, 3)
    recorder.record()
    assert names(calls) == ["Aigerim 0", "Aigerim 1"]
    ask(observer, 1)
    recorder.record()
    assert names(calls) == ["Aigerim 0", "Aigerim 1"]
    assert [call.query for kept in calls.calls().values() for call in kept] == [QUERY] * 2


def test_calls_that_wait_are_the_newest_distinct_ones_of_each_shape(caplog):
    observer, history, calls = QueryObserver(n_samples=3), MemoryQueryHistory(), MemoryCallHistory()
    recorder = recorder_of(observer, history, calls=calls)
    calls.is_away = True
    for n in range(6):
        for subject in ("always", f"one {n}", f"two {n}"):
            observer.run(QUERY, {"name": subject}, list, is_sampled=True)
        assert not recorder.record()
    assert recorder.state.n_pending_samples == 8
    assert recorder.state.n_pending_windows == 0  # their history is there
    calls.is_away = False
    assert recorder.record()
    assert recorder.state.n_pending_samples == 0
    assert set(names(calls)) == {
        "always",
        *(f"{word} {n}" for n in (3, 4, 5) for word in ("one", "two")),
        "two 2",
    }
    assert names(calls)[0] == "always"
    assert history.windows()["n_calls"].to_pylist() == [3] * 6
    assert not any(word in caplog.text for word in ("always", "one 3"))


@pytest.mark.parametrize("every_s", [0.005, 3600.0])
def test_at_the_end_all_is_stored(every_s):
    observer, history = QueryObserver(), MemoryQueryHistory()
    with recording(QueryRecorder(observer, history), every_s):
        ask(observer, 300)
    assert sum(history.windows()["n_calls"].to_pylist()) == 300
