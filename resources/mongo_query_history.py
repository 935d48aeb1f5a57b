"""What was asked of the graph, in MongoDB: one document for each shape and window, forgotten after a while.

Queries are kept without literals, and parameters not at all: nothing personal is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pymongo import ASCENDING
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from resources.stores import document_errors
from terag_pipelines.tuning.model import QUERY_WINDOWS

Document = dict[str, Any]
KEPT_DAYS = 90
DUPLICATE_KEY = 11_000
_INSTANTS = ("started_at", "ended_at")


class MongoQueryHistory:
    """Implements QueryHistory over a pymongo database; safe to share between threads.

    MongoDB itself removes windows `kept_days` after their end.
    """

    def __init__(self, database: Database[Document], kept_days: int = KEPT_DAYS) -> None:
        self._windows = database["query_windows"]
        self._kept_days = kept_days
        self._is_prepared = False

    def append(self, windows: pa.Table) -> None:
        """Adds QUERY_WINDOWS in one batch; a row that is there already stays as it is."""
        with self._translated():
            insert_new(self._windows, map(_document, QUERY_WINDOWS.conform(windows).to_pylist()))

    def windows(self, since: datetime | None = None) -> pa.Table:
        """QUERY_WINDOWS that ended at `since` or later; without it, all that are kept."""
        query = {} if since is None else {"ended_at": {"$gte": whole_ms(since)}}
        with self._translated():
            found = list(self._windows.find(query, {"_id": 0}))
        return QUERY_WINDOWS.from_columns(
            **{name: [_read(name, one) for one in found] for name in QUERY_WINDOWS.schema.names}
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with document_errors():
            if not self._is_prepared:  # creating an index that exists changes nothing
                seconds = int(timedelta(days=self._kept_days).total_seconds())
                self._windows.create_index(
                    [("ended_at", ASCENDING)], expireAfterSeconds=seconds, name="forgotten"
                )
                self._is_prepared = True
            yield


class LateQueryHistory:
    """Implements QueryHistory over a MongoDB that need not be there yet: it is connected to for each call."""

    def __init__(self, connect: Callable[[], Database[Document]], kept_days: int = KEPT_DAYS) -> None:
        self._connect = connect
        self._kept_days = kept_days

    def append(self, windows: pa.Table) -> None:
        """Adds QUERY_WINDOWS in one batch; a row that is there already stays as it is."""
        with self._opened() as history:
            history.append(windows)

    def windows(self, since: datetime | None = None) -> pa.Table:
        """QUERY_WINDOWS that ended at `since` or later; without it, all that are kept."""
        with self._opened() as history:
            return history.windows(since)

    @contextmanager
    def _opened(self) -> Iterator[MongoQueryHistory]:
        database = self._connect()
        try:
            yield MongoQueryHistory(database, self._kept_days)
        finally:
            database.client.close()


def insert_new(collection: Collection[Document], documents: Iterable[Document]) -> None:
    """Adds documents in one batch; those whose `_id` is there already stay as they are."""
    given = list(documents)
    if not given:
        return
    try:
        collection.insert_many(given, ordered=False)
    except BulkWriteError as error:
        if any(one["code"] != DUPLICATE_KEY for one in error.details["writeErrors"]):
            raise


def _document(row: Document) -> Document:
    instants = {name: whole_ms(row[name]) for name in _INSTANTS}
    named = (row["observer_id"], int(1000 * instants["started_at"].timestamp()), row["shape_id"])
    return {"_id": ":".join(map(str, named)), **row, **instants}


def whole_ms(instant: datetime) -> datetime:
    """MongoDB's own dates, which its removal by age asks for, end at milliseconds."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _read(name: str, found: Document) -> Any:
    """What is stored; a client that was not told to says UTC without saying so."""
    return found[name].replace(tzinfo=UTC) if name in _INSTANTS else found[name]
