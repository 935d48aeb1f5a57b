"""Index trials on the real Neo4j: useful indexes kept, useless ones reverted, nothing made twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import neo4j
import pytest

from resources.neo4j_graph import Neo4jGraph
from resources.settings import NEO4J_RELEASES
from resources.stores import connect_graph
from terag_pipelines.errors import StoreError
from terag_pipelines.graph.load_plan import build_load_plan
from terag_pipelines.tuning.advice import auto_index
from terag_pipelines.tuning.autopilot import Autopilot
from terag_pipelines.tuning.model import INDEX_TRIALS
from terag_pipelines.tuning.pictures import draw_trials
from terag_pipelines.tuning.policy import TuningParams, TuningPolicy
from terag_pipelines.tuning.ports import RELATIONSHIP, IndexSpec, SampledCall
from terag_pipelines.tuning.slow_queries import SlowQueryParams
from terag_pipelines.tuning.trials import AutoIndexCreator
from terag_pipelines.tuning.workload import WorkloadParams, analyst_workload
from tests.conftest import RunningPair
from tests.contract.graphs import emptied, graph_of, tables_of
from tests.unit.tuning.memory_history import MemoryTuningLog

pytestmark = pytest.mark.stores

EVERY_SHAPE = TuningParams(
    slow=SlowQueryParams(slow_ms=0.0, min_calls=1),
    n_calls=2,
    n_repeats=1,
    latency_noise_ms=1_000.0,
    max_trials=12,
)
"""Every shape counts as slow, and only db hits decide: the tests' machine is shared."""
NOW = datetime(2026, 11, 24, 22, tzinfo=UTC)
TABLES = tables_of(2_000)
WORKLOAD = analyst_workload(TABLES, WorkloadParams(n_subjects=3, n_rounds=1))


@pytest.fixture(scope="session", params=NEO4J_RELEASES)
def stores(request: pytest.FixtureRequest, graph_of_release: Callable[[str], RunningPair]) -> RunningPair:
    """Plans are read as each release tells them."""
    return graph_of_release(request.param)


@pytest.fixture(scope="module")
def loaded(
    stores: RunningPair, graph_driver: neo4j.Driver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Trials change no row, so one load serves all tests; gives the folder of its manifests."""
    folder = tmp_path_factory.mktemp("manifests")
    with emptied(graph_driver, stores.settings.home):
        graph = graph_of(graph_driver, folder)
        graph.load(build_load_plan("tuned", TABLES))
        graph.promote("tuned")
        yield folder


@pytest.fixture
def graph(loaded: Path, graph_driver: neo4j.Driver) -> Neo4jGraph:
    """Nobody has asked it anything, and it has no index of ours."""
    graph = graph_of(graph_driver, loaded)
    graph.index_lab.drop_unfinished()
    for name in made_here(graph):
        graph.index_lab.drop_index(name)
    return graph


class Asked:
    """A workload of Cypher texts with their parameters."""

    def __init__(self, calls: list[tuple[str, list[dict[str, object]]]]) -> None:
        self._calls = calls

    def ask(self, store: Neo4jGraph) -> None:
        for query, parameters in self._calls:
            for given in parameters:
                store.index_lab._sessions.read(query, **given)  # as the store's own queries are asked


def made_here(graph):
    return {index.name for index in graph.index_lab.list_indexes() if index.is_ours}


def by_index(result):
    return {row["trial_id"]: row for row in result.trials.to_pylist()}


def tuned(graph, workload=WORKLOAD, now=NOW, log=None, **policy):
    return Autopilot(EVERY_SHAPE, TuningPolicy(**policy), log).run(graph, workload, now)


def over(column, *values):
    return [{column: value} for value in values]


TWELVE_SHAPES = [
    # six that want an index
    ("MATCH (e:Entity) WHERE e.display_name = $n RETURN e.entity_id", over("n", "Family1 Given1", "x")),
    ("MATCH (r:Record) WHERE r.record_id = $r RETURN r.dataset", over("r", "people:000007", "people:1")),
    ("MATCH (a:Account) WHERE a.account_id IN $i RETURN a.bank", over("i", ["acc000001"], ["acc000002"])),
    ("MATCH (i:Identifier {identifier_id: $i}) RETURN i.kind", over("i", "a", "b")),
    (
        "MATCH ()-[t:TRANSFERRED]->() WHERE t.amount_minor >= $a RETURN t.amount_minor",
        over("a", 9_990_000, 9_980_000),
    ),
    (
        "MATCH (n) WHERE n:Account AND n.account_id STARTS WITH $p RETURN n.bank",
        over("p", "acc00001", "acc00002"),
    ),
    # three that want none
    ("MATCH (p:LoadPointer {name: $n}) RETURN p.load", over("n", "promoted", "turn")),
    ("MATCH (e:Entity) WHERE e.party_type = $t RETURN count(e)", over("t", "person", "person")),
    ("MATCH (e:Entity) WHERE toLower(e.display_name) = $n RETURN e.entity_id", over("n", "a", "b")),
    # one whose obvious index does not help: the few payments of one account are read faster than looked up
    (
        (
            "MATCH (:Entity {entity_id: $e})-[:HOLDS]->(:Account)-[t:TRANSFERRED]->(b:Account) "
            "WHERE t.n_transfers > $n RETURN b.account_id"
        ),
        [{"e": "ent_000001", "n": 1}, {"e": "ent_000002", "n": 1}],
    ),
    # one that wants a composite
    (
        "MATCH (r:Record) WHERE r.display_name >= $n AND r.dataset = $d RETURN r.record_id",
        [{"n": "Family99 Given9", "d": "people"}, {"n": "Family995", "d": "people"}],
    ),
    # one text
    ("MATCH (r:Record) WHERE r.display_name CONTAINS $p RETURN r.record_id", over("p", "ly11 G", "ly12 G")),
]
SERVED = {
    "terag_auto_entity_display_name",
    "terag_auto_record_record_id",
    "terag_auto_account_account_id",  # of two shapes
    "terag_auto_identifier_identifier_id",
    "terag_auto_transferred_amount_minor",
    "terag_auto_record_dataset_display_name",
    "terag_auto_record_display_name_text",
}


def test_twelve_shapes_end_with_the_indexes_that_serve_them(graph):
    log, workload = MemoryTuningLog(), Asked(TWELVE_SHAPES)
    first = tuned(graph, workload, log=log)
    by_decision = {
        decision: {r["trial_id"] for r in first.trials.to_pylist() if r["decision"] == decision}
        for decision in ("kept", "reverted", "advised")
    }
    assert by_decision == {
        "kept": SERVED,
        "reverted": {"terag_auto_transferred_n_transfers"},
        "advised": {"terag_auto_entity_display_name_full-text"},
    }
    assert made_here(graph) == SERVED
    assert set(log.decisions()["trial_id"].to_pylist()) == SERVED | by_decision["reverted"]
    assert draw_trials(log.decisions()).startswith(b"\x89PNG")
    assert all(row["hits_ratio_high"] < 0.1 for row in first.trials.to_pylist() if row["decision"] == "kept")

    second = tuned(graph, workload, NOW + timedelta(days=1), log)
    assert set(second.trials["decision"].to_pylist()) == {"in_use", "not_needed", "advised"}
    assert (made_here(graph), log.decisions().num_rows) == (SERVED, len(SERVED) + 1)


def test_an_index_that_nobody_asks_any_more_goes_after_its_window(graph, stores, tmp_path):
    log = MemoryTuningLog()
    names, records = ([TWELVE_SHAPES[i]] for i in (0, 1))
    tuned(graph, Asked(names + records), log=log)
    both = {"terag_auto_entity_display_name", "terag_auto_record_record_id"}
    assert made_here(graph) == both

    def later(days, asked, **policy):
        with connect_graph(stores.settings, stores.addresses) as driver:  # nothing is sampled from before
            return tuned(graph_of(driver, tmp_path), Asked(asked), NOW + timedelta(days=days), log, **policy)

    later(30, names + records)
    later(119, names)
    assert made_here(graph) == both
    assert (
        by_index(later(120, names, may_change=False))["terag_auto_record_record_id"]["decision"] == "advised"
    )
    assert made_here(graph) == both
    dropped = by_index(later(120, names))["terag_auto_record_record_id"]
    assert (dropped["decision"], dropped["reason"]) == ("dropped", "it served no query since 2026-12-24")
    assert made_here(graph) == both - {"terag_auto_record_record_id"}
    assert log.decisions()["decision"].to_pylist() == ["kept", "kept", "dropped"]


def test_a_useful_index_is_kept_and_a_second_run_makes_nothing(graph):
    before = graph.find_by_name("Family12", limit=200)
    first = tuned(graph)
    row = by_index(first)["terag_auto_entity_display_name"]
    assert row["decision"] == "kept"
    assert row["db_hits_after"] < row["db_hits_before"] / 10
    assert first.trials.schema.equals(INDEX_TRIALS.schema)
    kept = made_here(graph)
    assert "terag_auto_entity_display_name" in kept
    assert graph.find_by_name("Family12", limit=200) == before
    second = tuned(graph)
    assert "in_use" in second.trials["decision"].to_pylist()
    assert made_here(graph) == kept


def test_an_index_whose_trial_was_killed_goes_with_the_next_run(graph):
    killed = auto_index("Entity", "display_name")
    graph.index_lab.create_index(killed)
    graph.index_lab.await_online(killed.name)
    row = by_index(tuned(graph))[killed.name]
    assert (row["decision"], row["db_hits_after"] < row["db_hits_before"]) == ("kept", True)  # measured anew
    assert graph.index_lab.drop_unfinished() == ()
    assert killed.name in made_here(graph)


def test_a_running_trial_is_not_taken_for_one_that_was_killed(graph):
    """Two autopilots at once take turns, so that neither drops what the other one tries."""
    entered, index, ended = Event(), auto_index("Entity", "display_name"), []
    other = Thread(target=lambda: (entered.set(), ended.append(tuned(graph))))
    with graph.index_lab.alone() as lab:
        lab.create_index(index)
        other.start()
        entered.wait(60)
        lab.await_online(index.name)
        assert made_here(graph) == {index.name}
        assert ended == []
        lab.keep_index(index.name)
    other.join(120)
    assert by_index(ended[0])[index.name]["decision"] == "in_use"
    assert index.name in made_here(graph)


def test_a_useless_index_is_reverted(graph):
    lower = SampledCall(
        "MATCH (e:Entity) WHERE toLower(e.display_name) = $name RETURN e.entity_id",
        {"name": "family1 given1"},
    )
    index = auto_index("Entity", "display_name")
    trial = AutoIndexCreator(graph.index_lab, EVERY_SHAPE).try_index(index, ["lower"], {"lower": [lower]})
    assert trial.decision == "reverted"
    assert trial.after.db_hits >= trial.before.db_hits
    assert made_here(graph) == set()


def test_constraints_and_indexes_of_others_are_never_touched(graph, graph_driver):
    graph_driver.execute_query("CREATE INDEX by_hand IF NOT EXISTS FOR (n:Account) ON (n.bank)")
    try:
        before = {index for index in graph.index_lab.list_indexes() if not index.is_ours}
        tuned(graph)
        assert {index for index in graph.index_lab.list_indexes() if not index.is_ours} == before
        assert "terag_auto_account_bank" not in made_here(graph)
        with pytest.raises(StoreError, match="not made by tuning"):
            graph.index_lab.drop_index("by_hand")
    finally:
        graph_driver.execute_query("DROP INDEX by_hand IF EXISTS")


def test_an_index_is_made_once_and_under_its_own_name_only(graph):
    lab, index = graph.index_lab, auto_index("Entity", "party_type")
    lab.create_index(index)
    lab.keep_index(index.name)
    same = IndexSpec("terag_auto_other", "range", "Entity", ("party_type",))
    other = IndexSpec(index.name, "range", "Account", ("bank",))
    for one in (index, same, other):
        with pytest.raises(StoreError):
            lab.create_index(one)
    assert made_here(graph) == {index.name}


def test_every_kind_of_index_is_made_and_listed_as_it_was_asked_for(graph):
    wanted = {
        auto_index("Account", ("bank", "currency")),
        auto_index("Entity", "display_name", "text"),
        auto_index("Entity", "place", "point"),
        auto_index("TRANSFERRED", "amount_minor", element=RELATIONSHIP),
    }
    for index in wanted:
        graph.index_lab.create_index(index)
        graph.index_lab.keep_index(index.name)
    assert {index for index in graph.index_lab.list_indexes() if index.is_ours} == wanted
    assert {index.name for index in wanted} <= graph.index_lab.index_uses().keys()


def test_distinct_values_are_counted_together(graph):
    lab = graph.index_lab
    assert lab.n_distinct(auto_index("Account", "bank")) == 2
    assert lab.n_distinct(auto_index("Account", ("bank", "currency"))) == 2
    assert lab.n_distinct(auto_index("TRANSFERRED", "currency", element=RELATIONSHIP)) == 1
    assert lab.n_distinct(auto_index("Account", "nothing")) == 1


def test_names_that_need_quoting_make_no_index(graph):
    for label in ("Entity) REQUIRE", "En`tity", "\\u0060Entity", "", "1x"):
        for spec in (
            IndexSpec("terag_auto_x", "range", label, ("name",)),
            IndexSpec("terag_auto_x", "range", "Entity", (label,)),
            IndexSpec(f"terag_auto {label}", "text", "Entity", ("name",)),
        ):
            with pytest.raises(StoreError):
                graph.index_lab.create_index(spec)
    assert made_here(graph) == set()


def test_a_replayed_query_cannot_write_and_is_not_observed(graph):
    n_shapes = graph.observed.snapshot().num_rows
    with pytest.raises(StoreError):
        graph.index_lab.profile(SampledCall("CREATE (n:Entity {key: 'x'}) RETURN n", {}))
    profile = graph.index_lab.profile(SampledCall("MATCH (e:Entity) RETURN e.entity_id", {}))
    assert profile.n_rows == 2_000
    assert profile.db_hits > 2_000
    assert graph.observed.snapshot().num_rows == n_shapes
