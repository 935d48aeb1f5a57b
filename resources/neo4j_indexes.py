"""Plans and indexes of a Neo4j database: where an index is tried, measured, kept or dropped."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from neo4j import READ_ACCESS, ManagedTransaction, ResultSummary, unit_of_work

from resources import neo4j_cypher as cypher
from resources.neo4j_sessions import TURN, GraphSessions
from resources.stores import graph_errors
from terag_pipelines.errors import StoreError
from terag_pipelines.tuning.ports import (
    AUTO_PREFIX,
    NODE,
    IndexSpec,
    IndexUse,
    PlanOperator,
    PlanProfile,
    SampledCall,
)

ONLINE_TIMEOUT_S = 600
TURN_TIMEOUT_S = 3_600.0
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LIST = """
SHOW INDEXES YIELD name, type, entityType, labelsOrTypes, properties, owningConstraint
WHERE type IN ['RANGE', 'TEXT', 'POINT', 'FULLTEXT'] RETURN *
"""
_USES = "SHOW INDEXES YIELD name, readCount, lastRead, trackedSince RETURN *"
_KINDS = {"RANGE": "range", "TEXT": "text", "POINT": "point", "FULLTEXT": "full-text"}
_SAMPLED_ROWS = 20_000
"""Rows whose distinct values are counted, at most."""


class Neo4jIndexLab:
    """IndexLab over a database. Replayed calls are not observed: a trial is not more of the workload."""

    def __init__(self, sessions: GraphSessions) -> None:
        self._sessions = sessions

    @contextmanager
    def alone(self) -> Iterator[Neo4jIndexLab]:
        """The lab on the server that readers ask now; nobody else tries indexes there until the end.

        The server holds the turn for as long as the connection lives. Raises: StoreError after an hour of
        waiting and working.
        """
        pinned = self._sessions.pinned()
        with pinned.open() as session:
            with graph_errors():
                transaction = session.begin_transaction(metadata=TURN, timeout=TURN_TIMEOUT_S)
                transaction.run(cypher.QUEUE_TRIALS).consume()
            try:
                yield Neo4jIndexLab(pinned)
            finally:
                with graph_errors():
                    transaction.close()

    def profile(self, call: SampledCall) -> PlanProfile:
        """Runs the call, reading only, and gives its plan with db hits and rows."""
        summary = self._replay("PROFILE " + call.query, call.parameters)
        operators = tuple(_operators(summary.profile or {}))
        n_rows = operators[0].n_rows if operators else 0
        return PlanProfile(operators, sum(operator.db_hits for operator in operators), n_rows)

    def time_call(self, call: SampledCall) -> float:
        """Runs the call, reading only; milliseconds until its last row, as a client sees them."""
        started = time.perf_counter()
        self._replay(call.query, call.parameters)
        return 1000 * (time.perf_counter() - started)

    def n_distinct(self, index: IndexSpec) -> int:
        """How many values the properties have together in the first rows, at least 1."""
        names = [_plain(name) for name in (index.label, *index.properties)]
        values = ", ".join(f"x.{name}" for name in names[1:])
        query = f"MATCH {_pattern(index.element, names[0])} WITH x LIMIT {_SAMPLED_ROWS} "
        rows = self._sessions.command(f"{query}RETURN count(DISTINCT [{values}]) AS n")
        return max(1, int(rows[0]["n"]))

    def create_index(self, index: IndexSpec) -> None:
        """Notes its trial and asks for the index, which fills in the background.

        Raises: StoreError for a name that is not plain; where there is such an index, or one of that name.
        """
        names = [_plain(name) for name in (index.name, index.label, *index.properties)]
        on = ", ".join(f"x.{name}" for name in names[2:])
        kind = {kind: word for word, kind in _KINDS.items() if kind != "full-text"}[index.kind]
        text = f"CREATE {kind} INDEX {names[0]} FOR {_pattern(index.element, names[1], '-')} ON ({on})"
        self._sessions.write(cypher.OPEN_TRIAL, [index.name])
        self._sessions.command(text)

    def keep_index(self, name: str) -> None:
        """Ends the trial of an index that stays."""
        self._sessions.write(cypher.CLOSE_TRIAL, [name])

    def await_online(self, name: str) -> None:
        """Returns when the index serves queries; a new index makes the server plan anew."""
        self._sessions.command("CALL db.awaitIndex($name, $timeout)", name=name, timeout=ONLINE_TIMEOUT_S)

    def drop_index(self, name: str) -> None:
        """Drops an index that tuning made. Raises: StoreError for any other name."""
        if not name.startswith(AUTO_PREFIX):
            raise StoreError(f"index {name} was not made by tuning: it stays")
        self._sessions.command(f"DROP INDEX {_plain(name)} IF EXISTS")
        self._sessions.write(cypher.CLOSE_TRIAL, [name])

    def unfinished(self) -> tuple[str, ...]:
        """Names of the indexes whose trial runs, or was cut short."""
        return tuple(str(row["index"]) for row in self._sessions.read(cypher.OPEN_TRIALS, is_sampled=False))

    def drop_unfinished(self) -> tuple[str, ...]:
        """Drops the indexes whose trial was cut short, and gives their names."""
        names = self.unfinished()
        for name in names:
            self.drop_index(name)
        return names

    def list_indexes(self) -> tuple[IndexSpec, ...]:
        """Every range, text, point and full-text index, those of constraints too, by name."""
        found = (
            IndexSpec(
                row["name"],
                _KINDS[row["type"]],
                token,
                tuple(row["properties"]),
                bool(row["owningConstraint"]),
                row["entityType"].lower(),
            )
            for row in self._sessions.command(_LIST)
            for token in row["labelsOrTypes"]
        )
        return tuple(sorted(found, key=lambda index: (index.name, index.label)))

    def index_uses(self) -> Mapping[str, IndexUse]:
        """By name, how this server says that its indexes are read; it does so some time after the reads."""
        return {
            row["name"]: IndexUse(
                int(row["readCount"] or 0), _instant(row["lastRead"]), _instant(row["trackedSince"])
            )
            for row in self._sessions.command(_USES)
        }

    def _replay(self, query: str, parameters: Mapping[str, Any]) -> ResultSummary:
        @unit_of_work(timeout=self._sessions.answer_timeout_s)
        def work(transaction: ManagedTransaction) -> ResultSummary:
            result = transaction.run(query, dict(parameters))
            list(result)  # rows not asked for would never be made
            return result.consume()

        with graph_errors(), self._sessions.open(READ_ACCESS) as session:
            return session.execute_read(work)


def _operators(plan: Mapping[str, Any]) -> Iterator[PlanOperator]:
    if not plan:
        return
    arguments = plan.get("args", {})
    name = str(plan["operatorType"]).split("@")[0]
    yield PlanOperator(name, str(arguments.get("Details", "")), int(plan["dbHits"]), int(plan["rows"]))
    for child in plan.get("children", []):
        yield from _operators(child)


def _pattern(element: str, token: str, arrow: str = "->") -> str:
    """All of a label or type, as `x`."""
    return f"(x:{token})" if element == NODE else f"()-[x:{token}]{arrow}()"


def _instant(value: Any) -> datetime | None:
    return None if value is None else value.to_native()


def _plain(name: str) -> str:
    """A name that needs no quoting: Cypher reads escapes even inside quoted names, so others are refused."""
    if not _PLAIN_NAME.match(name):
        raise StoreError("an index can only be made on labels and properties of plain letters")
    return name
