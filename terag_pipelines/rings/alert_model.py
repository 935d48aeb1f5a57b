"""The queue of ring alerts: what a batch says of a ring, what people were told of it, and each message.

A ring has one alert for as long as its lineage lives, whatever rules it breaks. All times are UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import pyarrow as pa

from terag_pipelines.money import Money
from terag_pipelines.rings.alerts import RUNBOOK, SEVERITIES, identify_alert
from terag_pipelines.rings.model import ALERT_QUEUE
from terag_pipelines.tables import as_frame

AlertState = Literal["watched", "open", "acknowledged", "snoozed", "closed"]
"""A watched ring has broken no rule yet: it is remembered so that its growth is seen."""
LIVE_STATES: tuple[AlertState, ...] = ("open", "acknowledged", "snoozed")
News = Literal["rule", "severity", "watchlist", "amount", "growth"]
Kind = Literal["new", "changed", "escalation"]


def severity_rank(severity: str) -> int:
    """0 for the least severity. Raises: ValueError for a word that is none."""
    return SEVERITIES.index(severity)


@dataclass(frozen=True)
class Sighting:
    """A ring's figures at one moment; `amounts` by currency, in its minor units; `rules` sorted."""

    severity: str = SEVERITIES[0]
    n_members: int = 0
    n_watchlist: int = 0
    amounts: Mapping[str, int] = field(default_factory=dict)
    rules: tuple[str, ...] = ()

    def raised_to(self, other: Sighting) -> Sighting:
        """The larger of each figure, and the rules of both."""
        amounts = {name: max(self.amounts.get(name, 0), n) for name, n in other.amounts.items()}
        return Sighting(
            max(self.severity, other.severity, key=severity_rank),
            max(self.n_members, other.n_members),
            max(self.n_watchlist, other.n_watchlist),
            {**self.amounts, **amounts},
            _united(self, other),
        )

    def lowered_to(self, other: Sighting) -> Sighting:
        """The smaller of each figure; rules, and amounts in currencies that `other` lacks, stay."""
        return Sighting(
            min(self.severity, other.severity, key=severity_rank),
            min(self.n_members, other.n_members),
            min(self.n_watchlist, other.n_watchlist),
            {name: min(n, other.amounts.get(name, n)) for name, n in self.amounts.items()},
            self.rules,
        )

    def joined_with(self, other: Sighting) -> Sighting:
        """The figures of two rings that became one."""
        names = self.amounts.keys() | other.amounts.keys()
        return replace(
            self.raised_to(other),
            n_members=self.n_members + other.n_members,
            n_watchlist=self.n_watchlist + other.n_watchlist,
            amounts={name: self.amounts.get(name, 0) + other.amounts.get(name, 0) for name in names},
        )


def _united(one: Sighting, other: Sighting) -> tuple[str, ...]:
    return tuple(sorted({*one.rules, *other.rules}))


@dataclass(frozen=True)
class Finding:
    """What one batch says of one ring; without rules it only lets the ring be watched."""

    ring_id: str
    sighting: Sighting


@dataclass(frozen=True)
class Step:
    """An entry of an alert's history: when, what, by whom (None: the platform itself), and why."""

    at: datetime
    what: str
    by: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Alert:
    """The one alert of a ring.

    `seen` is what the last batch said; `told` is the most that messages told, or less where a person has
    acted on the alert while it was less. What is more than `told` is news. `opened_at` begins the count of
    hours to escalations, of which `n_escalations` were raised since. `absorbed` are the alerts of rings that
    were merged into its own; `is_gone`: the ring has died. `version` counts what was stored.
    """

    alert_id: str
    ring_id: str
    state: AlertState
    seen: Sighting
    told: Sighting
    opened_at: datetime | None = None
    owner: str | None = None
    snoozed_until: datetime | None = None
    n_messages: int = 0
    n_escalations: int = 0
    merged_into: str | None = None
    absorbed: tuple[str, ...] = ()
    is_gone: bool = False
    history: tuple[Step, ...] = ()
    version: int = 0
    runbook: str = RUNBOOK

    @property
    def severity(self) -> str:
        """As last told; of a watched ring as last seen."""
        return self.seen.severity if self.state == "watched" else self.told.severity


@dataclass(frozen=True)
class Message:
    """One thing to tell: an alert is new, has changed, or was not acknowledged (`escalation`: which step)."""

    message_id: str
    alert_id: str
    ring_id: str
    kind: Kind
    severity: str
    news: tuple[News, ...]
    sighting: Sighting
    created_at: datetime
    escalation: int = 0
    runbook: str = RUNBOOK


@dataclass(frozen=True)
class Change:
    """An alert as it shall be stored over the version it was read in, with the messages that go with it."""

    alert: Alert
    messages: tuple[Message, ...] = ()


def first_sight(finding: Finding) -> Alert:
    """The alert of a ring that the queue has never seen: nothing was told."""
    told = replace(finding.sighting, rules=())
    return Alert(identify_alert(finding.ring_id), finding.ring_id, "watched", finding.sighting, told)


def write_message(alert: Alert, kind: Kind, news: Sequence[News], now: datetime) -> Message:
    """The alert's next message; its id follows from the alert and the number of messages before."""
    return Message(
        message_id=f"{alert.alert_id}-{alert.n_messages + 1:06d}",
        alert_id=alert.alert_id,
        ring_id=alert.ring_id,
        kind=kind,
        severity=alert.severity,
        news=tuple(news),
        sighting=alert.seen,
        created_at=now,
        escalation=alert.n_escalations + 1 if kind == "escalation" else 0,
        runbook=alert.runbook,
    )


def read_findings(fraud_rings: pa.Table, ring_alerts: pa.Table) -> list[Finding]:
    """One finding for each ring of a batch, from its FRAUD_RINGS and RING_ALERTS, by ring id."""
    raised = as_frame(ring_alerts).group_by("ring_id").agg("rule", broken="severity")
    rings = as_frame(fraud_rings).join(raised, on="ring_id", how="left").sort("ring_id")
    return [_as_finding(row) for row in rings.iter_rows(named=True)]


def _as_finding(row: Mapping[str, object]) -> Finding:
    broken: list[str] = list(row["broken"] or ())  # type: ignore[call-overload]
    severity = max([str(row["severity"]), *broken], key=severity_rank)
    amount, currency = row["amount_minor"], row["currency"]
    amounts = {str(currency): int(str(amount))} if currency and amount else {}
    n_members, n_watchlist = (int(str(row[name] or 0)) for name in ("n_members", "n_watchlist"))
    rules = tuple(sorted(row["rule"] or ()))  # type: ignore[call-overload]
    return Finding(str(row["ring_id"]), Sighting(severity, n_members, n_watchlist, amounts, rules))


def tabulate_alerts(alerts: Sequence[Alert]) -> pa.Table:
    """ALERT_QUEUE: one row for each alert."""
    columns: dict[str, list[object]] = {
        name: [getattr(one, name) for one in alerts]
        for name in ("alert_id", "ring_id", "state", "severity", "owner", "opened_at", "snoozed_until",
                     "n_messages", "n_escalations", "runbook")
    }  # fmt: skip
    told: dict[str, list[object]] = {
        "rules": [list(one.told.rules) for one in alerts],
        "n_members": [one.seen.n_members for one in alerts],
        "n_watchlist": [one.seen.n_watchlist for one in alerts],
        "amounts": [write_amounts(one.seen) for one in alerts],
    }
    return ALERT_QUEUE.from_columns(**columns, **told)


def write_amounts(sighting: Sighting) -> str:
    """The amounts in words, "-" for none."""
    amounts = (str(Money(minor, currency)) for currency, minor in sorted(sighting.amounts.items()))
    return ", ".join(amounts) or "-"
