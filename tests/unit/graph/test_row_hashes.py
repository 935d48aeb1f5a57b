"""Hashes of rows: the same for the same values, wherever they lie, and others for others."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.graph.row_hashes import hash_rows

CELLS = st.tuples(st.text(), st.none() | st.text(), st.none() | st.integers(-(2**63), 2**63 - 1))


def table_of(rows: list[tuple[str, str | None, int | None]]) -> pa.Table:
    a, b, n = ([row[i] for row in rows] for i in range(3))
    return pa.table(
        {"a": pa.array(a, pa.string()), "b": pa.array(b, pa.string()), "n": pa.array(n, pa.int64())}
    )


@settings(deadline=None)
@given(st.lists(CELLS, unique=True, max_size=30))
def test_different_rows_have_different_hashes(rows):
    hashes = hash_rows(table_of(rows))
    assert len(set(hashes.tolist())) == len(rows)
    assert (hashes >= 0).all()


@settings(deadline=None)
@given(st.lists(CELLS, min_size=2, max_size=10), st.integers(0, 9))
def test_where_a_row_lies_does_not_matter(rows, start):
    table = table_of(rows)
    expected = hash_rows(table).tolist()
    assert hash_rows(table.slice(start)).tolist() == expected[start:]
    chunked = pa.concat_tables([table_of([row]) for row in rows])
    assert hash_rows(chunked).tolist() == expected
    large = table.set_column(0, "a", table["a"].cast(pa.large_string()))
    assert hash_rows(large).tolist() == expected


def test_texts_that_are_alike_have_hashes_that_are_not():
    """A million numbered texts, and texts of zeros and blanks: no hash twice, and every bit half the time."""
    texts = [f"{n:08d}" for n in range(500_000)] + [f"acc{n}" for n in range(500_000)]
    texts += ["\0" * n for n in range(40)] + [" " * n for n in range(1, 40)]
    hashes = hash_rows(pa.table({"a": texts}))
    assert len(np.unique(hashes)) == len(texts)
    shares = [float(((hashes >> bit) & 1).mean()) for bit in range(63)]
    assert max(abs(share - 0.5) for share in shares) < 0.005


def test_columns_are_not_taken_for_each_other():
    one, two = pa.table({"a": ["x"], "b": ["y"]}), pa.table({"a": ["y"], "b": ["x"]})
    assert hash_rows(one).tolist() != hash_rows(two).tolist()
    assert (
        hash_rows(pa.table({"a": ["ab"], "b": ["c"]})).tolist()
        != hash_rows(pa.table({"a": ["a"], "b": ["bc"]})).tolist()
    )


def test_row_hashes_never_change_between_versions():
    """The graph would be written anew."""
    table = pa.table(
        {
            "id": ["x", "Айгерім Сәрсенова"],
            "n": [7, -7],
            "share": [0.25, None],
            "is_outside": [True, False],
            "at": pa.array([datetime(2025, 1, 1, tzinfo=UTC)] * 2),
            "none": pa.nulls(2, pa.string()),
        }
    )
    assert hash_rows(table).tolist() == [6288939898676307327, 7876931802275868344]


def test_no_rows_and_no_columns_have_no_hashes():
    assert hash_rows(pa.table({"a": pa.array([], pa.string())})).tolist() == []
    assert hash_rows(pa.table({})).tolist() == []
