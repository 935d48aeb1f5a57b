"""The tables of the tuning room. Both hold times: measurements of one run, kept out of digests."""

from __future__ import annotations

import pyarrow as pa

from terag_pipelines.tables import TableSchema

TEXT = pa.string()

QUERY_SHAPES = TableSchema(
    name="query_shapes",
    schema=pa.schema(
        [
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
    ),
    key=("shape_id",),
    digested=False,
)

INDEX_TRIALS = TableSchema(
    name="index_trials",
    schema=pa.schema(
        [
            ("trial_id", TEXT),  # the index's name, or "none" where no index was thinkable
            ("label", TEXT),
            ("property", TEXT),
            ("index_kind", TEXT),  # "range", "text"
            ("decision", TEXT),  # "kept", "reverted", "not_needed"
            ("db_hits_before", pa.int64()),  # of the sampled calls of the shapes that asked for the index
            ("db_hits_after", pa.int64()),
            ("latency_before_ms", pa.float64()),  # median over those calls and repeats
            ("latency_after_ms", pa.float64()),
            ("reason", TEXT),
        ]
    ),
    key=("trial_id",),
    digested=False,
)
