"""Index trials on the real Neo4j: useful indexes kept, useless ones reverted, nothing made twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import neo4j
import pytest

from resources.neo4j_graph import Neo4jGraph
from terag_pipelines.errors import StoreError
from terag_pipelines.graph.load_plan import build_load_plan
from terag_pipelines.tuning.advice import auto_index
from terag_pipelines.tuning.model import INDEX_TRIALS
from terag_pipelines.tuning.ports import IndexSpec, SampledCall
from terag_pipelines.tuning.slow_queries import SlowQueryParams
from terag_pipelines.tuning.trials import QueryOptimizer, TuningParams, tune_indexes
from terag_pipelines.tuning.workload import WorkloadParams, analyst_workload
from tests.conftest import RunningPair
from tests.contract.graphs import emptied, graph_of, tables_of

pytestmark = pytest.mark.stores

EVERY_SHAPE = TuningParams(
    slow=SlowQueryParams(slow_ms=0.0, min_calls=1), n_calls=2, latency_noise_ms=1_000.0
)
"""Every shape counts as slow, and only db hits decide: the tests' machine is shared."""
TABLES = tables_of(2_000)
WORKLOAD = analyst_workload(TABLES, WorkloadParams(n_subjects=3, n_rounds=1))


@pytest.fixture
def graph(stores: RunningPair, graph_driver: neo4j.Driver, tmp_path: Path) -> Iterator[Neo4jGraph]:
    with emptied(graph_driver, stores.settings.home):
        graph = graph_of(graph_driver, tmp_path)
        graph.load(build_load_plan("tuned", TABLES))
        graph.promote("tuned")
        yield graph


def made_here(graph):
    return [index.name for index in graph.index_lab.list_indexes() if index.is_ours]


def by_index(result):
    return {row["trial_id"]: row for row in result.trials.to_pylist()}


def test_a_useful_index_is_kept_and_a_second_run_makes_nothing(graph):
    before = graph.find_by_name("Family12", limit=200)
    first = tune_indexes(graph, WORKLOAD, EVERY_SHAPE)
    row = by_index(first)["terag_auto_entity_display_name"]
    assert row["decision"] == "kept"
    assert row["db_hits_after"] < row["db_hits_before"] / 10
    assert first.trials.schema.equals(INDEX_TRIALS.schema)
    kept = made_here(graph)
    assert "terag_auto_entity_display_name" in kept
    assert graph.find_by_name("Family12", limit=200) == before
    second = tune_indexes(graph, WORKLOAD, EVERY_SHAPE)
    assert {row["decision"] for row in second.trials.to_pylist()} == {"not_needed"}
    assert made_here(graph) == kept


def test_an_index_whose_trial_was_killed_goes_with_the_next_run(graph):
    killed = auto_index("Entity", "display_name", "range")
    graph.index_lab.create_index(killed)
    graph.index_lab.await_online(killed.name)
    row = by_index(tune_indexes(graph, WORKLOAD, EVERY_SHAPE))[killed.name]
    assert (row["decision"], row["db_hits_after"] < row["db_hits_before"]) == ("kept", True)  # measured anew
    assert graph.index_lab.drop_unfinished() == ()
    assert killed.name in made_here(graph)


def test_a_useless_index_is_reverted(graph):
    lower = SampledCall(
        "MATCH (e:Entity) WHERE toLower(e.display_name) = $name RETURN e.entity_id",
        {"name": "family1 given1"},
    )
    index = auto_index("Entity", "display_name", "range")
    trial = QueryOptimizer(graph.index_lab, EVERY_SHAPE).try_index(index, ["lower"], {"lower": [lower]})
    assert trial.decision == "reverted"
    assert trial.after.db_hits >= trial.before.db_hits
    assert made_here(graph) == []


def test_constraints_and_indexes_of_others_are_never_touched(graph, graph_driver):
    graph_driver.execute_query("CREATE INDEX by_hand IF NOT EXISTS FOR (n:Account) ON (n.bank)")
    try:
        before = {index for index in graph.index_lab.list_indexes() if not index.is_ours}
        tune_indexes(graph, WORKLOAD, EVERY_SHAPE)
        assert {index for index in graph.index_lab.list_indexes() if not index.is_ours} == before
        assert "terag_auto_account_bank" not in made_here(graph)
        with pytest.raises(StoreError, match="not made by tuning"):
            graph.index_lab.drop_index("by_hand")
    finally:
        graph_driver.execute_query("DROP INDEX by_hand IF EXISTS")


def test_names_that_need_quoting_make_no_index(graph):
    for label in ("Entity) REQUIRE", "En`tity", "\\u0060Entity", "", "1x"):
        with pytest.raises(StoreError):
            graph.index_lab.create_index(IndexSpec("terag_auto_x", "range", label, ("name",)))
    assert made_here(graph) == []


def test_a_replayed_query_cannot_write_and_is_not_observed(graph):
    n_shapes = graph.observed.snapshot().num_rows
    with pytest.raises(StoreError):
        graph.index_lab.profile(SampledCall("CREATE (n:Entity {key: 'x'}) RETURN n", {}))
    profile = graph.index_lab.profile(SampledCall("MATCH (e:Entity) RETURN e.entity_id", {}))
    assert profile.n_rows == 2_000
    assert profile.db_hits > 2_000
    assert graph.observed.snapshot().num_rows == n_shapes
