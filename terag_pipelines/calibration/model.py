"""The table of calibrators: one row for each kind of score that labels can correct."""

from __future__ import annotations

import pyarrow as pa

from terag_pipelines.tables import TableSchema

CALIBRATORS = TableSchema(
    name="calibrators",
    schema=pa.schema(
        [
            ("calibrator_id", pa.string()),  # "links", "rings"
            ("method", pa.string()),  # "identity", "sigmoid", "isotonic"; "none": nothing was fitted
            ("parameters", pa.string()),  # JSON of the method's numbers, exact to the last bit
            ("n_labels", pa.int64()),
            ("n_positive", pa.int64()),
            ("ece_before", pa.float64()),  # of the scores as they came; null where nothing was fitted
            ("ece_after", pa.float64()),  # each label judged by a choice and fit that never saw it
            ("brier_before", pa.float64()),
            ("brier_after", pa.float64()),
            ("reason", pa.string()),  # why this method, or why none
        ]
    ),
    key=("calibrator_id",),
)
