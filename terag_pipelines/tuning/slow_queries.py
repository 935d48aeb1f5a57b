"""Which query shapes are slow enough to do something about."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.tuning.model import QUERY_SHAPES


@dataclass(frozen=True)
class SlowQueryParams:
    """A shape is slow when it was called `min_calls` times or more and its median is `slow_ms` or more."""

    slow_ms: float = 2.0
    min_calls: int = 5


@dataclass(frozen=True)
class SlowQueryDetector:
    """Picks slow shapes by an absolute threshold."""

    params: SlowQueryParams = SlowQueryParams()

    def find(self, shapes: pa.Table) -> pa.Table:
        """The slow ones of QUERY_SHAPES, the one that took most time in all first."""
        called = pc.greater_equal(shapes["n_calls"], self.params.min_calls)
        slow = pc.greater_equal(shapes["p50_latency_ms"], self.params.slow_ms)
        found = QUERY_SHAPES.conform(shapes).filter(pc.and_(called, slow))
        return found.sort_by([("total_latency_ms", "descending"), ("shape_id", "ascending")])
