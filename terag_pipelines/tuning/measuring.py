"""What sampled calls cost before and after, compared pair by pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from scipy.stats import t as student_t

from terag_pipelines.tuning.ports import IndexLab, PlanProfile, SampledCall

CONFIDENCE = 0.95


@dataclass(frozen=True)
class CallCost:
    """Db hits of one sampled call, and the milliseconds of each time that it was replayed."""

    db_hits: int
    latencies_ms: tuple[float, ...]


@dataclass(frozen=True)
class Measurement:
    """What the sampled calls of one shape, or of several, cost; `profiles` are the plans they ran by."""

    calls: tuple[CallCost, ...]
    profiles: tuple[PlanProfile, ...] = ()

    @property
    def db_hits(self) -> int:
        """Of all calls."""
        return sum(call.db_hits for call in self.calls)

    @property
    def n_rows(self) -> tuple[int, ...]:
        """Of each call's answer."""
        return tuple(profile.n_rows for profile in self.profiles)

    @property
    def latency_ms(self) -> float:
        """Median over calls and repeats."""
        return median(ms for call in self.calls for ms in call.latencies_ms)

    @property
    def steps(self) -> tuple[str, ...]:
        """The operators of the plans: whether the store does it in another way."""
        return tuple(f"{o.name} {o.details}" for profile in self.profiles for o in profile.operators)


@dataclass(frozen=True)
class Change:
    """The sum after divided by that before, and its 95% confidence interval."""

    ratio: float
    low: float
    high: float


def paired_change(before: Sequence[float], after: Sequence[float]) -> Change:
    """How values changed, pair by pair: Student's t over their differences, relative to the mean before.

    One pair has no interval: it is all that was asked. Raises: ValueError for sequences of unequal length
    or without a value.
    """
    if not before or len(before) != len(after):
        raise ValueError(f"{len(before)} values before and {len(after)} after make no pairs")
    saved = np.asarray(before, dtype=float) - np.asarray(after, dtype=float)
    n, mean_before = len(saved), max(float(np.mean(before)), 1e-9)
    error = float(saved.std(ddof=1)) / n**0.5 if n > 1 else 0.0
    margin = float(student_t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error if error else 0.0
    shares = (float(saved.mean()), float(saved.mean()) + margin, float(saved.mean()) - margin)
    return Change(*(1 - share / mean_before for share in shares))


def hits_change(before: Measurement, after: Measurement) -> Change:
    """How db hits changed, call by call."""
    return paired_change(*([float(call.db_hits) for call in one.calls] for one in (before, after)))


def latency_change(before: Measurement, after: Measurement) -> Change:
    """How latency changed, call by call; each call's is the median over its repeats."""
    return paired_change(*([median(call.latencies_ms) for call in one.calls] for one in (before, after)))


def measure_shape(lab: IndexLab, calls: Sequence[SampledCall], n_repeats: int) -> Measurement:
    """Profiles first: they warm the plan cache and the pages, so that timed runs are alike."""
    profiles = tuple(lab.profile(call) for call in calls)
    repeats = [[lab.time_call(call) for call in calls] for _ in range(n_repeats)]
    costs = (
        CallCost(profile.db_hits, tuple(repeat[i] for repeat in repeats))
        for i, profile in enumerate(profiles)
    )
    return Measurement(tuple(costs), profiles)


def joined(measured: Mapping[str, Measurement], shapes: Iterable[str]) -> Measurement:
    """The calls of several shapes as one."""
    return Measurement(tuple(call for shape in shapes for call in measured[shape].calls))
