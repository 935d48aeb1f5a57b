"""Records as integer codes: every distinct value is kept once, comparison and blocking work on the codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.linking.variants import GENERATION

Codes = npt.NDArray[np.int32]
Made = TypeVar("Made")

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
    "description",
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
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` made of the values when it was first asked for under this name."""
        if name not in self.memo:
            self.memo[name] = make()
        made: Made = self.memo[name]
        return made

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


EMPTY = Column(np.zeros((0, 1), np.int32), pa.array([], pa.string()))


class Columns(Mapping[str, Column]):
    """The columns of encoded records by name, made when first asked for; those without a value are absent."""

    def __init__(self, builders: Mapping[str, Callable[[], Column]]) -> None:
        self._builders = builders
        self._built: dict[str, Column | None] = {}

    def __getitem__(self, name: str) -> Column:
        if name not in self._built:
            column = self._builders[name]()
            self._built[name] = column if len(column.values) else None
        found = self._built[name]
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._builders if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class EncodedRecords:
    """Records in the order of record_id, as codes. Fields without any value are left out of `columns`."""

    record_ids: pa.Array
    party_types: npt.NDArray[np.int8]  # index into PARTY_TYPES
    is_partial: npt.NDArray[np.bool_]
    datasets: Codes  # (n_records,)
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.record_ids)

    def positions(self, record_ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """The row of each record_id; -1 for an id that is not among the records."""
        found = pc.index_in(record_ids, value_set=self.record_ids).fill_null(-1)
        return np.asarray(found.to_numpy(), dtype=np.int64)


def sort_records(records: pa.Table) -> pa.Table:
    """The records in the order of record_id, in one chunk: results never depend on the order of input."""
    records = records.combine_chunks()
    if not _is_sorted(_flat(records["record_id"])):
        records = records.sort_by("record_id").combine_chunks()
    return records


def _is_sorted(texts: pa.Array) -> bool:
    """Whether texts ascend; those of one length are compared as bytes, which is much faster."""
    lengths = pc.binary_length(texts)
    width = lengths[0].as_py() if len(texts) else 0
    if not width or not pc.all(pc.equal(lengths, width)).as_py():
        return bool(pc.all(pc.less_equal(texts[:-1], texts[1:])).as_py()) if len(texts) else True
    signs = np.frombuffer(texts.buffers()[2], np.uint8, count=width * len(texts), offset=width * texts.offset)
    words = signs.view(f"S{width}")
    return bool((words[:-1] <= words[1:]).all())


def encode_records(records: pa.Table) -> EncodedRecords:
    """Codes for every field that has a value anywhere. The records may come in any order."""
    return encode_sorted(sort_records(records))


def encode_sorted(ordered: pa.Table) -> EncodedRecords:
    """The same for records that sort_records gave; of ENTITY_RECORDS only record_id must be there."""
    absent = [known for known in ENTITY_RECORDS.schema if known.name not in ordered.column_names]
    for known in absent:
        ordered = ordered.append_column(known, pa.nulls(ordered.num_rows, known.type))
    kinds = pc.index_in(plain_texts(ordered["party_type"]), value_set=pa.array(PARTY_TYPES)).fill_null(2)
    return EncodedRecords(
        record_ids=_flat(ordered["record_id"]),
        party_types=kinds.to_numpy().astype(np.int8),
        is_partial=ordered["is_partial"].fill_null(False).to_numpy().astype(np.bool_),
        datasets=_dictionary(_flat(ordered["dataset"]))[0],
        columns=_columns_of(ordered),
    )


def _columns_of(records: pa.Table) -> Columns:
    names = _Names(records)
    builders: dict[str, Callable[[], Column]] = {
        name: partial(_encode_single, records[name]) for name in SINGLE_FIELDS
    }
    builders |= {name: partial(_encode_lists, records[name]) for name in LIST_FIELDS}
    builders |= {name: partial(names.part, name) for name in NAME_FIELDS}
    builders["birth_date"] = lambda: _as_digits(_encode_single(records["birth_date"]))
    builders["generation"] = names.generations
    columns = Columns(builders)
    builders["any_name"] = lambda: join_columns([columns.get(n, EMPTY) for n in ("name_key", "alias_keys")])
    return columns


class _Names:
    """Given and family names in one vocabulary, the generation behind a family name apart."""

    def __init__(self, records: pa.Table) -> None:
        self._records = records

    @cached_property
    def _joint(self) -> Column:
        return stack_columns([_encode_single(self._records[name]) for name in NAME_FIELDS])

    @cached_property
    def _plain(self) -> Column:
        return derive(self._joint, pc.replace_substring_regex(self._joint.values, GENERATION, ""))

    def part(self, name: str) -> Column:
        half = np.split(self._plain.codes, [self._records.num_rows])[NAME_FIELDS.index(name)]
        held = (half >= 0).any()
        return Column(half, self._plain.values, self._plain.memo) if held else EMPTY

    def generations(self) -> Column:
        family = Column(np.split(self._joint.codes, [self._records.num_rows])[1], self._joint.values)
        return derive(family, _generations(self._joint.values))


def distinct_keys(keys: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Codes]:
    """The distinct keys in order of appearance, and for each key its number among them."""
    encoded = pa.array(keys).dictionary_encode()
    return encoded.dictionary.to_numpy(), encoded.indices.to_numpy()


def compact(codes: npt.NDArray[np.int64]) -> Codes:
    """The same grouping with small codes; negative stays MISSING."""
    known = codes >= 0
    result = np.full(codes.shape, MISSING, np.int32)
    result[known] = distinct_keys(codes[known])[1]
    return result


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
        if len(column.values)
    ] or [columns[0].codes]
    return Column(np.hstack(slots), values)


def stack_columns(columns: Sequence[Column]) -> Column:
    """The rows of several columns of one slot one below the other, in one vocabulary."""
    codes, values = _dictionary(pa.concat_arrays([column.values for column in columns]))
    bounds = np.cumsum([0, *(len(column.values) for column in columns)])
    parts = [
        np.append(codes[start:stop], np.int32(MISSING))[column.codes]
        for column, start, stop in zip(columns, bounds, bounds[1:], strict=False)
    ]
    return Column(np.concatenate(parts), values)


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _encode_single(column: pa.ChunkedArray | pa.Array) -> Column:
    codes, values = _dictionary(_flat(column))
    if pa.types.is_string(values.type) and (blank := pc.index(values, "").as_py()) >= 0:
        codes = np.where(codes == blank, np.int32(MISSING), codes)
    return Column(codes.reshape(-1, 1), values if (codes >= 0).any() else values[:0])


def plain_texts(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column in one piece, its dictionary written out."""
    flat = _flat(column)
    return flat.dictionary.take(flat.indices) if pa.types.is_dictionary(flat.type) else flat


def _dictionary(values: pa.Array) -> tuple[Codes, pa.Array]:
    if pa.types.is_dictionary(values.type):
        return _recoded(values)
    encoded = values.dictionary_encode()
    indices = encoded.indices.fill_null(MISSING) if encoded.indices.null_count else encoded.indices
    return indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False), encoded.dictionary


def _recoded(values: pa.DictionaryArray) -> tuple[Codes, pa.Array]:
    """Codes out of a dictionary in which values may repeat or stand unused."""
    codes, distinct = _dictionary(values.dictionary)
    places = np.append(codes, np.int32(MISSING))
    indices = values.indices.fill_null(len(codes)) if values.indices.null_count else values.indices
    return places[indices.to_numpy(zero_copy_only=False)], distinct


def _generations(names: pa.Array) -> pa.Array:
    """ "younger" or "older" for a name with Jr or Sr behind it, else null."""
    found = pc.extract_regex(names, GENERATION)
    younger, older = (
        pc.greater(pc.utf8_length(pc.struct_field(found, i)), 0).fill_null(False) for i in (0, 1)
    )
    return pc.if_else(younger, "younger", pc.if_else(older, "older", pa.scalar(None, pa.string())))


def _encode_lists(column: pa.ChunkedArray) -> Column:
    lists = _flat(column)
    rows, values = pc.list_parent_indices(lists).to_numpy(), pc.list_flatten(lists)
    keep = pc.fill_null(pc.not_equal(values, ""), False)
    rows, values = rows[keep.to_numpy(zero_copy_only=False)], values.filter(keep)
    if len(rows) > 1 and (rows[1:] == rows[:-1]).any():
        rows, values = _without_repeats(rows, values)
    return encode_lists(rows, values, len(lists))


def _without_repeats(rows: npt.NDArray[Any], values: pa.Array) -> tuple[npt.NDArray[Any], pa.Array]:
    """Each value of a row once, where it came first."""
    codes, distinct = _dictionary(values)
    first = np.sort(np.unique(rows.astype(np.int64) * len(distinct) + codes, return_index=True)[1])
    return rows[first], values.take(pa.array(first))


def encode_lists(rows: npt.NDArray[Any], values: pa.Array, n_rows: int) -> Column:
    """The values of each row side by side in slots, in the order given, MAX_VALUES at most; rows ascend."""
    codes, distinct = _dictionary(values.cast(pa.string()))
    if not (rows[1:] == rows[:-1]).any():
        single = np.full((n_rows, 1), MISSING, np.int32)
        single[rows, 0] = codes
        return Column(single, distinct)
    starts = np.searchsorted(rows, rows)  # of the run of equal rows that each belongs to
    slot = np.arange(len(rows)) - starts
    keep = slot < MAX_VALUES
    slots = np.full((n_rows, int(slot[keep].max(initial=0)) + 1), MISSING, np.int32)
    slots[rows[keep], slot[keep]] = codes[keep]
    return Column(slots, distinct)


def _as_digits(dates: Column) -> Column:
    """Birth dates as "YYYYMMDD", which is what typing errors happen to."""
    return Column(dates.codes, pc.strftime(dates.values, format="%Y%m%d").cast(pa.string()))
