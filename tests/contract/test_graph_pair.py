"""The graph on two embedded servers: loads go where nobody reads, readers are sent there by one pointer."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import neo4j
import pytest
from neo4j.exceptions import DriverError

from resources.embedded import EmbeddedStores
from resources.graph_drivers import PairDrivers
from resources.graph_homes import build_home_of, copy_home_of, replace_home, settle_home
from resources.neo4j_graph import Neo4jGraph
from resources.neo4j_import import OfflineImporter
from resources.neo4j_queries import Neo4jQueries
from resources.neo4j_sessions import GraphSessions
from resources.processes import ProcessMark
from resources.query_observer import QueryObserver
from resources.settings import Settings
from resources.store_state import NEO4J, NEO4J_SECOND, RunningStore, StoreFolder
from resources.stores import BATCH
from terag_pipelines.errors import StorageFullError, StoreError
from terag_pipelines.graph.load_plan import build_load_plan
from terag_pipelines.tuning.advice import auto_index
from terag_pipelines.tuning.ports import RELATIONSHIP
from tests.contract.graphs import changed_tables, empty, plan_of
from tests.contract.pairs import BY_IMPORTER, OVER_BOLT, opened, running_home

pytestmark = pytest.mark.stores


@pytest.fixture(scope="module")
def pair_settings(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Settings]:
    """A home whose two servers this module may kill, without documents."""
    with running_home(tmp_path_factory.mktemp("pair") / "home", cache_folder) as settings:
        yield settings


@pytest.fixture
def stores(pair_settings: Settings) -> EmbeddedStores:
    """The servers, both empty and the second one not running."""
    stores = EmbeddedStores(pair_settings)
    stores.start()
    with PairDrivers(stores, BATCH) as drivers:
        for name in (NEO4J, NEO4J_SECOND):
            if stores.is_running(name):
                empty(drivers.of(name))
    stores.folder.send_readers_to(NEO4J)
    shutil.rmtree(pair_settings.graph_loads_folder, ignore_errors=True)
    return stores


def plan_with_changes(batch_id: str):
    return build_load_plan(batch_id, changed_tables(300))


def test_a_small_first_load_needs_no_second_server(stores):
    stores.stop()
    shutil.rmtree(stores.folder.data_folder(NEO4J_SECOND), ignore_errors=True)
    stores.start()
    with opened(stores) as graph:
        graph.load(plan_of("one", 300))
        graph.promote("one")
        assert [state.role for state in graph.servers()] == ["primary"]
        assert graph.batch_before() is None
    assert not stores.is_running(NEO4J_SECOND)


@pytest.mark.parametrize("pace", [OVER_BOLT, BY_IMPORTER], ids=["bolt", "importer"])
def test_a_load_goes_to_the_standby_and_promotion_sends_readers_there(stores, pace):
    first, second = plan_of("one", 300), plan_with_changes("two")
    with opened(stores) as graph:
        graph.load(first)
        graph.promote("one")
    with opened(stores, pace) as graph, opened(stores) as reader:
        before = stores.folder.primary_graph()
        report = graph.load(second)
        assert not report.was_complete
        assert (graph.promoted_batch(), reader.promoted_batch()) == ("one", "one")
        assert reader.find_by_name("Renamed") == ()
        graph.promote("two")
        assert stores.folder.primary_graph() != before
        assert (graph.promoted_batch(), reader.promoted_batch()) == ("two", "two")
        assert len(reader.find_by_name("Renamed")) == 1
        assert (graph.digest("two"), graph.counts("two")) == (second.digest(), second.counts())
        assert graph.load(second).was_complete
        primary, backup = graph.servers()
        assert (primary.batch_id, primary.drift) == ("two", ())
        assert (backup.role, backup.batch_id, backup.drift) == ("backup", "one", ())


def test_rolling_back_is_swapping_back(stores):
    with opened(stores) as graph:
        for plan in (plan_of("one", 300), plan_with_changes("two")):
            graph.load(plan)
            graph.promote(plan.batch_id)
        assert graph.batch_before() == "one"
        graph.promote("one")
        assert graph.promoted_batch() == "one"
        assert graph.find_by_name("Renamed") == ()
        assert graph.batch_before() is None
        graph.promote("two")
        assert len(graph.find_by_name("Renamed")) == 1


def test_a_batch_that_nobody_was_shown_is_not_rolled_back_to(stores):
    with opened(stores) as graph:
        graph.load(plan_of("one", 300))
        graph.promote("one")
        graph.load(plan_of("never shown", 301))
        graph.load(plan_of("two", 302))
        graph.promote("two")
        assert graph.batch_before() == "one"


def test_the_backup_is_brought_forward_by_what_changed_since(stores):
    with opened(stores) as graph:
        for batch, n in (("one", 300), ("two", 301), ("three", 302)):
            report = graph.load(plan_of(batch, n))
            graph.promote(batch)
            graph.remove_other_batches("one", "two", "three")
        assert graph.digest("three") == plan_of("three", 302).digest()
        assert report.load == 2, "the server that shows the first batch holds two loads now"


def test_after_an_import_loads_go_on_over_bolt(stores):
    with opened(stores, BY_IMPORTER) as graph:
        graph.load(plan_of("one", 300))
        graph.promote("one")
    with opened(stores) as graph:
        graph.load(plan_of("two", 300, seed=8))
        graph.promote("two")
        report = graph.load(plan_with_changes("three"))
        assert report.load == 2
        assert 0 < report.n_updated < 10
        assert graph.digest("three") == plan_with_changes("three").digest()


def test_a_load_that_waits_for_its_promotion_stays_when_another_is_made(stores):
    with opened(stores) as graph:
        for batch, n in (("one", 300), ("two", 301)):
            graph.load(plan_of(batch, n))
            graph.promote(batch)
        waiting, other = plan_of("three", 302), plan_of("four", 303)
        graph.load(waiting)
        graph.load(other)
        assert graph.held("three")
        for plan in (waiting, other):
            graph.promote(plan.batch_id)
            assert graph.digest(plan.batch_id) == plan.digest()
        assert graph.batch_before() == "three"  # on the same server


def test_a_batch_whose_place_was_taken_is_known_and_can_be_loaded_and_shown_again(stores):
    with opened(stores) as graph:
        for batch, n in (("one", 300), ("two", 301)):
            graph.load(plan_of(batch, n))
            graph.promote(batch)
        graph.load(plan_of("three", 302))  # in place of "one", and never shown
        assert graph.held("one") is None
        assert graph.batch_before() == "one"
        with pytest.raises(StoreError, match="another load has taken its place"):
            graph.promote("one")
        assert [server.drift for server in graph.servers()] == [(), None]
        graph.load(plan_of("one", 300))
        graph.promote("one")
        assert (graph.promoted_batch(), graph.digest("one")) == ("one", plan_of("one", 300).digest())


def test_a_first_import_leaves_a_copy_that_becomes_the_backup(stores):
    with opened(stores, BY_IMPORTER) as graph:
        graph.load(plan_of("one", 300))
        graph.promote("one")
        graph.fill_backup()
        graph.fill_backup()
        assert [(s.batch_id, s.drift) for s in graph.servers()] == [("one", ()), ("one", ())]
    with opened(stores) as graph:
        for n in (301, 302):  # each server takes one, and keeps the manifests of its own loads
            report = graph.load(plan_of(f"of {n}", n))
            assert 0 < report.n_nodes_created < 600
            graph.promote(f"of {n}")
            assert [server.drift for server in graph.servers()] == [(), ()]


def test_a_batch_that_neither_server_holds_cannot_be_promoted(stores):
    with opened(stores) as graph, pytest.raises(StoreError, match="not loaded whole"):
        graph.promote("never loaded")


@pytest.mark.parametrize("pace", [OVER_BOLT, BY_IMPORTER], ids=["bolt", "importer"])
def test_indexes_that_tuning_made_are_there_after_a_promotion(stores, pace):
    index = auto_index("TRANSFERRED", ("currency", "amount_minor"), element=RELATIONSHIP)
    with opened(stores, pace) as graph:
        graph.load(plan_of("one", 300))
        graph.promote("one")
        graph.index_lab.create_index(index)
        graph.index_lab.keep_index(index.name)
        graph.load(plan_with_changes("two"))
        graph.promote("two")
        assert index in graph.index_lab.list_indexes()
        graph.index_lab.drop_index(index.name)
        graph.promote("one")
        assert index not in graph.index_lab.list_indexes()


def test_a_second_server_that_runs_is_filled_by_the_first_load(stores):
    stores.start(needs=["standby"])
    with opened(stores) as graph:
        graph.load(plan_of("one", 300))
        graph.promote("one")
        assert [(s.role, s.batch_id, s.drift) for s in graph.servers()] == [
            ("primary", "one", ()),
            ("backup", "one", ()),
        ]


def test_a_backup_that_cannot_be_started_is_said_to_be_away(stores):
    stores.start(needs=["standby"])
    with opened(stores) as graph:
        graph.load(plan_of("one", 300))
        graph.promote("one")
        kill(stores, stores.folder.standby_graph())
        note = stores.folder.data_folder(stores.folder.standby_graph()) / "release"
        release = note.read_text()
        note.write_text("9999.01.0\n")
        assert [server.is_reachable for server in graph.servers()] == [True, False]
        assert graph.promoted_batch() == "one"
        note.write_text(release)
        assert [server.is_reachable for server in graph.servers()] == [True, True]
        graph.load(plan_with_changes("two"))
        graph.promote("two")
        assert graph.promoted_batch() == "two"


def test_a_failed_import_leaves_what_was_served(stores, monkeypatch):
    with opened(stores) as graph:
        for batch, n in (("one", 300), ("two", 301)):
            graph.load(plan_of(batch, n))
            graph.promote(batch)

    def fail(*_given: object) -> None:
        raise StorageFullError("the disk is full")

    kept = manifests_of(stores)
    with opened(stores, BY_IMPORTER) as graph:
        monkeypatch.setattr(OfflineImporter, "_run", fail)
        with pytest.raises(StorageFullError):
            graph.load(plan_with_changes("three"))
        assert [server.batch_id for server in graph.servers()] == ["two", "one"]
        assert [server.drift for server in graph.servers()] == [(), ()]
        assert not build_home_of(stores.folder.data_folder(stores.folder.standby_graph())).exists()
        assert manifests_of(stores) == kept
        monkeypatch.undo()
        graph.load(plan_with_changes("three"))
        graph.promote("three")
        assert graph.digest("three") == plan_with_changes("three").digest()


def manifests_of(stores: EmbeddedStores) -> set[Path]:
    return set(stores.settings.graph_loads_folder.glob("*/*/*"))


def test_readers_poll_through_swaps_and_never_see_two_batches_at_once(stores):
    """Every answer is of one batch, whichever server gave it."""
    plans = {"one": plan_of("one", 300), "two": plan_with_changes("two")}
    seen: set[tuple[int, str]] = set()
    is_over, failed = Event(), []

    def poll() -> None:
        with opened(stores) as reader:
            while not is_over.is_set():
                hits = reader.find_by_name("", limit=1000)
                seen.add((len(hits), "two" if any(h.display_name == "Renamed" for h in hits) else "one"))

    def guarded() -> None:
        try:
            poll()
        except StoreError as error:
            failed.append(error)

    with opened(stores) as graph:
        for plan in plans.values():
            graph.load(plan)
        graph.promote("one")
        thread = Thread(target=guarded)
        thread.start()
        for batch in ("two", "one") * 5:
            graph.promote(batch)
        is_over.set()
        thread.join()
    assert not failed
    assert seen <= {(300, "one"), (300, "two")}
    assert seen


def test_a_half_written_home_is_never_taken_for_a_copy(stores):
    """As a killed import leaves it."""
    stores.start(needs=["standby"])
    home = stores.folder.data_folder(NEO4J_SECOND)
    with opened(stores) as graph:
        graph.load(plan_of("one", 300))
        graph.promote("one")
    with PairDrivers(stores, BATCH) as drivers:
        empty(drivers.of(NEO4J_SECOND))
    for torn in (build_home_of(home), copy_home_of(home, "another digest")):
        torn.mkdir()
        (torn / "torn").touch()
    with opened(stores) as graph:
        graph.fill_backup()
        assert [server.batch_id for server in graph.servers()] == ["one", None]
        assert not copy_home_of(home, "another digest").exists()
        graph.load(plan_with_changes("two"))
        assert not build_home_of(home).exists()
        graph.promote("two")
        assert [server.drift for server in graph.servers()] == [(), ()]


def test_filling_the_backup_goes_on_where_it_was_cut_short(stores, monkeypatch):
    with opened(stores, BY_IMPORTER) as graph:
        graph.load(plan_of("one", 300))
        graph.promote("one")

        def cut_short(*_given: object) -> None:
            raise InterruptedError

        monkeypatch.setattr(Neo4jGraph, "adopt_copy", cut_short)
        with pytest.raises(InterruptedError):
            graph.fill_backup()
        monkeypatch.undo()
        graph.fill_backup()
        assert [(s.batch_id, s.drift) for s in graph.servers()] == [("one", ()), ("one", ())]
        assert not list(stores.folder.path.glob("*.copy-*"))


def test_a_backup_that_cannot_be_started_keeps_nothing_from_going_on(stores):
    with opened(stores) as graph:
        for batch, n in (("one", 300), ("two", 301)):
            graph.load(plan_of(batch, n))
            graph.promote(batch)
        name = stores.folder.standby_graph()
        kill(stores, name)
        (stores.folder.data_folder(name) / "release").write_text("9999.01.0\n")
        graph.promote("two")
        graph.fill_backup()
        graph.remove_other_batches("two")
        assert [load.batch_id for load in graph.loads() if load.is_promoted] == ["two"]
        graph.load(plan_with_changes("three"))
        graph.promote("three")
        assert graph.digest("three") == plan_with_changes("three").digest()
        assert [server.drift for server in graph.servers()] == [(), ()]


def test_a_batch_that_was_loaded_again_is_shown_as_it_is_now(stores):
    with opened(stores) as graph:
        graph.load(plan_of("one", 300))
        graph.promote("one")
        again = plan_with_changes("one")
        graph.load(again)
        graph.promote("one")
        assert graph.digest("one") == again.digest()
        assert len(graph.find_by_name("Renamed")) == 1


def test_a_batch_that_went_back_to_its_earlier_content_is_shown_so(stores):
    with opened(stores) as graph:
        first, again = plan_of("one", 300), plan_with_changes("one")
        for plan in (first, again, first):
            graph.load(plan)
        assert graph.held("one").digest == first.digest()
        graph.promote("one")
        assert graph.digest("one") == first.digest()
        for plan in (again, first):
            graph.load(plan)
        graph.promote("one")
        assert graph.digest("one") == first.digest()
        assert graph.find_by_name("Renamed") == ()


def test_what_has_drifted_is_not_shown_where_the_other_server_has_it_whole(stores):
    stores.start(needs=["standby"])
    with opened(stores) as graph, PairDrivers(stores, BATCH) as drivers:
        graph.load(plan_of("one", 300))
        graph.promote("one")
        of_backup = drivers.of(NEO4J_SECOND)  # which has become whole after the primary
        of_backup.execute_query("MATCH (a:Account {account_id: 'acc000003'}) SET a.row_hash = 1")
        assert [server.drift for server in graph.servers()] == [(), ("Account",)]
        graph.promote("one")
        assert [server.drift for server in graph.servers()] == [(), ("Account",)]
        assert graph.load(plan_of("one", 300)).was_complete


def test_a_server_that_was_started_anew_is_another_one_to_its_readers(stores):
    """Else an answer of an empty server that took the place of the one that was asked would be believed."""
    with PairDrivers(stores, BATCH) as drivers:
        before = drivers.primary()
        assert drivers.primary() is before
        state = stores.folder.read_state()
        anew = RunningStore(ProcessMark(state[NEO4J].mark.pid, "later"), state[NEO4J].port)
        stores.folder.write_state({**state, NEO4J: anew})
        assert drivers.primary() is not before
        with pytest.raises(DriverError):  # its connections do not pile up
            before.verify_connectivity()
        stores.folder.write_state(state)
        drivers.primary().verify_connectivity()


def test_a_load_that_an_import_replaced_before_it_was_promoted_is_loaded_again(stores):
    with opened(stores) as graph, opened(stores, BY_IMPORTER) as importing:
        graph.load(plan_of("one", 300))
        graph.promote("one")
        graph.load(plan_of("two", 301))
        importing.load(plan_of("three", 302))
        assert graph.held("two") is None
        with pytest.raises(StoreError, match="another load has taken its place: load it again"):
            graph.promote("two")
        graph.load(plan_of("two", 301))
        graph.promote("two")
        assert graph.digest("two") == plan_of("two", 301).digest()


def test_an_index_on_trial_does_not_follow_the_readers(stores):
    proven, on_trial = auto_index("Account", "bank", "range"), auto_index("Account", "currency", "range")
    with opened(stores) as graph:
        graph.load(plan_of("one", 300))
        graph.promote("one")
        graph.load(plan_with_changes("two"))
        for index in (proven, on_trial):
            graph.index_lab.create_index(index)
        graph.index_lab.keep_index(proven.name)
        graph.promote("two")
        assert {index for index in graph.index_lab.list_indexes() if index.is_ours} == {proven}


def test_an_answer_of_a_server_that_readers_left_is_asked_for_again(stores):
    """That server may have been replaced while it was asked, and have nothing to show."""
    with opened(stores) as graph, PairDrivers(stores, BATCH) as drivers:
        for batch, n in (("one", 300), ("two", 301)):
            graph.load(plan_of(batch, n))
            graph.promote(batch)
        left, current = (
            drivers.of(name) for name in (stores.folder.standby_graph(), stores.folder.primary_graph())
        )
        chosen, looks = iter([left, current]), iter(["before", "after", "after", "after"])
        sessions = GraphSessions(
            lambda: next(chosen), "neo4j", QueryObserver(), 60.0, look=lambda: next(looks)
        )
        assert Neo4jQueries(sessions).promoted_batch() == "two"


def test_an_answer_during_which_readers_went_and_came_back_is_asked_for_again(stores):
    """The server that they came back to may hold other data than when it was asked."""
    with opened(stores) as graph, PairDrivers(stores, BATCH) as drivers:
        graph.load(plan_of("one", 300))
        graph.promote("one")
        n_chosen = 0

        def choose() -> neo4j.Driver:
            nonlocal n_chosen
            n_chosen += 1
            if n_chosen == 1:
                stores.folder.send_readers_to(NEO4J_SECOND)
                stores.folder.send_readers_to(NEO4J)
            return drivers.of(NEO4J)

        sessions = GraphSessions(choose, "neo4j", QueryObserver(), 60.0, look=drivers.look)
        assert Neo4jQueries(sessions).promoted_batch() == "one"
        assert n_chosen == 2


def test_a_server_whose_start_waited_through_a_swap_is_the_one_that_was_asked_for(stores, monkeypatch):
    stores.stop()
    held = StoreFolder.held

    @contextmanager
    def held_after_a_swap(folder: StoreFolder) -> Iterator[None]:
        folder.send_readers_to(NEO4J_SECOND)
        with held(folder):
            yield

    monkeypatch.setattr(StoreFolder, "held", held_after_a_swap)
    with opened(stores) as graph:
        graph._graph(NEO4J).loads()
    assert stores.is_running(NEO4J)


def test_a_home_is_replaced_whole_or_not_at_all(tmp_path):
    home = tmp_path / "home"
    for folder, text in ((home, "before"), (build_home_of(home), "after")):
        folder.mkdir()
        (folder / "data").write_text(text)
    replace_home(home, build_home_of(home))
    assert (home / "data").read_text() == "after"
    assert [folder.name for folder in tmp_path.iterdir()] == ["home"]
    home.rename(home.with_name("home.old"))  # as if killed between the two steps
    settle_home(home)
    assert (home / "data").read_text() == "after"


def kill(stores: EmbeddedStores, name: str) -> None:
    mark = stores.folder.read_state()[name].mark
    os.kill(mark.pid, signal.SIGKILL)
    while stores.is_running(name):
        pass
