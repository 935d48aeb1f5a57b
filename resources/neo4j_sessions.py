"""Sessions of the Neo4j driver: queries observed, transient errors retried, driver errors made our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from neo4j import (
    READ_ACCESS,
    WRITE_ACCESS,
    Driver,
    ManagedTransaction,
    Record,
    Session,
    unit_of_work,
)

from resources.query_observer import QueryObserver
from resources.stores import graph_errors

ANSWER_TIMEOUT_S = 60.0
TURN = {"terag": "turn"}
"""Noted with a transaction that holds somebody's turn: it is long by design."""


@dataclass(frozen=True)
class WriteOutcome:
    """What one committed transaction created, and how often it was retried."""

    n_nodes_created: int = 0
    n_relationships_created: int = 0
    n_retries: int = 0

    def __add__(self, other: WriteOutcome) -> WriteOutcome:
        return WriteOutcome(
            self.n_nodes_created + other.n_nodes_created,
            self.n_relationships_created + other.n_relationships_created,
            self.n_retries + other.n_retries,
        )


class GraphSessions:
    """Runs queries on one database of the server that is chosen for each session.

    All sessions of a driver see each other's commits (one bookmark manager).
    """

    def __init__(
        self,
        choose_driver: Callable[[], Driver],
        database: str,
        observer: QueryObserver,
        answer_timeout_s: float,
        look: Callable[[], object] = lambda: None,
    ) -> None:
        """`look`: what changes whenever another server, or other data, is chosen."""
        self._choose_driver = choose_driver
        self._database = database
        self.observer = observer
        self.answer_timeout_s = answer_timeout_s
        self._look = look

    def pinned(self) -> GraphSessions:
        """Sessions of the server that is chosen now, also when readers are sent elsewhere later."""
        driver = self._choose_driver()
        return GraphSessions(lambda: driver, self._database, self.observer, self.answer_timeout_s)

    @contextmanager
    def open(self, access: str = WRITE_ACCESS) -> Iterator[Session]:
        """A session of the driver, closed at the end."""
        with self._opened(self._choose_driver(), access) as session:
            yield session

    @contextmanager
    def _opened(self, driver: Driver, access: str) -> Iterator[Session]:
        with driver.session(
            database=self._database,
            default_access_mode=access,
            bookmark_manager=driver.execute_query_bookmark_manager,
            notifications_min_severity="OFF",  # a type that no batch has yet is no cause for a warning
        ) as session:
            yield session

    def read(self, query: str, *, is_sampled: bool = True, **parameters: Any) -> list[Record]:
        """The rows of a query that only reads (the server holds it to that), observed, sampled for trials.

        It is asked again where readers were sent to another server meanwhile, as the first may be replaced.
        """
        while True:
            seen, driver = self._look(), self._choose_driver()
            rows = self._read_from(driver, query, parameters, is_sampled=is_sampled)
            if self._look() == seen:
                return rows

    def _read_from(
        self, driver: Driver, query: str, parameters: dict[str, Any], *, is_sampled: bool
    ) -> list[Record]:
        @unit_of_work(timeout=self.answer_timeout_s)
        def work(transaction: ManagedTransaction) -> list[Record]:
            return list(transaction.run(query, parameters))

        with graph_errors(), self._opened(driver, READ_ACCESS) as session:
            return self.observer.run(
                query, parameters, lambda: session.execute_read(work), is_sampled=is_sampled
            )

    def write(self, query: str, rows: Sequence[Any], **parameters: Any) -> WriteOutcome:
        """Runs one writing query over `rows` (parameter $rows) in one managed transaction, observed."""
        attempts: list[WriteOutcome] = []

        def work(transaction: ManagedTransaction) -> None:
            attempts.append(WriteOutcome())
            counters = transaction.run(query, {"rows": rows, **parameters}).consume().counters
            created = (counters.nodes_created, counters.relationships_created)
            attempts[-1] = WriteOutcome(*created, n_retries=len(attempts) - 1)

        def execute() -> Sequence[Any]:
            with self.open() as session:
                session.execute_write(work)
            return rows

        with graph_errors():
            self.observer.run(query, {}, execute)
        return attempts[-1]

    def command(self, query: str, **parameters: Any) -> list[Record]:
        """Runs a schema command or batched deletion: those want the server's own transactions (no retry)."""

        def execute() -> list[Record]:
            with self.open() as session:
                return list(session.run(query, parameters))

        with graph_errors():
            return self.observer.run(query, {}, execute)
