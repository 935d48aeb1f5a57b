"""What becomes of alerts when their rings merge, part, die or come back.

An alert follows its ring's lineage: nothing here writes a message, and each change is made once, however
often a history that tells of it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl
import pyarrow as pa

from terag_pipelines.rings.alert_model import (
    LIVE_STATES,
    Alert,
    AlertState,
    Finding,
    Sighting,
    Step,
    first_sight,
    severity_rank,
)
from terag_pipelines.rings.alert_news import with_step
from terag_pipelines.rings.alerts import identify_alert
from terag_pipelines.tables import as_frame

AWAKE: tuple[AlertState, ...] = ("watched", "closed", "snoozed", "acknowledged", "open")
"""From what needs nobody to what needs somebody now: of two alerts that become one the later state holds."""


@dataclass(frozen=True)
class Fates:
    """What became of rings, by ring id.

    `merged`: for each ring that is no more as it was merged the ring that goes on; `died`: rings that live
    on nowhere; `origins`: for each new ring that came out of another one that other.
    """

    merged: Mapping[str, str] = field(default_factory=dict)
    died: frozenset[str] = frozenset()
    origins: Mapping[str, str] = field(default_factory=dict)


def read_fates(ring_history: pa.Table) -> Fates:
    """The fates that RING_HISTORY tells of; of halves that went two ways the first ring by id goes on.

    The history has the last batches too: an alert misses no fate of a batch that was served while the
    queue was away.
    """
    event, other = pl.col("event"), pl.col("other_ring_ids").list.first()
    events = as_frame(ring_history).sort("batch_number")
    last = events.group_by("ring_id", maintain_order=True).last()
    gone = last.filter(pl.col("n_members") == 0)
    came_out = events.filter((event == "split") & pl.col("overlap").is_null())
    return Fates(
        dict(gone.filter(event == "merged").select("ring_id", other).iter_rows()),
        frozenset(gone.filter(event == "died")["ring_id"]),
        dict(came_out.select("ring_id", other).iter_rows()),
    )


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


def begin_alert(finding: Finding, origin: str | None, now: datetime) -> Alert:
    """The alert of a ring that the queue has never seen; it names the alert of the ring it came out of."""
    alert = first_sight(finding)
    return with_step(alert, Step(now, "split", note=f"from {identify_alert(origin)}")) if origin else alert


def absorb(survivor: Alert, old: Alert, now: datetime) -> tuple[Alert, Alert]:
    """The alerts of a ring and of one that was merged into it: the first goes on for both, the other closes.

    What was told of either is told: only what the two did not have before they met is news. Of the two
    states the one that needs somebody sooner holds, with its owner, its snooze and its count of hours, which
    begins anew where the two together are graver.
    """
    if old.state == "watched" or old.merged_into is not None:
        return survivor, old
    told = _told_together(survivor, old)
    goes_on = max(survivor, old, key=_urgency)
    is_graver = severity_rank(told.severity) > severity_rank(goes_on.told.severity)
    joined = replace(
        survivor,
        state=goes_on.state,
        told=told,
        opened_at=now if is_graver else goes_on.opened_at,
        owner=goes_on.owner or survivor.owner or old.owner,
        snoozed_until=goes_on.snoozed_until,
        n_escalations=0 if is_graver else goes_on.n_escalations,
        merged_into=None,
        absorbed=(*(one for one in survivor.absorbed if one != old.alert_id), old.alert_id),
    )
    closed = replace(old, state="closed", merged_into=survivor.alert_id, snoozed_until=None)
    return (
        with_step(joined, Step(now, "absorbed", note=old.alert_id)),
        with_step(closed, Step(now, "merged", note=f"into {survivor.alert_id}")),
    )


def _told_together(survivor: Alert, old: Alert) -> Sighting:
    """What was told of both; of two that were one before it was told together already."""
    if old.alert_id in survivor.absorbed or survivor.alert_id in old.absorbed:
        return survivor.told.raised_to(old.told)
    is_unknown = survivor.version == 0 and not survivor.absorbed
    return (Sighting() if is_unknown else survivor.told).joined_with(old.told)


def _urgency(alert: Alert) -> tuple[int, int, float]:
    """Larger for a state that needs somebody sooner, then for the graver alert, then for the older one."""
    since = alert.opened_at.timestamp() if alert.opened_at else 0.0
    return AWAKE.index(alert.state), severity_rank(alert.told.severity), -since


def part(alert: Alert, left: Alert, now: datetime) -> Alert:
    """The alert of a ring that is back on its own out of one that it was merged into.

    It is as that one's alert is, open, in somebody's hands, asleep or closed: who acted on that has seen the
    two together, and what nobody acknowledged still escalates.
    """
    back = replace(
        alert,
        state=left.state,
        owner=left.owner or alert.owner,
        opened_at=left.opened_at,
        snoozed_until=left.snoozed_until,
        n_escalations=left.n_escalations,
        merged_into=None,
        is_gone=False,
    )
    return with_step(back, Step(now, "parted", note=f"from {left.alert_id}"))


def note_death(alert: Alert, now: datetime) -> Alert:
    """The alert, which says that its ring is no more. It waits as before: what the ring did is done."""
    if alert.is_gone or alert.state not in LIVE_STATES:
        return alert
    return with_step(replace(alert, is_gone=True), Step(now, "ring died"))


def note_return(alert: Alert, now: datetime) -> Alert:
    """The alert of a ring that is there; where it had died the history says that it is back."""
    return with_step(replace(alert, is_gone=False), Step(now, "ring came back")) if alert.is_gone else alert
