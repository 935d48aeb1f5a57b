"""What every history of sampled calls must do; that MongoDB's tells nothing to whoever has no secret."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
from pymongo.database import Database

from resources.mongo_call_history import COLLECTION, MongoCallHistory
from terag_pipelines.errors import StoreUnavailableError
from terag_pipelines.security.field_encryption import FieldSeal
from terag_pipelines.tuning.ports import CallHistory, SampledCall, SeenCall
from tests.unit.tuning.memory_history import MemoryCallHistory

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
"""Of today: MongoDB forgets by its own clock."""
SEAL = FieldSeal(b"the secret of one installation, long enough")
OTHER = FieldSeal(b"the secret of another installation, as long")
QUERY = "MATCH (e:Entity) WHERE e.display_name = $name RETURN e"
NAME, IIN = "Айгерим Канаригизова", "870112400123"
Document = dict[str, Any]


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.stores)])
def history(request: pytest.FixtureRequest) -> CallHistory:
    if request.param == "memory":
        return MemoryCallHistory()
    return MongoCallHistory(request.getfixturevalue("documents"), SEAL)


def seen(minute: int, shape_id: str = "s", **parameters: object) -> SeenCall:
    return SeenCall(shape_id, SampledCall(QUERY, parameters), START + timedelta(minutes=minute))


def names(history: CallHistory, shape_id: str = "s") -> list[object]:
    return [call.parameters["name"] for call in history.calls().get(shape_id, ())]


def test_calls_come_back_as_they_were_the_last_seen_first(history: CallHistory) -> None:
    parameters = {
        "name": NAME,
        "iin": IIN,
        "n": 1,
        "share": 0.1,
        "is": True,
        "no": None,
        "at": START,
        "l": [1, "a"],
    }
    history.append([seen(0, name="first"), seen(2, **parameters), seen(1, "other", name="x")])
    told = history.calls()
    assert told == {
        "other": (SampledCall(QUERY, {"name": "x"}),),
        "s": (SampledCall(QUERY, parameters), SampledCall(QUERY, {"name": "first"})),
    }
    assert type(told["s"][0].parameters["is"]) is bool


def test_nothing_is_there_before_the_first(history: CallHistory) -> None:
    history.append([])
    assert history.calls() == {}


def test_the_same_call_is_there_once_at_its_last_time(history: CallHistory) -> None:
    history.append([seen(0, name="again"), seen(1, name="once")])
    history.append([seen(2, name="again")])
    history.append([seen(0, name="again")])
    assert names(history) == ["again", "once"]


def test_old_subjects_make_room_for_new_ones(history: CallHistory) -> None:
    for minute in range(12):
        history.append([seen(minute, name=f"n{minute}"), seen(minute, "other", name="x")])
    assert names(history) == [f"n{minute}" for minute in range(11, 3, -1)]
    assert names(history, "other") == ["x"]


def test_a_call_that_would_not_come_back_as_it_was_is_not_kept(history: CallHistory) -> None:
    history.append([seen(0, name=object()), seen(0, name=("a", "b")), seen(1, name="kept")])
    assert names(history) == ["kept"]


@pytest.mark.stores
def test_what_lies_in_mongodb_tells_neither_query_nor_parameters(documents: Database[Document]) -> None:
    MongoCallHistory(documents, SEAL).append([seen(0, name=NAME, iin=IIN)])
    (document,) = documents[COLLECTION].find()
    assert document.keys() == {"_id", "shape_id", "seen_at", "sealed"}
    raw = str(document).encode() + document["sealed"]
    for personal in (NAME.encode(), NAME.encode("unicode_escape"), IIN.encode(), b"display_name"):
        assert personal not in raw


@pytest.mark.stores
def test_what_was_swapped_changed_or_is_of_another_secret_is_left_out_and_counted(
    documents: Database[Document], caplog: pytest.LogCaptureFixture
) -> None:
    history, stored = MongoCallHistory(documents, SEAL), documents[COLLECTION]
    for n in range(5):
        history.append([seen(n, name=f"{NAME} {n}")])
    MongoCallHistory(documents, OTHER).append([seen(5, name=f"{NAME} of another")])
    by_age = list(stored.find({"seen_at": {"$lt": START + timedelta(minutes=5)}}).sort("seen_at"))
    ids = [document["_id"] for document in by_age]
    stored.update_one({"_id": ids[0]}, {"$set": {"sealed": by_age[1]["sealed"]}})  # swapped
    stored.update_one({"_id": ids[1]}, {"$set": {"sealed": by_age[0]["sealed"]}})
    changed = bytearray(by_age[2]["sealed"])
    changed[-1] ^= 1
    stored.update_one({"_id": ids[2]}, {"$set": {"sealed": bytes(changed)}})
    stored.update_one({"_id": ids[3]}, {"$unset": {"sealed": 1}})
    stored.insert_one({"_id": 7, "sealed": "text"})
    stored.insert_one({**by_age[4], "_id": ids[4].replace("s:", "t:")})  # as if another shape had asked it
    with caplog.at_level(logging.WARNING):
        assert names(history) == [f"{NAME} 4"]
        assert history.calls().keys() == {"s"}
    assert "7 sampled calls" in caplog.text
    assert "Канаригизова" not in caplog.text


@pytest.mark.stores
def test_what_was_changed_is_mended_when_it_is_seen_again(documents: Database[Document]) -> None:
    history = MongoCallHistory(documents, SEAL)
    history.append([seen(0, name=NAME)])
    documents[COLLECTION].update_one({}, {"$set": {"sealed": b"broken"}})
    history.append([seen(1, name=NAME)])
    assert names(history) == [NAME]


@pytest.mark.stores
def test_old_calls_are_forgotten_by_mongodb_itself(documents: Database[Document]) -> None:
    MongoCallHistory(documents, SEAL, kept_days=30).append([seen(0, name=NAME)])
    assert documents[COLLECTION].index_information()["forgotten"]["expireAfterSeconds"] == 30 * 24 * 3600


def test_a_history_that_is_not_there_is_unavailable_and_says_nothing_of_the_call() -> None:
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(
        "mongodb://127.0.0.1:9/?directConnection=true", serverSelectionTimeoutMS=200
    )
    with client:
        away = MongoCallHistory(client["x"], SEAL)
        with pytest.raises(StoreUnavailableError) as raised:
            away.append([seen(0, name=NAME)])
        with pytest.raises(StoreUnavailableError):
            away.calls()
    assert NAME not in str(raised.value)
