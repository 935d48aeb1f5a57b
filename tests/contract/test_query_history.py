"""What every history of queries must do, and what MongoDB's must besides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
from pymongo.database import Database

from resources.mongo_query_history import MongoQueryHistory
from resources.query_observer import QueryObserver
from resources.query_recorder import QueryRecorder
from terag_pipelines.errors import StoreUnavailableError
from terag_pipelines.tuning.model import QUERY_WINDOWS
from terag_pipelines.tuning.ports import QueryHistory
from tests.unit.tuning.memory_history import MemoryQueryHistory

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
Document = dict[str, Any]


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.stores)])
def history(request: pytest.FixtureRequest) -> QueryHistory:
    if request.param == "memory":
        return MemoryQueryHistory()
    return MongoQueryHistory(request.getfixturevalue("documents"))


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
