"""How fast the graph is loaded, beside a plain client; what observing a query costs. JSON lines.

    python -m tests.benchmarks.bench_graph [--entities 20000]

The plain client is what one writes first: one session, UNWIND MERGE with a dictionary for each row. Both load
the same plan into an embedded Neo4j with a home of its own, one after the other, twice.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import neo4j
import pyarrow as pa

from resources import neo4j_cypher
from resources.embedded import EmbeddedStores
from resources.neo4j_loads import CHUNK_ROWS
from resources.query_observer import QueryObserver
from resources.settings import load_settings
from resources.stores import connect_graph
from terag_pipelines.graph.load_plan import LoadPlan, build_load_plan
from terag_pipelines.graph.model import EDGES, NODES, EdgeSpec
from terag_pipelines.tuning.autopilot import Autopilot
from terag_pipelines.tuning.workload import analyst_workload
from tests.benchmarks.measuring import cost_of, measured, tell
from tests.contract.graphs import empty, graph_of, tables_of

PACKAGES = ("neo4j", "neo4j-rust-ext", "pyarrow")


def load_plainly(driver: neo4j.Driver, plan: LoadPlan) -> None:
    """One session, one dictionary for each row, MERGE throughout."""
    with driver.session() as session:
        for constraint in neo4j_cypher.CONSTRAINTS:
            session.run(constraint).consume()
        for node in NODES:
            query = f"UNWIND $rows AS row MERGE (n:{node.label} {{key: row.key}}) SET n += row"
            for rows in _keyed(plan.batch_id, plan.nodes[node.label], {"key": node.id_column}):
                session.execute_write(lambda tx, q=query, r=rows: tx.run(q, rows=r).consume())
        for edge in EDGES:
            query, keys = _plain_merge(edge), {"start_id": "start_id", "end_id": "end_id"}
            for rows in _keyed(plan.batch_id, plan.edges[edge.type], keys):
                session.execute_write(lambda tx, q=query, r=rows: tx.run(q, rows=r).consume())


def _keyed(batch_id: str, table: pa.Table, keys: dict[str, str]) -> list[list[dict[str, object]]]:
    def keyed(row: dict[str, object]) -> dict[str, object]:
        ends = {name: f"{batch_id}:{row[column]}" for name, column in keys.items()}
        return row | ends | {"batch_id": batch_id}

    chunks = (table.slice(start, CHUNK_ROWS) for start in range(0, table.num_rows, CHUNK_ROWS))
    return [[keyed(row) for row in chunk.to_pylist()] for chunk in chunks]


def _plain_merge(edge: EdgeSpec) -> str:
    identity = ", ".join(f"{name}: row.{name}" for name in edge.identity)
    ends = (
        f"MATCH (a:{edge.start.label} {{key: row.start_id}}) MATCH (b:{edge.end.label} {{key: row.end_id}})"
    )
    return f"UNWIND $rows AS row {ends} MERGE (a)-[r:{edge.type} {{{identity}}}]->(b) SET r += row"


def bench_loads(driver: neo4j.Driver, n_entities: int) -> None:
    """Two rounds, the second one told: the server compiles what it runs often in the first."""
    graph, tables = graph_of(driver, Path(tempfile.mkdtemp())), tables_of(n_entities)
    for _ in range(2):
        empty(driver)
        plain, ours = build_load_plan("plain", tables), build_load_plan("ours", tables)
        costs = {
            ("first load of a batch", "plain UNWIND client"): cost_of(
                lambda p=plain: load_plainly(driver, p)
            ),
            ("first load of a batch", "terag"): cost_of(lambda p=ours: graph.load(p)),
            ("load of a batch that is there", "plain UNWIND client"): cost_of(
                lambda p=plain: load_plainly(driver, p)
            ),
            ("load of a batch that is there", "terag"): cost_of(lambda p=ours: graph.load(p)),
        }
        graph.promote("ours")
        costs["removal of the batch before", "terag"] = cost_of(graph.remove_other_batches)
    n_rows = sum(ours.counts().values())
    for (what, peer), cost in costs.items():
        tell("graph", what, cost, PACKAGES, peer, n_rows=n_rows, rows_per_s=round(n_rows / cost.wall_s))
    tuned, cost = measured(lambda: Autopilot().run(graph, analyst_workload(tables), datetime.now(UTC)))
    trials = {row["trial_id"]: f"{row['decision']}: {row['reason']}" for row in tuned.trials.to_pylist()}
    tell("graph", "index trials", cost, PACKAGES, n_rows=n_rows, trials=trials)


def bench_observer(n_calls: int = 100_000) -> None:
    """The observer around a query that takes no time; of seven subjects, as the eighth ends the sampling."""
    observer, nothing, subjects = QueryObserver(), [None], cycle(range(7))

    def execute() -> list[None]:
        return nothing

    def watch() -> list[None]:
        return observer.run("RETURN $x", {"x": next(subjects)}, execute, is_sampled=True)

    bare, watched = (cost_of(lambda f=f: [f() for _ in range(n_calls)]) for f in (execute, watch))
    us_per_call = 1e6 * (watched.wall_s - bare.wall_s) / n_calls
    tell("graph", "observing queries", watched, PACKAGES, n_calls=n_calls, us_per_call=us_per_call)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=20_000)
    n_entities = parser.parse_args().entities
    bench_observer()
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(home=Path(home), cache=Path(".terag/cache").absolute())
        pair = EmbeddedStores(settings)
        try:
            with connect_graph(settings, pair.start()) as driver:
                bench_loads(driver, n_entities)
        finally:
            pair.release()


if __name__ == "__main__":
    main()
