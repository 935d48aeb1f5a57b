"""The graph store on Neo4j (Community, 5.26 or newer): batches side by side, one pointer for readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pyarrow as pa
from neo4j import Driver

from resources import neo4j_cypher as cypher
from resources.neo4j_indexes import Neo4jIndexLab
from resources.neo4j_sessions import ANSWER_TIMEOUT_S, GraphSessions, WriteOutcome
from resources.query_observer import QueryObserver
from resources.stores import graph_errors
from terag_pipelines.errors import StoreError
from terag_pipelines.graph.load_plan import LoadPlan
from terag_pipelines.graph.model import EDGES, NODES, ContentSum, digest_of
from terag_pipelines.graph.ports import (
    AccountView,
    EntityHit,
    EntityView,
    LinkView,
    LoadReport,
    RecordView,
    RelatedEntity,
    SharedIdentifier,
    TransferView,
)

CHUNK_ROWS = 5_000
NODE_WRITERS = 2
"""Nodes only: parallel relationship writers deadlock, as the store chains them through neighbours."""
TURN_TIMEOUT_S = 3_600.0
VIEW_LIMIT = 200

OnChunk = Callable[[str, int], None]


def _ignore_chunk(name: str, n_rows: int) -> None:
    """The default of `on_chunk`: nobody watches."""


class Neo4jGraph:
    """GraphStore and TunableStore over the official driver, which the caller opens and closes.

    `on_chunk(label or type, n_rows)` is called after each committed chunk, from several threads;
    the server ends a read after `answer_timeout_s`.
    """

    def __init__(
        self,
        driver: Driver,
        database: str,
        observer: QueryObserver,
        on_chunk: OnChunk = _ignore_chunk,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self._sessions = GraphSessions(driver, database, observer, answer_timeout_s)
        self._on_chunk = on_chunk
        self.observed = observer
        self.index_lab = Neo4jIndexLab(self._sessions)

    # --- writing

    def load(self, plan: LoadPlan) -> LoadReport:
        """Writes the batch until the store's digest is the plan's; loaders of one store take turns.

        Raises: StoreUnavailableError; StoreError where the batch has rows that the plan has not (promoted
        ones only: others are removed and written anew).
        """
        self._ensure_schema()
        with self._turn():
            was_complete = self._is_loaded(plan.batch_id) and not self._differences(plan)
            outcome = WriteOutcome() if was_complete else self._write_until_whole(plan)
        return LoadReport(
            plan.batch_id,
            plan.digest(),
            plan.counts(),
            was_complete,
            outcome.n_nodes_created,
            outcome.n_relationships_created,
            outcome.n_retries,
        )

    def promote(self, batch_id: str) -> None:
        """Makes a batch the one that readers see, in one transaction. Raises: StoreError when not whole."""
        self._sessions.write(cypher.PROMOTE, [batch_id])
        if not self._is_loaded(batch_id):  # then nothing was promoted; the promoted batch is never forgotten
            raise StoreError(f"batch {batch_id} is not loaded whole: it cannot be promoted")

    def promoted_batch(self) -> str | None:
        """The batch that readers see."""
        rows = self._sessions.read(cypher.PROMOTED, is_sampled=False)
        return str(rows[0]["batch_id"]) if rows else None

    def remove_other_batches(self, *keep: str) -> int:
        """Removes every batch but those of `keep` and the promoted one; gives the number of nodes removed."""
        self._ensure_schema()
        with self._turn():
            return self._remove_all_but(sorted(keep))

    def counts(self, batch_id: str) -> dict[str, int]:
        """Rows of a batch by label and relationship type, as stored."""
        return {name: total.n_rows for name, total in self._sums(batch_id).items()}

    def digest(self, batch_id: str) -> str:
        """`LoadPlan.digest` of what is stored, computed in the server from the stored row hashes."""
        return digest_of(self._sums(batch_id))

    # --- reading

    def find_entity(self, entity_id: str) -> EntityView | None:
        """An entity of the promoted batch with all that hangs on it, in one query: one batch, never two."""
        rows = self._sessions.read(cypher.FIND_ENTITY, entity_id=entity_id, limit=VIEW_LIMIT)
        return _entity_view(rows[0].data()) if rows else None

    def find_by_name(self, prefix: str, limit: int = 50) -> tuple[EntityHit, ...]:
        """Entities whose display name starts with `prefix` (case counts), by name."""
        rows = self._sessions.read(cypher.FIND_BY_NAME, prefix=prefix, limit=limit)
        return tuple(EntityHit(*row.values()) for row in rows)

    def accounts_at(self, bank: str, limit: int = 50) -> tuple[AccountView, ...]:
        """Accounts held at a bank, by id."""
        rows = self._sessions.read(cypher.ACCOUNTS_AT, bank=bank, limit=limit)
        return tuple(AccountView(*row.values()) for row in rows)

    def transfers_above(self, bank: str, amount_minor: int, limit: int = 50) -> tuple[TransferView, ...]:
        """Flows out of a bank's accounts that sum to `amount_minor` or more, largest first."""
        rows = self._sessions.read(cypher.TRANSFERS_ABOVE, bank=bank, amount_minor=amount_minor, limit=limit)
        return tuple(_transfer_view(*row.values()) for row in rows)

    def entities_near(self, entity_id: str, limit: int = 200) -> tuple[EntityHit, ...]:
        """Entities up to two shared identifiers away, by id."""
        rows = self._sessions.read(cypher.ENTITIES_NEAR, entity_id=entity_id, limit=limit)
        return tuple(EntityHit(*row.values()) for row in rows)

    # --- how a batch is written

    def _ensure_schema(self) -> None:
        for constraint in cypher.CONSTRAINTS:
            self._sessions.command(constraint)
        self._sessions.write(cypher.ENSURE_TURN, ["turn"])

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Holds a lock in the server while it lasts: two loads or removals never run at once."""
        with self._sessions.open() as session:
            with graph_errors():
                transaction = session.begin_transaction(timeout=TURN_TIMEOUT_S)
                transaction.run(cypher.TAKE_TURN).consume()
            try:
                yield
            finally:
                with graph_errors():
                    transaction.close()

    def _write_until_whole(self, plan: LoadPlan) -> WriteOutcome:
        """Writes, verifies, and only then marks the batch as one that may be promoted."""
        self._sessions.write(cypher.UNMARK_LOADED, [plan.batch_id])
        outcome = self._write(plan)
        if self._differences(plan) and self.promoted_batch() != plan.batch_id:
            self._remove_batch(plan.batch_id)  # rows of another content under the same id
            outcome = self._write(plan)
        if wrong := self._differences(plan):
            raise StoreError(f"batch {plan.batch_id} differs from its plan in {', '.join(wrong)}")
        self._sessions.write(cypher.MARK_LOADED, [plan.batch_id])
        return outcome

    def _is_loaded(self, batch_id: str) -> bool:
        return bool(self._sessions.read(cypher.IS_LOADED, is_sampled=False, batch_id=batch_id))

    def _differences(self, plan: LoadPlan) -> list[str]:
        """Labels and types whose stored count or hash sum is not the plan's."""
        stored = self._sums(plan.batch_id)
        return sorted(name for name, total in plan.sums().items() if stored[name] != total)

    def _write(self, plan: LoadPlan) -> WriteOutcome:
        """Nodes, then relationships; a killed or damaged load finds what is there and adds what is not."""
        stored = self.counts(plan.batch_id)
        nodes = self._write_nodes(plan)
        edges = [
            self._write_chunk(
                plan.batch_id, spec.type, cypher.write_edges(spec, are_new=not stored[spec.type]), chunk
            )
            for spec in EDGES
            for chunk in _chunks(plan.edges[spec.type])
        ]
        return sum(edges, nodes)

    def _write_nodes(self, plan: LoadPlan) -> WriteOutcome:
        """Chunks of one label have disjoint keys, so their writers never wait for each other."""
        with ThreadPoolExecutor(NODE_WRITERS, thread_name_prefix="graph-load") as pool:
            futures = [
                pool.submit(self._write_chunk, plan.batch_id, spec.label, cypher.merge_nodes(spec), chunk)
                for spec in NODES
                for chunk in _chunks(plan.nodes[spec.label])
            ]
            return sum(_results(pool, futures), WriteOutcome())

    def _write_chunk(self, batch_id: str, name: str, query: str, chunk: pa.Table) -> WriteOutcome:
        rows = _rows(chunk)
        outcome = self._sessions.write(query, rows, batch_id=batch_id, prefix=f"{batch_id}:")
        self._on_chunk(name, len(rows))
        return outcome

    def _remove_batch(self, batch_id: str) -> None:
        others = self._sessions.read(cypher.BATCHES, is_sampled=False)
        self._remove_all_but([row["batch_id"] for row in others if row["batch_id"] != batch_id])

    def _remove_all_but(self, keep: list[str]) -> int:
        """The promoted batch is asked for last: once the others are forgotten, none of them can become it."""
        self._sessions.write(cypher.FORGET_LOADED, keep)
        kept = sorted({*keep, *filter(None, [self.promoted_batch()])})
        found = (self._sessions.command(cypher.remove_nodes(spec), keep=kept) for spec in NODES)
        return sum(int(rows[0]["n_removed"]) for rows in found)

    def _sums(self, batch_id: str) -> dict[str, ContentSum]:
        queries = [(spec.label, cypher.sum_nodes(spec)) for spec in NODES]
        queries += [(spec.type, cypher.sum_edges(spec)) for spec in EDGES]
        return {name: self._sum(query, batch_id) for name, query in queries}

    def _sum(self, query: str, batch_id: str) -> ContentSum:
        row = self._sessions.read(query, is_sampled=False, batch_id=batch_id)[0]
        return ContentSum(row["n_rows"], (row["high"] << 32) + row["low"])


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


# --- how rows become views


def _entity_view(row: dict[str, Any]) -> EntityView:
    identifiers = [SharedIdentifier(name, kind, tuple(others)) for name, kind, others in row["identifiers"]]
    return EntityView(
        **row["entity"],
        records=tuple(RecordView(*values) for values in row["records"]),
        links=tuple(LinkView(*values) for values in row["links"]),
        identifiers=tuple(identifiers),
        accounts=tuple(AccountView(*values) for values in row["accounts"]),
        related=tuple(RelatedEntity(*values) for values in row["related"]),
    )


def _transfer_view(*values: Any) -> TransferView:
    return TransferView(*values[:-2], *map(_native, values[-2:]))


def _native(instant: Any) -> datetime | None:
    return None if instant is None else instant.to_native()
