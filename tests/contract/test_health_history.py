"""The history of the graph's health, in MongoDB."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pymongo.database import Database

from resources.mongo_readings import MongoReadings
from terag_pipelines.tuning.model import GRAPH_READINGS
from tests.contract.lately import LATE_NOON

pytestmark = pytest.mark.stores
NOON = LATE_NOON


def readings_at(instant: datetime) -> pa.Table:
    return GRAPH_READINGS.from_columns(
        measured_at=[instant] * 2,
        server=["primary", "all"],
        figure=["nodes", "query_p95_ms"],
        about=["", "shape"],
        value=[7.0, 1.5],
    )


def test_readings_are_kept_by_time_and_once(documents: Database[dict[str, Any]]) -> None:
    history = MongoReadings(documents)
    old, new = readings_at(NOON), readings_at(NOON + timedelta(days=1))
    for readings in (new, old, new, GRAPH_READINGS.empty()):
        history.append(readings)
    assert history.readings(NOON + timedelta(hours=1)).equals(new)
    assert history.readings(NOON).equals(GRAPH_READINGS.conform(pa.concat_tables([old, new])))
    assert history.readings(NOON + timedelta(days=2)).num_rows == 0


def test_the_past_is_forgotten_after_a_while(documents: Database[dict[str, Any]]) -> None:
    MongoReadings(documents, kept_days=2).append(readings_at(NOON))
    (index,) = (i for i in documents["graph_readings"].list_indexes() if i["name"] == "forgotten")
    assert index["expireAfterSeconds"] == 2 * 86_400
