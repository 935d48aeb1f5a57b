"""The contract of GraphStore, on the real Neo4j: whole batches, once, seen together or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC
from functools import partial
from pathlib import Path
from threading import Event, Thread

import neo4j
import pytest

from resources.neo4j_graph import Neo4jGraph
from resources.neo4j_loads import LoadWriter
from resources.settings import NEO4J_RELEASES, load_settings
from resources.stores import StoreAddresses, connect_graph
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.errors import StoreError, StoreUnavailableError
from terag_pipelines.graph.changes import find_change
from terag_pipelines.graph.load_plan import build_load_plan
from terag_pipelines.graph.loading import load_batch
from terag_pipelines.graph.ports import LoadReport, ServerState
from terag_pipelines.tuning.advice import auto_index
from tests.conftest import RunningPair
from tests.contract.graphs import (
    at_once,
    changed_tables,
    duplicates_in,
    emptied,
    empty,
    graph_of,
    hostile_payloads,
    n_nodes,
    plan_of,
    tables_of,
)
from tests.unit.graph.tables import MIDNIGHT, NAMES, NOON, small_tables

pytestmark = pytest.mark.stores


@pytest.fixture(scope="session", params=NEO4J_RELEASES)
def stores(request: pytest.FixtureRequest, graph_of_release: Callable[[str], RunningPair]) -> RunningPair:
    """The whole suite runs on a real server of each release."""
    return graph_of_release(request.param)


@pytest.fixture(autouse=True)
def _alone(stores: RunningPair, graph_driver: neo4j.Driver) -> Iterator[None]:
    with emptied(graph_driver, stores.settings.home):
        yield


@pytest.fixture
def graph(graph_driver: neo4j.Driver, tmp_path: Path) -> Neo4jGraph:
    return graph_of(graph_driver, tmp_path)


class LoaderKilledError(Exception):
    """Stands for the end of a loading process."""


def test_a_load_holds_what_its_plan_says(graph):
    plan = plan_of("one", 300)
    report = graph.load(plan)
    assert graph.counts("one") == plan.counts() == report.counts
    assert graph.digest("one") == plan.digest() == report.digest
    assert not report.was_complete
    assert report.n_nodes_created == sum(table.num_rows for table in plan.nodes.values())
    assert report.n_relationships_created == sum(table.num_rows for table in plan.edges.values())


def test_loading_again_writes_nothing(graph, graph_driver):
    plan = plan_of("one", 300)
    graph.load(plan)
    before = n_nodes(graph_driver)
    report = graph.load(plan)
    assert report.was_complete
    assert (report.n_nodes_created, report.n_relationships_created) == (0, 0)
    assert n_nodes(graph_driver) == before


def test_an_empty_batch_can_be_loaded_and_promoted(graph):
    graph.load(build_load_plan("empty", {}))
    graph.promote("empty")
    assert graph.promoted_batch() == "empty"
    assert graph.find_by_name("") == ()


def test_readers_see_the_old_batch_until_promotion(graph):
    assert graph.promoted_batch() is None
    assert graph.find_entity("ent_a") is None
    graph.load(build_load_plan("old", small_tables()))
    graph.promote("old")
    graph.load(plan_of("new", 40))
    assert graph.promoted_batch() == "old"
    assert graph.find_entity("ent_a") is not None
    assert graph.find_by_name("Family") == ()
    graph.promote("new")
    assert graph.find_entity("ent_a") is None
    assert len(graph.find_by_name("Family")) == 40


def test_a_batch_that_is_not_whole_cannot_be_promoted(graph):
    with pytest.raises(StoreError, match="not loaded whole"):
        graph.promote("never loaded")


@pytest.mark.parametrize("last_chunk", [1, 3, 8])
def test_a_killed_load_is_resumed(graph, graph_driver, last_chunk, monkeypatch, tmp_path):
    monkeypatch.setattr("resources.neo4j_loads.CHUNK_ROWS", 100)
    plan = plan_of("killed", 250)
    seen = []

    def stop(name: str, n_rows: int) -> None:
        seen.append(name)
        if len(seen) > last_chunk:
            raise LoaderKilledError

    with pytest.raises(LoaderKilledError):
        graph_of(graph_driver, tmp_path, on_chunk=stop).load(plan)
    with pytest.raises(StoreError, match="not loaded whole"):
        graph.promote("killed")
    report = graph.load(plan)
    assert graph.digest("killed") == plan.digest()
    assert report.n_nodes_created < sum(table.num_rows for table in plan.nodes.values())


def test_a_relationship_load_killed_half_way_is_resumed_without_duplicates(
    graph, graph_driver, monkeypatch, tmp_path
):
    monkeypatch.setattr("resources.neo4j_loads.CHUNK_ROWS", 100)
    plan = plan_of("killed", 250)
    seen = []

    def stop(name: str, n_rows: int) -> None:
        seen.append(name)
        if seen.count("TRANSFERRED") == 3:
            raise LoaderKilledError

    with pytest.raises(LoaderKilledError):
        graph_of(graph_driver, tmp_path, on_chunk=stop).load(plan)
    assert graph.counts("killed")["TRANSFERRED"] == 300
    graph.load(plan)
    assert (graph.counts("killed"), graph.digest("killed")) == (plan.counts(), plan.digest())


def test_rows_of_another_content_under_the_same_id_are_replaced(graph):
    graph.load(plan_of("one", 80))
    smaller = plan_of("one", 50, seed=8)
    graph.load(smaller)
    assert graph.digest("one") == smaller.digest()


def test_a_promoted_batch_is_never_taken_away_to_mend_it(graph):
    graph.load(plan_of("one", 80))
    graph.promote("one")
    graph.load(plan_of("one", 50))
    assert len(graph.find_by_name("Family", limit=100)) == 80
    graph.promote("one")
    assert len(graph.find_by_name("Family", limit=100)) == 50


def test_old_batches_are_removed_and_the_promoted_one_stays(graph, graph_driver):
    for seed, batch in enumerate(("old", "kept", "new")):
        graph.load(plan_of(batch, 30, seed=seed))
    graph.promote("new")
    assert graph.remove_other_batches("kept") > 0
    assert graph.counts("old")["Entity"] == 0
    assert graph.digest("kept") == plan_of("kept", 30, seed=1).digest()
    assert graph.remove_other_batches() > 0
    assert n_nodes(graph_driver) == sum(table.num_rows for table in plan_of("new", 30, seed=2).nodes.values())
    assert graph.digest("new") == plan_of("new", 30, seed=2).digest()
    with pytest.raises(StoreError, match="not loaded whole"):
        graph.promote("kept")


def test_only_what_changed_travels(graph, graph_driver):
    """One name and one transfer of 300 people: a node with what hangs on it, and a relationship."""
    graph.load(plan_of("one", 300))
    changed = build_load_plan("two", changed_tables(300))
    report = graph.load(changed)
    assert report.n_nodes_created == 1
    assert report.n_relationships_created == report.n_ended - 1 < 10
    assert graph.digest("two") == changed.digest()
    assert graph.digest("one") == plan_of("one", 300).digest()


def test_a_store_of_the_release_before_is_written_anew(graph, graph_driver, tmp_path):
    """Its rows have a later end, and its manifests are of another kind."""
    graph.load(plan_of("one", 100))
    graph.promote("one")
    for pattern in ("(x)", "()-[x]->()"):
        graph_driver.execute_query(f"MATCH {pattern} WHERE x.valid_to > 1000 SET x.valid_to = {1 << 62}")
    graph_driver.execute_query("MATCH ()-[x:TRANSFERRED]->() SET x.first_at = $noon", noon=NOON)
    shutil.rmtree(tmp_path / "manifests")
    assert len(graph.find_by_name("Family", limit=200)) == 100
    assert {flow.first_at for flow in graph.transfers_above("OWN", 1)} == {NOON}
    graph.load(plan_of("two", 90, seed=8))
    graph.promote("two")
    assert (graph.counts("two"), graph.digest("two")) == (
        plan_of("two", 90, seed=8).counts(),
        plan_of("two", 90, seed=8).digest(),
    )
    graph.promote("one")
    assert len(graph.find_by_name("Family", limit=200)) == 100


def test_a_load_in_place_changes_only_what_changed(graph, graph_driver):
    first, second = plan_of("one", 300), build_load_plan("two", changed_tables(300))
    graph.load(first)
    report = graph.load(second, graph.prepare(second, in_place=True))
    assert (report.n_nodes_created, report.n_relationships_created) == (0, 0)
    assert (report.n_updated, report.n_ended) == (2, 0)
    assert graph.digest("two") == second.digest()
    assert [(load.batch_id, load.is_whole) for load in graph.loads()] == [("two", True)]
    graph.promote("two")
    assert len(graph.find_by_name("Renamed")) == 1
    assert graph.servers()[0].drift == ()
    third = plan_of("three", 200, seed=9)  # fewer people, other transfers
    graph.load(third, graph.prepare(third, in_place=True))
    assert (graph.counts("three"), graph.digest("three")) == (third.counts(), third.digest())
    graph.promote("three")
    graph.remove_other_batches()
    assert n_nodes(graph_driver) == sum(table.num_rows for table in third.nodes.values())
    assert graph.digest("three") == third.digest()


@pytest.mark.parametrize("last_chunk", [1, 4, 12])
def test_a_killed_load_in_place_is_resumed_or_gives_way_to_another(
    graph, graph_driver, last_chunk, monkeypatch, tmp_path
):
    monkeypatch.setattr("resources.neo4j_loads.CHUNK_ROWS", 100)
    first, second, other = plan_of("one", 250), plan_of("two", 240, seed=8), plan_of("other", 230, seed=9)
    seen: list[str] = []

    def stop(name: str, n_rows: int) -> None:
        seen.append(name)
        if len(seen) > last_chunk:
            raise LoaderKilledError

    for batch in (second, other):
        empty(graph_driver)
        graph.load(first)
        graph.promote("one")
        dying = graph_of(graph_driver, tmp_path, on_chunk=stop)
        seen.clear()
        with pytest.raises(LoaderKilledError):
            dying.load(second, dying.prepare(second, in_place=True))
        assert graph.promoted_batch() is None  # half made, it is shown to nobody
        with pytest.raises(StoreError, match="not loaded whole"):
            graph.promote("one")
        graph.load(batch, graph.prepare(batch, in_place=True))
        graph.promote(batch.batch_id)
        assert (graph.counts(batch.batch_id), graph.digest(batch.batch_id)) == (
            batch.counts(),
            batch.digest(),
        )
        assert graph.servers()[0].drift == ()
        graph.remove_other_batches()
        assert n_nodes(graph_driver) == sum(table.num_rows for table in batch.nodes.values())


def test_a_load_can_be_rolled_back_and_taken_up_again(graph):
    for batch, tables in (("one", tables_of(50)), ("two", changed_tables(50))):
        graph.load(build_load_plan(batch, tables))
        graph.promote(batch)
    assert [hit.entity_id for hit in graph.find_by_name("Renamed")] == ["ent_000007"]
    assert graph.batch_before() == "one"
    graph.promote("one")
    assert graph.find_by_name("Renamed") == ()
    assert graph.load(build_load_plan("two", changed_tables(50))).was_complete
    assert graph.batch_before() is None


def test_each_server_is_compared_with_the_manifest_of_its_load(graph, graph_driver, tmp_path):
    assert graph.servers() == (ServerState("primary"),)
    graph.load(plan_of("one", 60))
    graph.promote("one")
    (server,) = graph.servers()
    assert (server.load, server.batch_id, server.drift) == (1, "one", ())
    assert server.n_rows == sum(plan_of("one", 60).counts().values())
    graph_driver.execute_query("MATCH (a:Account {account_id: 'acc000003'}) SET a.row_hash = 1")
    assert graph.servers()[0].drift == ("Account",)
    shutil.rmtree(tmp_path / "manifests")
    assert graph.servers()[0].drift is None


def test_without_a_manifest_everything_is_written_anew(graph, tmp_path):
    graph.load(plan_of("one", 60))
    graph.promote("one")
    shutil.rmtree(tmp_path / "manifests")
    report = graph.load(build_load_plan("two", changed_tables(60)))
    assert report.n_nodes_created > 60
    graph.promote("two")
    graph.remove_other_batches()
    assert graph.digest("two") == build_load_plan("two", changed_tables(60)).digest()


def no_plan():
    raise AssertionError("the batch is there: nothing is to be planned")


def test_a_batch_that_is_held_is_not_planned_again_until_it_has_drifted(graph, graph_driver):
    plan = plan_of("one", 20)
    first = load_batch(graph, "one", None, lambda: plan)
    graph.promote("one")
    again = load_batch(graph, "one", first.summary, no_plan)
    assert again.summary.equals(first.summary)
    assert again.report == LoadReport("one", 1, plan.digest(), plan.counts(), was_complete=True)
    other = load_batch(graph, "one", plan_of("one", 21).summary(), lambda: plan)  # of other content
    assert (other.report.was_complete, other.summary.equals(first.summary)) == (True, True)
    graph_driver.execute_query("MATCH (a:Account) WITH a LIMIT 1 SET a.row_hash = a.row_hash + 1")
    assert load_batch(graph, "one", first.summary, no_plan).report.was_complete  # nobody has looked
    assert graph.servers()[0].drift == ("Account",)
    mended = load_batch(graph, "one", first.summary, lambda: plan)
    assert (mended.report.was_complete, mended.report.load) == (False, 2)
    graph.promote("one")
    assert graph.servers()[0].drift == ()
    assert load_batch(graph, "one", first.summary, no_plan).report.load == 2


def test_rows_that_drifted_in_the_store_are_written_anew(graph, graph_driver):
    graph.load(plan_of("one", 60))
    graph_driver.execute_query("MATCH (a:Account {account_id: 'acc000003'}) DETACH DELETE a")
    changed = build_load_plan("two", changed_tables(60))
    graph.load(changed)
    assert graph.digest("two") == changed.digest()


def test_a_value_altered_behind_an_unchanged_hash_is_written_anew(graph, graph_driver):
    graph.load(plan_of("one", 60))
    graph_driver.execute_query("MATCH (a:Account {account_id: 'acc000003'}) SET a.bank = 'ELSEWHERE'")
    graph_driver.execute_query(
        "MATCH ()-[t:TRANSFERRED]->() WITH t LIMIT 1 SET t.amount_minor = t.amount_minor + 1"
    )
    graph.load(build_load_plan("two", changed_tables(60)))
    graph.promote("two")
    assert graph.accounts_at("ELSEWHERE") == ()
    amounts, _, _ = graph_driver.execute_query(
        "MATCH ()-[t:TRANSFERRED]->() WHERE t.valid_to > 1000 RETURN sum(t.amount_minor) AS total"
    )
    expected = build_load_plan("two", changed_tables(60)).edges["TRANSFERRED"]["amount_minor"]
    assert amounts[0]["total"] == sum(expected.to_pylist())


def test_a_load_that_readers_have_just_left_stays_for_those_who_still_read_it(graph, graph_driver):
    for seed, batch in enumerate(("old", "new")):
        graph.load(plan_of(batch, 20, seed=seed))
        graph.promote(batch)
    assert graph.remove_other_batches() == 0
    assert graph.digest("old") == plan_of("old", 20, seed=0).digest()
    graph_driver.execute_query("MATCH (l:LoadPointer) SET l.left_at = l.left_at - duration({minutes: 10})")
    assert graph.remove_other_batches() > 0
    assert graph.counts("old")["Entity"] == 0


def test_a_load_that_another_one_replaces_leaves_nothing(graph, graph_driver, tmp_path):
    first = plan_of("one", 100)
    graph.load(first)

    def stop(name: str, n_rows: int) -> None:
        if name == "TRANSFERRED":
            raise LoaderKilledError

    with pytest.raises(LoaderKilledError):
        graph_of(graph_driver, tmp_path, on_chunk=stop).load(plan_of("killed", 90, seed=3))
    third = build_load_plan("three", changed_tables(100))
    graph.load(third)
    assert (graph.digest("one"), graph.digest("three")) == (first.digest(), third.digest())
    assert [state.batch_id for state in graph.loads()] == ["one", "three"]


def test_a_loader_that_lost_its_turn_writes_nothing(graph, graph_driver, tmp_path):
    graph.load(plan_of("one", 60))

    def steal(name: str, n_rows: int) -> None:
        graph_driver.execute_query("MATCH (s:LoadPointer {name: 'token'}) SET s.token = s.token + 1")

    with pytest.raises(StoreError, match="another loader has taken the turn"):
        graph_of(graph_driver, tmp_path, on_chunk=steal).load(build_load_plan("two", changed_tables(60)))
    assert graph.digest("one") == plan_of("one", 60).digest()
    assert [state.batch_id for state in graph.loads() if state.is_whole] == ["one"]


def test_a_batch_forgotten_while_it_is_promoted_is_not_promoted(graph, monkeypatch, tmp_path):
    for seed, batch in enumerate(("old", "new")):
        graph.load(plan_of(batch, 10, seed=seed))
    graph.promote("old")
    remover = graph_of(graph._sessions._choose_driver(), tmp_path)
    command = graph._sessions.command

    def command_late(query, **parameters):
        remover.remove_other_batches()
        return command(query, **parameters)

    monkeypatch.setattr(graph._sessions, "command", command_late)
    with pytest.raises(StoreError, match="not loaded whole"):
        graph.promote("new")
    assert graph.promoted_batch() == "old"
    assert graph.digest("old") == plan_of("old", 10, seed=0).digest()


def test_a_batch_promoted_while_others_are_removed_is_whole_or_not_promoted(graph, monkeypatch, tmp_path):
    for seed, batch in enumerate(("old", "new")):
        graph.load(plan_of(batch, 10, seed=seed))
    graph.promote("old")
    remover = graph_of(graph._sessions._choose_driver(), tmp_path)
    command = remover._sessions.command

    def command_and_be_late(query, **parameters):
        rows = command(query, **parameters)
        with suppress(StoreError):
            graph.promote("new")
        return rows

    monkeypatch.setattr(remover._sessions, "command", command_and_be_late)
    remover.remove_other_batches()
    promoted = graph.promoted_batch()
    assert graph.digest(promoted) == plan_of(promoted, 10, seed=["old", "new"].index(promoted)).digest()


def test_a_very_long_text_does_not_stop_a_batch(graph, graph_driver):
    graph.load(plan_of("before", 10))
    graph.index_lab.create_index(auto_index("Entity", "display_name", "range"))
    graph.index_lab.await_online("terag_auto_entity_display_name")
    tables = tables_of(10, names=["x" * 40_000] * 10)
    graph.load(build_load_plan("long", tables))
    graph.promote("long")
    assert len(graph.find_by_name("xxxx")) == 10


def test_sixteen_loaders_of_one_plan_make_no_duplicates(graph, graph_driver, tmp_path):
    plan = plan_of("same", 400)
    reports = at_once([lambda: graph_of(graph_driver, tmp_path).load(plan)] * 16)
    assert (graph.counts("same"), graph.digest("same")) == (plan.counts(), plan.digest())
    assert sum(not report.was_complete for report in reports) == 1
    assert duplicates_in(graph, reports[0].load) == {}


def test_sixteen_writers_that_take_no_turns_make_no_duplicate_nodes(graph, graph_driver):
    plan = plan_of("same", 400)
    graph.load(build_load_plan("other", {}))  # the constraints are there
    change = find_change(plan, None, 2)
    nodes = replace(change, new_edges={kind: table[:0] for kind, table in change.new_edges.items()})
    writer = LoadWriter(graph._sessions, token=1, _on_chunk=lambda *_: None)
    at_once([lambda: writer.apply(nodes, is_resumed=True)] * 16)
    stored, expected = graph._loads.sums(2), plan.sums()
    assert {name: stored[name] for name in plan.nodes} == {name: expected[name] for name in plan.nodes}


def test_loads_of_different_batches_at_once_are_both_whole(graph, graph_driver, tmp_path):
    plans = [plan_of(f"batch{n}", 150, seed=n) for n in range(4)]
    at_once([partial(graph_of(graph_driver, tmp_path).load, plan) for plan in plans])
    assert [graph.digest(plan.batch_id) for plan in plans] == [plan.digest() for plan in plans]


def test_no_reader_ever_sees_two_batches(graph):
    """Each batch has names of its own; a reader polls long answers while readers are moved to and fro."""
    n = 2_000
    for batch in ("a", "b"):
        graph.load(build_load_plan(batch, tables_of(n, names=[f"{batch} {i:04d}" for i in range(n)])))
    done, answers = Event(), set()

    def look() -> None:
        hits = graph.find_by_name("", limit=2 * n)
        answers.add((frozenset(hit.display_name[0] for hit in hits), len(hits)))

    def poll() -> None:
        while not done.is_set():
            look()

    for batch in "ab":
        graph.promote(batch)
        look()
    reader = Thread(target=poll)
    reader.start()
    for batch in ("a", "b") * 50:
        graph.promote(batch)
    done.set()
    reader.join()
    assert answers == {(frozenset("a"), n), (frozenset("b"), n)}


def test_an_entity_is_seen_with_all_that_hangs_on_it(graph):
    graph.load(build_load_plan("one", small_tables()))
    graph.promote("one")
    view = graph.find_entity("ent_a")
    assert (view.display_name, view.n_records, view.is_watchlist) == (NAMES[0], 2, False)
    assert [(r.record_id, r.display_name, r.link_probability) for r in view.records] == [
        ("people:1", NAMES[0], 0.98),
        ("people:2", NAMES[1], 0.98),
    ]
    assert [(k.left_id, k.right_id, k.match_weight, k.link_probability) for k in view.links] == [
        ("people:1", "people:2", 9.5, 0.98)
    ]
    assert [(i.kind, i.entity_ids) for i in view.identifiers] == [
        ("address", ("ent_c",)),
        ("passport", ("ent_b",)),
        ("phone", ("ent_b",)),
    ]
    assert [account.account_id for account in view.accounts] == ["acc1"]
    assert [(r.entity_id, r.kind, r.share, r.is_outgoing) for r in view.related] == [
        ("ent_b", "owns", 0.4, True)
    ]
    assert [(r.entity_id, r.is_outgoing) for r in graph.find_entity("ent_b").related] == [("ent_a", False)]


def test_analysts_find_names_accounts_flows_and_neighbours(graph):
    graph.load(build_load_plan("one", small_tables()))
    graph.promote("one")
    assert [hit.entity_id for hit in graph.find_by_name("Bol")] == ["ent_b"]
    assert [account.account_id for account in graph.accounts_at("OWN", limit=2)] == ["acc1", "acc2"]
    (flow,) = graph.transfers_above("OWN", 1_000)
    assert (flow.source_account, flow.target_account, flow.amount_minor, flow.n_transfers) == (
        "acc1",
        "acc2",
        3_500,
        2,
    )
    assert (flow.first_at.astimezone(UTC), flow.last_at.astimezone(UTC)) == (NOON, MIDNIGHT)
    assert [hit.entity_id for hit in graph.entities_near("ent_a")] == ["ent_b", "ent_c"]
    assert graph.entities_near("nobody") == ()


@pytest.mark.parametrize("n_payloads", [200, pytest.param(5_000, marks=pytest.mark.torture)])
def test_hostile_values_are_data(graph, graph_driver, n_payloads):
    payloads = hostile_payloads(n_payloads)
    tables = tables_of(n_payloads, names=payloads)
    records = tables["entity_records"].set_column(1, "dataset", [payloads])
    tables["entity_records"] = ENTITY_RECORDS.conform(records)
    tables["accounts"] = tables["accounts"].set_column(2, "bank", [payloads])
    plan = build_load_plan("' DETACH DELETE n //", tables)
    graph.load(plan)
    graph.promote(plan.batch_id)
    assert graph.digest(plan.batch_id) == plan.digest()
    labels = graph_driver.execute_query(
        "MATCH (n) UNWIND labels(n) AS l RETURN collect(DISTINCT l) AS labels"
    )
    assert set(labels[0][0]["labels"]) == {"Entity", "Record", "Account", "Identifier", "LoadPointer"}
    for n, payload in enumerate(payloads):
        assert f"ent_{n:06d}" in {hit.entity_id for hit in graph.find_by_name(payload, limit=n_payloads)}
        assert [account.account_id for account in graph.accounts_at(payload)] == [f"acc{n:06d}"]
        assert graph.find_entity(payload) is None
    assert graph.digest(plan.batch_id) == plan.digest()


def test_a_store_out_of_reach_is_named_so(stores, tmp_path):
    away: StoreAddresses = replace(stores.addresses, neo4j_uri="bolt://127.0.0.1:1")
    with pytest.raises(StoreUnavailableError), connect_graph(load_settings(), away) as driver:
        graph_of(driver, tmp_path).promoted_batch()


def test_a_refused_query_is_an_error_without_values(graph):
    with pytest.raises(StoreError) as caught:
        graph._sessions.read("RETURN 1 / $zero + toInteger($name)", zero=0, name=NAMES[0])
    assert NAMES[0] not in str(caught.value)


def test_a_read_cannot_write(graph, graph_driver):
    with pytest.raises(StoreError):
        graph._sessions.read("CREATE (n:Entity {key: 'x'}) RETURN n")
    assert n_nodes(graph_driver) == 0
