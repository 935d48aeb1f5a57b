"""Sampled calls in MongoDB, sealed: what was asked of whom is read only with the installation's secret.

_id      <shape_id>:<hash of the call under the secret>: the same call is there once
seen_at  when it was last seen, by which MongoDB forgets it
sealed   the call, bound to its _id
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.database import Database

from resources.call_codec import decode_call, encode_call
from resources.mongo_query_history import whole_ms
from resources.stores import document_errors
from terag_pipelines.security.field_encryption import FieldSeal
from terag_pipelines.tuning.ports import SampledCall, SeenCall

LOGGER = logging.getLogger(__name__)
Document = dict[str, Any]
COLLECTION = "query_calls"
KEPT_DAYS = 30
KEPT_CALLS = 8
_BY_AGE = [("shape_id", ASCENDING), ("seen_at", DESCENDING), ("_id", ASCENDING)]


class MongoCallHistory:
    """Implements CallHistory over a pymongo database; safe to share between threads.

    The last `n_kept` distinct calls of a shape are kept, each for `kept_days` after it was last seen.
    """

    def __init__(
        self,
        database: Database[Document],
        seal: FieldSeal,
        kept_days: int = KEPT_DAYS,
        n_kept: int = KEPT_CALLS,
    ) -> None:
        self._stored = database[COLLECTION]
        self._seal = seal
        self._kept_days = kept_days
        self._n_kept = n_kept
        self._is_prepared = False

    def append(self, calls: Iterable[SeenCall]) -> None:
        """Keeps the calls, sealed; of each shape only the last few distinct ones that were seen."""
        updates = [(seen.shape_id, update) for seen in calls if (update := self._update(seen)) is not None]
        if updates:
            with self._translated():
                self._stored.bulk_write([update for _, update in updates], ordered=False)
                for shape_id in sorted({shape_id for shape_id, _ in updates}):
                    self._forget_older(shape_id)

    def calls(self) -> Mapping[str, Sequence[SampledCall]]:
        """All that are kept, by shape_id, the one that was seen last first.

        What does not open is left out, and how much that is goes into the log.
        """
        with document_errors():
            documents = list(self._stored.find().sort(_BY_AGE))
        found: dict[str, list[SampledCall]] = {}
        opened = [(document, self._opened(document)) for document in documents]
        for document, call in opened:
            if call is not None:
                found.setdefault(_shape_of(document), []).append(call)
        if n_broken := sum(call is None for _, call in opened):
            LOGGER.warning("%d sampled calls are of another secret, or were changed: left out", n_broken)
        return {shape_id: tuple(kept[: self._n_kept]) for shape_id, kept in sorted(found.items())}

    def _update(self, seen: SeenCall) -> UpdateOne | None:
        """Seals anew what is there already, as it may have been changed there."""
        encoded = encode_call(seen.call)
        if encoded is None:
            return None
        name = f"{seen.shape_id}:{self._seal.name_of(encoded)}"
        known = {"shape_id": seen.shape_id, "sealed": self._seal.seal(encoded, _place(name))}
        return UpdateOne(
            {"_id": name}, {"$set": known, "$max": {"seen_at": whole_ms(seen.seen_at)}}, upsert=True
        )

    def _opened(self, document: Document) -> SampledCall | None:
        sealed = document.get("sealed")
        if not isinstance(sealed, bytes):
            return None
        encoded = self._seal.open(sealed, _place(document["_id"]))
        if encoded is None:
            return None
        try:
            return decode_call(encoded)
        except (ValueError, KeyError):  # of another version, or a time zone that is not known here
            return None

    def _forget_older(self, shape_id: str) -> None:
        older = self._stored.find({"shape_id": shape_id}, {"_id": 1}).sort(_BY_AGE).skip(self._n_kept)
        if names := [document["_id"] for document in older]:
            self._stored.delete_many({"_id": {"$in": names}})

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with document_errors():
            if not self._is_prepared:  # creating an index that exists changes nothing
                seconds = int(timedelta(days=self._kept_days).total_seconds())
                self._stored.create_index(
                    [("seen_at", ASCENDING)], expireAfterSeconds=seconds, name="forgotten"
                )
                self._stored.create_index(_BY_AGE, name="by_age")
                self._is_prepared = True
            yield


class LateCallHistory:
    """Implements CallHistory over a MongoDB that need not be there yet: it is connected to for each call."""

    def __init__(self, connect: Callable[[], Database[Document]], seal: FieldSeal) -> None:
        self._connect = connect
        self._seal = seal

    def append(self, calls: Iterable[SeenCall]) -> None:
        """Keeps the calls, sealed; of each shape only the last few distinct ones that were seen."""
        with self._opened() as history:
            history.append(calls)

    def calls(self) -> Mapping[str, Sequence[SampledCall]]:
        """All that are kept, by shape_id, the one that was seen last first."""
        with self._opened() as history:
            return history.calls()

    @contextmanager
    def _opened(self) -> Iterator[MongoCallHistory]:
        database = self._connect()
        try:
            yield MongoCallHistory(database, self._seal)
        finally:
            database.client.close()


def _place(name: object) -> str:
    return f"{COLLECTION}/{name}/sealed"


def _shape_of(document: Document) -> str:
    """From the _id, to which the call is bound."""
    return str(document["_id"]).partition(":")[0]
