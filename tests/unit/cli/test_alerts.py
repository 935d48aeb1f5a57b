"""`terag alerts` over a queue in memory: what is listed, done and refused, and sending to a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from terag_pipelines.cli import alerts
from terag_pipelines.cli import main as cli
from terag_pipelines.rings.alert_desk import AlertDesk
from terag_pipelines.rings.alert_lineage import Fates
from terag_pipelines.rings.alert_model import Finding, Sighting
from terag_pipelines.rings.alerts import identify_alert
from tests.contract.bot_api import CHAT, TOKEN, running_bot_api
from tests.unit.cli.consoles import listening_console
from tests.unit.rings.memory_alerts import MemoryAlerts

NOW = datetime.now(UTC)
GRAVE, CALM = identify_alert("r_grave"), identify_alert("r_calm")


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryAlerts:
    queue = MemoryAlerts()
    sightings = {
        "r_calm": Sighting("medium", 4, rules=("risk",)),
        "r_grave": Sighting("critical", 9, 1, {"KZT": 123_456_789}, ("risk", "watchlist")),
        "r_watched": Sighting("low", 3),
    }
    findings = [Finding(ring_id, sighting) for ring_id, sighting in sightings.items()]
    AlertDesk(queue).offer(findings, NOW - timedelta(hours=2))

    @contextmanager
    def opened() -> Iterator[MemoryAlerts]:
        yield queue

    monkeypatch.setenv("TERAG_HOME", str(tmp_path))
    monkeypatch.setattr(alerts, "_opened_queue", opened)
    return queue


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["alerts", *arguments])


def told(*arguments: str) -> Any:
    done = ask(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def listed(*arguments: str) -> list[str]:
    return [row["alert_id"] for row in told(*arguments)["alerts"]]


def test_the_gravest_is_listed_first_and_watched_rings_are_not(queue: MemoryAlerts) -> None:
    assert listed() == [GRAVE, CALM]
    assert listed("--severity", "high") == [GRAVE]
    assert listed("--limit", "1") == [GRAVE]
    assert told("--limit", "1")["n_alerts"] == 2
    assert {row["runbook"] for row in told()["alerts"]} == {"docs/runbooks/ring-alert.md"}


def test_an_acknowledged_alert_is_found_by_its_owner_and_its_state(queue: MemoryAlerts) -> None:
    assert told("ack", CALM, "--owner", "Anna")["state"] == "acknowledged"
    assert listed("--owner", "Anna") == listed("--state", "acknowledged") == [CALM]
    assert listed("--state", "open", "--state", "closed") == [GRAVE]
    assert told("close", CALM, "--note", "a family", "--by", "Anna")["history"][-1]["note"] == "a family"
    assert listed() == [GRAVE]
    assert listed("--state", "closed") == [CALM]


def test_a_snooze_says_until_when(queue: MemoryAlerts) -> None:
    until = datetime.fromisoformat(told("snooze", CALM, "--days", "3")["snoozed_until"])
    assert timedelta(days=2.9) < until - NOW < timedelta(days=3.1)
    assert "snoozed until" in ask("show", CALM).output


def test_an_alert_is_shown_with_its_runbook_and_history_and_cannot_steer_the_terminal(
    queue: MemoryAlerts,
) -> None:
    ask("ack", GRAVE, "--owner", "Anna \x1b[2J[red]K")
    shown = ask("show", GRAVE).output
    for part in ("docs/runbooks/ring-alert.md", "1 234 567.89 KZT", "9 members", "opened", "acknowledged"):
        assert part in shown
    assert "·[2J[red]K" in shown
    assert "\x1b" not in shown


def test_a_ring_that_died_is_told_in_list_and_alert(queue: MemoryAlerts) -> None:
    AlertDesk(queue).offer([], NOW, Fates(died=frozenset({"r_calm"})))
    assert "open, its ring died" in ask("show", CALM).output
    assert [row["state"] for row in told()["alerts"]] == ["open", "open"]
    assert ask().output.count("died") == 1


def test_the_list_says_what_waits_and_why(queue: MemoryAlerts) -> None:
    shown = ask().output
    assert "2 of 2 alerts" in shown
    assert "no sender is configured" in shown
    done = ask("send")
    assert done.exit_code == 1
    assert "docs/how-to/alerts.md" in done.output


def test_send_sends_what_waited_with_the_escalations_that_are_due(
    queue: MemoryAlerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERAG_TELEGRAM_TOKEN", TOKEN)
    monkeypatch.setenv("TERAG_TELEGRAM_CHAT_ID", CHAT)
    monkeypatch.setenv("TERAG_TELEGRAM_INTERVAL_S", "0")
    monkeypatch.setenv("TERAG_ALERT_LINK", "https://risk.example/a/{alert_id}")
    with running_bot_api() as api:
        monkeypatch.setenv("TERAG_TELEGRAM_URL", api.url)
        assert told("send") == {
            "sent": [{"channel": "telegram", "n_sent": 3, "n_pending": 0, "why": ""}],
            "waiting": [],
        }
        assert told("send")["sent"][0]["n_sent"] == 0
        api.behave = lambda _call: "401"
        told("snooze", CALM, "--days", "1")
        AlertDesk(queue, ("telegram",)).offer([Finding("r_new", Sighting("high", 4, rules=("risk",)))], NOW)
        refused = ask("send")
    assert (refused.exit_code, "set TERAG_TELEGRAM_TOKEN" in refused.output) == (1, True)
    assert TOKEN not in refused.output
    assert sum("escalation 1" in call.text for call in api.accepted) == 1
    assert f"https://risk.example/a/{GRAVE}" in api.accepted[0].text + api.accepted[1].text


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("show", "alert_0"), "there is no such alert"),
        (("ack", identify_alert("r_watched"), "--owner", "Anna"), "is no alert"),
        (("close", CALM, "--note", " "), "a note that says why is needed"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    queue: MemoryAlerts, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], why: str
) -> None:
    console, heard = listening_console()
    monkeypatch.setattr(cli, "console", console)
    assert ask(*arguments).exit_code == 1
    assert why in heard.getvalue()
    assert heard.getvalue().count("\n") == 1
