"""What tuning of indexes decided and saw, in MongoDB: decisions stay, uses are one document an index."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pymongo import UpdateOne
from pymongo.database import Database

from resources.mongo_query_history import insert_new, whole_ms
from resources.stores import document_errors
from terag_pipelines.tuning.model import INDEX_DECISIONS

Document = dict[str, Any]


class MongoTuningLog:
    """Implements TuningLog over a pymongo database."""

    def __init__(self, database: Database[Document]) -> None:
        self._decisions = database["index_decisions"]
        self._uses = database["index_uses"]

    def append(self, decisions: pa.Table) -> None:
        """Adds INDEX_DECISIONS; a row that is there already stays as it is."""
        with document_errors():
            insert_new(self._decisions, map(_document, INDEX_DECISIONS.conform(decisions).to_pylist()))

    def decisions(self) -> pa.Table:
        """INDEX_DECISIONS, all that were ever made."""
        with document_errors():
            found = list(self._decisions.find({}, {"_id": 0}))
        for row in found:
            row["decided_at"] = row["decided_at"].replace(tzinfo=UTC)
        return INDEX_DECISIONS.from_columns(
            **{name: [row.get(name) for row in found] for name in INDEX_DECISIONS.schema.names}
        )

    def note_uses(self, used_at: Mapping[str, datetime]) -> None:
        """Notes when indexes were last seen to serve a query; an earlier instant changes nothing."""
        noted = [
            UpdateOne({"_id": name}, {"$max": {"used_at": whole_ms(instant)}}, upsert=True)
            for name, instant in sorted(used_at.items())
        ]
        if noted:
            with document_errors():
                self._uses.bulk_write(noted, ordered=False)

    def uses(self) -> Mapping[str, datetime]:
        """When each index, by name, was last seen to serve a query, on whichever server."""
        with document_errors():
            return {row["_id"]: row["used_at"].replace(tzinfo=UTC) for row in self._uses.find()}


def _document(row: Document) -> Document:
    decided_at = whole_ms(row["decided_at"])
    return {"_id": f"{int(1000 * decided_at.timestamp())}:{row['step']}", **row, "decided_at": decided_at}
