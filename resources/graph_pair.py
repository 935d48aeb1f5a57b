"""The graph on two embedded servers: one answers readers, the other takes the next load and is the backup."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from resources.disks import disk_errors
from resources.embedded import PRIMARY, STANDBY, EmbeddedStores
from resources.graph_drivers import PairDrivers
from resources.neo4j_graph import Neo4jGraph
from resources.neo4j_import import OfflineImporter, end_import
from resources.neo4j_queries import Neo4jQueries
from resources.neo4j_sessions import GraphSessions
from resources.owner_files import make_owner_folder
from resources.processes import hold_lock
from resources.query_observer import QueryObserver
from resources.store_state import new_home_of
from resources.stores import BATCH
from terag_pipelines.errors import EmbeddedStoreError, StoreError, StoreUnavailableError
from terag_pipelines.graph.changes import GraphChange, find_change, with_interval
from terag_pipelines.graph.load_plan import LoadPlan
from terag_pipelines.graph.ports import LoadReport, LoadState, ManifestShelf, ServerState
from terag_pipelines.tuning.ports import IndexSpec

TURN_WAIT_S = 3_600.0


@dataclass(frozen=True)
class LoadPace:
    """What the two ways to load cost, measured on two processors: rows a second, and seconds before any row.

    `import_start_s`: the importer's own start, and the server's with its constraints.
    """

    bolt_rows_per_s: float = 15_000.0
    import_rows_per_s: float = 150_000.0
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
        manifests: ManifestShelf,
        answer_timeout_s: float = BATCH.answer_s,
        pace: LoadPace = MEASURED_PACE,
    ) -> None:
        database = stores.settings.neo4j_database
        super().__init__(GraphSessions(drivers.primary, database, observer, answer_timeout_s))
        self._stores = stores
        self._drivers = drivers
        self._manifests = manifests
        self._answer_timeout_s = answer_timeout_s
        self._pace = pace

    def load(self, plan: LoadPlan) -> LoadReport:
        """Writes what the plan changes, unseen by readers, until it is whole; see the class on where.

        Raises: StoreUnavailableError; StoreError where the store does not hold the plan afterwards;
            EmbeddedStoreError where the importer fails; StorageFullError. Readers see what they saw.
        """
        with self._turn():
            primary = self._primary()
            if present := primary.report_of(plan):
                return present
            if primary.promoted_batch() is None and not self._favours_import(plan):
                return self._load_both(primary, plan)
            return self._load_standby(plan)

    def promote(self, batch_id: str) -> None:
        """Makes a batch the one that readers see: by the primary's pointer, or by moving them to the standby.

        Raises: StoreError when neither holds it whole.
        """
        with self._turn():
            holders = [name for name in self._names() if batch_id in self._graph(name).whole_batches()]
            if not holders:
                raise StoreError(f"batch {batch_id} is not loaded whole: it cannot be promoted")
            for name in holders:
                self._graph(name).promote(batch_id)
            if holders[0] != self._stores.folder.primary_graph():
                self._copy_indexes(holders[0])
                self._stores.folder.send_readers_to(holders[0])

    def batch_before(self) -> str | None:
        """The newest batch, on either server, that readers have seen, made before the promoted one."""
        shown = self._primary().shown_load()
        if shown is None or shown.finished_at is None:
            return None
        earlier = [
            (state.finished_at, state.batch_id)
            for state in self.loads()
            if state.was_shown
            and state.batch_id != shown.batch_id
            and state.finished_at
            and state.finished_at < shown.finished_at
        ]
        return max(earlier)[1] if earlier else None

    def fill_backup(self) -> None:
        """Gives a backup that holds nothing yet the copy which the import of a first load has left for it."""
        with self._turn():
            name, shown = self._stores.folder.standby_graph(), self._primary().shown_load()
            copy = new_home_of(self._stores.server_of(name).home)
            if shown is None or not copy.exists():
                return
            if self._graph(name).whole_batches():  # something was loaded since
                shutil.rmtree(copy)
                return
            self._stores.replace_standby()
            self._graph(name).adopt_copy(shown.batch_id, f"{name}-{shown.digest}")

    def servers(self) -> tuple[ServerState, ...]:
        """Both servers, each against the manifest of the load that it shows; the second once it has data."""
        states = [self._primary().server_state("primary")]
        if self._stores.has_standby():
            states.append(self._state_of_standby())
        return tuple(states)

    def loads(self) -> tuple[LoadState, ...]:
        """The loads that either server knows, in the order in which they became whole; begun ones last."""
        shown = self._stores.folder.primary_graph()
        found = [
            replace(state, is_promoted=state.is_promoted and name == shown)
            for name in self._names()
            for state in self._graph(name).loads()
        ]
        return tuple(sorted(found, key=lambda state: (state.finished_at is None, state.finished_at or 0)))

    def remove_other_batches(self, *keep: str) -> int:
        """Forgets, on each server that runs, all loads but those of `keep` and the one that it shows.

        Gives the number of nodes and relationships removed.
        """
        with self._turn():
            running = [name for name in self._names() if self._stores.is_running(name)]
            return sum(self._graph(name).remove_other_batches(*keep) for name in running)

    def counts(self, batch_id: str) -> dict[str, int]:
        """Rows of a batch by label and relationship type, as stored; zeros where it is not loaded."""
        return self._graph(self._holder_of(batch_id) or self._names()[0]).counts(batch_id)

    def digest(self, batch_id: str) -> str:
        """`LoadPlan.digest` of what is stored, computed in the server from the stored row hashes."""
        return self._graph(self._holder_of(batch_id) or self._names()[0]).digest(batch_id)

    # --- the two servers

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with hold_lock(self._stores.folder.path / "graph-load.lock", TURN_WAIT_S):
            yield

    def _names(self) -> list[str]:
        """The servers that have data, the primary first."""
        folder = self._stores.folder
        return [folder.primary_graph()] + [folder.standby_graph()] * self._stores.has_standby()

    def _primary(self) -> Neo4jGraph:
        return self._graph(self._stores.folder.primary_graph())

    def _graph(self, name: str) -> Neo4jGraph:
        """One server's graph; it is started where it does not run."""
        if not self._stores.is_running(name):
            role = PRIMARY if name == self._stores.folder.primary_graph() else STANDBY
            self._stores.start(needs=[role])
        return Neo4jGraph(
            self._drivers.of(name),
            self._stores.settings.neo4j_database,
            self.observed,
            self._manifests,
            answer_timeout_s=self._answer_timeout_s,
        )

    def _holder_of(self, batch_id: str) -> str | None:
        """The server that has the batch whole, the primary where both have."""
        return next((name for name in self._names() if batch_id in self._graph(name).whole_batches()), None)

    def _state_of_standby(self) -> ServerState:
        name = self._stores.folder.standby_graph()
        try:
            return self._graph(name).server_state("backup")
        except (StoreUnavailableError, EmbeddedStoreError):
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
        has_data = self._stores.has_standby()
        if not has_data and self._favours_import(plan):
            return self._import(plan, name, None)
        graph = self._graph(name)
        if present := graph.report_of(plan):
            return present
        if self._favours_import(plan) and self._favours_import(plan, graph.n_rows_to_write(plan)):
            return self._import(plan, name, graph.store_id)
        return graph.load(plan)

    def _favours_import(self, plan: LoadPlan, n_to_write: int | None = None) -> bool:
        return self._pace.favours_import(plan.n_rows if n_to_write is None else n_to_write, plan.n_rows)

    def _import(self, plan: LoadPlan, name: str, former_id: str | None) -> LoadReport:
        """Has the importer write a new store, which then takes the place of the standby's."""
        server, store_id = self._stores.server_of(name), f"{name}-{plan.digest()}"
        change = find_change(plan, None, 1)
        self._manifests.write(store_id, change.number, change.manifest)
        nodes = {label: with_interval(table, change.number) for label, table in change.new_nodes.items()}
        edges = {kind: with_interval(table, change.number) for kind, table in change.new_edges.items()}
        with _building(new_home_of(server.home)) as home:
            nodes["LoadPointer"] = _begun(plan, change, store_id)
            OfflineImporter.of(server).build(home, nodes, edges)
            if self._primary().shown_load() is None:
                _copy(home, new_home_of(self._stores.server_of(self._stores.folder.primary_graph()).home))
            self._stores.replace_standby()
        self._manifests.keep_only(store_id, [change.number])
        if former_id not in (None, "", store_id):
            self._manifests.keep_only(former_id, ())
        return self._graph(name).adopt(plan, change)

    def _copy_indexes(self, name: str) -> None:
        """Gives a server, before readers come, the indexes that tuning has made on the other one."""
        ours, theirs = (self._tuned(graph) for graph in (self._graph(name), self._primary()))
        lab = self._graph(name).index_lab
        for index in theirs - ours:
            lab.create_index(index)
            lab.keep_index(index.name)
        for index in ours - theirs:
            lab.drop_index(index.name)
        for index in theirs - ours:
            lab.await_online(index.name)

    @staticmethod
    def _tuned(graph: Neo4jGraph) -> set[IndexSpec]:
        return {index for index in graph.index_lab.list_indexes() if index.is_ours}


@contextmanager
def _building(home: Path) -> Iterator[Path]:
    """An empty home, of which nothing remains where it was not put to use."""
    end_import(home)
    shutil.rmtree(home, ignore_errors=True)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _copy(home: Path, to: Path) -> None:
    """A copy that is there whole or not at all."""
    part = to.with_suffix(".part")
    for folder in (part, to):
        shutil.rmtree(folder, ignore_errors=True)
    with disk_errors(f"the disk of {to} is full: the graph could not be copied"):
        make_owner_folder(part)
        for source in sorted(home.rglob("*")):  # shutil.copytree would hide that the disk is full
            target = part / source.relative_to(home)
            make_owner_folder(target) if source.is_dir() else shutil.copy2(source, target)
        part.rename(to)


def _begun(plan: LoadPlan, change: GraphChange, store_id: str) -> pa.Table:
    """The bookkeeping of a store whose first load is written but not yet found whole (see neo4j_cypher)."""
    load = {
        "key": f"load:{change.number}",
        "name": f"load:{change.number}",
        "load": change.number,
        "batch_id": plan.batch_id,
        "digest": plan.digest(),
        "is_whole": False,
    }
    token = {"key": "token", "name": "token", "token": 0, "last": change.number, "store_id": store_id}
    names = {**load, **token, "is_swept": True}
    rows = (load, {**token, "is_swept": True})
    return pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])
