"""The desk where findings become alerts and people act on them; all that is kept lies in the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from terag_pipelines.errors import AlertRaceError
from terag_pipelines.rings.alert_actions import acknowledge, close, pass_time, snooze
from terag_pipelines.rings.alert_model import LIVE_STATES, Alert, Change, Finding, first_sight
from terag_pipelines.rings.alert_news import NewsParams, absorb, end_of_mergers, take_finding
from terag_pipelines.rings.alert_ports import AlertQueue
from terag_pipelines.rings.escalation import EscalationPolicy

Item = TypeVar("Item")
MAX_RACES = 50
CHUNK = 500


@dataclass(frozen=True)
class AlertDesk:
    """Changes alerts in a queue; `channels` are those that messages go out by.

    Each method reads, decides and stores, and does so again where somebody else was faster.

    Raises: AlertRaceError where others always were, StoreUnavailableError.
    """

    queue: AlertQueue
    channels: tuple[str, ...] = ()
    params: NewsParams = field(default_factory=NewsParams)
    policy: EscalationPolicy = field(default_factory=EscalationPolicy)

    def offer(
        self, findings: Sequence[Finding], now: datetime, merged: Mapping[str, str] | None = None
    ) -> int:
        """Takes a batch's findings; how many messages that made. The same batch again makes none.

        `merged` gives for rings that were merged into others the ring that goes on; the alerts of the first
        close, and the alert of the second goes on for both.
        """
        ends = end_of_mergers(merged or {})
        own = {one.ring_id: one for one in findings if one.ring_id not in ends}
        self._retry(partial(self._merge, ends, own, now))
        chunks = _in_chunks([own[ring_id] for ring_id in sorted(own)])
        return sum(self._retry(partial(self._take, chunk, now)) for chunk in chunks)

    def acknowledge(self, alert_id: str, owner: str, now: datetime) -> Alert:
        """Puts an alert in somebody's hands. Raises: NotFoundError, AlertStateError."""
        return self._act(alert_id, lambda alert: acknowledge(alert, owner, now))

    def snooze(self, alert_id: str, days: float, now: datetime, by: str | None = None) -> Alert:
        """Silences an alert for some days. Raises: NotFoundError, AlertStateError."""
        return self._act(alert_id, lambda alert: snooze(alert, days, now, by))

    def close(self, alert_id: str, note: str, now: datetime, by: str | None = None) -> Alert:
        """Closes an alert. Raises: NotFoundError, AlertStateError."""
        return self._act(alert_id, lambda alert: close(alert, note, now, by))

    def pass_time(self, now: datetime) -> int:
        """Ends snoozes and raises escalations that are due; how many messages that made."""
        live = self.queue.in_states(LIVE_STATES)
        ids = [one.ring_id for one in live if _changed(one, self._aged(one, now))]
        return sum(self._retry(partial(self._age, chunk, now)) for chunk in _in_chunks(ids))

    def _take(self, findings: Sequence[Finding], now: datetime) -> int:
        known = self.queue.of_rings([one.ring_id for one in findings])
        pairs = [(known.get(one.ring_id), one) for one in findings]
        changes = [(alert, take_finding(alert, one, now, self.params)) for alert, one in pairs]
        return self._store(changes)

    def _age(self, ring_ids: Sequence[str], now: datetime) -> int:
        known = self.queue.of_rings(ring_ids).values()
        return self._store([(alert, self._aged(alert, now)) for alert in known])

    def _aged(self, alert: Alert, now: datetime) -> Change:
        return pass_time(alert, now, self.policy, self.params)

    def _merge(self, ends: Mapping[str, str], findings: Mapping[str, Finding], now: datetime) -> int:
        known = self.queue.of_rings({*ends.keys(), *ends.values()})
        merged = dict(known)
        for old, ring in sorted(ends.items()):
            survivor = merged.get(ring) or (first_sight(findings[ring]) if ring in findings else None)
            if old in merged and survivor is not None:
                merged[ring], merged[old] = absorb(survivor, merged[old], now)
        return self._store([(known.get(ring), Change(alert)) for ring, alert in sorted(merged.items())])

    def _act(self, alert_id: str, act: Callable[[Alert], Alert]) -> Alert:
        def once() -> int:
            alert = self.queue.find(alert_id)
            return self._store([(alert, Change(act(alert)))])

        self._retry(once)
        return self.queue.find(alert_id)

    def _store(self, changes: Sequence[tuple[Alert | None, Change]]) -> int:
        stored = [change for before, change in changes if _changed(before, change)]
        if stored:
            self.queue.store(stored, self.channels)
        return sum(len(change.messages) for change in stored)

    def _retry(self, attempt: Callable[[], int]) -> int:
        for _ in range(MAX_RACES):
            try:
                return attempt()
            except AlertRaceError:
                continue
        raise AlertRaceError("too many change alerts at once; try again")


def _changed(before: Alert | None, change: Change) -> bool:
    return change.alert != before


def _in_chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[at : at + CHUNK] for at in range(0, len(items), CHUNK))
