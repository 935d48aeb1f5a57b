"""What the graph's contract tests share: plans of a size, payloads, and the graph emptied for one test."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import neo4j
import numpy as np
import pyarrow as pa

from resources.graph_manifests import FolderManifests
from resources.neo4j_graph import Neo4jGraph
from resources.neo4j_loads import OnChunk
from resources.query_observer import QueryObserver
from terag_pipelines.entities.model import ACCOUNTS, ENTITY_RECORDS, TRANSFERS
from terag_pipelines.graph.load_plan import LoadPlan, build_load_plan
from terag_pipelines.graph.model import EDGES, NODES
from terag_pipelines.linking.model import ENTITIES, ENTITY_MEMBERS

Given = TypeVar("Given")


def at_once(tasks: Sequence[Callable[[], Given]]) -> list[Given]:
    """What the tasks give, each in a thread of its own."""
    with ThreadPoolExecutor(len(tasks)) as pool:
        return [future.result() for future in [pool.submit(task) for task in tasks]]


@contextmanager
def emptied(driver: neo4j.Driver, lock_folder: Path) -> Iterator[None]:
    """Alone on an empty graph, also among test workers: Community has one database, one promoted batch."""
    with (lock_folder / "graph-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        empty(driver)
        yield
        empty(driver)


def empty(driver: neo4j.Driver) -> None:
    """Takes away all nodes and the indexes that tuning made."""
    with driver.session() as session:
        session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS").consume()
        for row in list(
            session.run("SHOW INDEXES YIELD name WHERE name STARTS WITH 'terag_auto_' RETURN name")
        ):
            session.run(f"DROP INDEX {row['name']} IF EXISTS").consume()


def tables_of(
    n_entities: int,
    seed: int = 7,
    names: list[str] | None = None,
    n_transfers_each: int = 4,
    *,
    dated: bool = False,
) -> dict[str, pa.Table]:
    """Entities of one record and one account each; phones shared by two or three, a few transfers each.

    `dated`: transfers have the instant at which they were made, within one year.
    """
    n_transfers = n_transfers_each * n_entities
    random = np.random.default_rng(seed)
    number = [f"{n:06d}" for n in range(n_entities)]
    records, entities = [f"people:{n}" for n in number], [f"ent_{n}" for n in number]
    display = names or [f"Family{n % 997} Given{n % 13}" for n in range(n_entities)]
    pays = random.integers(0, n_entities, (2, n_transfers))
    return {
        "entity_records": ENTITY_RECORDS.from_columns(
            record_id=records,
            dataset=["people"] * n_entities,
            display_name=display,
            phones=[[f"+7701{p:07d}"] for p in random.integers(0, max(1, n_entities // 2), n_entities)],
        ),
        "entities": ENTITIES.from_columns(
            entity_id=entities,
            party_type=["person"] * n_entities,
            display_name=display,
            n_records=[1] * n_entities,
        ),
        "entity_members": ENTITY_MEMBERS.from_columns(record_id=records, entity_id=entities),
        "accounts": ACCOUNTS.from_columns(
            account_id=[f"acc{n}" for n in number],
            record_id=records,
            bank=["OWN" if n % 4 else "OTHER" for n in range(n_entities)],
            currency=["KZT"] * n_entities,
        ),
        "transfers": TRANSFERS.from_columns(
            transfer_id=[f"t{n:07d}" for n in range(n_transfers)],
            source_account=[f"acc{n:06d}" for n in pays[0]],
            target_account=[f"acc{n:06d}" for n in pays[1]],
            amount_minor=random.integers(1, 10_000_000, n_transfers),
            currency=["KZT"] * n_transfers,
            **({"occurred_at": _instants(random, n_transfers)} if dated else {}),
        ),
    }


def _instants(random: np.random.Generator, n: int) -> pa.Array:
    first_ms, year_ms = 1_735_689_600_000, 365 * 86_400_000  # of 2025
    milliseconds = first_ms + random.integers(0, year_ms, n)
    return pa.array(1_000 * milliseconds, pa.int64()).cast(pa.timestamp("us", "UTC"))


def changed_tables(n_entities: int) -> dict[str, pa.Table]:
    """`tables_of` with one entity named otherwise and one transfer of another amount."""
    tables = tables_of(n_entities)
    names = tables["entities"]["display_name"].to_pylist()
    names[7] = "Renamed"
    amounts = tables["transfers"]["amount_minor"].to_pylist()
    amounts[0] += 1
    for table, column, values in (
        ("entities", "display_name", names),
        ("transfers", "amount_minor", amounts),
    ):
        at = tables[table].schema.get_field_index(column)
        tables[table] = tables[table].set_column(at, column, pa.array(values))
    return tables


def graph_of(driver: neo4j.Driver, folder: Path, on_chunk: OnChunk | None = None) -> Neo4jGraph:
    """The graph store over a driver, its manifests below a folder."""
    manifests = FolderManifests(folder / "manifests")
    watched = {} if on_chunk is None else {"on_chunk": on_chunk}
    return Neo4jGraph(driver, "neo4j", QueryObserver(), manifests, **watched)


def plan_of(batch_id: str, n_entities: int, seed: int = 7) -> LoadPlan:
    """The plan of `tables_of`."""
    return build_load_plan(batch_id, tables_of(n_entities, seed))


def n_nodes(driver: neo4j.Driver) -> int:
    """All nodes but the bookkeeping ones."""
    return int(driver.execute_query("MATCH (n) WHERE NOT n:LoadPointer RETURN count(n) AS n")[0][0]["n"])


def duplicates_in(graph: Neo4jGraph, load: int) -> dict[str, int]:
    """How many nodes of a load share an id, and relationships their ends and identity; nothing where none."""
    holds = "x.valid_from <= $load AND $load < x.valid_to"
    counts = "count(*) AS n WHERE n > 1 RETURN count(*) AS n"
    queries = {
        spec.label: f"MATCH (x:{spec.label}) WHERE {holds} WITH x.{spec.id_column} AS id, {counts}"
        for spec in NODES
    }
    for spec in EDGES:
        identity = "".join(f", x.{name} AS {name}" for name in spec.identity)
        match = f"MATCH (a)-[x:{spec.type}]->(b) WHERE {holds}"
        queries[spec.type] = f"{match} WITH a.key AS start, b.key AS end{identity}, {counts}"
    found = {name: graph._sessions.read(query, load=load)[0]["n"] for name, query in queries.items()}
    return {name: n for name, n in found.items() if n}


def hostile_payloads(n_payloads: int, seed: int = 29) -> list[str]:
    """Texts that would do harm if they were ever read as Cypher: seeds, and mixtures of them."""
    seeds = [
        "' OR 1=1 //",
        "'}) DETACH DELETE n //",
        '"}) MATCH (x) DETACH DELETE x WITH 1 AS a MATCH (b) RETURN b //',
        "\\u0027}) DETACH DELETE n //",
        "`) DETACH DELETE n //",
        "\\u0060) MATCH (n) DETACH DELETE n //",
        "$batch_id",
        "{prefix}",
        "${rows}",
        "*/ MATCH (n) DETACH DELETE n /*",
        "'; CALL dbms.components(); //",
        "' + toString(1) + '",
        "x' UNION MATCH (n) RETURN n //",
        "\u2019 OR true",
        "a\x00b",
        "\r\nMATCH (n) DETACH DELETE n",
        "%27%7D%29",
        ":LoadPointer {name:'promoted'}",
        "\U0001f4a3\u202e",
        "𝒜" * 300,
    ]
    random = np.random.default_rng(seed)
    mixed = [
        "".join(seeds[int(i)] for i in random.integers(0, len(seeds), 3)) + str(n)
        for n in range(max(0, n_payloads - len(seeds)))
    ]
    return (seeds + mixed)[:n_payloads]
