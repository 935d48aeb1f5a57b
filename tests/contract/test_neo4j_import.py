"""Neo4j's offline importer, run for real: what is stored is what came, and what cannot be stored is said."""

from __future__ import annotations

import resource
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import neo4j
import numpy as np
import pyarrow as pa
import pytest

from resources.embedded import PRIMARY, EmbeddedStores
from resources.embedded_neo4j import EmbeddedNeo4j
from resources.neo4j_import import OfflineImporter, end_import
from resources.processes import find_processes
from resources.settings import NEO4J_RELEASES, Settings, load_settings
from resources.store_state import NEO4J, StoreFolder
from resources.stores import connect_graph
from terag_pipelines.errors import EmbeddedStoreError, StorageFullError, StoreError
from terag_pipelines.graph.model import ACCOUNT, ENDS, RECORD, TRANSFERRED
from tests.contract.graphs import hostile_payloads

pytestmark = pytest.mark.stores

HOSTILE = [
    "",
    " ",
    " leading and trailing ",
    "\t",
    "a,b;c|d",
    '"',
    '""',
    'say "yes"',
    "'",
    "back\\slash",
    "\\",
    '\\"',
    "line\nbreak",
    "line\r\nbreak",
    "line\rbreak",
    "\n",
    "007",
    "1e5",
    "-0",
    "true",
    "null",
    "NaN",
    "2024-01-01",
    ":ID",
    "a\x00b",
    "a\x1a\x0b\x85\u2028b",
    "\ufeffa",
    "a\uffffb",
    "\ufffe",
    "Әлия Қасымқызы",
    "e\u0301",
    "\U0001f4a3\u202e",
    "x" * 5_000,
    *hostile_payloads(200),
]
OPEN_END = 1 << 62
NUMBERS = [0, 1, -1, 2**63 - 1, -(2**63)]
DOUBLES = [0.1, 5e-324, 1.7976931348623157e308, float("inf"), None]


def importer_of(settings: Settings) -> OfflineImporter:
    return OfflineImporter.of(EmbeddedNeo4j(StoreFolder(settings.stores_folder), settings))


def nodes_of(texts: list[str]) -> dict[str, pa.Table]:
    """An account and a record for each text, as its key and as a property."""
    n = len(texts)
    keys = [f"{i}:{text}" for i, text in enumerate(texts)]
    interval = {
        "row_hash": pa.array(range(n)),
        "valid_from": pa.array([1] * n),
        "valid_to": pa.array([OPEN_END] * n),
    }
    account = {"key": keys, "account_id": texts, "bank": [text or None for text in texts], "currency": texts}
    is_outside = [(True, False, None)[i % 3] for i in range(n)]
    record = {"key": keys, "record_id": texts, "dataset": texts, "display_name": texts, "party_type": texts}
    return {
        ACCOUNT.label: pa.table({**account, "is_outside": is_outside, **interval}),
        RECORD.label: pa.table({**record, **interval}),
    }


def edges_of(nodes: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """From each account to the one before it."""
    n = nodes[ACCOUNT.label].num_rows

    def cycled(values: list[object], kind: pa.DataType) -> pa.Array:
        return pa.array([values[i % len(values)] for i in range(n)], kind)

    return {
        TRANSFERRED.type: pa.table(
            {
                "start_row": pa.array(range(n), pa.int32()),
                "end_row": pa.array([n - 1, *range(n - 1)], pa.int32()),
                "currency": nodes[ACCOUNT.label]["account_id"],
                "n_transfers": cycled([1, None], pa.int64()),
                "amount_minor": cycled(list(NUMBERS), pa.int64()),
                "first_at_ms": cycled([-62135596800000, 253402300799999, None], pa.int64()),
                "share": cycled(list(DOUBLES), pa.float64()),
                "row_hash": pa.array(range(n)),
            }
        )
    }


def shuffled(table: pa.Table) -> pa.Table:
    return table.take(pa.array(np.random.default_rng(5).permutation(table.num_rows)))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home, with (signs)"
    EmbeddedStores(load_settings(home=tmp_path / "home, with (signs)")).stop()


def settings_of(home: Path, cache: Path, release: str) -> Settings:
    return load_settings(home=home, cache=cache, neo4j_release=release, neo4j_import_mb=768)


def start(settings: Settings) -> neo4j.Driver:
    return connect_graph(settings, EmbeddedStores(settings).start(needs=[PRIMARY]))


@pytest.mark.parametrize("release", NEO4J_RELEASES)
def test_every_value_comes_back_as_it_came(home: Path, cache_folder: Path, release: str) -> None:
    settings = settings_of(home, cache_folder, release)
    nodes = nodes_of(HOSTILE)
    edges = {kind: shuffled(table) for kind, table in edges_of(nodes).items()}
    store = settings.stores_folder / NEO4J
    outcome = importer_of(settings).build(store, nodes, edges)
    assert (outcome.n_nodes, outcome.n_edges) == (2 * len(HOSTILE), len(HOSTILE))
    assert not (store / "import").exists()
    with start(settings) as driver:
        for label, table in nodes.items():
            found = driver.execute_query(f"MATCH (n:{label}) RETURN properties(n) AS row").records
            assert by_hash([row["row"] for row in found]) == by_hash(without_nulls(table))
        assert_edges_equal(driver, nodes, edges[TRANSFERRED.type])
        driver.execute_query("CREATE CONSTRAINT FOR (n:Account) REQUIRE n.key IS UNIQUE")
        driver.execute_query("CALL db.awaitIndexes()")
        states = driver.execute_query("SHOW INDEXES YIELD state RETURN collect(DISTINCT state) AS s").records
        assert states[0]["s"] == ["ONLINE"]


def by_hash(rows: list[dict[str, object]]) -> dict[object, dict[str, object]]:
    assert len({row["row_hash"] for row in rows}) == len(rows)
    return {row["row_hash"]: row for row in rows}


def without_nulls(table: pa.Table) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]


def assert_edges_equal(driver: neo4j.Driver, nodes: dict[str, pa.Table], edges: pa.Table) -> None:
    """Ends and properties."""
    query = """MATCH (a:Account)-[r:TRANSFERRED]->(b:Account)
        RETURN a.key AS start_key, b.key AS end_key, properties(r) AS found"""
    read = [
        {"start_key": row["start_key"], "end_key": row["end_key"], **row["found"]}
        for row in driver.execute_query(query).records
    ]
    keys = nodes[ACCOUNT.label]["key"]
    sent = [
        {"start_key": keys[row["start_row"]].as_py(), "end_key": keys[row["end_row"]].as_py()}
        | without(row, ENDS)
        for row in without_nulls(edges)
    ]
    assert by_hash(read) == by_hash(sent)


def without(row: dict[str, object], names: tuple[str, ...]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name not in names}


def small_graph() -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    nodes = nodes_of(["Aigerim-in-nobodys-log", "b", "c"])
    return nodes, edges_of(nodes)


def test_rows_that_are_no_graph_are_refused_before_anything_is_written(
    home: Path, cache_folder: Path
) -> None:
    importer = importer_of(settings_of(home, cache_folder, NEO4J_RELEASES[0]))
    nodes, edges = small_graph()
    twice = {**nodes, "Account": pa.concat_tables([nodes["Account"], nodes["Account"].slice(0, 1)])}
    keyless = {**nodes, "Record": pa.table({"key": pa.nulls(1, pa.string())})}
    without_one = {**nodes, "Account": nodes["Account"].slice(1)}
    lists = {**nodes, "Record": pa.table({"key": ["k"], "list": [["a"]]})}
    wrong = {
        "a node of Account has no key, or one": (twice, edges),
        "a node of Record has no key, or one": (keyless, edges),
        "TRANSFERRED has an end that is not among the nodes of Account": (without_one, edges),
        "the column list is of a type": (lists, edges),
    }
    for message, (some_nodes, some_edges) in wrong.items():
        with pytest.raises(StoreError, match=message):
            importer.build(home / "store", some_nodes, some_edges)
        assert list((home / "store").iterdir()) == []


def test_a_graph_without_rows_is_an_empty_home(home: Path, cache_folder: Path) -> None:
    importer = importer_of(settings_of(home, cache_folder, NEO4J_RELEASES[0]))
    nodes, edges = ({name: table.slice(0, 0) for name, table in tables.items()} for tables in small_graph())
    outcome = importer.build(home / "store", nodes, edges)
    assert (outcome.n_nodes, outcome.n_edges) == (0, 0)
    assert list((home / "store").iterdir()) == []


@pytest.mark.parametrize("limit", [100, 50_000])
def test_a_full_disk_is_said_and_no_row_is_left_behind(home: Path, cache_folder: Path, limit: int) -> None:
    """Of our files, and of the importer's: a limit to the size of files stands for a disk that is full."""
    importer = importer_of(settings_of(home, cache_folder, NEO4J_RELEASES[0]))
    nodes, edges = small_graph()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(StorageFullError, match="full: the graph could not be imported"):
            importer.build(home / "store", nodes, edges)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (home / "store" / "import").exists()


def test_an_importer_that_is_killed_is_said_and_its_rows_are_the_owners(
    home: Path, cache_folder: Path
) -> None:
    importer = importer_of(settings_of(home, cache_folder, NEO4J_RELEASES[0]))
    store, seen = home / "store", {}

    def kill() -> None:
        while not find_processes(f"-Dterag.import={store}"):
            time.sleep(0.01)
        scratch = store / "import"
        seen.update(
            {path.name: stat.S_IMODE(path.stat().st_mode) for path in [scratch, *scratch.glob("*.csv")]}
        )
        end_import(store)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(EmbeddedStoreError, match=r"importer (was killed|failed)"):
        importer.build(store, *small_graph())
    killer.join()
    assert seen == {"import": 0o700, "Account.csv": 0o600, "Record.csv": 0o600, "TRANSFERRED.csv": 0o600}
    assert not (store / "import").exists()


def test_a_java_that_is_none_is_said_without_a_row(home: Path, cache_folder: Path, tmp_path: Path) -> None:
    importer = importer_of(settings_of(home, cache_folder, NEO4J_RELEASES[0]))
    java = tmp_path / "java"
    java.write_text(
        '#!/bin/sh\ncat ./*.csv\necho "java.lang.UnsupportedClassVersionError: Aigerim"\nexit 1\n'
    )
    java.chmod(0o700)
    with pytest.raises(EmbeddedStoreError, match=r"failed \(UnsupportedClassVersionError\)") as caught:
        replace(importer, java=replace(importer.java, java=java)).build(home / "store", *small_graph())
    assert "Aigerim" not in str(caught.value)
    missing = replace(importer, java=replace(importer.java, java=tmp_path / "none"))
    with pytest.raises(EmbeddedStoreError, match="could not be started: there is no such program"):
        missing.build(home / "store", *small_graph())
