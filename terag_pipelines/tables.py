"""Tables between stages: a declared Arrow schema, its key, its personal columns, a digest of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.errors import SchemaMismatchError

MASK = "•••"


def as_frame(table: pa.Table, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The table, or the named columns of it, as a polars frame over the same memory."""
    return pl.DataFrame(pl.from_arrow(table if columns is None else table.select(columns)))


@dataclass(frozen=True)
class TableSchema:
    """What a table of the lake holds.

    `key` orders the rows and is unique; `personal` names the columns that previews, metadata and logs show
    masked; `extra` is the type that further columns may have (only the client panel uses it);
    `digested` is false for measurements (times differ from run to run). Tables that an earlier version wrote
    may lack the columns of `later`: nothing was known of them.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    personal: frozenset[str] = field(default_factory=frozenset)
    extra: pa.DataType | None = None
    digested: bool = True
    later: frozenset[str] = field(default_factory=frozenset)

    def empty(self) -> pa.Table:
        """A table of this schema without rows."""
        return self.schema.empty_table()

    def conform(self, table: pa.Table) -> pa.Table:
        """The table with the declared columns, types and order, sorted by its key.

        Raises: SchemaMismatchError where a column is missing, unknown, of another type, or the key repeats or
        is null.
        """
        table = self.complete(table)
        self._check_columns(table)
        try:
            cast = table.select(self._column_order(table)).cast(self._schema_of(table))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise SchemaMismatchError(f"table {self.name}: {error}") from error
        ordered = cast if self._is_ordered(cast) else cast.sort_by([(name, "ascending") for name in self.key])
        self._check_key(ordered)
        return ordered.combine_chunks()

    def complete(self, table: pa.Table) -> pa.Table:
        """The table with those columns of `later` that it lacks, null, in the declared order."""
        absent = [name for name in self.schema.names if name in self.later - set(table.column_names)]
        for name in absent:
            known = self.schema.field(name)
            at = min(self.schema.get_field_index(name), table.num_columns)
            table = table.add_column(at, known, pa.nulls(table.num_rows, known.type))
        return table

    def from_columns(self, **columns: object) -> pa.Table:
        """A conforming table made of one sequence per column; columns left out are null."""
        n_rows = max((len(values) for values in columns.values()), default=0)  # type: ignore[arg-type]
        arrays = [
            pa.array(columns[f.name], f.type, from_pandas=True)
            if f.name in columns
            else pa.nulls(n_rows, f.type)
            for f in self.schema
        ]
        return self.conform(pa.Table.from_arrays(arrays, schema=self.schema))

    def masked(self, table: pa.Table, n_rows: int) -> pa.Table:
        """The first rows with every personal value replaced by a mask; for previews and metadata."""
        head = table.slice(0, n_rows)
        for name in self.personal & set(head.column_names):
            shown = pc.if_else(head[name].is_valid(), MASK, pa.scalar(None, pa.string()))
            head = head.set_column(head.column_names.index(name), name, shown)
        return head

    def _column_order(self, table: pa.Table) -> list[str]:
        return list(self.schema.names) + sorted(set(table.column_names) - set(self.schema.names))

    def _schema_of(self, table: pa.Table) -> pa.Schema:
        extra = self._column_order(table)[len(self.schema) :]
        return pa.schema([*self.schema, *(pa.field(name, self.extra) for name in extra)])

    def _check_columns(self, table: pa.Table) -> None:
        given, declared = set(table.column_names), set(self.schema.names)
        if missing := sorted(declared - given):
            raise SchemaMismatchError(f"table {self.name} lacks {missing}; it has {sorted(given)}")
        if (unknown := sorted(given - declared)) and self.extra is None:
            raise SchemaMismatchError(f"table {self.name} has undeclared columns {unknown}")

    def _is_ordered(self, table: pa.Table) -> bool:
        """Whether there is nothing to sort: no key, or one whose values ascend already."""
        if len(self.key) != 1 or table.num_rows < 2:
            return not self.key
        column = _one_chunk(table[self.key[0]])
        return bool(pc.all(pc.fill_null(pc.less(column[:-1], column[1:]), False)).as_py())

    def _check_key(self, ordered: pa.Table) -> None:
        if absent := [name for name in self.key if ordered[name].null_count]:
            raise SchemaMismatchError(f"table {self.name}: the key {absent} is null in some rows")
        if not self.key or ordered.num_rows < 2:
            return
        same = np.ones(ordered.num_rows - 1, dtype=bool)
        for name in self.key:
            column = ordered[name].combine_chunks()
            equal = pc.equal(column[1:], column[:-1]).fill_null(False)
            same &= equal.to_numpy(zero_copy_only=False)
        if same.any():
            raise SchemaMismatchError(f"table {self.name}: {int(same.sum())} rows repeat the key {self.key}")


def count_by(table: pa.Table, *columns: str) -> pa.Table:
    """How many rows have each combination of values of the columns, in their order: these columns, and n."""
    counted = table.group_by(list(columns)).aggregate([([], "count_all")])
    named = counted.rename_columns([*columns, "n"])
    return named.sort_by([(column, "ascending") for column in columns])


def digest(table: pa.Table) -> str:
    """SHA-256 over the logical content of a conforming (sorted) table: names, types and values.

    Neither the file's encoding, nor chunking, nor bytes hidden under nulls take part.
    """
    sha = hashlib.sha256()
    for name in table.column_names:
        sha.update(f"{name}:{table.schema.field(name).type}:{table.num_rows}".encode())
        for buffer in _canonical_buffers(table[name]):
            sha.update(buffer)
    return sha.hexdigest()


def _canonical_buffers(column: pa.ChunkedArray) -> list[bytes | memoryview]:
    array = _one_chunk(column)
    if pa.types.is_list(array.type):
        array = _joined(array)
    valid = _bits(array)
    if pa.types.is_string(array.type):
        return [valid, *_text_buffers(array.cast(pa.large_string()).fill_null(""))]
    return [valid, np.ascontiguousarray(_numbers(array)).tobytes()]


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _text_buffers(text: pa.Array) -> list[bytes | memoryview]:
    _, offset_buffer, values = text.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[text.offset : text.offset + len(text) + 1]
    content = memoryview(values or b"")[offsets[0] : offsets[-1]]
    return [np.diff(offsets).tobytes(), content]


def _joined(array: pa.Array) -> pa.Array:
    """A list of strings as one string each, the lengths of its items in front: nothing is ambiguous."""
    items = array.cast(pa.list_(pa.string()))
    sizes = pa.ListArray.from_arrays(
        items.offsets, pc.utf8_length(items.values).cast(pa.string()), mask=items.is_null()
    )
    return pc.binary_join_element_wise(pc.binary_join(sizes, ","), pc.binary_join(items, ""), ":")


def _bits(array: pa.Array) -> bytes:
    return np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes()


def _numbers(array: pa.Array) -> Any:
    if pa.types.is_floating(array.type):
        return array.fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0  # -0.0 and 0.0 are one value
    if pa.types.is_boolean(array.type):
        return array.fill_null(False).to_numpy(zero_copy_only=False)
    width = pa.int32() if array.type.bit_width == 32 else pa.int64()
    plain = array.view(width) if pa.types.is_temporal(array.type) else array
    return plain.fill_null(0).to_numpy(zero_copy_only=False)
