"""What a Neo4j server tells of itself: Community has no metrics, so it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from resources.neo4j_sessions import TURN, GraphSessions
from resources.query_observer import fingerprint
from terag_pipelines.tuning.health import Figures, RunningTransaction

_COUNTS = {
    "nodes": "MATCH (n) RETURN count(n) AS value",
    "relationships": "MATCH ()-[r]->() RETURN count(r) AS value",
}
"""Answered from the server's own counts, without reading a row."""
_HEAP = """
CALL dbms.queryJmx('java.lang:type=Memory') YIELD attributes
RETURN attributes.HeapMemoryUsage.value.properties AS heap
"""
_INDEXES = """
SHOW INDEXES YIELD name, type, state, populationPercent, readCount WHERE type <> 'LOOKUP' RETURN *
"""
_TRANSACTIONS = """
SHOW TRANSACTIONS
YIELD transactionId, currentQuery, elapsedTime, metaData, pageHits, pageFaults
RETURN transactionId, currentQuery, elapsedTime.milliseconds AS elapsed_ms, metaData, pageHits, pageFaults
ORDER BY elapsed_ms DESC
"""


class Neo4jProbe:
    """ServerProbe over one server; `home` is its folder, where it is ours to measure."""

    def __init__(self, sessions: GraphSessions, home: Path | None = None) -> None:
        self._sessions = sessions
        self._home = home

    def figures(self) -> Figures:
        """Sizes, memory, indexes and transactions; what the server does not give is not there."""
        return dict(self._figures())

    def transactions(self) -> tuple[RunningTransaction, ...]:
        """What is open now besides this question, the longest first; queries without their literals."""
        return tuple(
            RunningTransaction(
                row["transactionId"],
                row["elapsed_ms"] / 1000,
                fingerprint(row["currentQuery"] or ""),
                row["metaData"] == TURN,
            )
            for row in self._open_transactions()
        )

    def end_transaction(self, transaction_id: str) -> None:
        """Has the server end a transaction; nothing happens where it has ended already."""
        self._sessions.command("TERMINATE TRANSACTIONS $id", id=transaction_id)

    def _figures(self) -> Iterator[tuple[tuple[str, str], float]]:
        for figure, query in _COUNTS.items():
            yield (figure, ""), float(self._sessions.command(query)[0]["value"])
        if self._home is not None:
            yield ("store_bytes", ""), float(_size_of(self._home / "data"))
        for row in self._sessions.command(_HEAP):
            yield ("heap_used_bytes", ""), float(row["heap"]["used"])
            yield ("heap_max_bytes", ""), float(row["heap"]["max"])
        yield from self._of_indexes()
        yield from self._of_transactions()

    def _of_indexes(self) -> Iterator[tuple[tuple[str, str], float]]:
        for row in self._sessions.command(_INDEXES):
            yield ("index_online", row["name"]), float(row["state"] == "ONLINE")
            yield ("index_populated_percent", row["name"]), float(row["populationPercent"])
            yield ("index_reads", row["name"]), float(row["readCount"] or 0)

    def _of_transactions(self) -> Iterator[tuple[tuple[str, str], float]]:
        """Page hits and faults are those of what runs now: Community keeps no sum of them."""
        rows = self._open_transactions()
        yield ("transactions", ""), float(len(rows))
        yield ("longest_transaction_s", ""), max((row["elapsed_ms"] / 1000 for row in rows), default=0.0)
        yield ("running_page_hits", ""), float(sum(row["pageHits"] for row in rows))
        yield ("running_page_faults", ""), float(sum(row["pageFaults"] for row in rows))

    def _open_transactions(self) -> list[Mapping[str, Any]]:
        rows = self._sessions.command(_TRANSACTIONS)
        own = fingerprint(_TRANSACTIONS)
        return [row.data() for row in rows if fingerprint(row["currentQuery"] or "") != own]


def _size_of(folder: Path) -> int:
    """Bytes of the files below a folder; those that go meanwhile do not count."""
    n_bytes = 0
    for file in folder.rglob("*"):
        try:
            n_bytes += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:
            continue
    return n_bytes
