"""Loads of one Neo4j server (ADR 0007): a change is written under a number that no reader asks for yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import pyarrow as pa

from resources import neo4j_cypher as cypher
from resources.neo4j_sessions import TURN, GraphSessions, WriteOutcome
from resources.stores import graph_errors
from terag_pipelines.errors import StoreError, StoreUnavailableError
from terag_pipelines.graph.changes import GraphChange, LoadManifest, sample_content
from terag_pipelines.graph.load_plan import LoadPlan
from terag_pipelines.graph.model import EDGES, NODES, ContentSum
from terag_pipelines.graph.ports import LoadState

CHUNK_ROWS = 5_000
NODE_WRITERS = 2
"""Nodes only: parallel relationship writers deadlock, as the store chains them through neighbours."""
READERS = 3
"""Sessions that sum whole labels and types at once: the server gives each a processor."""
TURN_TIMEOUT_S = 3_600.0
SAMPLED_ROWS = 200
"""Of each label and type: what is compared of a load value by value, beside the sums of all row hashes."""

OnChunk = Callable[[str, int], None]


@dataclass(frozen=True)
class StoreState:
    """Which store it is, the highest number that a load ever had, and the promoted load; 0 where none."""

    store_id: str
    last: int
    promoted: int


class Neo4jLoads:
    """Turns, loads and their rows in one database. `on_chunk` is called after each committed chunk."""

    def __init__(self, sessions: GraphSessions, on_chunk: OnChunk) -> None:
        self._sessions = sessions
        self._on_chunk = on_chunk

    def ensure_schema(self) -> None:
        """Constraints and bookkeeping nodes, where they are not there yet.

        Loaders that are the first deadlock over them, where `write` tries again, or make the same at once.
        """
        for text in (*cypher.CONSTRAINTS, *cypher.LOOKUPS, cypher.ENSURE_TURN):
            try:
                self._sessions.write(text, [])
            except StoreUnavailableError:
                raise
            except StoreError:  # it was not there, and then was
                self._sessions.write(text, [])

    @contextmanager
    def turn(self) -> Iterator[LoadWriter]:
        """Waits for its turn and holds it: two loads or removals never run at once."""
        with self._sessions.open() as session:
            with graph_errors():
                transaction = session.begin_transaction(metadata=TURN, timeout=TURN_TIMEOUT_S)
                transaction.run(cypher.QUEUE).consume()
            try:
                token = int(self._sessions.command(cypher.COUNT_TURN)[0]["token"])
                yield LoadWriter(self._sessions, token, self._on_chunk)
            finally:
                with graph_errors():
                    transaction.close()

    def is_swept(self) -> bool:
        """Whether the rows of all forgotten loads are gone."""
        rows = self._sessions.read(cypher.IS_SWEPT, is_sampled=False)
        return bool(rows and rows[0]["is_swept"])

    def state(self) -> StoreState:
        """The store's state; of one that never had a loader an empty one."""
        rows = self._sessions.read(cypher.STORE_STATE, is_sampled=False)
        return StoreState(**rows[0].data()) if rows else StoreState("", 0, 0)

    def states(self) -> tuple[LoadState, ...]:
        """The loads that the store knows, oldest first."""
        promoted = self.state().promoted
        rows = self._sessions.read(cypher.LOADS, is_sampled=False)
        return tuple(_load_state(row.data(), promoted) for row in rows)

    def sums(self, load: int) -> dict[str, ContentSum]:
        """Count and hash sum of a load by label and type, computed in the server."""
        queries = {spec.label: cypher.sum_nodes(spec) for spec in NODES}
        queries |= {spec.type: cypher.sum_edges(spec) for spec in EDGES}
        with ThreadPoolExecutor(READERS, thread_name_prefix="graph-sums") as pool:
            return dict(
                zip(queries, pool.map(lambda query: self._sum(query, load), queries.values()), strict=True)
            )

    def altered(self, plan: LoadPlan, manifest: LoadManifest) -> list[str]:
        """Labels and types of the newest load of which a sampled row has other values than the plan's."""
        sample = sample_content(plan, manifest, SAMPLED_ROWS)
        queries = {spec.label: cypher.read_nodes(spec) for spec in NODES}
        queries |= {spec.type: cypher.read_edges(spec) for spec in EDGES}
        return sorted(
            name
            for name, rows in sample.items()
            if rows.num_rows and not self._holds(queries[name], _rows(rows))
        )

    def _holds(self, query: str, rows: list[tuple[Any, ...]]) -> bool:
        found = self._sessions.read(query, is_sampled=False, rows=rows)
        return {tuple(row["row"]) for row in found} == set(rows)

    def _sum(self, query: str, load: int) -> ContentSum:
        row = self._sessions.read(query, is_sampled=False, load=load)[0]
        return ContentSum(row["n_rows"], (row["high"] << 32) + row["low"])


def _load_state(row: dict[str, Any], promoted: int) -> LoadState:
    finished = row.pop("finished_at")
    return LoadState(
        **row, is_promoted=row["load"] == promoted, finished_at=finished.to_native() if finished else None
    )


@dataclass(frozen=True)
class LoadWriter:
    """What the loader whose turn it is may do. Raises: StoreError once another one has the turn."""

    _sessions: GraphSessions
    token: int
    _on_chunk: OnChunk

    def begin(self, load: int, plan: LoadPlan) -> None:
        """Notes that a load is being written: it is not whole."""
        self._require(cypher.BEGIN_LOAD, load=load, batch_id=plan.batch_id, digest=plan.digest())

    def finish(self, load: int) -> None:
        """Marks a load as whole: it may be promoted."""
        self._require(cypher.FINISH_LOAD, load=load)

    def apply(self, change: GraphChange, *, is_resumed: bool) -> WriteOutcome:
        """Ends and writes the rows of the change; with `is_resumed` some of it may have been done before."""
        if change.ends_all and change.number > 1:
            self._change_all(cypher.end_all, load=change.number)
        self._run_edges(cypher.end_edges, change.ended_edges, change.number)
        self._run_nodes(cypher.end_nodes, change.ended_nodes, change.number)
        nodes = self._run_nodes(
            lambda spec: cypher.write_nodes(spec, are_new=not is_resumed), change.new_nodes, change.number
        )
        edges = self._run_edges(
            lambda spec: cypher.write_edges(spec, are_new=not is_resumed), change.new_edges, change.number
        )
        return nodes + edges

    def undo_begun(self, newest: int, kept: Sequence[int]) -> None:
        """Takes back what loads that never became whole have written and ended since the newest whole one."""
        self._require(cypher.FORGET_BEGUN)
        self.keep_only(newest, kept)

    def sweep(self, newest: int, kept: Sequence[int]) -> int:
        """`keep_only`, noted as done."""
        n_removed = self.keep_only(newest, kept)
        self._require(cypher.SWEPT)
        return n_removed

    def keep_only(self, newest: int, kept: Sequence[int]) -> int:
        """Removes the rows that none of the `kept` loads has, and opens what ended since the newest of them.

        Gives the number of rows removed.
        """
        self._change_all(cypher.reopen, load=newest)
        return self._change_all(cypher.remove_others, loads=list(kept))

    def _change_all(self, query_of: Callable[[cypher.Pattern], str], **parameters: Any) -> int:
        patterns = [cypher.all_edges(spec) for spec in EDGES] + [cypher.all_nodes(spec) for spec in NODES]
        changed = (
            self._sessions.command(query_of(pattern), token=self.token, **parameters) for pattern in patterns
        )
        return sum(int(rows[0]["n_changed"]) for rows in changed)

    def _run_edges(
        self, query_of: Callable[[Any], str], tables: Mapping[str, pa.Table], load: int
    ) -> WriteOutcome:
        chunks = [
            (spec.type, query_of(spec), chunk) for spec in EDGES for chunk in _chunks(tables[spec.type])
        ]
        return reduce(add, (self._write(*chunk, load) for chunk in chunks), WriteOutcome())

    def _run_nodes(
        self, query_of: Callable[[Any], str], tables: Mapping[str, pa.Table], load: int
    ) -> WriteOutcome:
        """Chunks of one label have disjoint keys, so their writers never wait for each other."""
        with ThreadPoolExecutor(NODE_WRITERS, thread_name_prefix="graph-load") as pool:
            futures = [
                pool.submit(self._write, spec.label, query_of(spec), chunk, load)
                for spec in NODES
                for chunk in _chunks(tables[spec.label])
            ]
            return reduce(add, _results(pool, futures), WriteOutcome())

    def _write(self, name: str, query: str, chunk: pa.Table, load: int) -> WriteOutcome:
        rows = _rows(chunk)
        outcome = self._sessions.write(query, rows, load=load, token=self.token)
        self._on_chunk(name, len(rows))
        return outcome

    def _require(self, query: str, **parameters: Any) -> None:
        if not self._sessions.command(query, token=self.token, **parameters):
            raise StoreError("another loader has taken the turn: this load goes no further")


def _chunks(table: pa.Table) -> list[pa.Table]:
    return [table.slice(start, CHUNK_ROWS) for start in range(0, table.num_rows, CHUNK_ROWS)]


def _rows(chunk: pa.Table) -> list[tuple[Any, ...]]:
    """Rows as tuples: the driver packs those twice as fast as one dictionary for each row."""
    columns = [
        column.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
        if pa.types.is_timestamp(column.type)
        else column
        for column in chunk.columns
    ]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def _results(pool: ThreadPoolExecutor, futures: list[Future[WriteOutcome]]) -> list[WriteOutcome]:
    try:
        return [future.result() for future in futures]
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
