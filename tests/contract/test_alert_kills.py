"""A sender killed at random moments, over a network that fails: nothing lost, repeats told as such."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from resources.mongo_alerts import MongoAlerts
from terag_pipelines.rings.alert_desk import AlertDesk
from terag_pipelines.rings.alert_model import Finding, Sighting
from tests.conftest import RunningPair
from tests.contract.bot_api import TOKEN, BotApi, Call, running_bot_api
from tests.contract.lately import LATE_NOON
from tests.contract.sending_process import send_and_be_killed, send_until_nothing_waits

NOON = LATE_NOON
Document = dict[str, Any]


def text_of(call: Call) -> str:
    return call.text.partition("\npossibly repeated")[0]


def is_marked(call: Call) -> bool:
    return "possibly repeated" in call.text


def offer(queue: MongoAlerts, first: int, n: int) -> None:
    sighting = Sighting("high", 5, rules=("risk",))
    AlertDesk(queue, ("telegram",)).offer([Finding(f"r{k}", sighting) for k in range(first, first + n)], NOON)


def check_repeats(api: BotApi, documents: Database[Document], n_kills: int) -> None:
    """Each message arrived; each further time it arrived it was marked, and there was a fault for it."""
    rows = list(documents["alert_messages"].find())
    assert {row["state"] for row in rows} == {"sent"}
    arrived, unmarked = Counter(map(text_of, api.accepted)), Counter()
    unmarked.update(text_of(call) for call in api.accepted if not is_marked(call))
    assert len(arrived) == len(rows)
    assert max(unmarked.values()) == 1
    faults = sum(row["n_faults"] for row in rows)
    assert sum(arrived.values()) - len(rows) <= len(api.lost_replies) + n_kills
    assert all(arrived[text] <= 1 + row["n_faults"] for text, row in _rows_by_text(rows, arrived))
    assert faults <= api.n_cut + n_kills


def _rows_by_text(rows: list[Document], arrived: Counter[str]) -> list[tuple[str, Document]]:
    by_alert = {row["message"]["alert_id"]: row for row in rows}
    return [(text, by_alert[text.split()[1].rstrip(":")]) for text in arrived]


@pytest.mark.stores
@pytest.mark.parametrize("n_kills", [6, pytest.param(100, marks=pytest.mark.torture)])
def test_a_sender_killed_again_and_again_loses_nothing(
    n_kills: int, stores: RunningPair, documents: Database[Document], tmp_path: Path
) -> None:
    rng, queue = random.Random(11), MongoAlerts(documents)
    uri, log = stores.addresses.mongo_uri.get_secret_value(), tmp_path / "sender.log"
    deeds = random.Random(12)

    def behave(_call: Call) -> str:
        return deeds.choices(
            ["accept slowly", "accept", "500", "limit:0", "cut before", "cut after"], [60, 26, 4, 4, 3, 3]
        )[0]

    with running_bot_api(behave) as api:
        n_killed = 0
        for kill in range(n_kills):
            offer(queue, 30 * kill, 30)
            n_killed += send_and_be_killed(uri, documents.name, api.url, NOON, log, rng, within_s=0.8)
        send_until_nothing_waits(queue, api.url, NOON)
    assert n_killed
    check_repeats(api, documents, n_killed)
    assert "HTTP Request" in log.read_text()
    assert TOKEN not in log.read_text()
    assert len(api.accepted) >= 30 * n_kills
