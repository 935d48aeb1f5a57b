"""Loads of one Neo4j server (ADR 0007): a change is written under a number that no reader asks for yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any

import pyarrow as pa

from resources import neo4j_cypher as cypher
from resources.neo4j_sessions import TURN, GraphSessions, WriteOutcome
from resources.stores import graph_errors
from terag_pipelines.errors import StoreError, StoreUnavailableError
from terag_pipelines.graph.changes import GraphChange, LoadManifest, sample_content
from terag_pipelines.graph.load_plan import LoadPlan
from terag_pipelines.graph.model import EDGES, NODES, TRANSFERRED, ContentSum, EdgeSpec, NodeSpec
from terag_pipelines.graph.ports import LoadState

CHUNK_ROWS = 5_000
WRITERS = 2
"""Not for new relationships: their writers deadlock, as the store chains them through neighbours."""
READERS = 3
"""Sessions that sum whole labels and types at once, or fill indexes: the server gives each a processor."""
TURN_TIMEOUT_S = 3_600.0
SAMPLED_ROWS = 200
"""Of each label and type: what is compared of a load value by value, beside the sums of all row hashes."""

LARGEST_FIRST = sorted(EDGES, key=lambda spec: spec is not TRANSFERRED)
"""What takes longest to sum begins first."""

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
        """Constraints and bookkeeping nodes, where they are not there yet."""
        self.ensure_constraints()
        self._ensure(cypher.ENSURE_TURN)

    def ensure_constraints(self) -> None:
        """Constraints, and indexes of ids, where they are not there yet."""
        for text in (*cypher.CONSTRAINTS, *cypher.LOOKUPS):  # two at once on one label may deadlock
            self._ensure(text)

    def _ensure(self, text: str) -> None:
        """The first loaders deadlock over it, where `write` tries again, or make the same at once."""
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

    def base_of(self, load: int) -> int:
        """The load that is being made into this one in place; 0 where it stays beside it."""
        rows = self._sessions.read(cypher.BASE_OF, is_sampled=False, load=load)
        return int(rows[0]["base"]) if rows else 0

    def sums(self, load: int) -> dict[str, ContentSum]:
        """Count and hash sum of a load by label and type, computed in the server."""
        queries = {spec.type: cypher.sum_edges(spec) for spec in LARGEST_FIRST}
        queries |= {spec.label: cypher.sum_nodes(spec) for spec in NODES}
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
    for name in ("finished_at", "base_finished_at"):
        row[name] = row[name].to_native() if row[name] else None
    return LoadState(**row, is_promoted=row["load"] == promoted)


@dataclass(frozen=True)
class LoadWriter:
    """What the loader whose turn it is may do. Raises: StoreError once another one has the turn."""

    _sessions: GraphSessions
    token: int
    _on_chunk: OnChunk

    def begin(self, load: int, plan: LoadPlan) -> None:
        """Notes that a load is being written beside the others: it is not whole."""
        self._require(cypher.BEGIN_LOAD, load=load, batch_id=plan.batch_id, digest=plan.digest())

    def begin_in_place(self, load: int, plan: LoadPlan, base: int) -> None:
        """Notes that the base is being made into a load, in place: the store has no whole one meanwhile."""
        noted = {"batch_id": plan.batch_id, "digest": plan.digest(), "base": base}
        self._require(cypher.BEGIN_IN_PLACE, load=load, **noted)

    def finish(self, load: int) -> None:
        """Marks a load as whole: it may be promoted."""
        self._require(cypher.FINISH_LOAD, load=load)

    def apply(self, change: GraphChange, *, is_resumed: bool) -> WriteOutcome:
        """Ends and writes the rows of the change; with `is_resumed` some of it may have been done before."""
        if change.ends_all and change.number > 1:
            self._change_all(cypher.end_all, load=change.number)
        are_new = not is_resumed
        at_once = [
            *_edge_writes(cypher.end_edges, change.ended_edges),
            *_edge_writes(cypher.update_edges, change.updated_edges),
            *_node_writes(cypher.end_nodes, change.ended_nodes),
            *_node_writes(cypher.update_nodes, change.updated_nodes),
            *_node_writes(partial(cypher.write_nodes, are_new=are_new), change.new_nodes),
        ]
        edges = _edge_writes(partial(cypher.write_edges, are_new=are_new), change.new_edges)
        return self._write_at_once(at_once, change.number) + self._write_in_turn(edges, change.number)

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

    def _write_in_turn(self, writes: list[_Write], load: int) -> WriteOutcome:
        return reduce(add, (self._write(write, load) for write in writes), WriteOutcome())

    def _write_at_once(self, writes: list[_Write], load: int) -> WriteOutcome:
        """Writes that touch different rows, and no chain of relationships: none waits for another."""
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="graph-load") as pool:
            futures = [pool.submit(self._write, write, load) for write in writes]
            return reduce(add, _results(pool, futures), WriteOutcome())

    def _write(self, write: _Write, load: int) -> WriteOutcome:
        rows = _rows(write.chunk)
        outcome = self._sessions.write(write.query, rows, load=load, token=self.token)
        self._on_chunk(write.name, len(rows))
        return outcome

    def _require(self, query: str, **parameters: Any) -> None:
        if not self._sessions.command(query, token=self.token, **parameters):
            raise StoreError("another loader has taken the turn: this load goes no further")


@dataclass(frozen=True)
class _Write:
    """A query over a chunk of the rows of a label or type."""

    name: str
    query: str
    chunk: pa.Table


def _node_writes(query_of: Callable[[NodeSpec], str], tables: Mapping[str, pa.Table]) -> list[_Write]:
    return [
        _Write(spec.label, query_of(spec), chunk) for spec in NODES for chunk in _chunks(tables[spec.label])
    ]


def _edge_writes(query_of: Callable[[EdgeSpec], str], tables: Mapping[str, pa.Table]) -> list[_Write]:
    return [
        _Write(spec.type, query_of(spec), chunk) for spec in EDGES for chunk in _chunks(tables[spec.type])
    ]


def _chunks(table: pa.Table) -> list[pa.Table]:
    return [table.slice(start, CHUNK_ROWS) for start in range(0, table.num_rows, CHUNK_ROWS)]


def _rows(chunk: pa.Table) -> list[tuple[Any, ...]]:
    """Rows as tuples: the driver packs those twice as fast as one dictionary for each row."""
    return list(zip(*(column.to_pylist() for column in chunk.columns), strict=True))


def _results(pool: ThreadPoolExecutor, futures: list[Future[WriteOutcome]]) -> list[WriteOutcome]:
    try:
        return [future.result() for future in futures]
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
