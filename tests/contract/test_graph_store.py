"""The contract of GraphStore, on the real Neo4j: whole batches, once, seen together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC
from threading import Event, Thread

import neo4j
import pytest

from resources.neo4j_graph import Neo4jGraph
from resources.query_observer import QueryObserver
from resources.settings import NEO4J_RELEASES, load_settings
from resources.stores import StoreAddresses, connect_graph
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.errors import StoreError, StoreUnavailableError
from terag_pipelines.graph.load_plan import build_load_plan
from terag_pipelines.tuning.advice import auto_index
from tests.conftest import RunningPair
from tests.contract.graphs import emptied, hostile_payloads, n_nodes, plan_of, tables_of
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
def graph(graph_driver: neo4j.Driver) -> Neo4jGraph:
    return Neo4jGraph(graph_driver, "neo4j", QueryObserver())


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
def test_a_killed_load_is_resumed(graph, graph_driver, last_chunk, monkeypatch):
    monkeypatch.setattr("resources.neo4j_graph.CHUNK_ROWS", 100)
    plan = plan_of("killed", 250)
    seen = []

    def stop(name: str, n_rows: int) -> None:
        seen.append(name)
        if len(seen) > last_chunk:
            raise LoaderKilledError

    with pytest.raises(LoaderKilledError):
        Neo4jGraph(graph_driver, "neo4j", QueryObserver(), on_chunk=stop).load(plan)
    with pytest.raises(StoreError, match="not loaded whole"):
        graph.promote("killed")
    report = graph.load(plan)
    assert graph.digest("killed") == plan.digest()
    assert report.n_nodes_created < sum(table.num_rows for table in plan.nodes.values())


def test_a_relationship_load_killed_half_way_is_resumed_without_duplicates(graph, graph_driver, monkeypatch):
    monkeypatch.setattr("resources.neo4j_graph.CHUNK_ROWS", 100)
    plan = plan_of("killed", 250)
    seen = []

    def stop(name: str, n_rows: int) -> None:
        seen.append(name)
        if seen.count("TRANSFERRED") == 3:
            raise LoaderKilledError

    with pytest.raises(LoaderKilledError):
        Neo4jGraph(graph_driver, "neo4j", QueryObserver(), on_chunk=stop).load(plan)
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
    with pytest.raises(StoreError, match="differs from its plan in Account, Entity"):
        graph.load(plan_of("one", 50))
    assert graph.counts("one")["Entity"] == 80


def test_old_batches_are_removed_and_the_promoted_one_stays(graph, graph_driver):
    for batch in ("old", "kept", "new"):
        graph.load(plan_of(batch, 30))
    graph.promote("new")
    of_one = n_nodes(graph_driver) // 3
    assert graph.remove_other_batches("kept") == of_one
    assert graph.counts("old")["Entity"] == 0
    assert graph.remove_other_batches() == of_one
    assert graph.digest("new") == plan_of("new", 30).digest()
    with pytest.raises(StoreError, match="not loaded whole"):
        graph.promote("kept")


def test_a_batch_forgotten_while_it_is_promoted_is_not_promoted(graph, monkeypatch):
    for batch in ("old", "new"):
        graph.load(plan_of(batch, 10))
    graph.promote("old")
    remover = Neo4jGraph(graph._sessions._driver, "neo4j", QueryObserver())
    write = graph._sessions.write

    def write_late(query, rows, **parameters):
        remover.remove_other_batches()
        return write(query, rows, **parameters)

    monkeypatch.setattr(graph._sessions, "write", write_late)
    with pytest.raises(StoreError, match="not loaded whole"):
        graph.promote("new")
    assert graph.promoted_batch() == "old"


def test_a_batch_promoted_while_others_are_removed_is_whole_or_not_promoted(graph, monkeypatch):
    for batch in ("old", "new"):
        graph.load(plan_of(batch, 10))
    graph.promote("old")
    remover = Neo4jGraph(graph._sessions._driver, "neo4j", QueryObserver())
    read = remover.promoted_batch

    def read_and_be_late():
        seen = read()
        with suppress(StoreError):
            graph.promote("new")
        return seen

    monkeypatch.setattr(remover, "promoted_batch", read_and_be_late)
    remover.remove_other_batches()
    promoted = graph.promoted_batch()
    assert graph.digest(promoted) == plan_of(promoted, 10).digest()


def test_a_very_long_text_does_not_stop_a_batch(graph, graph_driver):
    graph.load(plan_of("before", 10))
    graph.index_lab.create_index(auto_index("Entity", "display_name", "range"))
    graph.index_lab.await_online("terag_auto_entity_display_name")
    tables = tables_of(10, names=["x" * 40_000] * 10)
    graph.load(build_load_plan("long", tables))
    graph.promote("long")
    assert len(graph.find_by_name("xxxx")) == 10


def test_sixteen_loaders_of_one_plan_make_no_duplicates(graph, graph_driver):
    plan = plan_of("same", 400)
    with ThreadPoolExecutor(16) as pool:
        reports = list(
            pool.map(lambda _: Neo4jGraph(graph_driver, "neo4j", QueryObserver()).load(plan), range(16))
        )
    assert (graph.counts("same"), graph.digest("same")) == (plan.counts(), plan.digest())
    assert sum(not report.was_complete for report in reports) == 1


def test_sixteen_writers_that_take_no_turns_make_no_duplicate_nodes(graph, graph_driver):
    plan = plan_of("same", 400)
    graph.load(plan_of("other", 1))  # the constraints are there
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: graph._write_nodes(plan), range(16)))
    stored, expected = graph.counts("same"), plan.counts()
    assert {name: stored[name] for name in plan.nodes} == {name: expected[name] for name in plan.nodes}


def test_loads_of_different_batches_at_once_are_both_whole(graph, graph_driver):
    plans = [plan_of(f"batch{n}", 150, seed=n) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda plan: Neo4jGraph(graph_driver, "neo4j", QueryObserver()).load(plan), plans))
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


def test_a_store_out_of_reach_is_named_so(stores):
    away: StoreAddresses = replace(stores.addresses, neo4j_uri="bolt://127.0.0.1:1")
    with pytest.raises(StoreUnavailableError), connect_graph(load_settings(), away) as driver:
        Neo4jGraph(driver, "neo4j", QueryObserver()).promoted_batch()


def test_a_refused_query_is_an_error_without_values(graph):
    with pytest.raises(StoreError) as caught:
        graph._sessions.read("RETURN 1 / $zero + toInteger($name)", zero=0, name=NAMES[0])
    assert NAMES[0] not in str(caught.value)


def test_a_read_cannot_write(graph, graph_driver):
    with pytest.raises(StoreError):
        graph._sessions.read("CREATE (n:Entity {key: 'x'}) RETURN n")
    assert n_nodes(graph_driver) == 0
