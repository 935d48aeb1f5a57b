"""Work on columns by their distinct values: each is treated once, then mapped back to its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import polars as pl
import pyarrow as pa

Value = TypeVar("Value")


def one_array(column: Any) -> pa.Array:
    """A column as one contiguous Arrow array."""
    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks == 1:
            return column.chunk(0)
        combined = column.combine_chunks()
        return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
    return column


def map_distinct(values: pa.Array, convert: Callable[[str], str | None]) -> pa.Array:
    """Each text converted; nulls stay null. `convert` is called once per distinct value."""
    return map_distinct_fields(values, lambda text: (convert(text),), 1)[0]


def map_distinct_fields(
    values: pa.Array, convert: Callable[[str], Sequence[str | None]], n_fields: int
) -> tuple[pa.Array, ...]:
    """Each text converted to `n_fields` texts, one array per field.

    `convert` is called once per distinct value.
    """
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    converted = [
        convert(text) if text is not None else (None,) * n_fields for text in encoded.dictionary.to_pylist()
    ]
    columns = zip(*converted, strict=True) if converted else [()] * n_fields
    return tuple(pa.array(column, pa.string()).take(encoded.indices) for column in columns)


def convert_distinct(values: pa.Array, convert: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """A whole-column conversion applied to the distinct texts only, mapped back to the rows."""
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    converted = convert(as_series(encoded.dictionary))
    return converted.gather(as_series(encoded.indices.cast(pa.uint32())))


def as_series(values: Any) -> pl.Series:
    """An Arrow array as a polars series, without copying where the types allow."""
    return pl.Series(values=values)


def as_texts(series: pl.Series) -> pa.Array:
    """A polars text series as an Arrow string array."""
    return one_array(series.to_arrow()).cast(pa.string())
