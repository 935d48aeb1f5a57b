"""What is new about a ring, and what an alert becomes by it: one message for each thing that happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from terag_pipelines.rings.alert_model import (
    Alert,
    Change,
    Finding,
    News,
    Sighting,
    Step,
    first_sight,
    severity_rank,
    write_message,
)

BREAKS_SNOOZE: frozenset[News] = frozenset({"watchlist", "amount"})


@dataclass(frozen=True)
class NewsParams:
    """Rule "growth": a ring of `growth_severity` or more has grown by `growth_share` of the members that were
    told, and by `min_new_members` or more. An amount is news when it is `amount_factor` times what was told.
    """

    growth_share: float = 0.5
    min_new_members: int = 3
    growth_severity: str = "medium"
    amount_factor: int = 2


def find_news(alert: Alert, params: NewsParams) -> tuple[News, ...]:
    """What `seen` has over `told`; of a ring that is only watched, a broken rule or growth alone."""
    told, seen = alert.told, alert.seen
    happened: dict[News, bool] = {
        "rule": not set(seen.rules) <= set(told.rules),
        "severity": severity_rank(seen.severity) > severity_rank(told.severity),
        "watchlist": seen.n_watchlist > told.n_watchlist,
        "amount": _has_multiplied(told, seen, params.amount_factor),
        "growth": _has_grown(told, seen, params),
    }
    heard = ("rule", "growth") if alert.state == "watched" else tuple(happened)
    return tuple(name for name in heard if happened[name])


def _has_multiplied(told: Sighting, seen: Sighting, factor: int) -> bool:
    """In a currency of which nothing was told there is nothing to multiply."""
    return any(amount >= factor * told.amounts.get(name, amount + 1) for name, amount in seen.amounts.items())


def _has_grown(told: Sighting, seen: Sighting, params: NewsParams) -> bool:
    least = max(told.n_members * (1 + params.growth_share), told.n_members + params.min_new_members)
    is_grave = severity_rank(seen.severity) >= severity_rank(params.growth_severity)
    return is_grave and seen.n_members >= least


def take_finding(alert: Alert | None, finding: Finding, now: datetime, params: NewsParams) -> Change:
    """The alert after a batch's finding, with at most one message, which tells all that is new.

    News opens the alert again, whoever has acknowledged or closed it. While it is snoozed only news that
    breaks a snooze is told; the rest is kept for the snooze's end.
    """
    known = wake(alert or first_sight(finding), now)
    seen = replace(known, seen=finding.sighting, told=_with_new_currencies(known.told, finding.sighting))
    news = find_news(seen, params)
    is_held = seen.state == "snoozed" and not BREAKS_SNOOZE & set(news)
    return announce(seen, news, now) if news and not is_held else Change(seen)


def wake(alert: Alert, now: datetime) -> Alert:
    """The alert, open again where its snooze is over; its escalations then count from that end."""
    until = alert.snoozed_until
    if alert.state != "snoozed" or until is None or until > now:
        return alert
    woken = replace(alert, state="open", opened_at=until, snoozed_until=None, n_escalations=0)
    return with_step(woken, Step(now, "snooze ended"))


def announce(alert: Alert, news: Sequence[News], now: datetime) -> Change:
    """The alert with a message on what is new; it is open afterwards.

    An alert that is open already keeps its time to escalate, unless it became more severe: else a ring that
    changes daily would never escalate.
    """
    rules = {*alert.told.rules, *alert.seen.rules, *(["growth"] if "growth" in news else [])}
    told = replace(alert.told.raised_to(alert.seen), rules=tuple(sorted(rules)))
    restarts = alert.state != "open" or severity_rank(told.severity) > severity_rank(alert.told.severity)
    opened = replace(alert, state="open", told=told, snoozed_until=None, merged_into=None)
    if restarts:
        opened = replace(opened, opened_at=now, n_escalations=0)
    is_first = alert.state == "watched"
    message = write_message(opened, "new" if is_first else "changed", news, now)
    step = Step(now, "opened" if is_first else "news", note=", ".join(news))
    return Change(with_step(replace(opened, n_messages=opened.n_messages + 1), step), (message,))


def with_step(alert: Alert, step: Step) -> Alert:
    """The alert with one more entry of its history."""
    return replace(alert, history=(*alert.history, step))


def _with_new_currencies(told: Sighting, seen: Sighting) -> Sighting:
    """The first amount in a currency is what later ones are compared with."""
    known = {name: amount for name, amount in told.amounts.items() if amount}
    return replace(told, amounts={**seen.amounts, **known})
