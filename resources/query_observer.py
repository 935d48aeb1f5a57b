"""Watches queries on their way to a store: shapes, counts, latency, a few sampled calls.

Costs microseconds. What was asked since the last window was closed is one more window of the past. Sampled
calls, whose parameters may be personal, are in memory here; whoever stores them seals them.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any, TypeVar

import pyarrow as pa

from terag_pipelines.tables import TableSchema
from terag_pipelines.tuning.model import BUCKETS_PER_OCTAVE, QUERY_SHAPES, QUERY_WINDOWS
from terag_pipelines.tuning.ports import SampledCall

Answer = TypeVar("Answer", bound=Sequence[Any])

_OTHER_SHAPES = "(further shapes)"
_LITERAL = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?P<name>`[^`]*`|\b[A-Za-z_]\w*)|\$\w+|\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b""",
    re.DOTALL,
)
_SPACE = re.compile(r"\s+")


def fingerprint(query: str) -> str:
    """The query's shape: literals and parameters become `?`, comments and white space a space; names stay."""
    bare = _LITERAL.sub(lambda found: found["name"] or (" " if found["comment"] else "?"), query)
    return _SPACE.sub(" ", bare).strip()


@dataclass
class _Figures:
    """Calls and latency of one shape in one stretch of time."""

    n_calls: int = 0
    n_errors: int = 0
    n_rows: int = 0
    total_s: float = 0.0
    max_s: float = 0.0
    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float, n_rows: int | None) -> None:
        self.n_calls += 1
        self.n_errors += n_rows is None
        self.n_rows += n_rows or 0
        self.total_s += seconds
        self.max_s = max(self.max_s, seconds)
        self.buckets[math.ceil(math.log2(max(seconds, 1e-9)) * BUCKETS_PER_OCTAVE)] += 1

    def __add__(self, later: _Figures) -> _Figures:
        return _Figures(
            self.n_calls + later.n_calls,
            self.n_errors + later.n_errors,
            self.n_rows + later.n_rows,
            self.total_s + later.total_s,
            max(self.max_s, later.max_s),
            self.buckets + later.buckets,
        )

    def percentile_ms(self, share: float) -> float:
        rank = max(1, math.ceil(share * self.n_calls))
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return 1000 * min(self.max_s, 2 ** ((bucket - 0.5) / BUCKETS_PER_OCTAVE))
        return 0.0


@dataclass
class _Shape:
    shape_id: str
    query: str
    closed: _Figures = field(default_factory=_Figures)  # of windows that ended
    window: _Figures = field(default_factory=_Figures)  # since then
    samples: list[SampledCall] = field(default_factory=list)
    fresh: list[SampledCall] = field(default_factory=list)  # sampled since they were last taken

    def sample(self, call: SampledCall, n_samples: int) -> None:
        if call in self.fresh:
            return
        self.fresh.append(call)
        if len(self.samples) < n_samples and call not in self.samples:
            self.samples.append(call)

    def take_fresh(self) -> tuple[SampledCall, ...]:
        taken, self.fresh = tuple(self.fresh), []
        return taken

    def close_window(self) -> _Figures:
        ended, self.window = self.window, _Figures()
        self.closed += ended
        return ended


class QueryObserver:
    """Counts calls, rows, errors and latency by shape. Safe to share between threads; memory is bounded.

    `clock` gives seconds; of each shape the first `n_samples` distinct replayable calls are kept, and as many
    since they were last taken; shapes beyond `max_shapes` are counted together.
    """

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, n_samples: int = 8, max_shapes: int = 500
    ) -> None:
        self._clock = clock
        self._n_samples = n_samples
        self._max_shapes = max_shapes
        self._lock = Lock()
        self._shapes: dict[str, _Shape] = {}  # by fingerprint
        self._by_text: dict[str, _Shape] = {}  # texts are few: the platform's queries are constants

    def run(
        self,
        query: str,
        parameters: Mapping[str, Any],
        execute: Callable[[], Answer],
        *,
        is_sampled: bool = False,
    ) -> Answer:
        """What `execute` answers, timed; what it raises, counted as an error.

        `is_sampled`: the call only reads, so that it may be replayed where it was answered.
        """
        started = self._clock()
        n_rows = None
        try:
            answer = execute()
            n_rows = len(answer)
            return answer
        finally:
            is_replayable = is_sampled and n_rows is not None
            self._record(query, parameters if is_replayable else None, self._clock() - started, n_rows)

    def snapshot(self) -> pa.Table:
        """QUERY_SHAPES of all calls so far."""
        with self._lock:
            rows = [_row_of(shape, shape.closed + shape.window) for shape in self._shapes.values()]
        return _table_of(QUERY_SHAPES, rows)

    def close_window(self, observer_id: str, started_at: datetime, ended_at: datetime) -> pa.Table:
        """QUERY_WINDOWS of the calls since the last window was closed; shapes without calls have no row."""
        named = (observer_id, started_at, ended_at)
        with self._lock:
            ended = [(shape, shape.close_window()) for shape in self._shapes.values()]
        rows = [
            (*named, *_row_of(shape, figures), *zip(*sorted(figures.buckets.items()), strict=True))
            for shape, figures in ended
            if figures.n_calls
        ]
        return _table_of(QUERY_WINDOWS, rows)

    def samples(self) -> Mapping[str, Sequence[SampledCall]]:
        """The sampled calls of each shape that has any, by shape_id."""
        with self._lock:
            return {shape.shape_id: tuple(shape.samples) for shape in self._shapes.values() if shape.samples}

    def take_samples(self) -> Mapping[str, Sequence[SampledCall]]:
        """The first few distinct calls of each shape since they were last taken, as subjects change."""
        with self._lock:
            return {shape.shape_id: shape.take_fresh() for shape in self._shapes.values() if shape.fresh}

    def _record(
        self, query: str, parameters: Mapping[str, Any] | None, seconds: float, n_rows: int | None
    ) -> None:
        with self._lock:
            shape = self._by_text.get(query) or self._shape_of(query)
            shape.window.add(seconds, n_rows)
            if parameters is not None and len(shape.fresh) < self._n_samples and shape.query != _OTHER_SHAPES:
                shape.sample(SampledCall(query, dict(parameters)), self._n_samples)

    def _shape_of(self, query: str) -> _Shape:
        text = fingerprint(query)
        if text not in self._shapes and len(self._shapes) >= self._max_shapes:
            text = _OTHER_SHAPES
        shape = self._shapes.setdefault(text, _Shape(_id_of(text), text))
        if len(self._by_text) < 4 * self._max_shapes:
            self._by_text[query] = shape
        return shape


def _id_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _row_of(shape: _Shape, figures: _Figures) -> tuple[Any, ...]:
    latencies = (
        figures.total_s * 1000,
        figures.percentile_ms(0.5),
        figures.percentile_ms(0.95),
        figures.max_s * 1000,
    )
    counts = (figures.n_calls, figures.n_errors, figures.n_rows)
    return (shape.shape_id, shape.query, *counts, *latencies)


def _table_of(schema: TableSchema, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema.schema)
    return schema.from_columns(**dict(zip(schema.schema.names, columns, strict=True)))
