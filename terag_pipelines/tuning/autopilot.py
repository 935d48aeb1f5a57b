"""Tuning of a store from end to end: what was asked, what of it is slow, which indexes are tried and kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import pyarrow as pa

from terag_pipelines.tuning.asked import joined_samples, joined_shapes, shapes_of, split_windows
from terag_pipelines.tuning.history import DecisionWriter, past_of, trials_table
from terag_pipelines.tuning.optimizer import QueryOptimizer, ignore
from terag_pipelines.tuning.policy import TuningParams, TuningPolicy
from terag_pipelines.tuning.ports import IndexLab, TunableStore, TuningLog, Workload
from terag_pipelines.tuning.slow_queries import SlowQueryDetector
from terag_pipelines.tuning.trials import IN_USE, IndexTrial, Samples


@dataclass(frozen=True)
class TuningResult:
    """INDEX_TRIALS, QUERY_SHAPES and SLOW_SHAPES of one run."""

    trials: pa.Table
    shapes: pa.Table
    slow: pa.Table


@dataclass(frozen=True)
class Autopilot:
    """Tunes the indexes of a store; without a log what did not pay is tried again."""

    params: TuningParams = field(default_factory=TuningParams)
    policy: TuningPolicy = field(default_factory=TuningPolicy)
    log: TuningLog | None = None

    def run(
        self,
        store: TunableStore,
        workload: Workload,
        now: datetime,
        past: pa.Table | None = None,
        past_calls: Samples | None = None,
    ) -> TuningResult:
        """Asks the workload of the store, finds slow shapes, tries the indexes that their plans ask for.

        `past`: QUERY_WINDOWS of before this run, of all who asked: the recent ones count with what the
        workload asks, and against those of before a shape may have become slow. `past_calls`: sampled
        calls of then, by shape_id; those of shapes that were asked recently are replayed.
        Raises: StoreUnavailableError, StoreError.
        """
        workload.ask(store)
        recent, before = split_windows(past, now - timedelta(hours=self.params.recent_hours))
        others = shapes_of(recent)
        shapes = joined_shapes(store.observed.snapshot(), others)
        slow = SlowQueryDetector(self.params.slow).find(shapes, before)
        asked = set(others["shape_id"].to_pylist())
        calls = {shape: calls for shape, calls in (past_calls or {}).items() if shape in asked}
        samples = joined_samples(store.observed.samples(), calls)
        trials = self._tune(store, now, shapes, slow, samples)
        return TuningResult(trials_table(trials), shapes, slow)

    def _tune(
        self, store: TunableStore, now: datetime, shapes: pa.Table, slow: pa.Table, samples: Samples
    ) -> tuple[IndexTrial, ...]:
        n_calls = dict(zip(*(slow[name].to_pylist() for name in ("shape_id", "n_calls")), strict=True))
        texts = dict(zip(*(shapes[name].to_pylist() for name in ("shape_id", "query")), strict=True))
        read_past = partial(past_of, self.log) if self.log else None
        on_trial = DecisionWriter(self.log, now, texts).write if self.log else ignore
        optimizer = QueryOptimizer(store.index_lab, self.params, self.policy, on_trial)
        trials = optimizer.tune(n_calls, samples, now, read_past)
        if self.log and self.policy.may_change:
            self.log.note_uses(_reads(store.index_lab) | _served(trials, now))
        return trials


def _served(trials: tuple[IndexTrial, ...], now: datetime) -> dict[str, datetime]:
    """The indexes of ours that served a sampled query."""
    return {t.index.name: now for t in trials if t.index and t.decision == IN_USE}


def _reads(lab: IndexLab) -> dict[str, datetime]:
    """When this server itself says that it last read each index."""
    return {name: use.last_read_at for name, use in lab.index_uses().items() if use.last_read_at}
