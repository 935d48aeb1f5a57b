"""When an index is tried and kept, and what tuning may do at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from terag_pipelines.tuning.slow_queries import SlowQueryParams


@dataclass(frozen=True)
class TuningParams:
    """When an index is tried and kept.

    `n_calls` sampled calls of each shape are replayed, each timed `n_repeats` times. `min_hits_fall`: share
    by which the db hits of the shapes that ask for the index must fall, of each call or surely (95%) by
    something; one that is not thought to save as much of any plan is not tried. A shape regresses when its
    db hits rise by more than `max_hits_rise`, or when its plan changed and its latency rose, surely, by
    more than `max_latency_rise`, and by more than `latency_noise_ms`: with the plan as it was, a change of
    latency is the machine's, not the index's. `written_share` of the rows of a label is thought to be
    written between as many calls as were seen: an index that costs more than it saves is not tried.
    `max_trials` bounds the indexes tried in one run. What others asked in the last `recent_hours` counts with
    what this process asks: a day, as there is one load a night.
    """

    slow: SlowQueryParams = field(default_factory=SlowQueryParams)
    n_calls: int = 4
    n_repeats: int = 3
    min_hits_fall: float = 0.4
    max_hits_rise: float = 0.1
    max_latency_rise: float = 0.5
    latency_noise_ms: float = 5.0
    written_share: float = 0.01
    recent_hours: float = 24.0
    max_trials: int = 4


@dataclass(frozen=True)
class TuningPolicy:
    """What tuning may do.

    `may_change`: without it, it only says what it would do. Changes are made in the hours of the day from
    `low_load_hours[0]` to before `low_load_hours[1]` in `time_zone`, at any time without them. A label or
    type has at most `max_indexes` besides those of constraints. An index that served nothing for
    `unused_days` is dropped; one that was reverted is tried again after `retry_days`, or when twice as many
    rows are there.
    """

    may_change: bool = True
    low_load_hours: tuple[int, int] | None = None
    time_zone: str = "Asia/Almaty"
    max_indexes: int = 6
    unused_days: int = 90
    retry_days: int = 30

    def __post_init__(self) -> None:
        """Raises: ValueError for hours that no day has."""
        if self.low_load_hours and not all(0 <= hour <= 24 for hour in self.low_load_hours):
            raise ValueError(f"hours of low load are from 0 to 24, not {self.low_load_hours}")

    def postponement(self, now: datetime) -> str | None:
        """Why nothing may be changed at this instant; None where it may."""
        if self.low_load_hours is None:
            return None
        start, end = self.low_load_hours
        hour = now.astimezone(ZoneInfo(self.time_zone)).hour
        is_low = start <= hour < end if start <= end else hour >= start or hour < end
        return (
            None if is_low else f"put off to the hours of low load, {start} to {end} o'clock {self.time_zone}"
        )
