"""Trials of indexes: make one, replay what was really asked, keep it if it pays, else drop it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import pyarrow as pa

from terag_pipelines.tuning.advice import Candidate, advise, used_indexes
from terag_pipelines.tuning.model import INDEX_TRIALS
from terag_pipelines.tuning.ports import (
    IndexLab,
    IndexSpec,
    PlanProfile,
    SampledCall,
    TunableStore,
    Workload,
    find_index,
)
from terag_pipelines.tuning.slow_queries import SlowQueryDetector, SlowQueryParams


@dataclass(frozen=True)
class TuningParams:
    """When an index is tried and kept.

    `n_calls` sampled calls of each shape are replayed, each timed `n_repeats` times. `min_hits_fall`: share
    by which the db hits of the shapes that ask for the index must fall; one that cannot save as much by its
    plans is not tried. A shape regresses when its db hits rise by more than `max_hits_rise`, or when its plan
    changed and its latency (median of paired differences) rose by more than `max_latency_rise` and
    `latency_noise_ms`: with the plan as it was, a change of latency is the machine's, not the index's.
    `max_trials` bounds the indexes tried in one run.
    """

    slow: SlowQueryParams = field(default_factory=SlowQueryParams)
    n_calls: int = 4
    n_repeats: int = 3
    min_hits_fall: float = 0.4
    max_hits_rise: float = 0.1
    max_latency_rise: float = 0.5
    latency_noise_ms: float = 5.0
    max_trials: int = 2


@dataclass(frozen=True)
class Measurement:
    """What the sampled calls of one shape cost: db hits in all, latency of each call and repeat.

    `steps`: the operators of the plans, to see whether the store does it in another way.
    """

    db_hits: int
    latencies_ms: tuple[float, ...]
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class IndexTrial:
    """One row of INDEX_TRIALS."""

    index: IndexSpec | None
    decision: str
    reason: str
    before: Measurement | None = None
    after: Measurement | None = None


@dataclass(frozen=True)
class TuningResult:
    """INDEX_TRIALS and QUERY_SHAPES of one run."""

    trials: pa.Table
    shapes: pa.Table


def tune_indexes(
    store: TunableStore,
    workload: Workload,
    params: TuningParams | None = None,
    past: pa.Table | None = None,
) -> TuningResult:
    """Asks the workload of the store, finds slow shapes, tries the indexes that their plans ask for.

    `past`: QUERY_WINDOWS of before, against which a shape may have become slow.
    Raises: StoreUnavailableError, StoreError.
    """
    chosen = params or TuningParams()
    workload.ask(store)
    shapes = store.observed.snapshot()
    slow = SlowQueryDetector(chosen.slow).find(shapes, past)["shape_id"].to_pylist()
    optimizer = QueryOptimizer(store.index_lab, chosen)
    trials = optimizer.tune(slow, store.observed.samples())
    return TuningResult(_trials_table(trials), shapes)


@dataclass(frozen=True)
class QueryOptimizer:
    """Tries indexes in a lab. Indexes that others made, and constraints, are never touched."""

    lab: IndexLab
    params: TuningParams = field(default_factory=TuningParams)

    def tune(
        self, slow_shapes: Sequence[str], samples: Mapping[str, Sequence[SampledCall]]
    ) -> tuple[IndexTrial, ...]:
        """Trials for slow shapes (worst first) that were sampled; at least one row, to say why none."""
        self.lab.drop_unfinished()
        chosen = {shape: tuple(calls[: self.params.n_calls]) for shape, calls in samples.items()}
        plans = {shape: _profiled(self.lab, calls) for shape, calls in sorted(chosen.items())}
        profiles = {shape: plans[shape] for shape in slow_shapes if shape in plans}
        existing = self.lab.list_indexes()
        served = used_indexes((plan for group in plans.values() for plan in group), existing)
        trials = [self._served(index) for index in served if index.is_ours]
        for candidate in advise(plan for group in profiles.values() for plan in group):
            if reason := self._refusal(candidate, existing, trials):
                trials.append(IndexTrial(candidate.index, "not_needed", reason))
            else:
                askers = [shape for shape, group in profiles.items() if _asks(group, candidate.index)]
                trials.append(self.try_index(candidate.index, askers, chosen))
        return tuple(trials) or (_NOTHING_TO_TRY,)

    def try_index(
        self, index: IndexSpec, askers: Iterable[str], samples: Mapping[str, Sequence[SampledCall]]
    ) -> IndexTrial:
        """One trial: measure, create, wait, measure, decide.

        The index is dropped too when the trial itself fails; by the next run, where this one is killed.
        """
        before = self._measure(samples)
        kept = False
        try:
            self.lab.create_index(index)
            self.lab.await_online(index.name)
            after = self._measure(samples)
            trial = self._decide(index, tuple(askers), before, after)
            if trial.decision == "kept":
                self.lab.keep_index(index.name)
                kept = True
        finally:
            if not kept:
                self.lab.drop_index(index.name)
        return trial

    def _measure(self, samples: Mapping[str, Sequence[SampledCall]]) -> dict[str, Measurement]:
        return {shape: self._measure_shape(calls) for shape, calls in sorted(samples.items())}

    def _measure_shape(self, calls: Sequence[SampledCall]) -> Measurement:
        """Profiles first: they warm the plan cache and the pages, so that timed runs are alike."""
        profiles = _profiled(self.lab, calls)
        latencies = tuple(self.lab.time_call(call) for _ in range(self.params.n_repeats) for call in calls)
        steps = tuple(f"{step.name} {step.details}" for plan in profiles for step in plan.operators)
        return Measurement(sum(profile.db_hits for profile in profiles), latencies, steps)

    def _decide(
        self,
        index: IndexSpec,
        askers: tuple[str, ...],
        before: Mapping[str, Measurement],
        after: Mapping[str, Measurement],
    ) -> IndexTrial:
        was, now = _joined(before, askers), _joined(after, askers)
        fall = 1 - now.db_hits / max(1, was.db_hits)
        worse = [shape for shape in before if self._regresses(before[shape], after[shape])]
        if worse:
            return IndexTrial(index, "reverted", f"{len(worse)} sampled query shapes became slower", was, now)
        if fall < self.params.min_hits_fall:
            reason = f"db hits fell by {fall:.0%}, less than the {self.params.min_hits_fall:.0%} asked for"
            return IndexTrial(index, "reverted", reason, was, now)
        return IndexTrial(
            index, "kept", f"db hits fell by {fall:.0%} and no sampled shape regressed", was, now
        )

    def _regresses(self, was: Measurement, now: Measurement) -> bool:
        if now.db_hits > was.db_hits * (1 + self.params.max_hits_rise):
            return True
        if now.steps == was.steps:
            return False
        rises = [b - a for a, b in zip(was.latencies_ms, now.latencies_ms, strict=True)]
        rise = median(rises) if rises else 0.0  # paired by call and repeat
        allowed = self.params.max_latency_rise * median(was.latencies_ms) if rises else 0.0
        return rise > max(allowed, self.params.latency_noise_ms)

    def _refusal(
        self, candidate: Candidate, existing: Iterable[IndexSpec], trials: Sequence[IndexTrial]
    ) -> str | None:
        if find_index(existing, candidate.index):
            return "the index exists, and the plan does not use it"
        if candidate.saving_share < self.params.min_hits_fall:
            return f"by the plans it saves {candidate.saving_share:.0%} of the db hits at most"
        if sum(trial.before is not None for trial in trials) >= self.params.max_trials:
            return f"{self.params.max_trials} indexes were tried in this run: its turn comes with the next"
        return None

    @staticmethod
    def _served(index: IndexSpec) -> IndexTrial:
        return IndexTrial(index, "not_needed", "the index was kept earlier and serves a sampled query")


_NOTHING_TO_TRY = IndexTrial(None, "not_needed", "no slow query shape scans a label for a property")


def _profiled(lab: IndexLab, calls: Iterable[SampledCall]) -> tuple[PlanProfile, ...]:
    return tuple(lab.profile(call) for call in calls)


def _asks(profiles: Iterable[PlanProfile], index: IndexSpec) -> bool:
    return any(candidate.index == index for candidate in advise(profiles))


def _joined(measured: Mapping[str, Measurement], shapes: Iterable[str]) -> Measurement:
    chosen = [measured[shape] for shape in shapes]
    latencies = tuple(latency for one in chosen for latency in one.latencies_ms)
    return Measurement(sum(one.db_hits for one in chosen), latencies)


def _trials_table(trials: Iterable[IndexTrial]) -> pa.Table:
    rows = [
        (
            trial.index.name if trial.index else "none",
            trial.index.label if trial.index else None,
            ",".join(trial.index.properties) if trial.index else None,
            trial.index.kind if trial.index else None,
            trial.decision,
            *_figures(trial.before, trial.after),
            trial.reason,
        )
        for trial in trials
    ]
    return INDEX_TRIALS.from_columns(
        **dict(zip(INDEX_TRIALS.schema.names, zip(*rows, strict=True), strict=True))
    )


def _figures(before: Measurement | None, after: Measurement | None) -> tuple[float | None, ...]:
    if before is None or after is None:
        return (None, None, None, None)
    return (before.db_hits, after.db_hits, median(before.latencies_ms), median(after.latencies_ms))
