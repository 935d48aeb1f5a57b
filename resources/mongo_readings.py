"""Readings of the graph's servers in MongoDB: one document each, forgotten after a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pymongo import ASCENDING
from pymongo.database import Database

from resources.mongo_query_history import KEPT_DAYS, insert_new, whole_ms
from resources.stores import document_errors
from terag_pipelines.tuning.model import GRAPH_READINGS

Document = dict[str, Any]


class MongoReadings:
    """Implements HealthHistory over a pymongo database; MongoDB removes readings after `kept_days`."""

    def __init__(self, database: Database[Document], kept_days: int = KEPT_DAYS) -> None:
        self._readings = database["graph_readings"]
        self._kept_s = int(timedelta(days=kept_days).total_seconds())

    def append(self, readings: pa.Table) -> None:
        """Adds GRAPH_READINGS; a row that is there already stays as it is."""
        with document_errors():
            self._readings.create_index(
                [("measured_at", ASCENDING)], expireAfterSeconds=self._kept_s, name="forgotten"
            )
            insert_new(self._readings, map(_document, GRAPH_READINGS.conform(readings).to_pylist()))

    def readings(self, since: datetime) -> pa.Table:
        """GRAPH_READINGS from `since` on."""
        with document_errors():
            found = list(self._readings.find({"measured_at": {"$gte": whole_ms(since)}}, {"_id": 0}))
        for row in found:
            row["measured_at"] = row["measured_at"].replace(tzinfo=UTC)
        return GRAPH_READINGS.from_columns(
            **{name: [row[name] for row in found] for name in GRAPH_READINGS.schema.names}
        )


def _document(row: Document) -> Document:
    measured_at = whole_ms(row["measured_at"])
    named = (int(1000 * measured_at.timestamp()), row["server"], row["figure"], row["about"])
    return {"_id": ":".join(map(str, named)), **row, "measured_at": measured_at}
