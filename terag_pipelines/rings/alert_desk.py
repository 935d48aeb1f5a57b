"""The desk where findings become alerts and people act on them; all that is kept lies in the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from terag_pipelines.errors import AlertRaceError
from terag_pipelines.rings.alert_actions import acknowledge, close, pass_time, snooze
from terag_pipelines.rings.alert_lineage import (
    Fates,
    absorb,
    begin_alert,
    end_of_mergers,
    note_death,
    note_return,
    part,
)
from terag_pipelines.rings.alert_model import LIVE_STATES, Alert, Change, Finding, first_sight
from terag_pipelines.rings.alert_news import NewsParams, take_finding
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

    def offer(self, findings: Sequence[Finding], now: datetime, fates: Fates | None = None) -> int:
        """Takes a batch's findings; how many messages that made. The same batch again makes none.

        By `fates` the alert of a ring that was merged closes, and that of the ring that goes on is for both;
        that of a ring that died says so and waits on; that of a ring that came out of another names it.
        """
        told = fates or Fates()
        ends = end_of_mergers(told.merged)
        own = {one.ring_id: one for one in findings if one.ring_id not in ends}
        for mergers in _in_chunks(sorted(ends.items())):
            self._retry(partial(self._merge, mergers, own, now))
        for ring_ids in _in_chunks(sorted(told.died - own.keys())):
            self._retry(partial(self._bury, ring_ids, now))
        chunks = _in_chunks([own[ring_id] for ring_id in sorted(own)])
        return sum(self._retry(partial(self._take, chunk, told.origins, now)) for chunk in chunks)

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

    def _take(self, findings: Sequence[Finding], origins: Mapping[str, str], now: datetime) -> int:
        known = self.queue.of_rings([one.ring_id for one in findings])
        changes = []
        for finding in findings:
            before = known.get(finding.ring_id)
            alert = self._follow(before, now) or begin_alert(finding, origins.get(finding.ring_id), now)
            changes.append((before, take_finding(alert, finding, now, self.params)))
        return self._store(changes)

    def _follow(self, alert: Alert | None, now: datetime) -> Alert | None:
        """The alert of a ring that is there, also where it was merged or had died before."""
        if alert is None or alert.merged_into is None:
            return alert and note_return(alert, now)
        left = alert
        while left.merged_into is not None:
            left = self.queue.find(left.merged_into)
        return part(alert, left, now)

    def _age(self, ring_ids: Sequence[str], now: datetime) -> int:
        known = self.queue.of_rings(ring_ids).values()
        return self._store([(alert, self._aged(alert, now)) for alert in known])

    def _aged(self, alert: Alert, now: datetime) -> Change:
        return pass_time(alert, now, self.policy, self.params)

    def _merge(
        self, mergers: Sequence[tuple[str, str]], findings: Mapping[str, Finding], now: datetime
    ) -> int:
        known = self.queue.of_rings({ring_id for merger in mergers for ring_id in merger})
        merged = dict(known)
        for old, ring in mergers:
            survivor = merged.get(ring) or (first_sight(findings[ring]) if ring in findings else None)
            if old in merged and survivor is not None:
                merged[ring], merged[old] = absorb(survivor, merged[old], now)
            elif old in merged:
                merged[old] = note_death(merged[old], now)
        return self._store([(known.get(ring), Change(alert)) for ring, alert in sorted(merged.items())])

    def _bury(self, ring_ids: Sequence[str], now: datetime) -> int:
        known = self.queue.of_rings(ring_ids).values()
        return self._store([(alert, Change(note_death(alert, now))) for alert in known])

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
