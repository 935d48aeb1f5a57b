"""What the service is asked reaches the next tuning through MongoDB, and nobody who reads MongoDB's disk."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import neo4j
import pytest
from pymongo.database import Database

from resources.mongo_call_history import MongoCallHistory
from resources.mongo_query_history import MongoQueryHistory
from resources.neo4j_graph import Neo4jGraph
from resources.open_graph import call_history, open_graph
from resources.query_recorder import QueryRecorder
from resources.secrets import sampled_calls_key
from terag_pipelines.graph.load_plan import build_load_plan
from terag_pipelines.security.field_encryption import FieldSeal
from terag_pipelines.tuning.autopilot import Autopilot
from terag_pipelines.tuning.policy import TuningParams
from terag_pipelines.tuning.slow_queries import SlowQueryParams
from tests.conftest import RunningPair
from tests.contract.graphs import emptied, graph_of, tables_of

pytestmark = pytest.mark.stores

ASKED_ONCE = TuningParams(
    slow=SlowQueryParams(slow_ms=0.0, min_calls=3), n_repeats=1, latency_noise_ms=1_000.0
)
BY_NAME = "MATCH (e:Entity) WHERE e.display_name = $name AND $iin <> '' RETURN e.entity_id"
Document = dict[str, Any]


class Silence:
    """The run asks nothing by itself."""

    def ask(self, store: object) -> None:
        """Nothing."""


@pytest.fixture
def loaded(stores: RunningPair, graph_driver: neo4j.Driver, tmp_path: Path) -> Iterator[Path]:
    with emptied(graph_driver, stores.settings.home):
        graph = graph_of(graph_driver, tmp_path)
        graph.load(build_load_plan("asked", tables_of(2_000)))
        graph.promote("asked")
        yield tmp_path


def ask(graph: Neo4jGraph, *subjects: tuple[str, str]) -> None:
    for name, iin in subjects:
        graph.index_lab._sessions.read(BY_NAME, name=name, iin=iin)  # as the store's own queries are asked


def test_what_only_the_service_asks_is_tuned_by_another_process(
    stores: RunningPair, graph_driver: neo4j.Driver, loaded: Path, documents: Database[Document]
) -> None:
    service = graph_of(graph_driver, loaded)
    histories = (MongoQueryHistory(documents), MongoCallHistory(documents, seal_of(stores)))
    recorder = QueryRecorder(service.observed, histories[0], calls=histories[1])
    ask(service, *((f"Family{n} Given{n}", "870112400123") for n in range(5)))
    assert recorder.record()

    batch = graph_of(graph_driver, loaded)  # its own observer: it has seen none of that
    windows, calls = (
        MongoQueryHistory(documents).windows(),
        MongoCallHistory(documents, seal_of(stores)).calls(),
    )
    tuned = Autopilot(ASKED_ONCE).run(batch, Silence(), datetime.now(UTC), windows, calls)
    rows = {row["trial_id"]: row for row in tuned.trials.to_pylist()}
    kept = rows["terag_auto_entity_display_name"]
    assert kept["decision"] == "kept"
    assert kept["db_hits_after"] < kept["db_hits_before"] / 10
    assert [row["n_calls"] for row in tuned.slow.to_pylist() if "display_name" in row["query"]] == [5]


def test_a_name_that_the_service_was_asked_for_is_in_no_file_and_no_log(
    stores: RunningPair, documents: Database[Document], caplog: pytest.LogCaptureFixture
) -> None:
    """MongoDB compresses what it writes, so what was written in clear shows that the search would find it."""
    name, iin, in_clear = (f"{word}{secrets.token_hex(12)}" for word in ("Kanareikina", "8701", "Open"))
    begun = datetime.now(UTC)
    with caplog.at_level(logging.DEBUG), open_graph(stores.settings) as graph:
        graph.find_by_name(name)
        graph.find_entity(iin)
    kept = [
        call for calls in call_history(stores.settings, stores.addresses).calls().values() for call in calls
    ]
    assert {name, iin} <= {value for call in kept for value in call.parameters.values()}
    documents["in_clear"].insert_one({"text": in_clear, "at": begun})
    documents.client.admin.command("fsync")

    files = files_but_the_graphs_own(stores.settings.home / "stores")
    assert holding(in_clear, files)
    for canary in (name, iin):
        assert holding(canary, files) == []
        assert canary not in "".join(r.getMessage() for r in caplog.records if not r.name.startswith("neo4j"))


def test_the_secret_is_the_owners_own(stores: RunningPair) -> None:
    sampled_calls_key(stores.settings)
    path = stores.settings.home / "secrets" / "sampled-calls-key"
    assert path.stat().st_mode & 0o077 == 0


def seal_of(stores: RunningPair) -> FieldSeal:
    return FieldSeal(sampled_calls_key(stores.settings))


def files_but_the_graphs_own(folder: Path) -> list[Path]:
    """MongoDB's data and the logs of all stores."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if not path.relative_to(folder).parts[0].startswith("neo4j")]


def holding(text: str, files: list[Path]) -> list[Path]:
    """Files of the running store come and go."""
    return [path for path in files if path.exists() and text.encode() in path.read_bytes()]
