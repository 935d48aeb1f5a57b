"""The graph store on Neo4j (Community, 5.26 or newer): loads after each other, one pointer for readers."""

from __future__ import annotations

import math
from pathlib import Path

from neo4j import Driver

from resources import neo4j_cypher as cypher
from resources.neo4j_health import Neo4jProbe
from resources.neo4j_loads import LoadWriter, Neo4jLoads, OnChunk
from resources.neo4j_queries import Neo4jQueries
from resources.neo4j_sessions import ANSWER_TIMEOUT_S, GraphSessions, WriteOutcome
from resources.query_observer import QueryObserver
from terag_pipelines.errors import StoreError
from terag_pipelines.graph.changes import GraphChange, find_change
from terag_pipelines.graph.load_plan import LoadPlan
from terag_pipelines.graph.model import ContentSum, differing, digest_of
from terag_pipelines.graph.ports import LoadReport, LoadState, ManifestShelf, ServerState


def _ignore_chunk(name: str, n_rows: int) -> None:
    """The default of `on_chunk`: nobody watches."""


class Neo4jGraph(Neo4jQueries):
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
        super().__init__(GraphSessions(lambda: driver, database, observer, answer_timeout_s))
        self._loads = Neo4jLoads(self._sessions, on_chunk)
        self._manifests = manifests
        self._window_s = math.ceil(answer_timeout_s)

    def load(self, plan: LoadPlan) -> LoadReport:
        """Writes what the plan changes of the newest load; loaders of one store take turns.

        The load is whole once the store's digest of it is the plan's.
        Raises: StoreUnavailableError; StoreError where it stays another, or the turn was lost.
        """
        self._loads.ensure_schema()
        with self._loads.turn() as writer:
            return self.report_of(plan) or self._write_until_whole(writer, plan)

    def report_of(self, plan: LoadPlan) -> LoadReport | None:
        """The report of the load that holds the plan whole already; None where none does."""
        present = self._whole_load_of(plan)
        return None if present is None else _report(plan, present, None, WriteOutcome())

    def fill_backup(self) -> None:
        """Nothing: one server has no backup."""

    def adopt_copy(self, original: LoadState) -> None:
        """Makes the begun load of a copied store whole, and shows it, once it is as its manifest says.

        Nothing happens where no begun load is that of the original: the next load fills the store.
        """
        self._loads.ensure_schema()
        with self._loads.turn() as writer:
            content = (original.batch_id, original.digest)
            begun = [state for state in self.loads() if (state.batch_id, state.digest) == content]
            manifest = self._manifests.read(self.store_id, begun[-1].load) if begun else None
            if manifest is None or differing(manifest.sums(), self._loads.sums(begun[-1].load)):
                return
            writer.finish(begun[-1].load)
        self.promote(original.batch_id)

    def adopt(self, plan: LoadPlan, change: GraphChange) -> LoadReport:
        """Makes a load whole that was written into the store, and noted as begun, while no server ran on it.

        Raises: StoreError where the store does not hold the plan.
        """
        self._loads.ensure_schema()
        with self._loads.turn() as writer:
            if wrong := self._wrong(plan, change):
                raise _differs(plan, wrong)
            writer.finish(change.number)
        n_edges = sum(table.num_rows for table in change.new_edges.values())
        outcome = WriteOutcome(sum(table.num_rows for table in change.new_nodes.values()), n_edges)
        return _report(plan, change.number, change, outcome)

    def n_rows_to_write(self, plan: LoadPlan) -> int:
        """How many nodes and relationships a load of the plan would end and write."""
        whole = [one for one in self.loads() if one.is_whole]
        if not whole or not whole[-1].digest:
            return plan.n_rows
        base = self._manifests.read(self.store_id, whole[-1].load)
        return find_change(plan, base, whole[-1].load + 1).n_rows if base else plan.n_rows

    def held(self, batch_id: str) -> LoadState | None:
        """The newest whole load of a batch that was not found to have drifted."""
        found = self.whole_load(batch_id)
        return found if found and found.digest else None

    def whole_load(self, batch_id: str) -> LoadState | None:
        """The newest load of a batch that can be promoted."""
        return next(
            (one for one in reversed(self.loads()) if one.is_whole and one.batch_id == batch_id), None
        )

    def shown_load(self) -> LoadState | None:
        """The load that readers of this server see."""
        return next((state for state in self.loads() if state.is_promoted), None)

    @property
    def store_id(self) -> str:
        """What tells this store from every other; empty where it never had a loader."""
        return self._loads.state().store_id

    def promote(self, batch_id: str, is_shown: bool = True) -> None:
        """Makes a batch the one that readers see, in one transaction. Raises: StoreError when not whole.

        `is_shown`: readers are on this server, not about to be sent there.
        """
        whole = [state.load for state in self.loads() if state.is_whole and state.batch_id == batch_id]
        promoted = whole and self._sessions.command(
            cypher.PROMOTE, load=whole[-1], batch_id=batch_id, is_shown=is_shown
        )
        if not promoted:
            raise StoreError(f"batch {batch_id} is not loaded whole: it cannot be promoted")

    def note_shown(self) -> None:
        """Notes that readers have seen the promoted load: they are about to leave it."""
        self._sessions.command(cypher.NOTE_SHOWN)

    def batch_before(self) -> str | None:
        """The batch of the newest load before the promoted one that readers have seen."""
        promoted = self._loads.state().promoted
        earlier = [state.batch_id for state in self.loads() if state.was_shown and state.load < promoted]
        return earlier[-1] if earlier else None

    def servers(self) -> tuple[ServerState, ...]:
        """The one server, against the manifest of the load that its readers see."""
        return (self.server_state("primary"),)

    def probes(self) -> dict[str, Neo4jProbe]:
        """The one server, to be asked how it is."""
        return {"primary": self.probe()}

    def probe(self, home: Path | None = None) -> Neo4jProbe:
        """The server, to be asked how it is; `home` is its folder where it is ours."""
        return Neo4jProbe(self._sessions, home)

    def server_state(self, role: str) -> ServerState:
        """The server in a role, against the manifest of the load that its readers see; drift is noted."""
        held = self.shown_load()
        if held is None:
            return ServerState(role)
        manifest = self._manifests.read(self.store_id, held.load)
        stored = self._loads.sums(held.load)
        n_rows = sum(total.n_rows for total in stored.values())
        drift = None if manifest is None else tuple(differing(manifest.sums(), stored))
        if drift:
            self._sessions.write(cypher.DISTRUST, [held.load])
        return ServerState(role, True, held.load, held.batch_id, held.finished_at, n_rows, drift)

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
            self._manifests.keep_only(self.store_id, kept)
            return 0 if self._loads.is_swept() else writer.sweep(max(kept, default=0), kept)

    def counts(self, batch_id: str) -> dict[str, int]:
        """Rows of a batch by label and relationship type, as stored; zeros where it is not loaded."""
        return {name: total.n_rows for name, total in self._sums(batch_id).items()}

    def digest(self, batch_id: str) -> str:
        """`LoadPlan.digest` of what is stored, computed in the server from the stored row hashes."""
        return digest_of(self._sums(batch_id))

    # --- how a load is written

    def _sums(self, batch_id: str) -> dict[str, ContentSum]:
        found = [state.load for state in self.loads() if state.batch_id == batch_id]
        return self._loads.sums(found[-1] if found else 0)

    def _whole_load_of(self, plan: LoadPlan) -> int | None:
        """The load that holds the plan already, as the store itself says, and that promotion would show."""
        newest = self.held(plan.batch_id)
        if newest is None or newest.digest != plan.digest():
            return None
        return None if differing(plan.sums(), self._loads.sums(newest.load)) else newest.load

    def _write_until_whole(self, writer: LoadWriter, plan: LoadPlan) -> LoadReport:
        """By differences first; where the store then holds something else, everything is written anew."""
        for whole in (False, True):
            change, is_resumed = self._begin(writer, plan, whole=whole)
            outcome = writer.apply(change, is_resumed=is_resumed)
            wrong = self._wrong(plan, change)
            if not wrong:
                writer.finish(change.number)
                return _report(plan, change.number, change, outcome)
        raise _differs(plan, wrong)

    def _wrong(self, plan: LoadPlan, change: GraphChange) -> list[str]:
        """Labels and types that do not hold what the plan says: by sums, and by values of some rows."""
        by_sums = differing(plan.sums(), self._loads.sums(change.number))
        return by_sums or self._loads.altered(plan, change.manifest)

    def _begin(self, writer: LoadWriter, plan: LoadPlan, *, whole: bool) -> tuple[GraphChange, bool]:
        """The change to write, and whether an earlier loader began with it; what others began is undone."""
        state, known = self._loads.state(), self.loads()
        whole_ones, begun = ([one for one in known if one.is_whole is is_whole] for is_whole in (True, False))
        newest, has_drifted = max(((one.load, not one.digest) for one in whole_ones), default=(0, False))
        is_resumed = not whole and [one.digest for one in begun] == [plan.digest()]
        number = begun[0].load if is_resumed else state.last + 1
        if begun and not is_resumed:
            writer.undo_begun(newest, [one.load for one in whole_ones])
        is_known = newest and not (whole or has_drifted)
        base = self._manifests.read(state.store_id, newest) if is_known else None
        change = find_change(plan, base, number)
        writer.begin(number, plan)
        self._manifests.write(state.store_id, number, change.manifest)
        return change, is_resumed


def _differs(plan: LoadPlan, names: list[str]) -> StoreError:
    return StoreError(f"batch {plan.batch_id} differs from its plan in {', '.join(names)}")


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
