"""What the twin knows: one row for each causal question, one for each client and question."""

from __future__ import annotations

import pyarrow as pa

from terag_pipelines.tables import TableSchema

TEXT = pa.string()

TWIN_EFFECTS = TableSchema(
    name="twin_effects",
    schema=pa.schema(
        [
            ("treatment", TEXT),
            ("outcome", TEXT),
            ("treatment_kind", TEXT),  # "binary" (0 to 1) or "continuous" (one unit more); "" where unknown
            ("estimand", TEXT),  # what is estimated, in words
            ("adjustment_set", pa.list_(TEXT)),
            ("effect", pa.float64()),  # of the outcome; null where refused
            ("effect_low", pa.float64()),
            ("effect_high", pa.float64()),
            ("naive_difference", pa.float64()),  # without adjustment: what correlation would say
            ("dowhy_effect", pa.float64()),  # DoWhy's backdoor.linear_regression on the same question
            ("dowhy_low", pa.float64()),
            ("dowhy_high", pa.float64()),
            (
                "robustness",
                pa.float64(),
            ),  # share of the rest of both that a hidden cause must explain to undo it
            ("overlap_share", pa.float64()),  # of rows that have comparable others
            ("n_rows", pa.int64()),  # complete rows behind the effect
            ("n_clients", pa.int64()),
            ("n_rows_used", pa.int64()),  # rows that DoWhy's estimate and refutations used, a seeded sample
            ("refutations", TEXT),  # JSON: each refutation with its figures and whether it passed
            ("is_answerable", pa.bool_()),
            ("reason", TEXT),  # why refused; or, where answerable, what to mind
        ]
    ),
    key=("treatment", "outcome"),
)

CLIENT_TWINS = TableSchema(
    name="client_twins",
    schema=pa.schema(
        [
            ("client_id", TEXT),
            ("treatment", TEXT),
            ("outcome", TEXT),
            ("effect", pa.float64()),  # of one unit more, in clients of such covariates; null where refused
            ("effect_low", pa.float64()),
            ("effect_high", pa.float64()),
            ("treatment_now", pa.float64()),  # the client's latest month
            ("treatment_low", pa.float64()),  # values of the treatment seen in clients like this one
            ("treatment_high", pa.float64()),
            ("is_answerable", pa.bool_()),
            ("reason", TEXT),
        ]
    ),
    key=("client_id", "treatment", "outcome"),
)
