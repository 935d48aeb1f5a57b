"""What every history of queries must do, and what MongoDB's must besides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
from pymongo.database import Database

from resources.embedded import EmbeddedStores
from resources.mongo_query_history import MongoQueryHistory
from resources.open_graph import open_graph, query_history
from resources.query_observer import QueryObserver
from resources.query_recorder import QueryRecorder
from resources.settings import load_settings
from terag_pipelines.errors import StoreUnavailableError
from terag_pipelines.tuning.model import QUERY_WINDOWS
from terag_pipelines.tuning.ports import QueryHistory
from tests.conftest import RunningPair
from tests.contract.lately import LATE_NOON
from tests.unit.tuning.memory_history import MemoryQueryHistory

NOON = LATE_NOON
MINUTE = timedelta(minutes=1)
Document = dict[str, Any]


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.stores)])
def history(request: pytest.FixtureRequest) -> QueryHistory:
    if request.param == "memory":
        return MemoryQueryHistory()
    return MongoQueryHistory(request.getfixturevalue("documents"))


@pytest.mark.stores
def test_what_is_asked_of_an_open_graph_is_recorded(stores: RunningPair) -> None:
    history = query_history(stores.settings, stores.addresses)
    begun = datetime.now(UTC)
    with open_graph(stores.settings) as graph:
        graph.find_entity("nobody that is there")
    told = history.windows(since=begun).to_pylist()
    assert [row["n_calls"] for row in told if "HAS_IDENTIFIER" in row["query"]] == [1]
    assert not any("nobody" in str(row) for row in told)


@pytest.mark.stores
def test_a_graph_is_open_while_the_history_is_away(
    stores: RunningPair, caplog: pytest.LogCaptureFixture
) -> None:
    given = stores.addresses
    away = load_settings(
        home=stores.settings.home,
        mongo_uri="mongodb://127.0.0.1:9",
        neo4j_uri=given.neo4j_uri,
        neo4j_password=given.neo4j_password,
    )
    with open_graph(away) as graph:
        assert graph.find_entity("nobody that is there") is None
    assert "observed queries wait" in caplog.text
    with pytest.raises(StoreUnavailableError):
        query_history(away, EmbeddedStores(away).known_addresses()).windows()


def window(nth: int, n_calls: int = 3, observer_id: str = "o") -> Any:
    observer = QueryObserver()
    for n in range(n_calls):
        observer.run("MATCH (n) RETURN $n", {"n": n}, list)
    return observer.close_window(observer_id, NOON + nth * MINUTE, NOON + (nth + 1) * MINUTE)


def test_windows_come_back_as_they_were(history: QueryHistory) -> None:
    assert history.windows().equals(QUERY_WINDOWS.empty())
    first, second = window(0), window(1)
    history.append(second)
    history.append(first)
    assert history.windows().slice(0, 1).equals(first)
    assert history.windows(NOON + 2 * MINUTE).equals(second)


def test_a_window_sent_twice_is_stored_once(history: QueryHistory) -> None:
    history.append(window(0, 3))
    history.append(window(0, 9))
    history.append(window(0, 4, "another"))
    assert history.windows()["n_calls"].to_pylist() == [4, 3]


@pytest.mark.stores
def test_old_windows_are_forgotten_by_mongodb_itself(documents: Database[Document]) -> None:
    MongoQueryHistory(documents, kept_days=30).append(window(0))
    kept = documents["query_windows"].index_information()["forgotten"]
    assert kept["expireAfterSeconds"] == 30 * 24 * 3600


def test_a_history_that_is_not_there_is_unavailable_and_the_recorder_goes_on() -> None:
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(
        "mongodb://127.0.0.1:9/?directConnection=true", serverSelectionTimeoutMS=200
    )
    with client:
        away = MongoQueryHistory(client["x"])
        with pytest.raises(StoreUnavailableError):
            away.append(window(0))
        observer = QueryObserver()
        recorder = QueryRecorder(observer, away)
        observer.run("RETURN 1", {}, list)
        assert not recorder.record()
        assert recorder.state.n_pending_windows == 1
