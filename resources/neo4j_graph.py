"""The graph store on Neo4j (Community, 5.26 or newer): loads after each other, one pointer for readers."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from neo4j import Driver

from resources import neo4j_cypher as cypher
from resources.neo4j_health import Neo4jProbe
from resources.neo4j_loads import LoadWriter, Neo4jLoads, OnChunk
from resources.neo4j_queries import VIEW_LIMIT, Neo4jQueries
from resources.neo4j_sessions import ANSWER_TIMEOUT_S, GraphSessions, WriteOutcome
from resources.query_observer import QueryObserver
from terag_pipelines.errors import StoreError
from terag_pipelines.graph.changes import GraphChange, LoadManifest, WholeGraph, find_change
from terag_pipelines.graph.load_plan import LoadPlan
from terag_pipelines.graph.model import ContentSum, differing, digest_of
from terag_pipelines.graph.ports import LoadReport, LoadState, ManifestShelf, ServerState


def _ignore_chunk(name: str, n_rows: int) -> None:
    """The default of `on_chunk`: nobody watches."""


@dataclass(frozen=True)
class PreparedLoad:
    """What a load will write, and how. It holds as long as nobody else loads.

    `replaces`: the load that is made into this one in place; 0 where it stays beside it. `whole` and `begun`:
    the loads that the store knew.
    """

    change: GraphChange
    is_resumed: bool
    replaces: int
    whole: tuple[LoadState, ...]
    begun: tuple[LoadState, ...]


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

    def load(self, plan: LoadPlan, prepared: PreparedLoad | None = None) -> LoadReport:
        """Writes what the plan changes of the newest load; loaders of one store take turns.

        The load is whole once the store's digest of it is the plan's. `prepared`: by whoever saw to it that
        nobody else loads since then.
        Raises: StoreUnavailableError; StoreError where it stays another, or the turn was lost.
        """
        self._loads.ensure_schema()
        with self._loads.turn() as writer:
            return self.report_of(plan) or self._write_until_whole(writer, plan, prepared)

    def prepare(self, plan: LoadPlan, *, in_place: bool = False, whole: bool = False) -> PreparedLoad:
        """What a load of the plan has to write; nothing is written.

        `in_place`: what the store holds may be made into the load, row by row, since nobody reads it and
        nobody will: half as much travels. `whole`: whatever the store says that it holds is not trusted.
        """
        state, known = self._loads.state(), self.loads()
        whole_ones, begun = (
            tuple(one for one in known if one.is_whole is is_whole) for is_whole in (True, False)
        )
        newest, has_drifted = max(((one.load, not one.digest) for one in whole_ones), default=(0, False))
        is_resumed = not whole and [one.digest for one in begun] == [plan.digest()]
        replaced = self._loads.base_of(begun[0].load) if is_resumed else 0
        base_load = replaced or (0 if whole or has_drifted else newest)
        base = self._manifests.read(state.store_id, base_load) if base_load else None
        is_in_place = base is not None and (replaced > 0 or (in_place and not is_resumed))
        number = begun[0].load if is_resumed else state.last + 1
        return PreparedLoad(
            find_change(plan, base, number, in_place=is_in_place),
            is_resumed,
            base_load if is_in_place else 0,
            whole_ones,
            begun,
        )

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

    def adopt(self, plan: LoadPlan, written: WholeGraph) -> LoadReport:
        """Makes a load whole that was written into the store, and noted as begun, while no server ran on it.

        The bookkeeping nodes that `Neo4jLoads` asks for are there, too.
        Raises: StoreError where the store does not hold the plan.
        """
        self._loads.ensure_constraints()
        self.plan_ahead()
        if wrong := self._wrong(plan, written.number, written.manifest):
            raise _differs(plan, wrong)
        with self._loads.turn() as writer:
            writer.finish(written.number)
        n_nodes, n_edges = (sum(t.num_rows for t in part.values()) for part in (plan.nodes, plan.edges))
        return _report(plan, written.number, None, WriteOutcome(n_nodes, n_edges), was_complete=False)

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

    def plan_ahead(self) -> None:
        """Has the server plan its longest query: a reader would wait for that, two seconds at most."""
        self._sessions.read(cypher.FIND_ENTITY, is_sampled=False, entity_id="nobody", limit=VIEW_LIMIT)

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
        if self.shown_load() != held:  # another load took its place meanwhile
            return ServerState(role)
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
            self._manifests.keep_only(self.store_id, [*kept, *map(self._loads.base_of, kept)])
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

    def _write_until_whole(
        self, writer: LoadWriter, plan: LoadPlan, prepared: PreparedLoad | None
    ) -> LoadReport:
        """By differences first; where the store then holds something else, everything is written anew."""
        for attempt in (prepared or self.prepare(plan), None):
            begun = attempt or self.prepare(plan, whole=True)
            outcome = self._write(writer, plan, begun)
            wrong = self._wrong(plan, begun.change.number, begun.change.manifest)
            if not wrong:
                writer.finish(begun.change.number)
                return _report(plan, begun.change.number, begun.change, outcome)
        raise _differs(plan, wrong)

    def _write(self, writer: LoadWriter, plan: LoadPlan, prepared: PreparedLoad) -> WriteOutcome:
        """Writes the change, and the manifest beside it; what others began is undone."""
        change, kept = prepared.change, [one.load for one in prepared.whole]
        if prepared.begun and not prepared.is_resumed:
            writer.undo_begun(max(kept, default=0), kept)
        if not prepared.replaces:
            writer.begin(change.number, plan)
        elif not prepared.is_resumed:
            writer.begin_in_place(change.number, plan, prepared.replaces)
        with ThreadPoolExecutor(1, thread_name_prefix="graph-manifest") as pool:
            manifest = pool.submit(self._manifests.write, self.store_id, change.number, change.manifest)
            outcome = writer.apply(change, is_resumed=prepared.is_resumed)
            manifest.result()
        return outcome

    def _wrong(self, plan: LoadPlan, number: int, manifest: LoadManifest) -> list[str]:
        """Labels and types that do not hold what the plan says: by sums, and by values of some rows."""
        return differing(plan.sums(), self._loads.sums(number)) or self._loads.altered(plan, manifest)


def _differs(plan: LoadPlan, names: list[str]) -> StoreError:
    return StoreError(f"batch {plan.batch_id} differs from its plan in {', '.join(names)}")


def _report(
    plan: LoadPlan,
    load: int,
    change: GraphChange | None,
    outcome: WriteOutcome,
    *,
    was_complete: bool | None = None,
) -> LoadReport:
    return LoadReport(
        plan.batch_id,
        load,
        plan.digest(),
        plan.counts(),
        change is None if was_complete is None else was_complete,
        outcome.n_nodes_created,
        outcome.n_relationships_created,
        change.n_updated if change else 0,
        change.n_ended if change else 0,
        outcome.n_retries,
    )
