"""Work on columns by their distinct values: each is treated once, then mapped back to its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Value = TypeVar("Value")
Places = npt.NDArray[np.int32]


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


def recode(dictionary: Any, indices: Any) -> pa.DictionaryArray:
    """A dictionary array out of values, of which some may be null, and the place of each row's value."""
    values = one_array(dictionary).cast(pa.string())
    if values.null_count:
        there = np.asarray(values.is_valid(), np.bool_)
        places = pa.array(np.cumsum(there, dtype=np.int32) - 1, pa.int32(), mask=~there)
        values, indices = values.drop_null(), places.take(indices)
    return pa.DictionaryArray.from_arrays(indices.cast(pa.int32()), values)


def as_coded(values: Any) -> pa.DictionaryArray:
    """Texts as a dictionary array whose values are not null."""
    if not pa.types.is_dictionary(values.type):
        return values.cast(pa.string()).dictionary_encode()
    return recode(values.dictionary, values.indices)


def as_plain(values: Any) -> pa.Array:
    """Texts written out, from a dictionary array or as they are."""
    return values.dictionary.take(values.indices) if pa.types.is_dictionary(values.type) else values


def convert_coded(values: Any, convert: Callable[[pa.Array], pa.Array]) -> pa.DictionaryArray:
    """A conversion of whole columns applied to the distinct texts; the result is a dictionary array."""
    coded = as_coded(values)
    return recode(convert(coded.dictionary), coded.indices)


def places_of(values: pa.DictionaryArray) -> Places:
    """The place of each row's value in the dictionary, int32 (n,); -1 where there is none."""
    indices = values.indices.fill_null(-1) if values.indices.null_count else values.indices
    return np.asarray(indices, np.int32)


def at_places(places: Places, values: pa.Array) -> pa.DictionaryArray:
    """A dictionary array out of the place of each row's value; a negative one is null."""
    absent = places < 0
    indices = pa.array(places, pa.int32(), mask=absent if absent.any() else None)
    return pa.DictionaryArray.from_arrays(indices, values)


def only_where(values: Any, mask: npt.NDArray[np.bool_]) -> pa.DictionaryArray:
    """The texts where `mask` (n,) holds, null elsewhere; the dictionary has no others."""
    coded = as_coded(values)
    if mask.all() or coded.null_count == len(coded):
        return coded
    places = np.where(mask, places_of(coded), np.int32(-1))
    is_used = used_places(places, len(coded.dictionary))
    if is_used.all():
        return at_places(places, coded.dictionary)
    numbers = np.append(np.cumsum(is_used, dtype=np.int32) - 1, np.int32(-1))
    return at_places(numbers[places], coded.dictionary.filter(pa.array(is_used)))


def used_places(places: Places, n_values: int) -> npt.NDArray[np.bool_]:
    """Which of the places in a dictionary some row has, (n_values,)."""
    is_used = np.zeros(n_values + 1, np.bool_)
    is_used[places] = True  # -1, where there is none, is the last place
    return is_used[:-1]


def first_of(*columns: pa.DictionaryArray) -> pa.DictionaryArray:
    """The first text of each row that is not null; columns that add nothing cost nothing."""
    chosen = columns[0]
    for column in columns[1:]:
        if chosen.null_count and column.null_count < len(column):
            chosen = column if chosen.null_count == len(chosen) else _filled(chosen, column)
    return chosen


def _filled(column: pa.DictionaryArray, other: pa.DictionaryArray) -> pa.DictionaryArray:
    """The texts of one column, and where it has none those of another."""
    places, further = places_of(column), places_of(other)
    is_added = (places < 0) & (further >= 0)
    if not is_added.any():
        return column
    places = np.where(is_added, further + np.int32(len(column.dictionary)), places)
    return at_places(places, pa.concat_arrays([column.dictionary, other.dictionary]))
