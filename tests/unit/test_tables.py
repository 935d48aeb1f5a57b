"""Counting the rows of a table."""

from __future__ import annotations

import pyarrow as pa

from terag_pipelines.tables import count_by


def test_rows_are_counted_by_the_values_of_columns_in_their_order() -> None:
    table = pa.table({"role": ["b", "a", "b", "b"], "basis": ["x", "x", "y", "x"], "other": [1, 2, 3, 4]})
    assert count_by(table, "role", "basis").to_pylist() == [
        {"role": "a", "basis": "x", "n": 1},
        {"role": "b", "basis": "x", "n": 2},
        {"role": "b", "basis": "y", "n": 1},
    ]


def test_a_table_without_rows_counts_nothing() -> None:
    assert count_by(pa.table({"role": pa.array([], pa.string())}), "role").num_rows == 0
