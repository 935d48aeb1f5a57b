"""The graph on two embedded servers: loads go where nobody reads, readers are sent there by one pointer."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from resources.embedded import EmbeddedStores
from resources.graph_drivers import PairDrivers
from resources.graph_manifests import FolderManifests
from resources.graph_pair import GraphPair, LoadPace
from resources.neo4j_import import OfflineImporter
from resources.query_observer import QueryObserver
from resources.settings import Settings, load_settings
from resources.store_state import NEO4J, NEO4J_SECOND, new_home_of, replace_home, settle_home
from resources.stores import BATCH
from terag_pipelines.errors import StorageFullError, StoreError
from terag_pipelines.graph.load_plan import build_load_plan
from terag_pipelines.tuning.advice import auto_index
from tests.contract.graphs import changed_tables, empty, plan_of

pytestmark = [pytest.mark.stores, pytest.mark.xdist_group("graph-pair")]

OVER_BOLT = LoadPace()
BY_IMPORTER = LoadPace(import_start_s=-1.0)
"""As if the importer took no time: it is then the better way for any load that changes anything."""


@pytest.fixture(scope="module")
def pair_settings(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Settings]:
    """A home whose two servers this module may kill, without documents."""
    home = tmp_path_factory.mktemp("pair") / "home"
    settings = load_settings(home=home, cache=cache_folder, mongo_uri="mongodb://127.0.0.1:9")
    yield settings
    EmbeddedStores(settings).stop()


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


@contextmanager
def opened(stores: EmbeddedStores, pace: LoadPace = OVER_BOLT) -> Iterator[GraphPair]:
    manifests = FolderManifests(stores.settings.graph_loads_folder)
    with PairDrivers(stores, BATCH) as drivers:
        yield GraphPair(stores, drivers, QueryObserver(), manifests, pace=pace)


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
        assert 0 < report.n_nodes_created < 10
        assert graph.digest("three") == plan_with_changes("three").digest()


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
    index = auto_index("Account", "bank", "range")
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

    with opened(stores, BY_IMPORTER) as graph:
        monkeypatch.setattr(OfflineImporter, "_run", fail)
        with pytest.raises(StorageFullError):
            graph.load(plan_with_changes("three"))
        assert [server.batch_id for server in graph.servers()] == ["two", "one"]
        assert [server.drift for server in graph.servers()] == [(), ()]
        assert not new_home_of(stores.folder.data_folder(stores.folder.standby_graph())).exists()
        monkeypatch.undo()
        graph.load(plan_with_changes("three"))
        graph.promote("three")
        assert graph.digest("three") == plan_with_changes("three").digest()


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


def test_a_home_is_replaced_whole_or_not_at_all(tmp_path):
    home = tmp_path / "home"
    for folder, text in ((home, "before"), (new_home_of(home), "after")):
        folder.mkdir()
        (folder / "data").write_text(text)
    replace_home(home)
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
