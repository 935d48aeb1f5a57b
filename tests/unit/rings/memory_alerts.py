"""A queue and an outbox in memory: the contract's reference, and one for tests that need no MongoDB."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock

from terag_pipelines.errors import AlertRaceError, NotFoundError
from terag_pipelines.rings.alert_model import Alert, AlertState, Change, Message
from terag_pipelines.rings.alert_ports import UNASSIGNED, Backlog, Claim


@dataclass
class Row:
    message: Message
    channel: str
    state: str = "pending"
    fence: int = 0
    n_attempts: int = 0
    n_faults: int = 0
    lease_until: float = 0.0
    last_failure: str | None = None
    failed_at: float = 0.0
    refused_at: float = 0.0

    @property
    def order(self) -> tuple[float, datetime, str]:
        return self.refused_at, self.message.created_at, self.message.message_id


class MemoryAlerts:
    """Implements AlertQueue and Outbox."""

    def __init__(self) -> None:
        self._alerts: dict[str, Alert] = {}
        self.rows: dict[tuple[str, str], Row] = {}
        self._next_at: dict[str, float] = {}
        self._held_until: dict[str, float] = {}
        self._lock = Lock()

    def find(self, alert_id: str) -> Alert:
        if alert_id not in self._alerts:
            raise NotFoundError("there is no such alert")
        return self._alerts[alert_id]

    def of_rings(self, ring_ids: Collection[str]) -> Mapping[str, Alert]:
        return {one.ring_id: one for one in self._alerts.values() if one.ring_id in ring_ids}

    def in_states(self, states: Collection[AlertState]) -> Sequence[Alert]:
        return [alert for _, alert in sorted(self._alerts.items()) if alert.state in states]

    def store(self, changes: Sequence[Change], channels: Sequence[str]) -> None:
        with self._lock:
            stored = {one.alert.alert_id: one.alert for one in changes}
            if any(self._version(name) != alert.version for name, alert in stored.items()):
                raise AlertRaceError("an alert has changed since it was read")
            self._alerts |= {
                name: replace(alert, version=alert.version + 1) for name, alert in stored.items()
            }
            for message in (message for one in changes for message in one.messages):
                for channel in channels or (UNASSIGNED,):
                    self.rows[message.message_id, channel] = Row(message, channel)

    def _version(self, alert_id: str) -> int:
        return self._alerts[alert_id].version if alert_id in self._alerts else 0

    def assign(self, channels: Sequence[str]) -> int:
        waiting = [row for row in self.rows.values() if row.channel == UNASSIGNED]
        for row in waiting if channels else []:
            del self.rows[row.message.message_id, UNASSIGNED]
            for channel in channels:
                self.rows[row.message.message_id, channel] = Row(row.message, channel)
        return len(waiting) if channels else 0

    def take_turn(self, channel: str, interval_s: float, patience_s: float) -> float:
        with self._lock:
            now = time.monotonic()
            turn = max(self._next_at.get(channel, now), now)
            if turn - now <= patience_s:
                self._next_at[channel] = turn + interval_s
            return turn - now

    def claim(self, channel: str, lease_s: float) -> Claim | None:
        with self._lock:
            now = time.monotonic()
            free = [row for row in self.rows.values() if row.channel == channel and _is_free(row, now)]
            if not free or self._held_until.get(channel, now) > now:
                return None
            row = min(free, key=lambda one: one.order)
            row.n_faults += row.state == "sending"
            row.state, row.lease_until = "sending", now + lease_s
            row.fence, row.n_attempts = row.fence + 1, row.n_attempts + 1
            return Claim(row.message, channel, row.fence, row.n_faults, row.n_attempts)

    def settle(self, claim: Claim) -> bool:
        return self._end(claim, "sent", None, 0)

    def put_back(
        self, claim: Claim, delay_s: float, why: str, may_be_sent: bool, to_the_end: bool = False
    ) -> bool:
        if delay_s > 0:
            until = time.monotonic() + delay_s
            for held in (self._held_until, self._next_at):
                held[claim.channel] = max(held.get(claim.channel, until), until)
        if to_the_end:
            self.rows[claim.message.message_id, claim.channel].refused_at = time.monotonic()
        return self._end(claim, "pending", why, int(may_be_sent))

    def _end(self, claim: Claim, state: str, why: str | None, n_faults: int) -> bool:
        with self._lock:
            row = self.rows[claim.message.message_id, claim.channel]
            is_last = (row.fence, row.state) == (claim.fence, "sending")
            if is_last:
                row.state, row.last_failure, row.n_faults = state, why, row.n_faults + n_faults
                row.failed_at = time.monotonic()
            return is_last

    def backlogs(self) -> Sequence[Backlog]:
        unsent = [row for row in self.rows.values() if row.state != "sent"]
        told = []
        for channel in sorted({row.channel for row in unsent}):
            rows = [row for row in unsent if row.channel == channel]
            failures = [(row.failed_at, row.last_failure) for row in rows if row.last_failure]
            oldest = min(row.message.created_at for row in rows)
            told.append(Backlog(channel, len(rows), oldest, max(failures)[1] if failures else None))
        return told


def _is_free(row: Row, now: float) -> bool:
    return row.state == "pending" or (row.state == "sending" and row.lease_until <= now)
