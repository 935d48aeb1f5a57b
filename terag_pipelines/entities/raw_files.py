"""A file as it was read: columns of text (or Parquet's own types) and the rows that could not be read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True)
class BadRow:
    """A row that could not be read: its number (1 is the first row of data), why, and its text."""

    row: int
    reason: str
    text: str


@dataclass(frozen=True)
class RawFile:
    """What was read of one file.

    `table` has one row per readable row: text columns, list<string> for JSON paths, or Parquet's types.
    `rows` (n,) int64 numbers them in the file. `columns` are all names that the file has, for messages.
    `lines`, where given, holds each row as it stood in the file. `document` is a YAML file's content.
    """

    table: pa.Table
    rows: npt.NDArray[np.int64]
    columns: tuple[str, ...]
    bad_rows: tuple[BadRow, ...] = ()
    lines: Sequence[str] | None = None
    document: Mapping[str, Any] | None = field(default=None)

    @property
    def n_rows(self) -> int:
        """All rows of the file, readable or not."""
        return len(self.rows) + len(self.bad_rows)

    def raw_rows(self, positions: npt.NDArray[np.int64]) -> list[str]:
        """The rows at these positions as JSON text, one object each, keys sorted."""
        if self.lines is not None:
            return [self.lines[position] for position in positions.tolist()]
        taken = _written_out(self.table.take(pa.array(positions))).to_pylist()
        return [json.dumps(row, ensure_ascii=False, sort_keys=True, default=str) for row in taken]

    def in_order(self, order: npt.NDArray[np.int64]) -> RawFile:
        """The file with its readable rows, (n,), in another order; each keeps its number."""
        lines = None if self.lines is None else [self.lines[i] for i in order.tolist()]
        return replace(self, table=self.table.take(pa.array(order)), rows=self.rows[order], lines=lines)

    def keep(self, mask: npt.NDArray[np.bool_]) -> RawFile:
        """The file with only those readable rows, (n,), where `mask` holds."""
        lines = None if self.lines is None else [self.lines[i] for i in np.flatnonzero(mask).tolist()]
        return replace(self, table=self.table.filter(pa.array(mask)), rows=self.rows[mask], lines=lines)


def _written_out(table: pa.Table) -> pa.Table:
    """The table without dictionaries, whose values are slow to read one by one."""
    for place, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            table = table.set_column(place, column.name, table[place].cast(column.type.value_type))
    return table


def read_document(content: Mapping[str, Any]) -> RawFile:
    """A YAML file that is taken whole."""
    return RawFile(pa.table({}), np.empty(0, np.int64), (), document=content)
