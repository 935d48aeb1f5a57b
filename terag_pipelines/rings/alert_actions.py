"""What people do with an alert: acknowledge, snooze, close; and what happens when nobody does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from terag_pipelines.errors import AlertStateError
from terag_pipelines.rings.alert_model import Alert, Change, Step, write_message
from terag_pipelines.rings.alert_news import NewsParams, announce, find_news, wake, with_step
from terag_pipelines.rings.escalation import EscalationPolicy

MAX_SNOOZE_DAYS = 365
MAX_TEXT = 500


def acknowledge(alert: Alert, owner: str, now: datetime) -> Alert:
    """The alert in somebody's hands: it does not escalate. Raises: AlertStateError."""
    _require_live(alert)
    who = _require_text(owner, "an owner")
    taken = replace(_acted_on(alert), state="acknowledged", owner=who, snoozed_until=None)
    return with_step(taken, Step(now, "acknowledged", who))


def snooze(alert: Alert, days: float, now: datetime, by: str | None = None) -> Alert:
    """The alert, silent for some days unless a watchlist hit or a doubled amount comes.

    Raises: AlertStateError.
    """
    _require_live(alert)
    if not 0 < days <= MAX_SNOOZE_DAYS:
        raise AlertStateError(f"an alert is snoozed for more than 0 and at most {MAX_SNOOZE_DAYS} days")
    asleep = replace(_acted_on(alert), state="snoozed", snoozed_until=now + timedelta(days=days))
    return with_step(asleep, Step(now, "snoozed", by, f"{days:g} days"))


def close(alert: Alert, note: str, now: datetime, by: str | None = None) -> Alert:
    """The alert, done with until something new happens. Raises: AlertStateError."""
    _require_live(alert)
    why = _require_text(note, "a note that says why")
    return with_step(
        replace(_acted_on(alert), state="closed", snoozed_until=None), Step(now, "closed", by, why)
    )


def _acted_on(alert: Alert) -> Alert:
    """Who acts on an alert knows the ring as it is now: what it was at its largest no longer counts."""
    return replace(alert, told=alert.told.lowered_to(alert.seen))


def pass_time(alert: Alert, now: datetime, policy: EscalationPolicy, params: NewsParams) -> Change:
    """The alert after time alone: what was held back by a snooze that is over, and each escalation once."""
    woken = wake(alert, now)
    news = find_news(woken, params) if woken is not alert else ()
    told = announce(woken, news, now) if news else Change(woken)
    return _escalate(told, now, policy)


def _escalate(change: Change, now: datetime, policy: EscalationPolicy) -> Change:
    alert, messages = change.alert, list(change.messages)
    steps = policy.hours.get(alert.severity, ())
    while _is_due(alert, steps, now):
        messages.append(write_message(alert, "escalation", (), now))
        n = alert.n_escalations + 1
        raised = replace(alert, n_escalations=n, n_messages=alert.n_messages + 1)
        alert = with_step(raised, Step(now, "escalated", note=f"step {n}"))
    return Change(alert, tuple(messages))


def _is_due(alert: Alert, steps: tuple[float, ...], now: datetime) -> bool:
    if alert.state != "open" or alert.opened_at is None or alert.n_escalations >= len(steps):
        return False
    return now - alert.opened_at >= timedelta(hours=steps[alert.n_escalations])


def _require_live(alert: Alert) -> None:
    if alert.state == "watched":
        raise AlertStateError(f"{alert.alert_id} is no alert: its ring has broken no rule")
    if alert.state == "closed":
        where = f": it was merged into {alert.merged_into}" if alert.merged_into else ""
        raise AlertStateError(f"{alert.alert_id} is closed, and opens when something new happens{where}")


def _require_text(text: str, what: str) -> str:
    cleaned = " ".join(text.split())
    if not cleaned or len(cleaned) > MAX_TEXT:
        raise AlertStateError(f"{what} is needed, of at most {MAX_TEXT} characters")
    return cleaned
