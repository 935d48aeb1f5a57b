"""The graph store on Neo4j (Community, 5.26 or newer): loads after each other, one pointer for readers."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from neo4j import Driver

from resources import neo4j_cypher as cypher
from resources.neo4j_indexes import Neo4jIndexLab
from resources.neo4j_loads import LoadWriter, Neo4jLoads, OnChunk
from resources.neo4j_sessions import ANSWER_TIMEOUT_S, GraphSessions, WriteOutcome
from resources.query_observer import QueryObserver
from terag_pipelines.errors import StoreError
from terag_pipelines.graph.changes import GraphChange, find_change
from terag_pipelines.graph.load_plan import LoadPlan
from terag_pipelines.graph.model import ContentSum, digest_of
from terag_pipelines.graph.ports import (
    AccountView,
    EntityHit,
    EntityView,
    LinkView,
    LoadReport,
    LoadState,
    ManifestShelf,
    RecordView,
    RelatedEntity,
    SharedIdentifier,
    TransferView,
)

VIEW_LIMIT = 200


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
        manifests: ManifestShelf,
        on_chunk: OnChunk = _ignore_chunk,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self._sessions = GraphSessions(driver, database, observer, answer_timeout_s)
        self._loads = Neo4jLoads(self._sessions, on_chunk)
        self._manifests = manifests
        self._window_s = math.ceil(answer_timeout_s)
        self.observed = observer
        self.index_lab = Neo4jIndexLab(self._sessions)

    # --- writing

    def load(self, plan: LoadPlan) -> LoadReport:
        """Writes what the plan changes of the newest load; loaders of one store take turns.

        The load is whole once the store's digest of it is the plan's.
        Raises: StoreUnavailableError; StoreError where it stays another, or the turn was lost.
        """
        self._loads.ensure_schema()
        with self._loads.turn() as writer:
            present = self._whole_load_of(plan)
            if present is not None:
                return _report(plan, present, None, WriteOutcome())
            return self._write_until_whole(writer, plan)

    def promote(self, batch_id: str) -> None:
        """Makes a batch the one that readers see, in one transaction. Raises: StoreError when not whole."""
        whole = [state.load for state in self.loads() if state.is_whole and state.batch_id == batch_id]
        promoted = whole and self._sessions.command(cypher.PROMOTE, load=whole[-1], batch_id=batch_id)
        if not promoted:
            raise StoreError(f"batch {batch_id} is not loaded whole: it cannot be promoted")

    def roll_back(self) -> str:
        """Makes the whole load before the promoted one what readers see. Raises: StoreError where none is."""
        promoted = self._loads.state().promoted
        earlier = [state for state in self.loads() if state.is_whole and state.load < promoted]
        if not earlier:
            raise StoreError("the graph has no load before the one that readers see")
        self.promote(earlier[-1].batch_id)
        return earlier[-1].batch_id

    def promoted_batch(self) -> str | None:
        """The batch that readers see."""
        rows = self._sessions.read(cypher.PROMOTED, is_sampled=False)
        return str(rows[0]["batch_id"]) if rows else None

    def loads(self) -> tuple[LoadState, ...]:
        """The loads that the store knows, oldest first."""
        return self._loads.states()

    def remove_other_batches(self, *keep: str) -> int:
        """Forgets all loads but those of `keep` and the promoted one, and removes rows that none of them has.

        A load that readers left a moment ago, within the longest time of an answer, stays until the next
        removal: one of them may still be reading it. Gives the number of rows removed.
        """
        self._loads.ensure_schema()
        with self._loads.turn() as writer:
            self._sessions.command(cypher.FORGET_OLD, keep=sorted(keep), window_s=self._window_s)
            kept = [state.load for state in self.loads()]
            self._manifests.keep_only(self._loads.state().store_id, kept)
            return writer.keep_only(max(kept, default=0), kept)

    def counts(self, batch_id: str) -> dict[str, int]:
        """Rows of a batch by label and relationship type, as stored; zeros where it is not loaded."""
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

    # --- how a load is written

    def _sums(self, batch_id: str) -> dict[str, ContentSum]:
        found = [state.load for state in self.loads() if state.batch_id == batch_id]
        return self._loads.sums(found[-1] if found else 0)

    def _whole_load_of(self, plan: LoadPlan) -> int | None:
        """The load that holds the plan already, as the store itself says."""
        found = [
            state.load
            for state in self.loads()
            if state.is_whole and (state.batch_id, state.digest) == (plan.batch_id, plan.digest())
        ]
        return next((load for load in reversed(found) if not self._loads.differences(plan, load)), None)

    def _write_until_whole(self, writer: LoadWriter, plan: LoadPlan) -> LoadReport:
        """By differences first; where the store then holds something else, everything is written anew."""
        for whole in (False, True):
            change, is_resumed = self._begin(writer, plan, whole=whole)
            outcome = writer.apply(change, is_resumed=is_resumed)
            wrong = self._loads.differences(plan, change.number) or self._loads.altered(plan, change.manifest)
            if not wrong:
                writer.finish(change.number)
                return _report(plan, change.number, change, outcome)
        raise StoreError(f"batch {plan.batch_id} differs from its plan in {', '.join(wrong)}")

    def _begin(self, writer: LoadWriter, plan: LoadPlan, *, whole: bool) -> tuple[GraphChange, bool]:
        """The change to write, and whether an earlier loader began with it; what others began is undone."""
        state, loads = self._loads.state(), [one for one in self.loads() if one.is_whole]
        begun = [one for one in self.loads() if not one.is_whole]
        newest = max((one.load for one in loads), default=0)
        is_resumed = not whole and [one.digest for one in begun] == [plan.digest()]
        number = begun[0].load if is_resumed else state.last + 1
        if begun and not is_resumed:
            writer.undo_begun(newest, [one.load for one in loads])
        base = None if whole or not newest else self._manifests.read(state.store_id, newest)
        change = find_change(plan, base, number)
        writer.begin(number, plan)
        self._manifests.write(state.store_id, number, change.manifest)
        return change, is_resumed


def _report(plan: LoadPlan, load: int, change: GraphChange | None, outcome: WriteOutcome) -> LoadReport:
    ended = [*change.ended_nodes.values(), *change.ended_edges.values()] if change else []
    return LoadReport(
        plan.batch_id,
        load,
        plan.digest(),
        plan.counts(),
        change is None,
        outcome.n_nodes_created,
        outcome.n_relationships_created,
        sum(table.num_rows for table in ended),
        outcome.n_retries,
    )


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
