"""The asset that offers a batch's findings to the queue, and the sensor that sends what waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import pyarrow as pa
import pytest
from pymongo.database import Database

from assets import jobs
from assets.alerts import alert_queue
from assets.jobs import status_of_sending
from resources import bindings
from resources.bindings import AlertResource
from resources.mongo_alerts import MongoAlerts
from terag_pipelines.definitions import defs
from terag_pipelines.rings.alert_desk import AlertDesk
from terag_pipelines.rings.alert_model import read_findings
from terag_pipelines.rings.alerts import raise_alerts
from terag_pipelines.rings.lineage import EarlierRings, Lineage, trace_rings
from terag_pipelines.rings.model import FRAUD_RINGS, RING_COMMUNITIES, RING_HISTORY
from tests.contract.bot_api import CHAT, TOKEN, BotApi, running_bot_api
from tests.unit.rings.memory_alerts import MemoryAlerts


class _InMemory(AlertResource):
    queue: ClassVar = MemoryAlerts()

    @contextmanager
    def open(self) -> Iterator[Any]:
        yield self.queue


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryAlerts]:
    monkeypatch.setenv("TERAG_HOME", str(tmp_path))
    bindings.settings.cache_clear()
    _InMemory.queue = MemoryAlerts()
    yield _InMemory.queue
    bindings.settings.cache_clear()


@pytest.fixture
def api(queue: MemoryAlerts, monkeypatch: pytest.MonkeyPatch) -> Iterator[BotApi]:
    with running_bot_api() as running:
        for name, value in {
            "TOKEN": TOKEN,
            "CHAT_ID": CHAT,
            "URL": running.url,
            "INTERVAL_S": "0",
        }.items():
            monkeypatch.setenv(f"TERAG_TELEGRAM_{name}", value)
        bindings.settings.cache_clear()
        yield running


class _InMongo(AlertResource):
    queue: ClassVar[MongoAlerts]

    @contextmanager
    def open(self) -> Iterator[MongoAlerts]:
        yield self.queue


def rings(n_members: int = 5, names: Iterable[str] = ("r1", "r2")) -> pa.Table:
    row = {"kind": "cycle", "risk_score": 0.9, "severity": "high", "amount_minor": 0, "n_watchlist": 0}
    rows = [row | {"ring_id": ring, "n_members": n_members, "reasons": []} for ring in names]
    return pa.Table.from_pylist(rows, FRAUD_RINGS.schema)


def members(**found: str) -> pa.Table:
    """RING_MEMBERS, with a letter for each member."""
    rows = [{"ring_id": ring, "entity_id": one} for ring, letters in found.items() for one in letters]
    return pa.Table.from_pylist(rows, pa.schema([("ring_id", pa.string()), ("entity_id", pa.string())]))


def follow(*batches: pa.Table) -> list[Lineage]:
    """The lineage after each batch."""
    lineages = [trace_rings(batches[0], "b1")]
    for n, batch in enumerate(batches[1:], 2):
        left = EarlierRings(RING_COMMUNITIES.empty(), lineages[-1].traces, lineages[-1].history)
        lineages.append(trace_rings(batch, f"b{n}", left))
    return lineages


def make(
    found: pa.Table, history: pa.Table | None = None, alerts: AlertResource | None = None
) -> tuple[pa.Table, str]:
    output: Any = alert_queue(
        alerts=alerts or _InMemory(),
        fraud_rings=found,
        ring_alerts=raise_alerts(found),
        ring_history=RING_HISTORY.empty() if history is None else history,
    )
    return output.value, output.metadata["note"].text


def test_without_a_sender_the_queue_is_filled_and_the_summary_says_so(queue: MemoryAlerts) -> None:
    table, note = make(rings())
    assert table["state"].to_pylist() == ["open", "open"]
    assert note.startswith("2 alerts wait, 2 new messages; no sender is configured")
    assert make(rings())[1].startswith("2 alerts wait, 0 new messages")
    assert [one.n_pending for one in queue.backlogs()] == [2]


def test_with_a_sender_what_waited_is_sent_once(queue: MemoryAlerts, api: BotApi) -> None:
    for _ in range(2):
        _, note = make(rings())
    assert "telegram: 0 sent" in note
    assert len(api.accepted) == 2
    assert "telegram: 2 sent" in make(rings(n_members=12))[1]


def test_a_sender_that_is_refused_does_not_fail_the_run(queue: MemoryAlerts, api: BotApi) -> None:
    api.behave = lambda _call: "403"
    _, note = make(rings())
    assert "telegram: 0 sent, 2 wait" in note
    assert "add it to the chat" in note
    assert TOKEN not in note


@pytest.mark.stores
def test_alerts_follow_their_rings_from_batch_to_batch(
    queue: MemoryAlerts, api: BotApi, documents: Database[dict[str, Any]]
) -> None:
    """The second batch is served while the queue is away: the third makes up for it.

    r2 goes into r1, r3 dies, and part of r4 comes out of it as r5.
    """
    alerts, _InMongo.queue = _InMongo(), MongoAlerts(documents)
    second = members(r1="abcdefghij", r4="nopqr", r5="stu")
    first, _, third = follow(members(r1="abcdef", r2="ghij", r3="klm", r4="nopqrstu"), second, second)
    make(rings(5, first.ids.values()), first.history, alerts)
    for _ in range(2):
        table, note = make(rings(6, third.ids.values()), third.history, alerts)
    found = _InMongo.queue.of_rings(["r1", "r2", "r3", "r4", "r5"])
    merged, whole = found["r1"], found["r4"]
    assert note.startswith("4 alerts wait, 0 new messages")
    assert sorted(table["ring_id"].to_pylist()) == ["r1", "r3", "r4", "r5"]
    assert (found["r2"].state, found["r2"].merged_into) == ("closed", merged.alert_id)
    assert (merged.absorbed, merged.told.n_members) == ((found["r2"].alert_id,), 10)
    assert [step.what for step in found["r3"].history] == ["opened", "ring died"]
    assert [step.note for step in found["r5"].history] == [f"from {whole.alert_id}", "rule"]
    assert sum(found["r5"].alert_id in call.text for call in api.accepted) == 1
    assert len(api.accepted) == 5


def tick() -> str:
    sensor = defs.get_repository_def().get_sensor_def("alert_sender_sensor")
    with dg.build_sensor_context(resources={"alerts": _InMemory()}) as context:
        ticked = sensor.evaluate_tick(context)
    assert not ticked.run_requests
    return str(ticked.skip_message)


def test_the_sensor_sends_what_waits_and_starts_no_run(queue: MemoryAlerts, api: BotApi) -> None:
    AlertDesk(queue, ("telegram",)).offer(read_findings(rings(), raise_alerts(rings())), datetime.now(UTC))
    assert tick() == "telegram: 2 sent"
    assert tick() == "telegram: 0 sent"


def test_the_sensor_says_that_there_is_no_sender(queue: MemoryAlerts) -> None:
    assert "no sender is configured" in tick()


def test_the_sensor_runs_by_itself_only_where_a_sender_is_configured(
    queue: MemoryAlerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status_of_sending() == dg.DefaultSensorStatus.STOPPED
    monkeypatch.setenv("TERAG_ALERT_WEBHOOK_URL", "http://inside.example/")
    assert status_of_sending() == dg.DefaultSensorStatus.RUNNING
    monkeypatch.setenv("TERAG_API_PORT", "0")  # whatever is wrong is no reason not to load
    assert status_of_sending() == dg.DefaultSensorStatus.STOPPED
    assert {"alert_sender_sensor", "new_source_sensor"} <= {s.name for s in defs.sensors or []}


def test_the_queue_is_made_once_the_batch_is_served() -> None:
    node = defs.resolve_asset_graph().get(dg.AssetKey("alert_queue"))
    assert dg.AssetKey("promoted_batch") in node.parent_keys
    assert alert_queue.key in jobs.full_refresh.selection.resolve(defs.resolve_asset_graph())
