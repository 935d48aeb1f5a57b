"""Parquet files, read within limits on what they claim and what they hold."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resources.source_csv import is_utf8
from resources.source_streams import ReadLimits, translated_errors
from terag_pipelines.entities.distinct import one_array
from terag_pipelines.entities.raw_files import BadRow, RawFile
from terag_pipelines.errors import UnreadableFileError
from terag_pipelines.side_by_side import run_side_by_side

Mask = npt.NDArray[np.bool_]
_TEXT_KINDS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary,
               pa.types.is_fixed_size_binary, pa.types.is_string_view, pa.types.is_binary_view)  # fmt: skip

_BYTE_KINDS = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary,
               pa.types.is_binary_view)  # fmt: skip


def read_parquet(path: Path, name: str, limits: ReadLimits) -> RawFile:
    """The rows of a Parquet file in its own types, nested columns as JSON text, bytes that are mostly no text
    in hexadecimal; invalid UTF-8 elsewhere makes bad rows.

    Raises: UnreadableFileError where it is no Parquet file, torn, or claims or holds more than allowed.
    """
    with translated_errors(name):
        try:
            return _read(path, name, limits)
        except (pa.ArrowException, ValueError, OverflowError, MemoryError, TypeError, KeyError):
            raise UnreadableFileError(f"{name}: {_what_is_wrong(path)}") from None


def _read(path: Path, name: str, limits: ReadLimits) -> RawFile:
    if path.stat().st_size == 0:
        raise UnreadableFileError(f"{name}: the file is empty")
    with pq.ParquetFile(path) as file:
        _check_claims(file, name, limits)
        dictionaries = _text_columns(file)
        names = file.schema_arrow.names
    if not names or any("." in column for column in names):  # a point would mean a part of a nested column
        with pq.ParquetFile(path, read_dictionary=dictionaries) as file:
            return _checked(file.read(), name, limits)
    table = _read_by_column(path, names, dictionaries)
    return _checked(table, name, limits)


def _read_by_column(path: Path, names: list[str], dictionaries: list[str]) -> pa.Table:
    """The whole file, two columns at a time, so that what was read but not yet decoded stays small."""

    def read(column: str) -> Any:
        with pq.ParquetFile(path, read_dictionary=dictionaries) as file:
            return file.read(columns=[column], use_threads=False)[column]

    columns = run_side_by_side([partial(read, name) for name in names])
    return pa.table(dict(zip(names, columns, strict=True)))


def _what_is_wrong(path: Path) -> str:
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    return "the Parquet file is torn or damaged" if is_parquet else "this is no Parquet file"


def _check_claims(file: Any, name: str, limits: ReadLimits) -> None:
    # Not metadata.row_group(i).column(j): with a damaged footer that call ends the whole process
    # (pyarrow 26).
    metadata, schema = file.metadata, file.schema_arrow
    claimed = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if metadata.num_rows > limits.max_rows or len(schema.names) > limits.max_columns:
        allowed = f"{limits.max_rows:,} rows or {limits.max_columns:,} columns"
        raise UnreadableFileError(f"{name}: has more than {allowed}")
    if max(claimed, metadata.num_rows * metadata.num_columns) > limits.max_expanded_bytes:
        raise _too_large(name, limits)
    if repeated := sorted({column for column in schema.names if schema.names.count(column) > 1}):
        raise UnreadableFileError(f"{name}: names the column {repeated[0]!r} more than once")


def _too_large(name: str, limits: ReadLimits) -> UnreadableFileError:
    return UnreadableFileError(f"{name}: holds more than {limits.max_expanded_bytes:,} bytes when expanded")


def _text_columns(file: Any) -> list[str]:
    """Columns to be read as dictionaries: so a value that is repeated a billion times stays small."""
    schema = file.schema_arrow
    return [field.name for field in schema if any(is_kind(field.type) for is_kind in _TEXT_KINDS[:4])]


def _checked(table: pa.Table, name: str, limits: ReadLimits) -> RawFile:
    """The table in plain types, without rows whose text is not UTF-8, which Arrow does not check."""
    columns, bad = {}, np.zeros(table.num_rows, np.bool_)
    n_bytes = 0
    for column in table.column_names:
        array = one_array(table[column])
        n_bytes += _expanded_bytes(array)
        if n_bytes > limits.max_expanded_bytes:
            raise UnreadableFileError(
                f"{name}: holds more than {limits.max_expanded_bytes:,} bytes when expanded"
            )
        columns[column], invalid = _valid_text(_plain(array))
        bad |= invalid
    plain = pa.table(columns) if columns else table
    return _without_bad(plain, bad)


def _without_bad(table: pa.Table, bad: Mask) -> RawFile:
    rows = np.arange(1, table.num_rows + 1)
    names = tuple(table.column_names)
    if not bad.any():
        return RawFile(table, rows, names)
    shown = table.filter(pa.array(bad)).to_pylist()
    bad_rows = tuple(
        BadRow(int(row), "is not valid utf-8", _as_json(values))
        for row, values in zip(rows[bad], shown, strict=True)
    )
    return RawFile(table.filter(pa.array(~bad)), rows[~bad], names, bad_rows)


def _plain(array: Any) -> Any:
    """Text as string or dictionary of string, lists of text as they are, other nested values as JSON text."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return array if pa.types.is_string(kind.value_type) else _plain(array.dictionary_decode())
    if _is_list_of_text(kind):
        return array.cast(pa.list_(pa.string()))
    if pa.types.is_nested(kind):
        return pa.array([None if v is None else _as_json(v) for v in array.to_pylist()], pa.string())
    if any(is_kind(kind) for is_kind in _BYTE_KINDS):
        return _text_or_hex(array.cast(pa.binary()))
    if any(is_kind(kind) for is_kind in _TEXT_KINDS):
        return array.cast(pa.binary())
    return array


def _text_or_hex(array: Any) -> Any:
    """Bytes as they are; in hexadecimal where most of them are no text, as UUIDs and digests are."""
    try:
        array.cast(pa.string())
    except pa.ArrowInvalid:
        values = array.drop_null().to_pylist()
        if 2 * sum(map(is_utf8, values)) < len(values):
            return pa.array([None if value is None else value.hex() for value in array.to_pylist()])
    return array


def _is_list_of_text(kind: Any) -> bool:
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    item = kind.value_type.value_type if pa.types.is_dictionary(kind.value_type) else kind.value_type
    return bool(pa.types.is_string(item))


def _expanded_bytes(array: Any) -> int:
    """The bytes of an array; of a dictionary, wherever it is nested, as if every value were written out."""
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return _expanded_bytes(array.flatten())
    if pa.types.is_struct(array.type):
        return sum(_expanded_bytes(child) for child in array.flatten())
    if not pa.types.is_dictionary(array.type):
        return int(array.nbytes)
    lengths = np.asarray(pc.fill_null(pc.binary_length(array.dictionary), 0), np.int64)
    counts = np.bincount(np.asarray(array.indices.drop_null(), np.int64), minlength=len(lengths))
    return int(lengths @ counts)


def _valid_text(array: Any) -> tuple[Any, Mask]:
    """The array with bytes as text, null where they are not UTF-8, and where that is."""
    none = np.zeros(len(array), np.bool_)
    if pa.types.is_dictionary(array.type):
        dictionary, bad = _valid_text(array.dictionary.cast(pa.binary()))
        if not bad.any():
            return array, none
        decoded = dictionary.take(array.indices)
        return decoded, np.asarray(pc.and_(array.is_valid(), decoded.is_null()), np.bool_)
    if pa.types.is_list(array.type):
        array.validate(full=True)
        return array, none
    if not pa.types.is_binary(array.type):
        return array, none
    try:
        return array.cast(pa.string()), none
    except pa.ArrowInvalid:
        values = array.to_pylist()
        bad = np.array([value is not None and not is_utf8(value) for value in values], np.bool_)
        return pa.array([None if b else v for v, b in zip(values, bad, strict=True)], pa.binary()).cast(
            pa.string()
        ), bad


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
