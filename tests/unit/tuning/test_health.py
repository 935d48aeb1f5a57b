"""How the graph is, and what is ended on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from terag_pipelines.tuning.health import (
    EndedTransaction,
    PerformanceMonitor,
    RunningTransaction,
    read_now,
    told_health,
)
from terag_pipelines.tuning.health_pictures import draw_trend
from terag_pipelines.tuning.model import GRAPH_READINGS, QUERY_SHAPES, QUERY_WINDOWS

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LOAD = RunningTransaction("t1", 900.0, "", is_turn=True)
LONG = RunningTransaction("t2", 61.0, "MATCH (n) RETURN n", is_turn=False)
SHORT = RunningTransaction("t3", 60.0, "RETURN ?", is_turn=False)


@dataclass
class Probe:
    open: tuple[RunningTransaction, ...] = (LOAD, LONG, SHORT)
    ended: list[str] = field(default_factory=list)

    def figures(self):
        return {
            ("nodes", ""): 10.0,
            ("relationships", ""): 20.0,
            ("store_bytes", ""): 3e6,
            ("index_online", "by_name"): 0.0,
        }

    def transactions(self):
        return self.open

    def end_transaction(self, transaction_id):
        self.ended.append(transaction_id)


@dataclass
class Store:
    of_role: dict[str, Probe] = field(default_factory=lambda: {"primary": Probe(), "backup": Probe(())})

    def probes(self):
        return self.of_role


def windows(*rows):
    """Windows of shape "s": hours ago, calls, total and 95th percentile in ms."""
    return QUERY_WINDOWS.from_columns(
        observer_id=["o"] * len(rows),
        started_at=[NOW - timedelta(hours=h + 1) for h, *_ in rows],
        ended_at=[NOW - timedelta(hours=h) for h, *_ in rows],
        shape_id=["s"] * len(rows),
        n_calls=[n for _, n, _, _ in rows],
        n_errors=[1] * len(rows),
        total_latency_ms=[ms for _, _, ms, _ in rows],
        p95_latency_ms=[ms for _, _, _, ms in rows],
    )


def values(readings):
    return {(r["server"], r["figure"], r["about"]): r["value"] for r in readings.to_pylist()}


def test_readings_are_of_each_server_and_of_what_was_asked_lately():
    asked = windows((1, 10, 50.0, 9.0), (2, 30, 70.0, 8.0), (25, 1, 900.0, 900.0))
    readings = PerformanceMonitor().read(Store(), asked, NOW)
    assert readings.schema.equals(GRAPH_READINGS.schema)
    assert set(readings["measured_at"].to_pylist()) == {NOW}
    told = values(readings)
    assert told["primary", "nodes", ""] == told["backup", "nodes", ""] == 10
    assert told["all", "query_calls", "s"] == 40
    assert told["all", "query_errors", "s"] == 2
    assert told["all", "query_mean_ms", "s"] == pytest.approx(3.0)
    assert told["all", "query_p95_ms", "s"] == 9.0


def test_nothing_asked_and_no_server_is_no_row():
    assert PerformanceMonitor().read(Store({}), QUERY_WINDOWS.empty(), NOW).num_rows == 0


def test_a_process_tells_what_it_saw_itself():
    shapes = QUERY_SHAPES.from_columns(
        shape_id=["s"], n_calls=[4], n_errors=[1], p50_latency_ms=[2.0], p95_latency_ms=[7.0]
    )
    told = values(read_now(Store({}), shapes, NOW))
    assert told == {
        ("all", "query_calls", "s"): 4.0,
        ("all", "query_errors", "s"): 1.0,
        ("all", "query_p50_ms", "s"): 2.0,
        ("all", "query_p95_ms", "s"): 7.0,
    }


def test_what_runs_too_long_is_ended_by_policy_but_never_a_turn():
    store = Store()
    assert PerformanceMonitor().end_long_transactions(store) == ()
    assert store.of_role["primary"].ended == []
    ended = PerformanceMonitor(end_after_s=60).end_long_transactions(store)
    assert ended == (EndedTransaction("primary", 61.0, LONG.query),)
    assert store.of_role["primary"].ended == ["t2"]


def test_people_read_what_is_wrong():
    readings = PerformanceMonitor().read(Store(), QUERY_WINDOWS.empty(), NOW)
    told = told_health(readings, [EndedTransaction("primary", 61.0, "MATCH (n)")])
    assert told == (
        "backup: 10 nodes, 20 relationships, 3 MB, NOT ONLINE: by_name\n"
        "primary: 10 nodes, 20 relationships, 3 MB, NOT ONLINE: by_name\n"
        "ended on the primary after 61 s: MATCH (n)"
    )


def test_the_trend_is_drawn_the_same_for_the_same_readings():
    of_days = [
        PerformanceMonitor().read(Store({}), windows((1, 10, 50.0, 9.0 + day)), NOW) for day in range(3)
    ]
    drawn = [draw_trend(readings, {"s": "MATCH (n) RETURN n" * 9}) for readings in (of_days[0], of_days[0])]
    assert drawn[0] == drawn[1]
    assert drawn[0] != draw_trend(of_days[2], {})
    assert draw_trend(GRAPH_READINGS.empty(), {}).startswith(b"\x89PNG")
