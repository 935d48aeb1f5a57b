"""Texts made of other texts, kept as the dictionaries of their parts and joined when someone asks for them.

A column of such texts is a struct of dictionary arrays: the parts of each row in order, null where it has
none. Whole names and addresses of a million people are tens of megabytes that few readers want.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.entities.distinct import (
    as_coded,
    as_plain,
    as_series,
    as_texts,
    one_array,
    only_where,
    places_of,
    recode,
)


def join_later(*parts: pa.DictionaryArray) -> pa.StructArray:
    """The texts of each row's parts joined by spaces, nulls passed over; null where nothing is left."""
    used = [part for part in parts if part.null_count < len(part)] or [parts[0]]
    return pa.StructArray.from_arrays(used, [str(place) for place in range(len(used))])


def first_or_joined(first: pa.DictionaryArray, *parts: pa.DictionaryArray) -> pa.StructArray:
    """`first` where it is not null, else the parts joined."""
    absent = np.asarray(first.is_null(), np.bool_)
    return join_later(first, *(only_where(part, absent) for part in parts))


def as_joined(column: Any) -> Any:
    """Texts joined later as a dictionary array, each combination joined once; other columns as they are."""
    array = one_array(column)
    if not pa.types.is_struct(array.type):
        return array
    parts = [as_coded(part) for part in array.flatten()]
    numbers, first = _combinations(
        [places_of(part) for part in parts], [len(part.dictionary) for part in parts]
    )
    chosen = [part.take(pa.array(first)) for part in parts]
    return recode(_join(chosen), pa.array(numbers, pa.int32()))


def written_out(table: pa.Table) -> pa.Table:
    """The table with its texts as plain strings: nothing joined, nor a dictionary, nor a list of one."""
    for place, column in enumerate(table.schema):
        if pa.types.is_struct(column.type):
            table = table.set_column(place, column.name, _write(one_array(table[place])))
        elif pa.types.is_dictionary(column.type):
            table = table.set_column(place, column.name, as_plain(one_array(table[place])))
        elif pa.types.is_list(column.type):
            table = table.set_column(place, column.name, table[place].cast(pa.list_(pa.string())))
    return table


def _write(array: pa.StructArray) -> pa.Array:
    return _join([as_coded(part) for part in array.flatten()])


def _join(parts: list[pa.DictionaryArray]) -> pa.Array:
    if len(parts) == 1:
        joined = as_series(as_plain(parts[0]))
    else:
        frame = pl.DataFrame({str(place): as_series(as_plain(part)) for place, part in enumerate(parts)})
        joined = frame.select(pl.concat_str(pl.all(), separator=" ", ignore_nulls=True)).to_series()
    return as_texts(joined.set(joined == "", None))


def _combinations(
    columns: list[npt.NDArray[np.int32]], sizes: list[int]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The number of each row's combination of places, in order of appearance, and where each came first."""
    keys = columns[0].astype(np.int64)
    n_keys = sizes[0] + 1
    for places, size in zip(columns[1:], sizes[1:], strict=True):
        if n_keys * (size + 1) >= 2**62:
            keys, n_keys = _numbered(keys)[0].astype(np.int64), len(keys)
        keys = (keys + 1) * (size + 1) + places
        n_keys *= size + 1
    numbers, n = _numbered(keys)
    first = np.empty(n, np.int64)
    first[numbers[::-1]] = np.arange(len(keys))[::-1]
    return numbers, first


def _numbered(keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int32], int]:
    encoded = pa.array(keys).dictionary_encode()
    return np.asarray(encoded.indices, np.int32), len(encoded.dictionary)
