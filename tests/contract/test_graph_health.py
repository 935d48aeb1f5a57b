"""What a real Neo4j tells of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import neo4j
import pytest
from neo4j.exceptions import Neo4jError

from resources.neo4j_graph import Neo4jGraph
from resources.settings import NEO4J_RELEASES
from terag_pipelines.tuning.health import PerformanceMonitor
from tests.conftest import RunningPair
from tests.contract.graphs import emptied, graph_of, plan_of

pytestmark = pytest.mark.stores


@pytest.fixture(scope="session", params=NEO4J_RELEASES)
def stores(request: pytest.FixtureRequest, graph_of_release: Callable[[str], RunningPair]) -> RunningPair:
    return graph_of_release(request.param)


@pytest.fixture
def graph(stores: RunningPair, graph_driver: neo4j.Driver, tmp_path: Path) -> Iterator[Neo4jGraph]:
    with emptied(graph_driver, stores.settings.home):
        graph = graph_of(graph_driver, tmp_path)
        graph.load(plan_of("one", 50))
        yield graph


def test_sizes_memory_and_indexes_are_told(
    graph: Neo4jGraph, graph_driver: neo4j.Driver, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_bytes(b"12345")
    figures = graph.probe(tmp_path).figures()
    n_nodes, n_edges = (
        graph_driver.execute_query(f"MATCH {what} RETURN count(*) AS n")[0][0]["n"]
        for what in ("(n)", "()-->()")
    )
    assert figures["nodes", ""] == n_nodes > 150
    assert figures["relationships", ""] == n_edges > 100
    assert figures["store_bytes", ""] == 5
    assert 0 < figures["heap_used_bytes", ""] < figures["heap_max_bytes", ""]
    assert figures["index_online", "terag_entity_key"] == 1.0
    assert figures["index_populated_percent", "terag_entity_key"] == 100.0
    assert ("store_bytes", "") not in graph.probe().figures()


def test_a_transaction_that_runs_too_long_is_ended_and_a_turn_is_not(
    graph: Neo4jGraph, graph_driver: neo4j.Driver
) -> None:
    monitor = PerformanceMonitor(end_after_s=0.0)
    with graph.index_lab.alone(), graph_driver.session() as session:
        left_open = session.begin_transaction()
        left_open.run("MATCH (e:Entity {entity_id: 'ent_000001'}) SET e.display_name = 'changed'").consume()
        figures = graph.probe().figures()
        assert figures["transactions", ""] >= 2
        ended = monitor.end_long_transactions(graph)
        assert len(ended) == 1
        assert "ent_000001" not in ended[0].query
        with pytest.raises(Neo4jError, match="terminated"):
            left_open.run("RETURN 1").consume()
        assert [one.is_turn for one in graph.probe().transactions()] == [True]
    graph.promote("one")
    found = graph.find_entity("ent_000001")
    assert found is not None
    assert found.display_name != "changed"


def test_ending_what_has_ended_changes_nothing(graph: Neo4jGraph) -> None:
    graph.probe().end_transaction("neo4j-transaction-999999")
