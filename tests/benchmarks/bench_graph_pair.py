"""From the lake to what readers see, on two embedded servers, for a bank of a size. JSON lines.

    python -m tests.benchmarks.bench_graph_pair [--entities 200000]

Each entity has a record and an account and sends ten transfers. A load is timed from its tables in Parquet to
the promotion of its batch; the servers run, as after `terag up`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from resources.embedded import PRIMARY, STANDBY, EmbeddedStores
from resources.neo4j_import import ImportOutcome, OfflineImporter
from resources.open_graph import open_graph
from resources.settings import Settings, load_settings
from resources.stores import connect_graph
from terag_pipelines.graph.changes import whole_graph
from terag_pipelines.graph.load_plan import LoadPlan, build_load_plan
from terag_pipelines.graph.loading import load_batch
from tests.benchmarks.bench_graph import load_plainly
from tests.benchmarks.measuring import cost_of, measured, tell
from tests.benchmarks.servers import measured_servers
from tests.contract.graphs import tables_of

PACKAGES = ("neo4j", "polars", "pyarrow")
TRANSFERS_EACH = 10


def bench_importer(settings: Settings, plan: LoadPlan, home: Path) -> None:
    """Neo4j's importer with our files, into an empty home."""
    graph, importer = whole_graph(plan, 1), importer_of(settings)
    outcome: ImportOutcome
    outcome, cost = measured(lambda: importer.build(home, graph.nodes, graph.edges))
    n_rows = outcome.n_nodes + outcome.n_edges
    seconds = {"files_s": outcome.files_s, "importer_s": outcome.importer_s}
    rate = round(n_rows / (outcome.files_s + outcome.importer_s))
    tell("graph", "importer alone", cost, PACKAGES, n_rows=n_rows, rows_per_s=rate, **seconds)


def importer_of(settings: Settings) -> OfflineImporter:
    """The importer of the embedded server."""
    stores = EmbeddedStores(settings)
    return OfflineImporter.of(stores.server_of(stores.folder.standby_graph()))


def bench_promotions(settings: Settings, lake: Path, n_entities: int) -> None:
    """First load, the same again, and three in which a hundredth of entities and transfers changed."""
    tables = tables_of(n_entities, n_transfers_each=TRANSFERS_EACH, dated=True)
    told = [("first load", "one", tables), ("nothing changed", "one", tables)]
    told += [(f"1% changed, {n}.", f"of {n}%", with_changes(tables, n / 100)) for n in (1, 2, 3)]
    summaries: dict[str, pa.Table] = {}
    with open_graph(settings) as graph:
        for what, batch_id, given in told:
            write_tables(lake, given)

            def serve(batch_id: str = batch_id) -> int:
                earlier = summaries.get(batch_id)
                loaded = load_batch(
                    graph, batch_id, earlier, lambda: build_load_plan(batch_id, read_tables(lake))
                )
                graph.promote(batch_id)
                summaries[batch_id] = loaded.summary
                return sum(loaded.report.counts.values())

            (n_rows, cost), servers = measured_servers(EmbeddedStores(settings), lambda: measured(serve))
            tell("graph", f"lake to promoted: {what}", cost, PACKAGES, n_rows=n_rows, **asdict(servers))
            backup = cost_of(graph.fill_backup)
            if what == "first load":
                tell("graph", "backup filled from the copy", backup, PACKAGES, n_rows=n_rows)


def bench_plain_client(settings: Settings, lake: Path) -> None:
    """What one writes first, on a server of its own: the same tables, one session, UNWIND MERGE."""
    stores = EmbeddedStores(settings)
    with connect_graph(settings, stores.start(needs=[PRIMARY])) as driver:

        def serve() -> int:
            plan = build_load_plan("plain", read_tables(lake))
            load_plainly(driver, plan)
            return plan.n_rows

        (n_rows, cost), servers = measured_servers(stores, lambda: measured(serve))
    what = "lake to promoted: first load"
    tell("graph", what, cost, PACKAGES, "plain UNWIND client", n_rows=n_rows, **asdict(servers))


def with_changes(tables: Mapping[str, pa.Table], share: float) -> dict[str, pa.Table]:
    """The tables with the first of the names and amounts changed."""
    changed = dict(tables)
    for table, column in (("entities", "display_name"), ("transfers", "amount_minor")):
        values = tables[table][column].to_pylist()
        n = round(len(values) * share)
        values[:n] = [f"{value} New" if isinstance(value, str) else value + 1 for value in values[:n]]
        at = tables[table].schema.get_field_index(column)
        changed[table] = tables[table].set_column(at, column, pa.array(values))
    return changed


def write_tables(lake: Path, tables: Mapping[str, pa.Table]) -> None:
    """One Parquet file a table."""
    for name, table in tables.items():
        pq.write_table(table, lake / f"{name}.parquet")


def read_tables(lake: Path) -> dict[str, pa.Table]:
    """What `write_tables` wrote."""
    return {file.stem: pq.read_table(file) for file in sorted(lake.glob("*.parquet"))}


@contextmanager
def running(settings: Settings, *servers: str) -> Iterator[None]:
    """Servers of the graph, without documents."""
    stores = EmbeddedStores(settings)
    stores.start(needs=servers)
    try:
        yield
    finally:
        stores.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=200_000)
    parser.add_argument("--cache", type=Path, default=Path(".terag/cache"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            home=Path(folder) / "home", cache=given.cache.absolute(), mongo_uri="mongodb://127.0.0.1:9"
        )
        lake = Path(folder) / "lake"
        lake.mkdir()
        tables = tables_of(given.entities, n_transfers_each=TRANSFERS_EACH, dated=True)
        write_tables(lake, tables)
        bench_importer(settings, build_load_plan("one", tables), Path(folder) / "alone")
        with running(settings, PRIMARY):
            bench_plain_client(settings, lake)
        shutil.rmtree(settings.home)
        with running(settings, PRIMARY, STANDBY):
            bench_promotions(settings, lake, given.entities)


if __name__ == "__main__":
    main()
