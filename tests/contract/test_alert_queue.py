"""What every alert queue and outbox must do, and what MongoDB must survive: many at once, leases, kill -9."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pymongo
import pytest
from pymongo.database import Database

from resources.mongo_alerts import MongoAlerts
from resources.stores import connect_documents
from terag_pipelines.errors import AlertRaceError, NotFoundError, StoreUnavailableError
from terag_pipelines.rings.alert_desk import AlertDesk
from terag_pipelines.rings.alert_model import LIVE_STATES, Change, Finding, Sighting, first_sight
from terag_pipelines.rings.alert_ports import UNASSIGNED, Claim
from terag_pipelines.rings.alerts import identify_alert
from tests.conftest import RunningPair
from tests.contract.lately import LATE_NOON
from tests.unit.rings.memory_alerts import MemoryAlerts

NOON = LATE_NOON.replace(microsecond=123_000)
FORK = multiprocessing.get_context("forkserver")
Document = dict[str, Any]
Queue = MongoAlerts | MemoryAlerts


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.stores)])
def queue(request: pytest.FixtureRequest) -> Queue:
    if request.param == "memory":
        return MemoryAlerts()
    return MongoAlerts(request.getfixturevalue("documents"))


def finding(ring_id: str, severity: str = "high", n_members: int = 5, **more: Any) -> Finding:
    amounts = more.pop("amounts", {"KZT": 1_000_000, "a.b$": 7})
    return Finding(ring_id, Sighting(severity, n_members, amounts=amounts, rules=("amount", "risk"), **more))


def desk_of(queue: Queue, *channels: str) -> AlertDesk:
    return AlertDesk(queue, channels or ("telegram",))


def drained(queue: Queue, channel: str = "telegram") -> list[Claim]:
    claims = []
    while (claim := queue.claim(channel, 60.0)) is not None:
        assert queue.settle(claim)
        claims.append(claim)
    return claims


def test_an_alert_comes_back_as_it_was_stored(queue: Queue) -> None:
    desk = desk_of(queue)
    assert desk.offer([finding("r1"), finding("r2")], NOON) == 2
    taken = desk.acknowledge(identify_alert("r1"), "Anna", NOON + timedelta(hours=1))
    desk.snooze(identify_alert("r2"), 3, NOON, "Bolat")
    assert queue.find(taken.alert_id) == taken
    assert (taken.state, taken.owner, taken.seen, taken.version) == (
        "acknowledged", "Anna", finding("r1").sighting, 2,
    )  # fmt: skip
    assert queue.of_rings(["r1", "r9"]) == {"r1": taken}
    assert [one.state for one in queue.in_states(["snoozed"])] == ["snoozed"]
    assert {one.ring_id for one in queue.in_states(LIVE_STATES)} == {"r1", "r2"}
    with pytest.raises(NotFoundError):
        queue.find("alert_0")


def test_a_message_comes_out_as_it_was_written(queue: Queue) -> None:
    desk_of(queue).offer([finding("r1")], NOON)
    claim = queue.claim("telegram", 60.0)
    assert claim is not None
    alert = queue.find(identify_alert("r1"))
    assert claim.message.sighting == finding("r1").sighting
    assert (claim.message.alert_id, claim.message.news, claim.message.created_at) == (
        alert.alert_id, ("rule",), NOON,
    )  # fmt: skip
    assert (claim.fence, claim.n_faults, claim.n_attempts) == (1, 0, 1)


def test_of_two_who_write_over_one_version_the_second_writes_nothing(queue: Queue) -> None:
    desk_of(queue).offer([finding("r1")], NOON)
    read = queue.find(identify_alert("r1"))
    queue.store([Change(replace(read, owner="Anna"))], ["telegram"])
    beside = Change(first_sight(finding("r2")))
    with pytest.raises(AlertRaceError):
        queue.store([beside, Change(replace(read, owner="Bolat"))], ["telegram"])
    assert queue.find(read.alert_id).owner == "Anna"
    assert queue.of_rings(["r2"]) == {}


def test_a_new_ring_is_written_once(queue: Queue) -> None:
    queue.store([Change(first_sight(finding("r1")))], ["telegram"])
    with pytest.raises(AlertRaceError):
        queue.store([Change(first_sight(finding("r1")))], ["telegram"])


def test_messages_are_sent_in_order_and_each_once(queue: Queue) -> None:
    desk = desk_of(queue)
    for day in range(3):
        now = NOON + timedelta(days=day)
        desk.offer([finding(f"r{n}", n_members=5 * 2**day) for n in range(4)], now)
    claims = drained(queue)
    order = [(claim.message.created_at, claim.message.message_id) for claim in claims]
    assert (len(set(order)), order) == (12, sorted(order))
    assert queue.backlogs() == []


def test_each_channel_has_messages_of_its_own(queue: Queue) -> None:
    desk_of(queue, "mail", "telegram").offer([finding("r1")], NOON)
    assert len(drained(queue, "mail")) == 1
    [left] = queue.backlogs()
    assert (left.channel, left.n_pending, left.oldest_at, left.last_failure) == ("telegram", 1, NOON, None)


def test_what_was_written_without_a_sender_waits_for_one(queue: Queue) -> None:
    AlertDesk(queue).offer([finding("r1"), finding("r2")], NOON)
    assert [one.channel for one in queue.backlogs()] == [UNASSIGNED]
    assert queue.assign([]) == 0
    assert queue.assign(["mail", "telegram"]) == 2
    assert queue.assign(["mail", "telegram"]) == 0
    assert [len(drained(queue, channel)) for channel in ("mail", "telegram", UNASSIGNED)] == [2, 2, 0]


def test_a_message_is_held_by_one_sender_until_its_lease_ends(queue: Queue) -> None:
    desk_of(queue).offer([finding("r1")], NOON)
    first = queue.claim("telegram", 0.3)
    assert first is not None
    assert queue.claim("telegram", 60.0) is None
    time.sleep(0.35)
    second = queue.claim("telegram", 60.0)
    assert second is not None
    assert (second.message, second.fence, second.n_faults) == (first.message, 2, 1)
    assert not queue.settle(first)
    assert not queue.put_back(first, 0.0, "late", may_be_sent=True)
    assert queue.settle(second)
    assert not queue.settle(second)
    assert queue.claim("telegram", 60.0) is None


def test_what_is_put_back_remembers_why_and_holds_its_channel(queue: Queue) -> None:
    desk_of(queue, "mail", "telegram").offer([finding("r1"), finding("r2")], NOON)
    claim = queue.claim("telegram", 60.0)
    assert claim is not None
    assert queue.put_back(claim, 0.4, "$asked to wait", may_be_sent=False)
    assert queue.claim("telegram", 60.0) is None
    assert queue.claim("mail", 60.0) is not None
    assert 0 < queue.take_turn("telegram", 0.0, 0.0) <= 0.4
    assert {one.channel: one.last_failure for one in queue.backlogs()}["telegram"] == "$asked to wait"
    time.sleep(0.45)
    again = queue.claim("telegram", 60.0)
    assert again is not None
    assert (again.message, again.n_faults, again.n_attempts) == (claim.message, 0, 2)
    assert queue.put_back(again, 0.0, "lost", may_be_sent=True)
    third = queue.claim("telegram", 60.0)
    assert third is not None
    assert third.n_faults == 1


def test_what_is_refused_waits_behind_all_others(queue: Queue) -> None:
    desk_of(queue).offer([finding(f"r{n}") for n in range(3)], NOON)
    order = []
    for _ in range(5):
        claim = queue.claim("telegram", 60.0)
        assert claim is not None
        order.append(claim.message.message_id)
        queue.put_back(claim, 0.0, "refused", may_be_sent=False, to_the_end=True)
        time.sleep(0.01)
    assert order == [*sorted(order[:3]), *order[:2]]
    desk_of(queue).offer([finding("r9")], NOON + timedelta(days=1))
    claim = queue.claim("telegram", 60.0)
    assert claim is not None
    assert claim.message.ring_id == "r9"


def test_the_last_failure_is_told(queue: Queue) -> None:
    desk_of(queue).offer([finding("r1"), finding("r2")], NOON)
    claims = [queue.claim("telegram", 60.0) for _ in range(2)]
    for claim, why in zip(claims, ("z, the first", "a, the last"), strict=True):
        assert claim is not None
        queue.put_back(claim, 0.0, why, may_be_sent=False)
        time.sleep(0.01)
    assert [one.last_failure for one in queue.backlogs()] == ["a, the last"]


def test_turns_are_apart_whoever_takes_them(queue: Queue) -> None:
    waits = [queue.take_turn("telegram", 0.5, 60.0) for _ in range(4)]
    assert waits[0] == 0
    assert all(0.4 * n < wait <= 0.5 * n for n, wait in enumerate(waits[1:], 1))
    late = queue.take_turn("telegram", 0.5, 0.1)
    assert late > 0.1
    assert queue.take_turn("telegram", 0.5, 60.0) <= late  # a turn that comes too late is not taken
    assert queue.take_turn("mail", 0.5, 60.0) == 0


# MongoDB alone


@pytest.fixture
def mongo(documents: Database[Document]) -> MongoAlerts:
    return MongoAlerts(documents)


@pytest.mark.stores
def test_the_same_batch_from_many_at_once_is_told_once(documents: Database[Document]) -> None:
    batch = [finding(f"r{n}") for n in range(30)]
    desks = [desk_of(MongoAlerts(documents)) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda desk: desk.offer(batch, NOON), desks))
    assert sum(made) == 30
    assert len(drained(MongoAlerts(documents))) == 30


@pytest.mark.stores
def test_an_acknowledgement_and_a_batch_at_once_are_both_kept(documents: Database[Document]) -> None:
    desks = [desk_of(MongoAlerts(documents)) for _ in range(2)]
    barrier = Barrier(2)
    for n in range(20):
        desks[0].offer([finding(f"r{n}")], NOON)

        def act(side: int, n: int = n) -> None:
            barrier.wait()
            if side:
                desks[1].acknowledge(identify_alert(f"r{n}"), "Anna", NOON)
            else:
                desks[0].offer([finding(f"r{n}", n_watchlist=1)], NOON)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(act, range(2)))
        alert = MongoAlerts(documents).find(identify_alert(f"r{n}"))
        assert {step.what for step in alert.history} == {"opened", "news", "acknowledged"}
        assert (alert.owner, alert.n_messages, alert.told.n_watchlist) == ("Anna", 2, 1)


@pytest.mark.stores
def test_many_senders_share_the_messages(documents: Database[Document], mongo: MongoAlerts) -> None:
    desk_of(mongo).offer([finding(f"r{n}") for n in range(60)], NOON)
    with ThreadPoolExecutor(8) as pool:
        claims = [
            one for some in pool.map(lambda _: drained(MongoAlerts(documents)), range(8)) for one in some
        ]
    assert len({claim.message.message_id for claim in claims}) == len(claims) == 60


@pytest.mark.stores
def test_escalations_found_by_many_at_once_are_told_once(documents: Database[Document]) -> None:
    desks = [desk_of(MongoAlerts(documents)) for _ in range(6)]
    desks[0].offer([finding(f"r{n}", severity="critical") for n in range(10)], NOON)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda desk: desk.pass_time(NOON + timedelta(hours=2)), desks))
    assert sum(made) == 10


@pytest.mark.stores
def test_an_alert_and_its_message_are_written_together_or_not_at_all(
    documents: Database[Document], mongo: MongoAlerts
) -> None:
    """A message that is there already stands for any failure in the middle of the transaction."""
    row_id = f"{identify_alert('r2')}-000001:telegram"
    documents["alert_messages"].insert_one({"_id": row_id, "state": "sent", "channel": "telegram"})
    with pytest.raises(AlertRaceError):
        desk_of(mongo).offer([finding("r1"), finding("r2")], NOON)
    assert list(documents["alerts"].find()) == []
    assert documents["alert_messages"].count_documents({}) == 1


@pytest.mark.stores
def test_the_next_message_is_found_by_an_index(documents: Database[Document], mongo: MongoAlerts) -> None:
    mongo.backlogs()
    query = {"channel": "telegram", "state": {"$in": ["pending", "sending"]}}
    order = [("refused_at", 1), ("created_at", 1), ("_id", 1)]
    plan = documents["alert_messages"].find(query).sort(order).explain()
    winning = str(plan["queryPlanner"]["winningPlan"])
    assert "IXSCAN" in winning
    assert "'SORT'" not in winning


def test_a_queue_that_is_not_there_is_unavailable() -> None:
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(
        "mongodb://127.0.0.1:9/?directConnection=true", serverSelectionTimeoutMS=200
    )
    with client, pytest.raises(StoreUnavailableError):
        desk_of(MongoAlerts(client["x"])).offer([finding("r1")], NOON)


def _acknowledge_until_killed(uri: str, database: str, start: int, told: Any) -> None:
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(uri, tz_aware=True)
    desk = desk_of(MongoAlerts(client[database]))
    for n in range(start, start + 100_000):
        desk.offer([finding(f"k{n}")], NOON)
        told.send(("offered", n))
        desk.acknowledge(identify_alert(f"k{n}"), f"owner {n}", NOON)
        told.send(("acknowledged", n))


def _heard(receiver: Any) -> Iterator[tuple[str, int]]:
    try:
        while receiver.poll(0):
            yield receiver.recv()
    except EOFError:
        return


@pytest.mark.stores
def test_what_was_acknowledged_before_a_kill_is_kept(
    stores: RunningPair, documents: Database[Document], mongo: MongoAlerts
) -> None:
    uri, rng = stores.addresses.mongo_uri.get_secret_value(), random.Random(5)
    told: set[tuple[str, int]] = set()
    for k in range(3):
        receiver, sender = FORK.Pipe(duplex=False)
        arguments = (uri, documents.name, 100_000 * k, sender)
        process = FORK.Process(target=_acknowledge_until_killed, args=arguments)
        process.start()
        sender.close()
        told.add(receiver.recv())
        time.sleep(rng.uniform(0.05, 0.3))
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        told |= set(_heard(receiver))
    messages = {claim.message.ring_id for claim in drained(mongo)}
    assert {f"k{n}" for what, n in told if what == "offered"} <= messages
    for n in (n for what, n in told if what == "acknowledged"):
        alert = mongo.find(identify_alert(f"k{n}"))
        assert (alert.state, alert.owner) == ("acknowledged", f"owner {n}")
    alerts = mongo.in_states(LIVE_STATES)
    assert {
        one.ring_id for one in alerts
    } == messages  # none without its message, no message without its alert


@pytest.mark.stores
def test_a_second_connection_sees_what_the_first_wrote(
    stores: RunningPair, documents: Database[Document], mongo: MongoAlerts
) -> None:
    desk_of(mongo).offer([finding("r1")], NOON)
    other = connect_documents(stores.settings, stores.addresses)
    found = MongoAlerts(other.client[documents.name]).find(identify_alert("r1"))
    other.client.close()
    assert found == mongo.find(identify_alert("r1"))
