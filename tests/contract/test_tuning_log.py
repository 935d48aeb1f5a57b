"""What every log of index decisions must do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from resources.mongo_tuning_log import MongoTuningLog
from terag_pipelines.tuning.model import INDEX_DECISIONS
from terag_pipelines.tuning.ports import TuningLog
from tests.unit.tuning.memory_history import MemoryTuningLog

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.stores)])
def log(request: pytest.FixtureRequest) -> TuningLog:
    if request.param == "memory":
        return MemoryTuningLog()
    return MongoTuningLog(request.getfixturevalue("documents"))


def decision(step: int = 0, at: datetime = NOON, reason: str = "because"):
    return INDEX_DECISIONS.from_columns(
        decided_at=[at],
        step=[step],
        trial_id=["terag_auto_x"],
        decision=["kept"],
        reason=[reason],
        db_hits_before=[10],
        hits_ratio_low=[0.25],
        queries=[["MATCH (x) RETURN x"]],
    )


def test_decisions_come_back_as_they_went_in_by_time(log: TuningLog) -> None:
    later, first = decision(at=NOON + timedelta(seconds=1)), decision(step=1)
    for one in (later, first, decision()):
        log.append(one)
    told = log.decisions()
    assert told.schema.equals(INDEX_DECISIONS.schema)
    assert told["step"].to_pylist() == [0, 1, 0]
    assert told.slice(1, 1).equals(first)


def test_a_decision_that_is_there_stays_as_it_is(log: TuningLog) -> None:
    log.append(decision())
    log.append(decision(reason="for another reason"))
    assert log.decisions()["reason"].to_pylist() == ["because"]


def test_nothing_is_there_before_the_first(log: TuningLog) -> None:
    log.append(INDEX_DECISIONS.empty())
    log.note_uses({})
    assert (log.decisions().num_rows, dict(log.uses())) == (0, {})


def test_the_last_use_stands(log: TuningLog) -> None:
    log.note_uses({"a": NOON, "b": NOON})
    log.note_uses({"a": NOON - timedelta(days=1), "b": NOON + timedelta(days=1)})
    assert dict(log.uses()) == {"a": NOON, "b": NOON + timedelta(days=1)}
