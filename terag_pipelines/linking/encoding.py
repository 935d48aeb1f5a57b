"""Records as integer codes: every distinct value is kept once, comparison and blocking work on the codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.linking.variants import GENERATION

Codes = npt.NDArray[np.int32]

MISSING = -1
PARTY_TYPES = ("person", "organisation", "unknown")
NAME_FIELDS = ("given_key", "family_key")  # one vocabulary, so that swapped names are seen
SINGLE_FIELDS = (
    "patronymic_key",
    "name_key",
    "organisation_key",
    "birth_date",
    "sex",
    "iin",
    "bin",
    "street",
    "house",
    "locality",
    "postcode",
    "address_key",
)
LIST_FIELDS = ("identifiers", "phones", "emails", "alias_keys")
MAX_VALUES = 6  # of one list field of one record; further ones take no part
MAX_LENGTH = 200  # characters of a value that are compared


@dataclass(frozen=True)
class Column:
    """One field of all records: `codes` (n_records, n_slots) point into `values`; MISSING where absent.

    A single-valued field has one slot. Two records agree exactly where they share a code.
    """

    codes: Codes
    values: pa.Array

    @property
    def first(self) -> Codes:
        """The codes of the first slot, shape (n_records,)."""
        return self.codes[:, 0]

    @cached_property
    def texts(self) -> npt.NDArray[np.object_]:
        """The distinct values by code, cut to MAX_LENGTH so that one huge value costs nothing."""
        cut = pc.utf8_slice_codeunits(self.values, 0, MAX_LENGTH)
        return np.asarray(cut.to_numpy(zero_copy_only=False), dtype=object)

    def flag(self, flags: pa.Array) -> npt.NDArray[np.bool_]:
        """Flags of the distinct values, to be looked up by code; MISSING looks up False."""
        return np.append(flags.to_numpy(zero_copy_only=False).astype(np.bool_), False)

    def regroup(self, derived: pa.Array) -> Codes:
        """Codes of what was made of each distinct value, to be looked up by code; MISSING stays so."""
        return np.append(_dictionary(derived)[0], np.int32(MISSING))

    def counts(self) -> npt.NDArray[np.int64]:
        """How many records (slots) hold each distinct value."""
        held = self.codes[self.codes >= 0]
        return np.bincount(held, minlength=len(self.values)).astype(np.int64)


@dataclass(frozen=True)
class EncodedRecords:
    """Records in the order of record_id, as codes. Fields without any value are left out of `columns`."""

    record_ids: pa.Array
    party_types: npt.NDArray[np.int8]  # index into PARTY_TYPES
    is_partial: npt.NDArray[np.bool_]
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.record_ids)

    def positions(self, record_ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """The row of each record_id; -1 for an id that is not among the records."""
        found = pc.index_in(record_ids, value_set=self.record_ids).fill_null(-1)
        return np.asarray(found.to_numpy(), dtype=np.int64)


def sort_records(records: pa.Table) -> pa.Table:
    """The records in the order of record_id, in one chunk: results never depend on the order of input."""
    ids = records["record_id"].combine_chunks()
    if len(ids) > 1 and not pc.all(pc.less(ids[:-1], ids[1:])).as_py():
        records = records.sort_by("record_id")
    return records.combine_chunks()


def encode_records(records: pa.Table) -> EncodedRecords:
    """Codes for every field that has a value anywhere. The records may come in any order."""
    ordered = sort_records(records)
    columns = {name: _encode_single(ordered[name]) for name in SINGLE_FIELDS}
    columns |= _encode_names(ordered)
    columns |= {name: _encode_lists(ordered[name]) for name in LIST_FIELDS}
    columns["birth_date"] = _as_digits(columns["birth_date"])
    columns["any_name"] = join_columns([columns["name_key"], columns["alias_keys"]])
    kinds = pc.index_in(ordered["party_type"], value_set=pa.array(PARTY_TYPES)).fill_null(2)
    return EncodedRecords(
        record_ids=_flat(ordered["record_id"]),
        party_types=kinds.to_numpy().astype(np.int8),
        is_partial=ordered["is_partial"].fill_null(False).to_numpy().astype(np.bool_),
        columns={name: column for name, column in columns.items() if len(column.values)},
    )


def derive(column: Column, derived: pa.Array) -> Column:
    """A column of what was made of each distinct value, such as a prefix or a year; null is missing."""
    return Column(column.regroup(derived)[column.codes], derived.dictionary_encode().dictionary)


def join_columns(columns: Sequence[Column]) -> Column:
    """The slots of several columns side by side, in one vocabulary."""
    codes, values = _dictionary(pa.concat_arrays([column.values for column in columns]))
    bounds = np.cumsum([0, *(len(column.values) for column in columns)])
    slots = [
        np.append(codes[start:stop], np.int32(MISSING))[column.codes]
        for column, start, stop in zip(columns, bounds, bounds[1:], strict=False)
    ]
    return Column(np.hstack(slots), values)


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _encode_single(column: pa.ChunkedArray | pa.Array) -> Column:
    flat = _flat(column)
    if pa.types.is_string(flat.type):
        flat = pc.if_else(pc.equal(flat, ""), pa.scalar(None, flat.type), flat)
    codes, values = _dictionary(flat)
    return Column(codes.reshape(-1, 1), values)


def _dictionary(values: pa.Array) -> tuple[Codes, pa.Array]:
    encoded = values.dictionary_encode()
    return encoded.indices.fill_null(MISSING).to_numpy(zero_copy_only=False).astype(
        np.int32
    ), encoded.dictionary


def _encode_names(records: pa.Table) -> dict[str, Column]:
    parts = [_flat(records[name]) for name in NAME_FIELDS]
    joint = _encode_single(pa.concat_arrays(parts))
    plain = derive(joint, pc.replace_substring_regex(joint.values, GENERATION, ""))
    halves = np.split(plain.codes, [records.num_rows])
    columns = {n: Column(half, plain.values) for n, half in zip(NAME_FIELDS, halves, strict=True)}
    family = Column(np.split(joint.codes, [records.num_rows])[1], joint.values)
    columns["generation"] = derive(family, _generations(joint.values))
    return {name: column for name, column in columns.items() if (column.codes >= 0).any()}


def _generations(names: pa.Array) -> pa.Array:
    """ "younger" or "older" for a name with Jr or Sr behind it, else null."""
    found = pc.extract_regex(names, GENERATION)
    younger, older = (
        pc.greater(pc.utf8_length(pc.struct_field(found, i)), 0).fill_null(False) for i in (0, 1)
    )
    return pc.if_else(younger, "younger", pc.if_else(older, "older", pa.scalar(None, pa.string())))


def _encode_lists(column: pa.ChunkedArray) -> Column:
    frame = pl.DataFrame({"v": pl.from_arrow(_flat(column))}).with_row_index("row").explode("v")
    frame = frame.filter(pl.col("v").is_not_null() & (pl.col("v") != "")).unique(maintain_order=True)
    return encode_lists(frame["row"].to_numpy(), frame["v"].to_arrow(), len(column))


def encode_lists(rows: npt.NDArray[Any], values: pa.Array, n_rows: int) -> Column:
    """The values of each row side by side in slots, in the order given, MAX_VALUES at most; rows ascend."""
    starts = np.searchsorted(rows, rows)  # of the run of equal rows that each belongs to
    slot = np.arange(len(rows)) - starts
    keep = slot < MAX_VALUES
    codes, distinct = _dictionary(values.cast(pa.string()))
    slots = np.full((n_rows, int(slot[keep].max(initial=0)) + 1), MISSING, np.int32)
    slots[rows[keep], slot[keep]] = codes[keep]
    return Column(slots, distinct)


def _as_digits(dates: Column) -> Column:
    """Birth dates as "YYYYMMDD", which is what typing errors happen to."""
    return Column(dates.codes, pc.strftime(dates.values, format="%Y%m%d").cast(pa.string()))
