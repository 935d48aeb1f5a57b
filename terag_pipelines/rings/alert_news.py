"""What is new about a ring, and what an alert becomes by it: one message for each thing that happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from terag_pipelines.rings.alert_model import (
    Alert,
    AlertState,
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
AWAKE: tuple[AlertState, ...] = ("watched", "closed", "snoozed", "acknowledged", "open")
"""From what needs nobody to what needs somebody now: of two alerts that become one the later state holds."""


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


def absorb(survivor: Alert, old: Alert, now: datetime) -> tuple[Alert, Alert]:
    """The alerts of a ring and of one that was merged into it: the first goes on for both, the other closes.

    What was told of either is told: only what the two did not have before they met is news.
    """
    if old.state == "watched":
        return survivor, old
    closed = _close_merged(old, survivor, now)
    if old.alert_id in survivor.absorbed:
        return survivor, closed
    is_unknown = survivor.version == 0 and not survivor.absorbed
    told = (Sighting() if is_unknown else survivor.told).joined_with(old.told)
    goes_on = max(old, survivor, key=lambda one: AWAKE.index(one.state))
    joined = replace(
        survivor,
        state=goes_on.state,
        told=told,
        opened_at=goes_on.opened_at,
        owner=survivor.owner or old.owner,
        snoozed_until=goes_on.snoozed_until,
        n_escalations=goes_on.n_escalations,
        absorbed=(*survivor.absorbed, old.alert_id),
    )
    return with_step(joined, Step(now, "absorbed", note=old.alert_id)), closed


def _close_merged(old: Alert, survivor: Alert, now: datetime) -> Alert:
    if old.merged_into == survivor.alert_id:
        return old
    closed = replace(old, state="closed", merged_into=survivor.alert_id, snoozed_until=None)
    return with_step(closed, Step(now, "merged", note=f"into {survivor.alert_id}"))


def end_of_mergers(merged: Mapping[str, str]) -> dict[str, str]:
    """For each ring that was merged the one that it is part of in the end."""
    ends = {}
    for old in merged:
        ring, passed = old, {old}
        while (following := merged.get(ring)) is not None and following not in passed:
            ring = following
            passed.add(ring)
        if ring != old:
            ends[old] = ring
    return ends
