"""The log of review decisions in MongoDB: entries are added and read, never changed or removed.

The entries of a pair are numbered from 1, and so are those of the whole log, by their `place`. A unique index
over each number makes those who decide at once take turns: nobody's entry replaces another's, and nobody adds
to a log that has grown since it was looked at. Record ids are all that is kept of a record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from resources.stores import document_errors
from terag_pipelines.errors import DecisionReusedError, NotFoundError, StoreUnavailableError
from terag_pipelines.linking.model import REVIEW_ENTRIES
from terag_pipelines.linking.ports import LogCheck, Pair, ReviewEntry

Document = dict[str, Any]
MAX_RACES = 500
AS_STORED = ("position", "is_match", "undoes", "decided_by", "note")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class MongoReviews:
    """Implements ReviewLog over a pymongo database; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        durable = database.with_options(
            write_concern=WriteConcern(w="majority", j=True), read_concern=ReadConcern("majority")
        )
        self._entries = durable["review_entries"]
        self._is_prepared = False

    def append(self, entry: ReviewEntry, check: LogCheck | None = None) -> ReviewEntry:
        """Adds an entry under the next numbers; sent again, it is given as it is stored.

        Raises: DecisionReusedError where the id is that of another decision; what `check` raises of the log.
        """
        with self._translated():
            for _ in range(MAX_RACES):
                if (known := self._entries.find_one({"_id": entry.decision_id})) is not None:
                    return _same(entry, _entry(known))
                place = 1 + self._last({}, "place")  # before the log is read: what comes later takes it
                if check is not None:
                    check(self.entries())
                numbered = replace(
                    entry, position=1 + self._last({"pair": _pair_document(entry.pair)}, "position")
                )
                try:
                    self._entries.insert_one(_document(numbered) | {"place": place})
                except DuplicateKeyError:
                    continue  # another took a number, or sent the same entry
                return numbered
        raise StoreUnavailableError("MongoDB: too many people decide at once")

    def find(self, decision_id: str) -> ReviewEntry:
        """The entry of this id. Raises: NotFoundError."""
        with self._translated():
            found = self._entries.find_one({"_id": decision_id})
        if found is None:
            raise NotFoundError(f"there is no decision {decision_id[:64]}")
        return _entry(found)

    def entries(self, pairs: Sequence[Pair] | None = None) -> pa.Table:
        """REVIEW_ENTRIES: the whole log, or what it has on some pairs."""
        query = {} if pairs is None else {"pair": {"$in": [_pair_document(pair) for pair in pairs]}}
        with self._translated():
            found = list(self._entries.find(query))
        return REVIEW_ENTRIES.from_columns(
            decision_id=[entry["_id"] for entry in found],
            left_id=[entry["pair"]["left_id"] for entry in found],
            right_id=[entry["pair"]["right_id"] for entry in found],
            decided_at=[entry["decided_at_us"] for entry in found],
            **{name: [entry[name] for entry in found] for name in AS_STORED},
        )

    def _last(self, query: Document, number: str) -> int:
        """The highest number of the entries asked for; 0 where none has one."""
        last = self._entries.find_one({**query, number: {"$gt": 0}}, sort=[(number, DESCENDING)])
        return 0 if last is None else int(last[number])

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with document_errors():
            if not self._is_prepared:  # creating an index that exists changes nothing
                order = [("pair", ASCENDING), ("position", ASCENDING)]
                self._entries.create_index(order, unique=True, name="order")
                self._entries.create_index("place", unique=True, sparse=True, name="place")  # older have none
                self._is_prepared = True
            yield


def _same(sent: ReviewEntry, known: ReviewEntry) -> ReviewEntry:
    """The known entry, if it is what was sent; of several who undo one decision the first is kept."""
    if sent.undoes is None and not sent.says_the_same(known):
        raise DecisionReusedError(f"the decision id {sent.decision_id[:64]} is that of another decision")
    return known


def _pair_document(pair: Pair) -> Document:
    return {"left_id": pair[0], "right_id": pair[1]}  # compared as a whole: the order of its keys counts


def _document(entry: ReviewEntry) -> Document:
    return {
        "_id": entry.decision_id,
        "pair": _pair_document(entry.pair),
        "position": entry.position,
        "is_match": entry.is_match,
        "undoes": entry.undoes,
        "decided_by": entry.decided_by,
        # MongoDB's own dates end at milliseconds
        "decided_at_us": (entry.decided_at - EPOCH) // MICROSECOND,
        "note": entry.note,
    }


def _entry(found: Mapping[str, Any]) -> ReviewEntry:
    return ReviewEntry(
        decision_id=found["_id"],
        left_id=found["pair"]["left_id"],
        right_id=found["pair"]["right_id"],
        decided_at=EPOCH + found["decided_at_us"] * MICROSECOND,
        **{name: found[name] for name in AS_STORED},
    )
