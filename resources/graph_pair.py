"""The graph on two embedded servers: one answers readers, the other takes the next load and is the backup."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from resources.embedded import LEAST_FREE_BYTES, EmbeddedStores
from resources.graph_drivers import PairDrivers
from resources.graph_homes import build_home_of, copy_home, copy_home_of, remove_copies
from resources.neo4j_graph import Neo4jGraph
from resources.neo4j_health import Neo4jProbe
from resources.neo4j_import import OfflineImporter, end_import
from resources.neo4j_queries import Neo4jQueries
from resources.neo4j_sessions import GraphSessions
from resources.processes import hold_lock
from resources.query_observer import QueryObserver
from resources.stores import BATCH
from terag_pipelines.errors import (
    EmbeddedStoreError,
    StorageFullError,
    StoreError,
    StoreUnavailableError,
)
from terag_pipelines.graph.changes import WholeGraph, whole_graph
from terag_pipelines.graph.load_plan import LoadPlan
from terag_pipelines.graph.ports import LoadReport, LoadState, ManifestShelf, ServerState
from terag_pipelines.tuning.ports import IndexSpec, find_index

TURN_WAIT_S = 3_600.0
NO_ROOM_BYTES = 16 << 20
"""A write that failed with less than this free has failed for that: Neo4j does not say so."""
NEVER = datetime.min.replace(tzinfo=UTC)
AWAY = (StoreUnavailableError, EmbeddedStoreError, StorageFullError)
"""What a standby raises that is not there for now."""


@dataclass(frozen=True)
class LoadPace:
    """What the two ways to load cost, measured on two processors: rows a second, and seconds before any row.

    `import_start_s`: the importer's own start, and the server's with its constraints.
    """

    bolt_rows_per_s: float = 15_000.0
    import_rows_per_s: float = 250_000.0
    import_start_s: float = 12.0

    def favours_import(self, n_to_write: int, n_rows: int) -> bool:
        """Whether building all of the rows anew takes less time than writing some of them over Bolt."""
        return n_to_write / self.bolt_rows_per_s > self.import_start_s + n_rows / self.import_rows_per_s


MEASURED_PACE = LoadPace()


class GraphPair(Neo4jQueries):
    """GraphStore and TunableStore on the two servers of a home (ADR 0007); processes take turns to load.

    Questions go to the primary server. A load goes to the standby, seen once a promotion has swapped the two:
    over Bolt where little changes, else built by Neo4j's importer beside the standby's running store. As
    long as readers see nothing, a small first load goes to the primary.
    """

    def __init__(
        self,
        stores: EmbeddedStores,
        drivers: PairDrivers,
        observer: QueryObserver,
        shelf_of: Callable[[str], ManifestShelf],
        answer_timeout_s: float = BATCH.answer_s,
        pace: LoadPace = MEASURED_PACE,
    ) -> None:
        """`shelf_of`: where the manifests of each server's loads are kept, by the server's name."""
        database = stores.settings.neo4j_database
        super().__init__(GraphSessions(drivers.primary, database, observer, answer_timeout_s, drivers.look))
        self._stores = stores
        self._drivers = drivers
        self._shelf_of = shelf_of
        self._answer_timeout_s = answer_timeout_s
        self._pace = pace

    def load(self, plan: LoadPlan) -> LoadReport:
        """Writes what the plan changes, unseen by readers, until it is whole; see the class on where.

        Raises: StoreUnavailableError; StoreError where the store does not hold the plan afterwards;
            EmbeddedStoreError where the importer fails; StorageFullError. Readers see what they saw.
        """
        with self._turn():
            _drop_build(self._home(self._stores.folder.standby_graph()))
            primary = self._primary()
            present = primary.report_of(plan)
            if present and self._stores.folder.primary_graph() in self._holders_of(plan.batch_id):
                return present
            if primary.promoted_batch() is None and not self._favours_import(plan):
                return self._load_both(primary, plan)
            return self._load_standby(plan)

    def held(self, batch_id: str) -> LoadState | None:
        """The whole load with the newest content of a batch, on the primary or else on the other server.

        None where it has drifted.
        """
        holders = self._holders_of(batch_id)
        return self._graph(holders[0]).held(batch_id) if holders else None

    def promote(self, batch_id: str) -> None:
        """Makes a batch the one that readers see: by the primary's pointer, or by moving them to the standby.

        Raises: StoreError when neither holds it whole.
        """
        with self._turn():
            holders = self._holders_of(batch_id)
            if not holders:
                raise StoreError(
                    f"batch {batch_id} is not loaded whole: it cannot be promoted. Where it was, another "
                    "load has taken its place: load it again"
                )
            moves_readers = holders[0] != self._stores.folder.primary_graph()
            if moves_readers:
                self._prepare(holders[0])
            self._primary().note_shown()
            for name in holders:
                self._graph(name).promote(batch_id, is_shown=not moves_readers)
            if moves_readers:
                self._stores.folder.send_readers_to(holders[0])

    def batch_before(self) -> str | None:
        """The newest batch that readers have seen, made before the promoted one.

        A later load may have taken its place, so that it has to be loaded again.
        """
        shown = self._primary().shown_load()
        if shown is None or shown.finished_at is None:
            return None
        loads = self.loads()
        seen = [(state.finished_at, state.batch_id) for state in loads if state.was_shown]
        replaced = [(state.base_finished_at, state.base_batch_id) for state in loads]
        earlier = [
            (finished_at, batch_id)
            for finished_at, batch_id in seen + replaced
            if batch_id not in (None, shown.batch_id) and finished_at and finished_at < shown.finished_at
        ]
        return max(earlier)[1] if earlier else None

    def fill_backup(self) -> None:
        """Gives a backup that holds nothing yet the copy which the import of a first load has left for it.

        May be repeated and resumed; copies that are of no use are removed.
        """
        with self._turn():
            name, shown = self._stores.folder.standby_graph(), self._primary().shown_load()
            if shown is None or name not in self._graphs():
                return
            copy = copy_home_of(self._home(name), shown.digest)
            if not any(state.is_whole for state in self._graph(name).loads()):
                if copy.exists():
                    self._stores.replace_standby(copy)
                self._graph(name).adopt_copy(shown)
            remove_copies(self._home(name))

    def servers(self) -> tuple[ServerState, ...]:
        """Both servers, each against the manifest of the load that it shows; the second once it has data."""
        states = [self._primary().server_state("primary")]
        if self._stores.has_standby():
            states.append(self._state_of_standby())
        return tuple(states)

    def probes(self) -> dict[str, Neo4jProbe]:
        """The servers that have data and answer, the primary first, to be asked how they are."""
        roles = ("primary", "backup")
        graphs = self._graphs().items()
        return {
            role: graph.probe(self._home(name)) for role, (name, graph) in zip(roles, graphs, strict=False)
        }

    def loads(self) -> tuple[LoadState, ...]:
        """The loads that either server knows, in the order in which they became whole; begun ones last."""
        shown = self._stores.folder.primary_graph()
        found = [
            replace(state, is_promoted=is_shown, was_shown=state.was_shown or is_shown)
            for name, graph in self._graphs().items()
            for state in graph.loads()
            for is_shown in [state.is_promoted and name == shown]
        ]
        return tuple(sorted(found, key=lambda state: (state.finished_at is None, state.finished_at or 0)))

    def remove_other_batches(self, *keep: str) -> int:
        """Forgets, on each server, all loads but those of `keep` and the one that it shows.

        Gives the number of nodes and relationships removed.
        """
        with self._turn():
            return sum(graph.remove_other_batches(*keep) for graph in self._graphs().values())

    def counts(self, batch_id: str) -> dict[str, int]:
        """Rows of a batch by label and relationship type, as stored; zeros where it is not loaded."""
        return self._graph_with(batch_id).counts(batch_id)

    def digest(self, batch_id: str) -> str:
        """`LoadPlan.digest` of what is stored, computed in the server from the stored row hashes."""
        return self._graph_with(batch_id).digest(batch_id)

    # --- the two servers

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Nothing is written on a disk that is all but full: a server that finds no room stops answering."""
        self._stores.require_disk(LEAST_FREE_BYTES)
        with hold_lock(self._stores.folder.path / "graph-load.lock", TURN_WAIT_S):
            try:
                yield
            except StoreError:
                self._stores.require_disk(NO_ROOM_BYTES)
                raise

    def _graphs(self) -> dict[str, Neo4jGraph]:
        """The servers that have data, the primary first, without a standby that cannot be had."""
        graphs = {self._stores.folder.primary_graph(): self._primary()}
        if self._stores.has_standby():
            with suppress(*AWAY):
                graphs[self._stores.folder.standby_graph()] = self._standby()
        return graphs

    def _standby(self) -> Neo4jGraph:
        """The other server, answering; one that runs and does not, as after a full disk, is started anew."""
        name = self._stores.folder.standby_graph()
        graph = self._graph(name)
        try:
            graph.promoted_batch()
        except StoreError:
            self._stores.start(needs=[name])
            graph = self._graph(name)
        return graph

    def _home(self, name: str) -> Path:
        return self._stores.folder.data_folder(name)

    def _primary(self) -> Neo4jGraph:
        return self._graph(self._stores.folder.primary_graph())

    def _graph(self, name: str) -> Neo4jGraph:
        """One server's graph; it is started where it does not run."""
        if not self._stores.is_running(name):
            self._stores.start(needs=[name])
        return Neo4jGraph(
            self._drivers.of(name),
            self._stores.settings.neo4j_database,
            self.observed,
            self._shelf_of(name),
            answer_timeout_s=self._answer_timeout_s,
        )

    def _holders_of(self, batch_id: str) -> list[str]:
        """The servers that hold the newest content of a batch whole, the primary first.

        What has drifted counts as older than what has not.
        """
        found = {name: load for name, graph in self._graphs().items() if (load := graph.whole_load(batch_id))}
        newest = max(
            found.values(), key=lambda load: (load.digest != "", load.finished_at or NEVER), default=None
        )
        return [name for name, load in found.items() if newest and load.digest == newest.digest]

    def _graph_with(self, batch_id: str) -> Neo4jGraph:
        return self._graph(next(iter(self._holders_of(batch_id)), self._stores.folder.primary_graph()))

    def _state_of_standby(self) -> ServerState:
        try:
            return self._standby().server_state("backup")
        except AWAY:
            return ServerState("backup", is_reachable=False)

    # --- how the standby is loaded

    def _load_both(self, primary: Neo4jGraph, plan: LoadPlan) -> LoadReport:
        """The first load: a standby that runs is filled too, so that it is a backup from then on."""
        report = primary.load(plan)
        name = self._stores.folder.standby_graph()
        if self._stores.is_running(name):
            self._graph(name).load(plan)
        return report

    def _load_standby(self, plan: LoadPlan) -> LoadReport:
        name = self._stores.folder.standby_graph()
        if not self._stores.has_standby() and self._favours_import(plan):
            return self._import(plan, name)
        try:
            graph = self._standby()
        except EmbeddedStoreError:  # whatever keeps it from starting, its home is made anew
            return self._import(plan, name)
        if present := graph.report_of(plan):
            return present
        awaits_promotion = any(load.is_whole and not load.was_shown for load in graph.loads())
        prepared = graph.prepare(plan, in_place=not awaits_promotion)
        if self._favours_import(plan, prepared.change.n_rows):
            return self._import(plan, name)
        with ThreadPoolExecutor(1, thread_name_prefix="graph-plans") as pool:
            pool.submit(graph.plan_ahead)  # again at promotion, where a failure would be told
            return graph.load(plan, prepared)

    def _favours_import(self, plan: LoadPlan, n_to_write: int | None = None) -> bool:
        return self._pace.favours_import(plan.n_rows if n_to_write is None else n_to_write, plan.n_rows)

    def _import(self, plan: LoadPlan, name: str) -> LoadReport:
        """Has the importer write a new store, which then takes the place of the standby's."""
        store_id, graph = f"{name}-{secrets.token_hex(8)}", whole_graph(plan, 1)
        nodes = {**graph.nodes, "LoadPointer": _begun(plan, graph, store_id)}
        with self._noting(name, store_id, graph), _building(self._home(name)) as fresh:
            OfflineImporter.of(self._stores.server_of(name)).build(fresh, nodes, graph.edges)
            self._leave_copy(plan, fresh, store_id, graph)
            self._stores.replace_standby(fresh)
        self._shelf_of(name).keep_only_store(store_id)
        return self._graph(name).adopt(plan, graph)

    @contextmanager
    def _noting(self, name: str, store_id: str, graph: WholeGraph) -> Iterator[None]:
        """Keeps the manifest of a store that is being built; nothing of it where the store fails."""
        self._shelf_of(name).write(store_id, graph.number, graph.manifest)
        try:
            yield
        except BaseException:
            self._shelf_of(name).keep_only(store_id, ())
            raise

    def _leave_copy(self, plan: LoadPlan, fresh: Path, store_id: str, graph: WholeGraph) -> None:
        """For the primary, where it shows nothing: it will be the backup then."""
        primary = self._stores.folder.primary_graph()
        if self._primary().shown_load() is None:
            remove_copies(self._home(primary))
            self._shelf_of(primary).write(store_id, graph.number, graph.manifest)
            copy_home(fresh, copy_home_of(self._home(primary), plan.digest()))

    def _prepare(self, name: str) -> None:
        """Gives the server, before readers come, the indexes of the other one and plans what takes long."""
        self._copy_indexes(name)
        self._graph(name).plan_ahead()

    def _copy_indexes(self, name: str) -> None:
        """Gives a server, before readers come, the indexes that tuning has made on the other one."""
        ours, theirs = (self._tuned(graph) for graph in (self._graph(name), self._primary()))
        lab = self._graph(name).index_lab
        for index in ours - theirs:
            lab.drop_index(index.name)
        for index in sorted(theirs - ours, key=lambda index: index.name):
            if find_index(lab.list_indexes(), index) is None:
                lab.create_index(index)
            lab.keep_index(index.name)  # also where a promotion that was killed has made it
        for index in theirs - ours:
            lab.await_online(index.name)

    @staticmethod
    def _tuned(graph: Neo4jGraph) -> set[IndexSpec]:
        """The indexes that tuning has made and found good; a trial may begin or end meanwhile."""
        lab = graph.index_lab
        ours = {index for index in lab.list_indexes() if index.is_ours}
        if not ours:
            return ours
        unfinished = lab.unfinished()
        return {index for index in ours & {*lab.list_indexes()} if index.name not in unfinished}


@contextmanager
def _building(home: Path) -> Iterator[Path]:
    """Where a home is built; nothing remains of it where it was not put to use."""
    _drop_build(home)
    try:
        yield build_home_of(home)
    finally:
        _drop_build(home)


def _drop_build(home: Path) -> None:
    end_import(build_home_of(home))
    shutil.rmtree(build_home_of(home), ignore_errors=True)


def _begun(plan: LoadPlan, graph: WholeGraph, store_id: str) -> pa.Table:
    """The bookkeeping of a store whose first load is written but not yet found whole (see neo4j_cypher)."""
    load = {
        "key": f"load:{graph.number}",
        "name": f"load:{graph.number}",
        "load": graph.number,
        "batch_id": plan.batch_id,
        "digest": plan.digest(),
        "is_whole": False,
    }
    token = {"key": "token", "name": "token", "token": 0, "last": graph.number, "store_id": store_id}
    names = {**load, **token, "is_swept": True}
    rows = (load, {**token, "is_swept": True}, {"key": "turn", "name": "turn"})
    return pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])
