"""The tables of the tuning room. All hold times: measurements, kept out of digests."""

from __future__ import annotations

import pyarrow as pa

from terag_pipelines.tables import TableSchema

TEXT = pa.string()
INSTANT = pa.timestamp("us", tz="UTC")

BUCKETS_PER_OCTAVE = 8
"""Latency buckets grow by 2^(1/8): a percentile is within 5% of the true one (as HDR histograms do it)."""

_OBSERVED = [
    ("shape_id", TEXT),  # of the query without literals and parameter names
    ("query", TEXT),
    ("n_calls", pa.int64()),
    ("n_errors", pa.int64()),
    ("n_rows", pa.int64()),
    ("total_latency_ms", pa.float64()),
    ("p50_latency_ms", pa.float64()),  # percentiles from a histogram, within 5%
    ("p95_latency_ms", pa.float64()),
    ("max_latency_ms", pa.float64()),
]

QUERY_SHAPES = TableSchema(
    name="query_shapes", schema=pa.schema(_OBSERVED), key=("shape_id",), digested=False
)

QUERY_WINDOWS = TableSchema(
    name="query_windows",
    schema=pa.schema(
        [
            ("observer_id", TEXT),  # which client observed: windows of several overlap in time
            ("started_at", INSTANT),
            ("ended_at", INSTANT),
            *_OBSERVED,
            ("buckets", pa.list_(pa.int64())),  # those with calls: n holds latencies of up to 2^(n/8) s
            ("bucket_calls", pa.list_(pa.int64())),  # how many calls each
        ]
    ),
    key=("observer_id", "started_at", "shape_id"),
    digested=False,
)
"""What was asked in one stretch of time: the past that a shape is measured against. No parameters."""

SLOW_SHAPES = TableSchema(
    name="slow_shapes",
    schema=pa.schema(
        [
            *_OBSERVED,
            ("why", TEXT),  # "absolute", "adaptive", "both": which threshold its median is over
            ("normal_ms", pa.float64()),  # median of its past windows' medians; null without enough past
            ("adaptive_ms", pa.float64()),  # its own threshold; null without enough past
            ("saved_ms", pa.float64()),  # time that all calls would save if each took what is fast
        ]
    ),
    key=("shape_id",),
    digested=False,
)

_DECIDED = [
    ("trial_id", TEXT),  # the index's name, or "none" where no index was thinkable
    ("label", TEXT),  # or relationship type
    ("property", TEXT),  # several are separated by commas
    ("index_kind", TEXT),  # "range", "text", "point", "full-text"
    ("decision", TEXT),  # one of those in trials.py
    ("db_hits_before", pa.int64()),  # of the sampled calls of the shapes that asked for the index
    ("db_hits_after", pa.int64()),
    ("latency_before_ms", pa.float64()),  # median over those calls and repeats
    ("latency_after_ms", pa.float64()),
    ("reason", TEXT),
]
_MEASURED = [
    ("element", TEXT),  # "node", "relationship"
    ("n_entries", pa.int64()),  # rows that the index holds, where that is known
    ("hits_ratio_low", pa.float64()),  # after / before, call by call: 95% confidence interval
    ("hits_ratio_high", pa.float64()),
    ("latency_ratio_low", pa.float64()),
    ("latency_ratio_high", pa.float64()),
]

INDEX_TRIALS = TableSchema(
    name="index_trials",
    schema=pa.schema([*_DECIDED, *_MEASURED]),
    key=("trial_id", "decision"),
    digested=False,
    later=frozenset(name for name, _ in _MEASURED),
)

INDEX_DECISIONS = TableSchema(
    name="index_decisions",
    schema=pa.schema(
        [
            ("decided_at", INSTANT),
            ("step", pa.int64()),  # order within one run
            *_DECIDED,
            *_MEASURED,
            ("queries", pa.list_(TEXT)),  # shapes that asked for the index: no parameter, no literal
        ]
    ),
    key=("decided_at", "step"),
    digested=False,
)
"""The history of indexes: what was tried, kept, reverted or dropped, when and why."""

GRAPH_READINGS = TableSchema(
    name="graph_health",
    schema=pa.schema(
        [
            ("measured_at", INSTANT),
            ("server", TEXT),  # "primary", "backup"; "all" for what is asked of the graph as a whole
            ("figure", TEXT),  # with its unit: "store_bytes", "query_p95_ms", "index_online", ...
            ("about", TEXT),  # an index's name or a shape_id; empty for the server as a whole
            ("value", pa.float64()),
        ]
    ),
    key=("measured_at", "server", "figure", "about"),
    digested=False,
)
"""How the servers of the graph were at one moment."""
