"""The queue of ring alerts and the outbox of their messages, in MongoDB.

An alert and the messages that go with its change are written in one transaction, over the version that was
read; a message's id is made of its alert, its number and its channel, so that nobody can write it twice. One
sender holds a message: the claim raises its `fence`, and only the last fence may say what became of it.
Leases and pauses are reckoned by the server's clock, whatever the senders' say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, InsertOne, ReplaceOne, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from resources.mongo_query_history import DUPLICATE_KEY, insert_new, whole_ms
from resources.stores import document_errors
from terag_pipelines.errors import AlertRaceError, NotFoundError
from terag_pipelines.rings.alert_model import Alert, AlertState, Change, Message, Sighting, Step
from terag_pipelines.rings.alert_ports import UNASSIGNED, Backlog, Claim

Document = dict[str, Any]
KEPT_DAYS = 400
"""How long a message is kept once it is sent."""
DURABLE = WriteConcern(w="majority", j=True)
UNSENT = ("pending", "sending")
ORDER = ("refused_at", "created_at", "_id")
"""What was never refused comes first."""


class MongoAlerts:
    """Implements AlertQueue and Outbox over a pymongo database; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        durable = database.with_options(write_concern=DURABLE, read_concern=ReadConcern("majority"))
        self._client = database.client
        self._alerts = durable["alerts"]
        self._messages = durable["alert_messages"]
        self._channels = durable["alert_channels"]
        self._is_prepared = False

    # the queue

    def find(self, alert_id: str) -> Alert:
        """The alert of this id. Raises: NotFoundError, StoreUnavailableError."""
        with self._translated():
            found = self._alerts.find_one({"_id": alert_id})
        if found is None:
            raise NotFoundError(f"there is no alert {alert_id[:64]}")
        return _alert(found)

    def of_rings(self, ring_ids: Collection[str]) -> Mapping[str, Alert]:
        """The alerts of some rings, by ring id; rings never seen are left out."""
        with self._translated():
            found = list(self._alerts.find({"ring_id": {"$in": list(ring_ids)}}))
        return {one["ring_id"]: _alert(one) for one in found}

    def in_states(self, states: Collection[AlertState]) -> Sequence[Alert]:
        """The alerts in these states, by alert id."""
        with self._translated():
            found = list(self._alerts.find({"state": {"$in": list(states)}}).sort("_id", ASCENDING))
        return [_alert(one) for one in found]

    def store(self, changes: Sequence[Change], channels: Sequence[str]) -> None:
        """Stores all changes and their messages for each channel, or nothing.

        Raises: AlertRaceError where one of the alerts is not as it was read; StoreUnavailableError.
        """
        writes = [_write(change.alert) for change in changes]
        messages = [message for change in changes for message in change.messages]
        rows = [_row(one, channel) for one in messages for channel in (channels or (UNASSIGNED,))]

        def write(session: ClientSession) -> None:
            done = self._alerts.bulk_write(writes, ordered=False, session=session)
            if done.matched_count + done.inserted_count < len(writes):
                raise AlertRaceError("an alert has changed since it was read")
            if rows:
                self._messages.insert_many(rows, ordered=False, session=session)

        with self._translated(), _as_race(), self._client.start_session() as session:
            session.with_transaction(write, ReadConcern("snapshot"), DURABLE)

    # the outbox

    def assign(self, channels: Sequence[str]) -> int:
        """Gives what is UNASSIGNED to these channels; killed half way, the next call goes on."""
        with self._translated():
            waiting = list(self._messages.find({"channel": UNASSIGNED}))
            insert_new(
                self._messages,
                (row | {"_id": _row_id(row["message"]["message_id"], name), "channel": name}
                 for row in waiting for name in channels),
            )  # fmt: skip
            if channels:
                self._messages.delete_many({"_id": {"$in": [row["_id"] for row in waiting]}})
        return len(waiting) if channels else 0

    def take_turn(self, channel: str, interval_s: float, patience_s: float) -> float:
        """Seconds to wait for the channel's next turn; where that is too long no turn is taken."""
        turn = {"$max": ["$next_at", "$$NOW"]}
        is_late = {"$gt": [{"$subtract": ["$turn_at", "$$NOW"]}, _whole(1000 * patience_s)]}
        following = {"$add": ["$turn_at", _whole(1000 * interval_s)]}
        steps: list[Document] = [
            {"$set": {"turn_at": turn, "asked_at": "$$NOW"}},
            {"$set": {"next_at": {"$cond": [is_late, "$next_at", following]}}},
        ]
        with self._translated():
            found = self._channels.find_one_and_update(
                {"_id": channel}, steps, upsert=True, return_document=ReturnDocument.AFTER
            )
            assert found is not None  # noqa: S101 - an upsert gives what it has made
        return float((found["turn_at"] - found["asked_at"]).total_seconds())

    def claim(self, channel: str, lease_s: float) -> Claim | None:
        """The oldest message that nobody holds; None where there is none or the channel is held back."""
        is_held = {"_id": channel, "$expr": {"$gt": ["$held_until", "$$NOW"]}}
        has_ended = {"state": "sending", "$expr": {"$lte": ["$lease_until", "$$NOW"]}}
        was_cut_off = {"$cond": [{"$eq": ["$state", "sending"]}, 1, 0]}
        taken = {
            "state": "sending",
            "fence": {"$add": ["$fence", 1]},
            "n_attempts": {"$add": ["$n_attempts", 1]},
            "n_faults": {"$add": ["$n_faults", was_cut_off]},
            "lease_until": {"$add": ["$$NOW", _whole(1000 * lease_s)]},
        }
        with self._translated():
            if self._channels.find_one(is_held):
                return None
            row = self._messages.find_one_and_update(
                {"state": {"$in": UNSENT}, "channel": channel, "$or": [{"state": "pending"}, has_ended]},
                [{"$set": taken}],
                sort=[(name, ASCENDING) for name in ORDER],
                return_document=ReturnDocument.AFTER,
            )
        return None if row is None else _claim(row)

    def settle(self, claim: Claim) -> bool:
        """Notes that the message was sent; False where the claim is no longer the last one."""
        return self._end(claim, {"state": "sent", "sent_at": "$$NOW", "last_failure": None})

    def put_back(
        self, claim: Claim, delay_s: float, why: str, may_be_sent: bool, to_the_end: bool = False
    ) -> bool:
        """Leaves the message for later and holds its channel back; False as in `settle`."""
        until = {"$add": ["$$NOW", _whole(1000 * delay_s)]}
        held = {name: {"$max": [f"${name}", until]} for name in ("held_until", "next_at")}
        n_faults = {"$add": ["$n_faults", int(may_be_sent)]}
        with self._translated():
            if delay_s > 0:
                self._channels.update_one({"_id": claim.channel}, [{"$set": held}], upsert=True)
        failure = {"last_failure": {"$literal": why}, "n_faults": n_faults, "failed_at": "$$NOW"}
        moved = {"refused_at": "$$NOW"} if to_the_end else {}
        return self._end(claim, {"state": "pending"} | failure | moved)

    def backlogs(self) -> Sequence[Backlog]:
        """What is not sent yet, by channel; channels without any are left out."""
        group = {
            "_id": "$channel",
            "n_pending": {"$sum": 1},
            "oldest_at": {"$min": "$created_at"},
            "last": {"$max": {"at": "$failed_at", "why": "$last_failure"}},
        }
        steps: list[Document] = [
            {"$match": {"state": {"$in": UNSENT}}},
            {"$group": group},
            {"$sort": {"_id": ASCENDING}},
        ]
        with self._translated():
            found = list(self._messages.aggregate(steps))
        return [
            Backlog(one["_id"], one["n_pending"], _utc(one["oldest_at"]), one["last"]["why"]) for one in found
        ]

    def _end(self, claim: Claim, changes: Document) -> bool:
        own = {"_id": _row_id(claim.message.message_id, claim.channel), "fence": claim.fence}
        with self._translated():
            done = self._messages.update_one(own | {"state": "sending"}, [{"$set": changes}])
        return done.matched_count == 1

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with document_errors():
            if not self._is_prepared:  # creating an index that exists changes nothing
                self._alerts.create_index("ring_id", unique=True, name="ring")
                self._alerts.create_index("state", name="state")
                order = [(name, ASCENDING) for name in ("state", "channel", *ORDER)]
                self._messages.create_index(order, name="turns")
                forgotten = 86_400 * KEPT_DAYS
                self._messages.create_index("sent_at", expireAfterSeconds=forgotten, name="forgotten")
                self._is_prepared = True
            yield


@contextmanager
def _as_race() -> Iterator[None]:
    """A ring or a message that somebody else has just written: the alert is not as it was read."""
    try:
        yield
    except DuplicateKeyError as error:
        raise AlertRaceError("an alert has changed since it was read") from error
    except BulkWriteError as error:
        if any(one["code"] != DUPLICATE_KEY for one in error.details["writeErrors"]):
            raise
        raise AlertRaceError("an alert has changed since it was read") from error


def _whole(milliseconds: float) -> int:
    return max(int(milliseconds), 0)


def _row_id(message_id: str, channel: str) -> str:
    return f"{message_id}:{channel}"


def _row(message: Message, channel: str) -> Document:
    return {
        "_id": _row_id(message.message_id, channel),
        "channel": channel,
        "state": "pending",
        "created_at": whole_ms(message.created_at),
        "fence": 0,
        "n_attempts": 0,
        "n_faults": 0,
        "failed_at": None,
        "refused_at": None,
        "last_failure": None,
        "message": _as_stored(asdict(message)),
    }


def _claim(row: Mapping[str, Any]) -> Claim:
    return Claim(_message(row["message"]), row["channel"], row["fence"], row["n_faults"], row["n_attempts"])


def _write(alert: Alert) -> InsertOne[Document] | ReplaceOne[Document]:
    stored = _as_stored(asdict(replace(alert, version=alert.version + 1)))
    document = {"_id": stored.pop("alert_id"), **stored}
    if alert.version == 0:
        return InsertOne(document)
    return ReplaceOne({"_id": alert.alert_id, "version": alert.version}, document)


def _as_stored(value: Any) -> Any:
    """Instants to the millisecond, amounts as pairs: a currency is text of a source, no name of a field."""
    if isinstance(value, datetime):
        return whole_ms(value)
    if isinstance(value, list | tuple):
        return [_as_stored(one) for one in value]
    if isinstance(value, dict):
        told = {name: _as_stored(one) for name, one in value.items() if name != "amounts"}
        return told | (
            {"amounts": [list(pair) for pair in value["amounts"].items()]} if "amounts" in value else {}
        )
    return value


def _sighting(found: Mapping[str, Any]) -> Sighting:
    return Sighting(**{**found, "amounts": dict(found["amounts"]), "rules": tuple(found["rules"])})


def _message(found: Mapping[str, Any]) -> Message:
    read = {
        "news": tuple(found["news"]),
        "sighting": _sighting(found["sighting"]),
        "created_at": _utc(found["created_at"]),
    }
    return Message(**{**found, **read})


def _alert(found: Mapping[str, Any]) -> Alert:
    stored = {name: value for name, value in found.items() if name != "_id"}
    steps = tuple(Step(**{**step, "at": _utc(step["at"])}) for step in found["history"])
    read = {
        "alert_id": found["_id"],
        "seen": _sighting(found["seen"]),
        "told": _sighting(found["told"]),
        "opened_at": found["opened_at"] and _utc(found["opened_at"]),
        "snoozed_until": found["snoozed_until"] and _utc(found["snoozed_until"]),
        "absorbed": tuple(found["absorbed"]),
        "history": steps,
    }
    return Alert(**{**stored, **read})


def _utc(instant: datetime) -> datetime:
    """What is stored; a client that was not told to says UTC without saying so."""
    return instant.replace(tzinfo=UTC)
