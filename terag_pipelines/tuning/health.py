"""How the servers of the graph are: what they hold, what runs long, how fast they answer, over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl
import pyarrow as pa

from terag_pipelines.tuning.model import GRAPH_READINGS, QUERY_WINDOWS

ALL_SERVERS = "all"
Figures = Mapping[tuple[str, str], float]
"""Values by figure and what it is about ("" for the server as a whole); units are in the names of figures."""


@dataclass(frozen=True)
class RunningTransaction:
    """A transaction that a server has open; `query` is its shape, empty between two queries.

    `is_turn`: it holds a loader's or tuner's turn, and so is open for as long as their work takes.
    """

    transaction_id: str
    seconds: float
    query: str
    is_turn: bool


class ServerProbe(Protocol):
    """What can be asked of one server. Raises StoreUnavailableError and StoreError like every store."""

    def figures(self) -> Figures:
        """Sizes, memory, indexes and transactions, as far as the server gives them."""

    def transactions(self) -> tuple[RunningTransaction, ...]:
        """What is open now besides this question, the longest first."""

    def end_transaction(self, transaction_id: str) -> None:
        """Has the server end a transaction; nothing happens where it has ended already."""


class WatchedStore(Protocol):
    """A graph whose servers can be asked how they are."""

    def probes(self) -> Mapping[str, ServerProbe]:
        """Its servers that answer, by role: "primary", "backup"."""


class HealthHistory(Protocol):
    """Readings of the past. Raises StoreUnavailableError and StoreError."""

    def append(self, readings: pa.Table) -> None:
        """Adds GRAPH_READINGS; a row that is there already stays as it is."""

    def readings(self, since: datetime) -> pa.Table:
        """GRAPH_READINGS from `since` on."""


@dataclass(frozen=True)
class EndedTransaction:
    """A transaction that was ended because it had run for too long."""

    server: str
    seconds: float
    query: str


@dataclass(frozen=True)
class PerformanceMonitor:
    """Reads how a graph is. Latency is that of the calls in the last `latency_hours`.

    `end_after_s`: transactions that run longer are ended; none are without it, turns never.
    """

    latency_hours: float = 24.0
    end_after_s: float | None = None

    def read(self, store: WatchedStore, windows: pa.Table, now: datetime) -> pa.Table:
        """GRAPH_READINGS of now; `windows`: QUERY_WINDOWS of what was asked."""
        return _readings(store, _latencies(windows, now - timedelta(hours=self.latency_hours)), now)

    def end_long_transactions(self, store: WatchedStore) -> tuple[EndedTransaction, ...]:
        """Ends what runs for too long, by the policy."""
        limit = self.end_after_s
        if limit is None:
            return ()
        return tuple(
            ended for role, probe in store.probes().items() for ended in _end_longer(role, probe, limit)
        )


def _end_longer(role: str, probe: ServerProbe, seconds: float) -> Iterator[EndedTransaction]:
    for running in probe.transactions():
        if running.seconds > seconds and not running.is_turn:
            probe.end_transaction(running.transaction_id)
            yield EndedTransaction(role, running.seconds, running.query)


def read_now(store: WatchedStore, shapes: pa.Table, now: datetime) -> pa.Table:
    """GRAPH_READINGS of now, with the latency of QUERY_SHAPES: of one process since it started."""
    names = {"n_calls": "query_calls", "n_errors": "query_errors"}
    names |= {"p50_latency_ms": "query_p50_ms", "p95_latency_ms": "query_p95_ms"}
    latencies = {
        (figure, row["shape_id"]): float(row[column])
        for row in shapes.to_pylist()
        for column, figure in names.items()
    }
    return _readings(store, latencies, now)


def _readings(store: WatchedStore, latencies: Figures, now: datetime) -> pa.Table:
    of_servers = {role: probe.figures() for role, probe in store.probes().items()}
    rows = [
        (now, server, *named, value)
        for server, figures in {**of_servers, ALL_SERVERS: latencies}.items()
        for named, value in figures.items()
    ]
    columns = zip(*rows, strict=True) if rows else [()] * len(GRAPH_READINGS.schema)
    return GRAPH_READINGS.from_columns(**dict(zip(GRAPH_READINGS.schema.names, columns, strict=True)))


def _latencies(windows: pa.Table, since: datetime) -> Figures:
    """Calls, errors, mean and worst window's 95th percentile of each shape, of windows that ended since."""
    frame = pl.from_arrow(QUERY_WINDOWS.conform(windows))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table is a frame
    shapes = (
        frame.filter(pl.col("ended_at") >= since)
        .group_by("shape_id")
        .agg(
            query_calls=pl.col("n_calls").sum(),
            query_errors=pl.col("n_errors").sum(),
            query_mean_ms=pl.col("total_latency_ms").sum() / pl.col("n_calls").sum(),
            query_p95_ms=pl.col("p95_latency_ms").max(),
        )
    )
    return {
        (figure, row["shape_id"]): float(value)
        for row in shapes.to_dicts()
        for figure, value in row.items()
        if figure != "shape_id"
    }


def told_health(readings: pa.Table, ended: Iterable[EndedTransaction]) -> str:
    """GRAPH_READINGS, a line for each server, and what was ended, for people."""
    lines = [_told_server(server, figures) for server, figures in sorted(_by_server(readings).items())]
    lines += [f"ended on the {one.server} after {one.seconds:,.0f} s: {one.query}" for one in ended]
    return "\n".join(lines)


def _by_server(readings: pa.Table) -> dict[str, dict[tuple[str, str], float]]:
    found: dict[str, dict[tuple[str, str], float]] = {}
    for row in readings.to_pylist():
        if row["server"] != ALL_SERVERS:
            found.setdefault(row["server"], {})[row["figure"], row["about"]] = row["value"]
    return found


def _told_server(server: str, figures: Figures) -> str:
    told = f"{server}: {figures['nodes', '']:,.0f} nodes, {figures['relationships', '']:,.0f} relationships"
    if (n_bytes := figures.get(("store_bytes", ""))) is not None:
        told += f", {n_bytes / 1e6:,.0f} MB"
    offline = sorted(
        about for (figure, about), value in figures.items() if figure == "index_online" and not value
    )
    return told + (f", NOT ONLINE: {', '.join(offline)}" if offline else "")
