"""One trial of an index: make it, replay what was really asked, keep it if it pays, else drop it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from terag_pipelines.errors import StoreError, StoreUnavailableError
from terag_pipelines.tuning.measuring import (
    Change,
    Measurement,
    hits_change,
    joined,
    latency_change,
    measure_shape,
)
from terag_pipelines.tuning.policy import TuningParams
from terag_pipelines.tuning.ports import IndexLab, IndexSpec, SampledCall

KEPT, REVERTED, FAILED = "kept", "reverted", "failed"
IN_USE, NOT_NEEDED, ADVISED, POSTPONED = "in_use", "not_needed", "advised", "postponed"
DROPPED, SUPERSEDED = "dropped", "superseded"
CHANGES = frozenset({KEPT, REVERTED, FAILED, DROPPED, SUPERSEDED})
"""Decisions by which something was changed, or tried: those of the history."""

Samples = Mapping[str, Sequence[SampledCall]]


@dataclass(frozen=True)
class IndexTrial:
    """What was decided of an index, and why.

    `before` and `after` are of the sampled calls of `shapes`, those that ask for the index; `hits` and
    `latency` their change; `n_entries` how many rows it holds, where that is known.
    """

    index: IndexSpec | None
    decision: str
    reason: str
    shapes: tuple[str, ...] = ()
    before: Measurement | None = None
    after: Measurement | None = None
    hits: Change | None = None
    latency: Change | None = None
    n_entries: int | None = None


@dataclass(frozen=True)
class AutoIndexCreator:
    """Makes an index for a trial; it stays only where measurement says that it pays."""

    lab: IndexLab
    params: TuningParams = field(default_factory=TuningParams)

    def try_index(
        self, index: IndexSpec, shapes: Iterable[str], samples: Samples, n_entries: int | None = None
    ) -> IndexTrial:
        """Measure, create, wait, measure, decide; `shapes` are those that ask for it, all are compared.

        What the store does not make is a trial that failed. The index is dropped where the trial is not
        finished; by the next run, where this one is killed. Raises: StoreUnavailableError.
        """
        asking, before, kept = tuple(shapes), self._measure(samples), False
        try:
            self.lab.create_index(index)
        except StoreUnavailableError:
            raise
        except StoreError as error:
            self.lab.keep_index(index.name)  # of whose making it is: it is not ours to drop
            return IndexTrial(index, FAILED, f"the store does not make it: {error}", asking)
        try:
            self.lab.await_online(index.name)
            trial = self._decide(index, asking, before, self._measure(samples), n_entries)
            if trial.decision == KEPT:
                self.lab.keep_index(index.name)
                kept = True
        finally:
            if not kept:
                self.lab.drop_index(index.name)
        return trial

    def _measure(self, samples: Samples) -> dict[str, Measurement]:
        repeats = self.params.n_repeats
        return {shape: measure_shape(self.lab, calls, repeats) for shape, calls in sorted(samples.items())}

    def _decide(
        self,
        index: IndexSpec,
        asking: tuple[str, ...],
        before: Mapping[str, Measurement],
        after: Mapping[str, Measurement],
        n_entries: int | None,
    ) -> IndexTrial:
        if any(before[shape].n_rows != after[shape].n_rows for shape in before):
            return IndexTrial(index, FAILED, "the graph changed meanwhile: its turn comes again", asking)
        was, now = joined(before, asking), joined(after, asking)
        hits, latency = hits_change(was, now), latency_change(was, now)
        worse = [shape for shape in before if self._regresses(before[shape], after[shape])]
        is_sure = hits.high < 1 or self._fell_throughout(was, now)
        decision, reason = self._verdict(1 - now.db_hits / max(1, was.db_hits), is_sure, len(worse))
        return IndexTrial(index, decision, reason, asking, was, now, hits, latency, n_entries)

    def _fell_throughout(self, was: Measurement, now: Measurement) -> bool:
        """Db hits are no chance: what saves as much of each call is sure for however few."""
        most = 1 - self.params.min_hits_fall
        pairs = zip(was.calls, now.calls, strict=True)
        return all(after.db_hits <= most * before.db_hits for before, after in pairs)

    def _verdict(self, fall: float, is_sure: bool, n_worse: int) -> tuple[str, str]:
        if n_worse:
            return REVERTED, f"{n_worse} sampled query shape{'s' * (n_worse > 1)} became slower"
        told = f"db hits fell by {fall:.0%}"
        if fall < self.params.min_hits_fall:
            return REVERTED, f"{told}, less than the {self.params.min_hits_fall:.0%} asked for"
        if not is_sure:
            return REVERTED, f"{told}, but for so few calls that may be chance"
        return KEPT, f"{told} and no sampled shape regressed"

    def _regresses(self, was: Measurement, now: Measurement) -> bool:
        if now.db_hits > was.db_hits * (1 + self.params.max_hits_rise):
            return True
        if now.steps == was.steps or now.latency_ms - was.latency_ms <= self.params.latency_noise_ms:
            return False
        return latency_change(was, now).low > 1 + self.params.max_latency_rise
