"""A file as it was read: columns of text (or Parquet's own types) and the rows that could not be read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.distinct import as_plain, one_array

_ESCAPED = r'["\\\x00-\x1f]'


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
        return json_rows(self.table.take(pa.array(positions)))

    def in_order(self, order: npt.NDArray[np.int64]) -> RawFile:
        """The file with its readable rows, (n,), in another order; each keeps its number."""
        lines = None if self.lines is None else [self.lines[i] for i in order.tolist()]
        return replace(self, table=self.table.take(pa.array(order)), rows=self.rows[order], lines=lines)

    def keep(self, mask: npt.NDArray[np.bool_]) -> RawFile:
        """The file with only those readable rows, (n,), where `mask` holds."""
        lines = None if self.lines is None else [self.lines[i] for i in np.flatnonzero(mask).tolist()]
        return replace(self, table=self.table.filter(pa.array(mask)), rows=self.rows[mask], lines=lines)


def json_rows(table: pa.Table) -> list[str]:
    """Each row as a JSON object, keys sorted; what JSON has no kind for is written as text."""
    names = sorted(table.column_names)
    if not names:
        return ["{}"] * table.num_rows
    written = [_json_values(one_array(table[name])) for name in names]
    leads = [json.dumps(name, ensure_ascii=False) + ": " for name in names]
    pieces = [piece for lead, values in zip(leads, written, strict=True) for piece in (lead, values, ", ")]
    rows: list[str] = pc.binary_join_element_wise("{", *pieces[:-1], "}", "").to_pylist()
    return rows


def _json_values(array: pa.Array) -> pa.Array:
    """Each value as JSON; texts without a sign that JSON escapes only need quotes."""
    if pa.types.is_integer(array.type):
        return array.cast(pa.string()).fill_null("null")
    texts = as_plain(array)
    if not pa.types.is_string(texts.type):
        return pa.array(list(map(_as_json, array.to_pylist())), pa.string())
    special = pc.fill_null(pc.match_substring_regex(texts, _ESCAPED), False)
    quoted = pc.fill_null(pc.binary_join_element_wise('"', texts, '"', ""), "null")
    escaped = list(map(_as_json, texts.filter(special).to_pylist()))
    return pc.replace_with_mask(quoted, special, pa.array(escaped, pa.string()))


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def read_document(content: Mapping[str, Any]) -> RawFile:
    """A YAML file that is taken whole."""
    return RawFile(pa.table({}), np.empty(0, np.int64), (), document=content)
