"""`terag alerts`: the queue of ring alerts, what people do with them, and sending what waits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from resources.alert_senders import open_desk, open_senders
from resources.embedded import DOCUMENTS, EmbeddedStores
from resources.mongo_alerts import MongoAlerts
from resources.settings import load_settings
from resources.stores import connect_documents
from terag_pipelines.rings.alert_desk import AlertDesk
from terag_pipelines.rings.alert_model import (
    LIVE_STATES,
    Alert,
    AlertState,
    severity_rank,
    tabulate_alerts,
    write_amounts,
)
from terag_pipelines.rings.alert_ports import UNASSIGNED, Backlog
from terag_pipelines.rings.alert_sending import Clock, Sent, send_due


def print_alerts(
    states: Sequence[AlertState],
    severity: str,
    owner: str | None,
    limit: int,
    as_json: bool,
    console: Console,
) -> None:
    """Prints alerts of these states (without any: all but closed ones), the gravest first, and what waits."""
    with _opened_queue() as queue:
        found = queue.in_states(states or LIVE_STATES)
        backlogs = queue.backlogs()
    kept = [one for one in found if severity_rank(one.severity) >= severity_rank(severity)]
    kept = [one for one in kept if owner is None or one.owner == owner]
    kept.sort(
        key=lambda one: (-severity_rank(one.severity), one.opened_at or datetime.max.replace(tzinfo=UTC))
    )
    if as_json:
        rows = {row["alert_id"]: row for row in tabulate_alerts(kept).to_pylist()}
        shown = [rows[one.alert_id] for one in kept[:limit]]
        _print_json({"n_alerts": len(kept), "alerts": shown, "waiting": [asdict(one) for one in backlogs]})
        return
    _print_table(kept[:limit], console)
    console.print(f"{min(limit, len(kept)):,} of {len(kept):,} alerts", markup=False)
    for backlog in backlogs:
        console.print(_tell_backlog(backlog), markup=False, soft_wrap=True)


def print_alert(alert_id: str, as_json: bool, console: Console) -> None:
    """Prints one alert with its figures, its history and its runbook. Raises: NotFoundError."""
    with _opened_queue() as queue:
        alert = queue.find(alert_id)
    _print_alert(alert, as_json, console)


def acknowledge(alert_id: str, owner: str, as_json: bool, console: Console) -> None:
    """Puts an alert in somebody's hands. Raises: NotFoundError, AlertStateError."""
    with _opened_desk() as desk:
        _print_alert(desk.acknowledge(alert_id, owner, _now()), as_json, console)


def snooze(alert_id: str, days: float, by: str | None, as_json: bool, console: Console) -> None:
    """Silences an alert for some days. Raises: NotFoundError, AlertStateError."""
    with _opened_desk() as desk:
        _print_alert(desk.snooze(alert_id, days, _now(), by), as_json, console)


def close(alert_id: str, note: str, by: str | None, as_json: bool, console: Console) -> None:
    """Closes an alert. Raises: NotFoundError, AlertStateError."""
    with _opened_desk() as desk:
        _print_alert(desk.close(alert_id, note, _now(), by), as_json, console)


def send(as_json: bool, console: Console) -> bool:
    """Raises escalations that are due and sends what waits, once; whether nothing is left waiting."""
    settings, clock = load_settings(), Clock(time.monotonic, time.sleep)
    with _opened_queue() as queue, open_senders(settings) as senders:
        sent = send_due(open_desk(settings, queue, senders), queue, senders, clock, _now())
        backlogs = queue.backlogs()
    if as_json:
        _print_json({"sent": [asdict(one) for one in sent], "waiting": [asdict(one) for one in backlogs]})
    else:
        _tell_sent(sent, backlogs, console)
    return not backlogs


def _tell_sent(sent: Sequence[Sent], backlogs: Sequence[Backlog], console: Console) -> None:
    if not sent:
        console.print("no sender is configured: see docs/how-to/alerts.md", markup=False)
    for one in sent:
        console.print(f"{one.channel}: {one.n_sent:,} sent", markup=False)
    for backlog in backlogs:
        console.print(_tell_backlog(backlog), markup=False, soft_wrap=True)


def _tell_backlog(backlog: Backlog) -> str:
    waits = f"{backlog.n_pending:,} messages wait since {backlog.oldest_at:%Y-%m-%d %H:%M} UTC"
    if backlog.channel == UNASSIGNED:
        return f"{waits}: no sender is configured"
    return f"{backlog.channel}: {waits}" + (f": {backlog.last_failure}" if backlog.last_failure else "")


def _print_table(alerts: Sequence[Alert], console: Console) -> None:
    table = Table("alert", "severity", "state", "rules", "members", "owner", "open since", show_edge=False)
    for one in alerts:
        since = f"{one.opened_at:%Y-%m-%d %H:%M} UTC" if one.opened_at else ""
        rules, owner = ", ".join(one.told.rules), one.owner or ""
        state = _tell_state(one)
        table.add_row(*_texts((one.alert_id, one.severity, state, rules, one.seen.n_members, owner, since)))
    console.print(table)


def _print_alert(alert: Alert, as_json: bool, console: Console) -> None:
    if as_json:
        _print_json(asdict(alert) | {"severity": alert.severity})
        return
    until = f" until {alert.snoozed_until:%Y-%m-%d %H:%M} UTC" if alert.snoozed_until else ""
    seen = alert.seen
    lines = [
        f"{alert.alert_id}: {alert.severity}, {_tell_state(alert)}{until}"
        + (f", {alert.owner}" if alert.owner else ""),
        f"ring:    {alert.ring_id}",
        f"seen:    {seen.n_members} members, {seen.n_watchlist} on a watchlist, {write_amounts(seen)}",
        f"rules:   {', '.join(alert.told.rules) or '-'}",
        f"runbook: {alert.runbook}",
        *(
            f"{step.at:%Y-%m-%d %H:%M} UTC  {step.what}  {step.by or ''}  {step.note}"
            for step in alert.history
        ),
    ]
    for line in _texts(lines):
        console.print(line, soft_wrap=True)


def _tell_state(alert: Alert) -> str:
    return f"{alert.state}, its ring died" if alert.is_gone else alert.state


@contextmanager
def _opened_queue() -> Iterator[MongoAlerts]:
    settings = load_settings()
    database = connect_documents(settings, EmbeddedStores(settings).start(needs=[DOCUMENTS]))
    try:
        yield MongoAlerts(database)
    finally:
        database.client.close()


@contextmanager
def _opened_desk() -> Iterator[AlertDesk]:
    settings = load_settings()
    with _opened_queue() as queue, open_senders(settings) as senders:
        yield open_desk(settings, queue, senders)


def _now() -> datetime:
    return datetime.now(UTC)


def _texts(values: Sequence[object]) -> list[str]:
    """Texts for the terminal; a control character in a note must not steer it."""
    return [escape("".join(c if c.isprintable() else "·" for c in str(value))) for value in values]


def _print_json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content, default=_as_text, indent=2, ensure_ascii=False))


def _as_text(value: datetime) -> str:
    return value.isoformat()
