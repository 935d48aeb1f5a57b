"""Watches queries on their way to a store: shapes, counts, latency, a few sampled calls.

Costs microseconds.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

import pyarrow as pa

from terag_pipelines.tuning.model import QUERY_SHAPES
from terag_pipelines.tuning.ports import SampledCall

Answer = TypeVar("Answer", bound=Sequence[Any])

BUCKETS_PER_OCTAVE = 8
"""Latency buckets grow by 2^(1/8): a percentile is within 5% of the true one (as HDR histograms do it)."""
_OTHER_SHAPES = "(further shapes)"
_LITERAL = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?P<name>`[^`]*`|\b[A-Za-z_]\w*)|\$\w+|\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b""",
    re.DOTALL,
)
_SPACE = re.compile(r"\s+")


def fingerprint(query: str) -> str:
    """The query's shape: literals and parameters become `?`, white space is one space; names stay."""
    bare = _LITERAL.sub(lambda found: found["name"] or "?", query)
    return _SPACE.sub(" ", bare).strip()


@dataclass
class _Shape:
    shape_id: str
    query: str
    n_calls: int = 0
    n_errors: int = 0
    n_rows: int = 0
    total_s: float = 0.0
    max_s: float = 0.0
    buckets: Counter[int] = field(default_factory=Counter)
    samples: list[SampledCall] = field(default_factory=list)

    def add(self, seconds: float, n_rows: int | None) -> None:
        self.n_calls += 1
        self.n_errors += n_rows is None
        self.n_rows += n_rows or 0
        self.total_s += seconds
        self.max_s = max(self.max_s, seconds)
        self.buckets[math.ceil(math.log2(max(seconds, 1e-9)) * BUCKETS_PER_OCTAVE)] += 1

    def percentile_ms(self, share: float) -> float:
        rank = max(1, math.ceil(share * self.n_calls))
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return 1000 * min(self.max_s, 2 ** ((bucket - 0.5) / BUCKETS_PER_OCTAVE))
        return 0.0


class QueryObserver:
    """Counts calls, rows, errors and latency by shape. Safe to share between threads; memory is bounded.

    `clock` gives seconds; `n_samples` distinct replayable calls are kept of each shape,
    in memory only; shapes beyond `max_shapes` are counted together.
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
        """What `execute` answers, timed; what it raises, counted as an error. `is_sampled`: the call only
        reads, so that it may be replayed."""
        started = self._clock()
        n_rows = None
        try:
            answer = execute()
            n_rows = len(answer)
            return answer
        finally:
            self._record(query, parameters if is_sampled else None, self._clock() - started, n_rows)

    def snapshot(self) -> pa.Table:
        """QUERY_SHAPES of all calls so far."""
        with self._lock:
            rows = [_row_of(shape) for shape in self._shapes.values()]
        columns = zip(*rows, strict=True) if rows else [()] * len(QUERY_SHAPES.schema)
        return QUERY_SHAPES.from_columns(**dict(zip(QUERY_SHAPES.schema.names, columns, strict=True)))

    def samples(self) -> Mapping[str, Sequence[SampledCall]]:
        """The sampled calls of each shape that has any, by shape_id."""
        with self._lock:
            return {shape.shape_id: tuple(shape.samples) for shape in self._shapes.values() if shape.samples}

    def _record(
        self, query: str, parameters: Mapping[str, Any] | None, seconds: float, n_rows: int | None
    ) -> None:
        with self._lock:
            shape = self._by_text.get(query) or self._shape_of(query)
            shape.add(seconds, n_rows)
            if (
                parameters is not None
                and len(shape.samples) < self._n_samples
                and shape.query != _OTHER_SHAPES
            ):
                self._sample(shape, SampledCall(query, dict(parameters)))

    def _shape_of(self, query: str) -> _Shape:
        text = fingerprint(query)
        if text not in self._shapes and len(self._shapes) >= self._max_shapes:
            text = _OTHER_SHAPES
        shape = self._shapes.setdefault(text, _Shape(_id_of(text), text))
        if len(self._by_text) < 4 * self._max_shapes:
            self._by_text[query] = shape
        return shape

    @staticmethod
    def _sample(shape: _Shape, call: SampledCall) -> None:
        if call not in shape.samples:
            shape.samples.append(call)


def _id_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _row_of(shape: _Shape) -> tuple[Any, ...]:
    latencies = (
        shape.total_s * 1000,
        shape.percentile_ms(0.5),
        shape.percentile_ms(0.95),
        shape.max_s * 1000,
    )
    return (shape.shape_id, shape.query, shape.n_calls, shape.n_errors, shape.n_rows, *latencies)
