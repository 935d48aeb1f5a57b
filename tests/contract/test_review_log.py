"""What every review log must do, and what MongoDB must survive: many who decide at once, kill -9."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pymongo
import pytest
from pymongo.database import Database

from resources.mongo_reviews import MongoReviews
from resources.stores import connect_documents
from terag_pipelines.errors import (
    DecisionClashError,
    DecisionReusedError,
    NotFoundError,
    StoreUnavailableError,
)
from terag_pipelines.linking.decisions import (
    decide_pair,
    find_clashes,
    read_entry,
    standing_decisions,
    undo_decision,
    write_decision,
)
from terag_pipelines.linking.ports import ReviewEntry, ReviewLog
from terag_pipelines.tables import digest
from tests.conftest import RunningPair
from tests.unit.linking.memory_reviews import MemoryReviews

NOON = datetime(2026, 11, 3, 12, 0, 0, 123_457, tzinfo=UTC)
FORK = multiprocessing.get_context("forkserver")
Document = dict[str, Any]


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.stores)])
def log(request: pytest.FixtureRequest) -> ReviewLog:
    if request.param == "memory":
        return MemoryReviews()
    return MongoReviews(request.getfixturevalue("documents"))


def decision(number: str, is_match: bool = True, by: str = "Anna", right: str = "crm:2") -> ReviewEntry:
    return write_decision(number, ("people:1", right), is_match, by, NOON, f"note {number}")


def test_entries_come_back_as_they_were_to_the_microsecond(log: ReviewLog) -> None:
    stored = log.append(decision("1"))
    assert stored == replace(decision("1"), position=1)
    assert log.find("1") == stored
    assert [read_entry(row) for row in log.entries().to_pylist()] == [stored]


def test_an_empty_log_is_an_empty_table(log: ReviewLog) -> None:
    assert log.entries().num_rows == 0
    assert log.entries([]).num_rows == 0
    with pytest.raises(NotFoundError):
        log.find("1")


def test_an_entry_sent_again_later_is_stored_once(log: ReviewLog) -> None:
    stored = log.append(decision("1"))
    for seconds in range(20):
        assert log.append(replace(decision("1"), decided_at=NOON + timedelta(seconds=seconds))) == stored
    assert log.entries().num_rows == 1


@pytest.mark.parametrize(
    "other", [{"is_match": False}, {"by": "Bolat"}, {"right": "crm:3"}], ids=["outcome", "person", "pair"]
)
def test_an_id_of_another_decision_is_told_and_the_first_stays(log: ReviewLog, other: dict[str, Any]) -> None:
    stored = log.append(decision("1"))
    with pytest.raises(DecisionReusedError):
        log.append(decision("1", **other))
    assert log.find("1") == stored


def test_two_people_who_disagree_are_both_in_the_log_and_the_later_stands(log: ReviewLog) -> None:
    decide_pair(log, decision("1"))
    decide_pair(log, decision("2", is_match=False, by="Bolat"))
    assert log.entries()["decided_by"].to_pylist() == ["Anna", "Bolat"]
    [row] = standing_decisions(log.entries()).to_pylist()
    assert (row["is_match"], row["decided_by"], row["decided_at"]) == (False, "Bolat", NOON)
    undo_decision(log, "2", "Anna", NOON)
    undo_decision(log, "2", "Bolat", NOON)
    assert standing_decisions(log.entries())["decided_by"].to_pylist() == ["Anna"]
    assert log.entries().num_rows == 3


def test_the_entries_of_some_pairs_alone(log: ReviewLog) -> None:
    for number in range(5):
        log.append(decision(str(number), right=f"crm:{number}"))
    some = log.entries([("crm:1", "people:1"), ("crm:4", "people:1"), ("crm:9", "people:1")])
    assert some["decision_id"].to_pylist() == ["1", "4"]


def test_the_same_entries_are_the_same_table_whatever_their_order(log: ReviewLog) -> None:
    entries = [decision(str(number), right=f"crm:{number}") for number in range(6)]
    other = MemoryReviews()
    for entry in entries:
        log.append(entry)
    for entry in entries[::-1]:
        other.append(entry)
    assert digest(log.entries()) == digest(other.entries())


# MongoDB alone


@pytest.mark.stores
def test_of_those_who_decide_at_once_nobody_is_lost(documents: Database[Document]) -> None:
    logs = [MongoReviews(documents) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        stored = list(pool.map(lambda n: logs[n % 4].append(decision(str(n), n % 2 == 0)), range(60)))
    assert sorted(entry.position for entry in stored) == list(range(1, 61))
    assert logs[0].entries()["position"].to_pylist() == list(range(1, 61))


def test_an_undo_that_would_bring_back_a_contradiction_is_refused(log: ReviewLog) -> None:
    decide_pair(log, decision("1"))
    decide_pair(log, decision("2", is_match=False))
    decide_pair(log, decision("3", right="crm:3"))
    decide_pair(log, write_decision("4", ("crm:2", "crm:3"), False, "Anna", NOON))
    with pytest.raises(DecisionClashError, match="undo one of them first"):
        undo_decision(log, "2", "Anna", NOON)
    undo_decision(log, "4", "Anna", NOON)
    undo_decision(log, "2", "Anna", NOON)
    assert find_clashes(standing_decisions(log.entries())) == ()


@pytest.mark.stores
def test_people_who_decide_at_once_leave_no_contradiction(documents: Database[Document]) -> None:
    """Two pairs the same and the third different, each by another person at the same moment, many times."""
    logs = [MongoReviews(documents) for _ in range(3)]
    barrier, n_refused = Barrier(3), 0

    def decide(nth: int, side: int) -> bool:
        ends = [("a", "b"), ("b", "c"), ("a", "c")][side]
        pair = tuple(f"{end}:{nth}" for end in ends)
        entry = write_decision(f"{nth}-{side}", pair, side < 2, f"person {side}", NOON)
        barrier.wait()
        try:
            decide_pair(logs[side], entry)
        except DecisionClashError:
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        for nth in range(25):
            n_refused += [*pool.map(decide, [nth] * 3, range(3))].count(False)
    assert find_clashes(standing_decisions(logs[0].entries())) == ()
    assert (n_refused, logs[0].entries().num_rows) == (25, 50)


@pytest.mark.stores
def test_a_log_of_entries_without_a_place_goes_on(documents: Database[Document]) -> None:
    MongoReviews(documents).append(decision("1"))
    documents["review_entries"].update_many({}, {"$unset": {"place": ""}})
    for number in ("2", "3"):
        decide_pair(MongoReviews(documents), decision(number))
    assert MongoReviews(documents).entries()["position"].to_pylist() == [1, 2, 3]


@pytest.mark.stores
def test_one_entry_sent_by_many_at_once_is_stored_once(documents: Database[Document]) -> None:
    logs = [MongoReviews(documents) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        stored = list(pool.map(lambda n: logs[n % 4].append(decision("1")), range(60)))
    assert {entry.position for entry in stored} == {1}
    assert logs[0].entries().num_rows == 1


@pytest.mark.stores
def test_of_two_who_undo_at_once_one_decision_is_undone(documents: Database[Document]) -> None:
    log = MongoReviews(documents)
    for number in ("1", "2"):
        decide_pair(log, decision(number, by=f"person {number}"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: undo_decision(log, "2", f"person {n}", NOON), range(8)))
    assert standing_decisions(log.entries())["decided_by"].to_pylist() == ["person 1"]


@pytest.mark.stores
def test_only_record_ids_and_who_decided_are_kept(documents: Database[Document]) -> None:
    MongoReviews(documents).append(decision("1"))
    [kept] = documents["review_entries"].find()
    assert set(kept) == {
        "_id", "pair", "position", "place", "is_match", "undoes", "decided_by", "decided_at_us", "note"
    }  # fmt: skip
    assert kept["pair"] == {"left_id": "crm:2", "right_id": "people:1"}


@pytest.mark.stores
def test_entries_of_a_pair_are_found_by_an_index(documents: Database[Document]) -> None:
    MongoReviews(documents).append(decision("1"))
    query = {"pair": {"$in": [{"left_id": "crm:2", "right_id": "people:1"}]}}
    assert "IXSCAN" in str(documents["review_entries"].find(query).explain()["queryPlanner"]["winningPlan"])


def test_a_log_that_is_not_there_is_unavailable() -> None:
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(
        "mongodb://127.0.0.1:9/?directConnection=true", serverSelectionTimeoutMS=200
    )
    with client, pytest.raises(StoreUnavailableError):
        MongoReviews(client["x"]).append(decision("1"))


def _decide_until_killed(uri: str, database: str, start: int, acknowledged: Any) -> None:
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(uri)
    log = MongoReviews(client[database])
    for number in range(start, start + 100_000):
        log.append(decision(f"k{number}", is_match=number % 2 == 0))
        acknowledged.send(number)


@pytest.mark.stores
def test_what_was_acknowledged_before_a_kill_is_in_the_log(
    stores: RunningPair, documents: Database[Document]
) -> None:
    """A process that decides is killed at a random moment; the next goes on after the last number."""
    uri, rng = stores.addresses.mongo_uri.get_secret_value(), random.Random(5)
    told: set[str] = set()
    for k in range(3):
        receiver, sender = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_decide_until_killed, args=(uri, documents.name, 100_000 * k, sender))
        process.start()
        sender.close()
        told.add(f"k{receiver.recv()}")
        time.sleep(rng.uniform(0.02, 0.2))
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        told |= _told(receiver)
    entries = MongoReviews(documents).entries()
    assert told <= set(entries["decision_id"].to_pylist())
    assert entries["position"].to_pylist() == list(range(1, entries.num_rows + 1))


def _told(receiver: Any) -> set[str]:
    numbers: set[str] = set()
    try:
        while receiver.poll(0):
            numbers.add(f"k{receiver.recv()}")
    except EOFError:
        pass
    return numbers


@pytest.mark.stores
def test_a_second_connection_sees_what_the_first_wrote(
    stores: RunningPair, documents: Database[Document]
) -> None:
    MongoReviews(documents).append(decision("1"))
    other = connect_documents(stores.settings, stores.addresses)
    found = MongoReviews(other.client[documents.name]).entries()
    other.client.close()
    assert found["decision_id"].to_pylist() == ["1"]
