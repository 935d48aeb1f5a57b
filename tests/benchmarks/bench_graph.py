"""How fast the graph is loaded, beside a plain client; what observing a query costs. JSON lines.

    python -m tests.benchmarks.bench_graph [--entities 20000]

The plain client is what one writes first: one session, UNWIND MERGE with a dictionary for each row. Both load
the same plan into an embedded Neo4j with a home of its own, one after the other, twice.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import neo4j
import pyarrow as pa
import pyarrow.compute as pc

from resources import neo4j_cypher
from resources.embedded import EmbeddedStores
from resources.neo4j_loads import CHUNK_ROWS
from resources.query_observer import QueryObserver
from resources.settings import load_settings
from resources.stores import connect_graph
from terag_pipelines.graph.load_plan import LoadPlan, build_load_plan
from terag_pipelines.graph.model import EDGES, ENDS, NODES, EdgeSpec
from terag_pipelines.tuning.autopilot import Autopilot
from terag_pipelines.tuning.workload import analyst_workload
from tests.benchmarks.measuring import Cost, cost_of, measured, tell
from tests.benchmarks.servers import ServerCost, measured_servers
from tests.contract.graphs import empty, graph_of, tables_of

PACKAGES = ("neo4j", "neo4j-rust-ext", "pyarrow")


@dataclass(frozen=True)
class LoadTimes:
    """Seconds that the nodes and the relationships of a plan took over Bolt."""

    nodes_s: float
    edges_s: float


def load_plainly(driver: neo4j.Driver, plan: LoadPlan) -> LoadTimes:
    """One session, one dictionary for each row, MERGE throughout."""
    started = time.perf_counter()
    with driver.session() as session:

        def write(query: str, rows: list[dict[str, object]]) -> None:
            session.execute_write(lambda transaction: transaction.run(query, rows=rows).consume())

        for constraint in neo4j_cypher.CONSTRAINTS:
            session.run(constraint).consume()
        for node in NODES:
            query = f"UNWIND $rows AS row MERGE (n:{node.label} {{key: row.key}}) SET n += row"
            for rows in _chunks(
                plan, plan.nodes[node.label], {"key": plan.nodes[node.label][node.id_column]}
            ):
                write(query, rows)
        nodes_there = time.perf_counter()
        for edge in EDGES:
            ends = dict(zip(("start_id", "end_id"), plan.end_ids(edge), strict=True))
            for rows in _chunks(plan, plan.edges[edge.type].drop_columns(list(ENDS)), ends):
                write(_plain_merge(edge), rows)
    return LoadTimes(nodes_there - started, time.perf_counter() - nodes_there)


def _chunks(
    plan: LoadPlan, table: pa.Table, keys: Mapping[str, pa.ChunkedArray]
) -> Iterator[list[dict[str, object]]]:
    for name, ids in keys.items():
        table = table.append_column(name, pc.binary_join_element_wise(plan.batch_id, ids, ":"))
    for start in range(0, table.num_rows, CHUNK_ROWS):
        yield [row | {"batch_id": plan.batch_id} for row in table.slice(start, CHUNK_ROWS).to_pylist()]


def _plain_merge(edge: EdgeSpec) -> str:
    identity = ", ".join(f"{name}: row.{name}" for name in edge.identity)
    ends = (
        f"MATCH (a:{edge.start.label} {{key: row.start_id}}) MATCH (b:{edge.end.label} {{key: row.end_id}})"
    )
    return f"UNWIND $rows AS row {ends} MERGE (a)-[r:{edge.type} {{{identity}}}]->(b) SET r += row"


class ChunkClock:
    """When the last chunk of nodes and the last of relationships were there."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self._at: dict[bool, float] = {}

    def __call__(self, name: str, _n_rows: int) -> None:
        self._at[any(name == node.label for node in NODES)] = time.perf_counter()

    def times(self) -> LoadTimes:
        """Nodes from the very start on, relationships from the last node on."""
        return LoadTimes(self._at[True] - self.started, self._at[False] - self._at[True])


def load_ours(driver: neo4j.Driver, folder: Path, plan: LoadPlan) -> LoadTimes:
    """A load over Bolt into one server."""
    clock = ChunkClock()
    graph_of(driver, folder, on_chunk=clock).load(plan)
    return clock.times()


def bench_loads(driver: neo4j.Driver, stores: EmbeddedStores, n_entities: int) -> None:
    """Two rounds, the second one told: the server compiles what it runs often in the first."""
    folder, tables = Path(tempfile.mkdtemp()), tables_of(n_entities, dated=True)
    plain, ours = build_load_plan("plain", tables), build_load_plan("ours", tables)
    for is_told in (False, True):
        empty(driver)
        for peer, load in (
            ("plain UNWIND client", lambda: load_plainly(driver, plain)),
            ("terag", lambda: load_ours(driver, folder, ours)),
        ):
            (times, cost), of_server = measured_servers(stores, lambda load=load: measured(load))
            if is_told:
                tell_load("first load of a batch", peer, ours, times, cost, of_server)
    tell_reloads(driver, folder, plain, ours)
    graph = graph_of(driver, folder)
    tuned, cost = measured(lambda: Autopilot().run(graph, analyst_workload(tables), datetime.now(UTC)))
    trials = {row["trial_id"]: f"{row['decision']}: {row['reason']}" for row in tuned.trials.to_pylist()}
    tell("graph", "index trials", cost, PACKAGES, n_rows=ours.n_rows, trials=trials)


def tell_load(
    what: str, peer: str, plan: LoadPlan, times: LoadTimes, cost: Cost, of_server: ServerCost
) -> None:
    """A load in all, and its nodes and relationships apart."""
    n_nodes = sum(table.num_rows for table in plan.nodes.values())
    rates = {
        "n_rows": plan.n_rows,
        "rows_per_s": round(plan.n_rows / cost.wall_s),
        "nodes_per_s": round(n_nodes / times.nodes_s),
        "relationships_per_s": round((plan.n_rows - n_nodes) / times.edges_s),
    }
    tell("graph", what, cost, PACKAGES, peer, **rates, **asdict(of_server))


def tell_reloads(driver: neo4j.Driver, folder: Path, plain: LoadPlan, ours: LoadPlan) -> None:
    """Both batches are there; ours is then promoted and the other one removed."""
    graph = graph_of(driver, folder)
    costs = {
        ("load of a batch that is there", "plain UNWIND client"): cost_of(
            lambda: load_plainly(driver, plain)
        ),
        ("load of a batch that is there", "terag"): cost_of(lambda: graph.load(ours)),
    }
    graph.promote("ours")
    costs["removal of the batch before", "terag"] = cost_of(graph.remove_other_batches)
    for (what, peer), cost in costs.items():
        rate = round(ours.n_rows / cost.wall_s)
        tell("graph", what, cost, PACKAGES, peer, n_rows=ours.n_rows, rows_per_s=rate)


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
                bench_loads(driver, pair, n_entities)
        finally:
            pair.release()


if __name__ == "__main__":
    main()
