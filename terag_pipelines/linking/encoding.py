"""Records as integer codes: every distinct value is kept once, comparison and blocking work on the codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.joined_texts import as_joined
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.entities.names import BRANCH_FORM
from terag_pipelines.entities.vocabulary import VALIDITY_FIELDS
from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.copies import Copies, find_copies, find_equals
from terag_pipelines.linking.variants import GENERATION
from terag_pipelines.side_by_side import run_side_by_side

Rows = npt.NDArray[np.int64]
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
ANY_NAME = ("name_key", "alias_keys")
JOINED_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "name_key": (*NAME_FIELDS, "patronymic_key", "organisation_key"),
        "address_key": ("street", "house", "locality", "postcode"),
    }
)
_NAME_PARTS = (*NAME_FIELDS, "generation")
_OWN_FIELDS = (*LIST_FIELDS, *(name for name in SINGLE_FIELDS if name not in JOINED_OF))
COPIED_FIELDS = (*_NAME_PARTS, *_OWN_FIELDS)
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

    def counts(self, among: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int64]:
        """How many records (slots) hold each distinct value, of all or of those under the mask."""
        codes = self.codes if among is None else self.codes[among]
        held = codes[codes >= 0]
        return np.bincount(held, minlength=len(self.values)).astype(np.int64)


def _blank(n: int) -> Column:
    """A column of n rows that have no value."""
    return Column(np.full((n, 1), MISSING, np.int32), pa.array([], pa.string()))


EMPTY = Column(np.zeros((0, 1), np.int32), pa.array([], pa.string()))


class Columns(Mapping[str, Column]):
    """The columns of encoded records by name, made when first asked for; those without a value are absent.

    A builder makes its column of some of the rows, or of all (None).
    """

    def __init__(self, builders: Mapping[str, Callable[[Rows | None], Column]]) -> None:
        self._builders = builders
        self._built: dict[str, Column | None] = {}

    def __getitem__(self, name: str) -> Column:
        if name not in self._built:
            column = self._builders[name](None)
            self._built[name] = column if len(column.values) else None
        found = self._built[name]
        if found is None:
            raise KeyError(name)
        return found

    def build(self, *groups: Sequence[str]) -> None:
        """Makes the columns of several groups side by side; those of one group share work."""
        run_side_by_side([partial(self._get_all, names) for names in groups])

    def _get_all(self, names: Sequence[str]) -> None:
        for name in names:
            self.get(name)

    def over(self, name: str, rows: Rows) -> Column:
        """The column of some of the rows; nothing is made of the others. It may be without values."""
        if name not in self._built:
            return self._builders[name](rows)
        column = self._built[name] or EMPTY
        return Column(column.codes[rows], column.values, column.memo) if len(column.values) else EMPTY

    def select(self, rows: Rows) -> Columns:
        """The same columns of some of the records."""

        def build(name: str, within: Rows | None) -> Column:
            if within is not None:
                return self.over(name, rows[within])
            column = self.get(name, EMPTY)
            return Column(column.codes[rows], column.values, column.memo) if len(column.values) else EMPTY

        return Columns({name: partial(build, name) for name in self._builders})

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
    columns: Columns

    def __len__(self) -> int:
        return len(self.record_ids)

    def select(self, rows: npt.NDArray[np.int64]) -> EncodedRecords:
        """Some of the records, in the order of the rows given."""
        return EncodedRecords(
            self.record_ids.take(pa.array(rows)),
            self.party_types[rows],
            self.is_partial[rows],
            self.datasets[rows],
            self.columns.select(rows),
        )

    @cached_property
    def copies(self) -> Copies:
        """Records that say the same as many others of their data set, and follow two of these."""
        found = find_copies(*self._copied())
        for name in JOINED_OF:
            if len(found):
                found = found.select(self._say_the_same(name, found.follower, found.first))
        return found

    def label_equals(self) -> Rows:
        """For each record that says the same as others of its data set the first of them; else -1."""
        rows, first = find_equals(*self._copied())
        for name in JOINED_OF:
            same = self._say_the_same(name, rows, first)
            rows, first = rows[same], first[same]
        labels = np.full(len(self), -1)
        labels[rows] = first
        return labels

    def _copied(self) -> tuple[list[Codes], list[Codes]]:
        """All that copies have in common: what they say, and of what kind they are."""
        self.columns.build(_NAME_PARTS, *((name,) for name in _OWN_FIELDS))
        columns = [self.columns[name].codes for name in COPIED_FIELDS if name in self.columns]
        columns += [self._where_parts_lack(name) for name in JOINED_OF]
        times = [self.columns[name].first for name in (*VALIDITY_FIELDS, "branch") if name in self.columns]
        kinds: list[npt.NDArray[Any]] = [self.datasets, self.party_types, self.is_partial, *times]
        return columns, [codes.astype(np.int32)[:, None] for codes in kinds]

    def _where_parts_lack(self, name: str) -> Codes:
        """A column that is joined of others, where all of these are missing."""
        known = [self.columns[part].first >= 0 for part in JOINED_OF[name] if part in self.columns]
        rows = np.flatnonzero(~np.logical_or.reduce(known)) if known else np.arange(len(self))
        codes = np.full((len(self), 1), MISSING, np.int32)
        column = self.columns.over(name, rows)
        if len(column.values):
            codes[rows] = column.codes
        return codes

    def _say_the_same(self, name: str, rows: Rows, others: Rows) -> npt.NDArray[np.bool_]:
        column = self.columns.over(name, np.concatenate([rows, others]))
        if not len(column.values):
            return np.ones(len(rows), bool)
        one, other = np.split(column.codes, 2)
        return np.asarray((one == other).all(axis=1))

    def over_pairs(self, name: str, left: Codes, right: Codes) -> tuple[Column, Codes, Codes]:
        """A column of the rows of these pairs, and the pairs by its rows; nothing is made of other rows."""
        rows = np.unique(np.concatenate([left, right])).astype(np.int64)
        one, other = (np.searchsorted(rows, side).astype(np.int32) for side in (left, right))
        column = self.columns.over(name, rows)
        return (column if len(column.values) else _blank(len(rows))), one, other

    def count_holders(self, name: str) -> npt.NDArray[np.int64]:
        """How many records (slots) hold each value of a column; those that follow others do not count."""
        follows = self.copies.follows(len(self))
        return self.columns[name].counts(None if follows is None else ~follows)

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
    builders: dict[str, Callable[[Rows | None], Column]] = {
        name: partial(_encode_rows, _encode_single, records[name]) for name in SINGLE_FIELDS
    }
    builders |= {name: partial(_encode_rows, _encode_lists, records[name]) for name in LIST_FIELDS}
    builders |= {name: _whole_only(partial(names.part, name)) for name in NAME_FIELDS}
    builders["birth_date"] = _whole_only(lambda: _dates_as_digits(_encode_single(records["birth_date"])))
    builders["generation"] = _whole_only(names.generations)
    builders |= {name: _whole_only(partial(_encode_rare, records[name])) for name in VALIDITY_FIELDS}
    builders["branch"] = _whole_only(lambda: _encode_rare(_branch_forms(records["legal_form"])))
    columns = Columns(builders)

    def any_name(rows: Rows | None) -> Column:
        known = [columns.get(n, EMPTY) if rows is None else columns.over(n, rows) for n in ANY_NAME]
        return join_columns(known)

    builders["any_name"] = any_name
    return columns


def _branch_forms(forms: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """The legal form where it says that an organisation is a branch: a branch is no copy of its head."""
    if forms.null_count == len(forms):
        return forms
    plain = plain_texts(forms)
    return pc.if_else(pc.equal(plain, BRANCH_FORM), plain, pa.scalar(None, plain.type))


def _encode_rows(
    encode: Callable[[pa.ChunkedArray], Column], column: pa.ChunkedArray, rows: Rows | None
) -> Column:
    return encode(column if rows is None else column.take(pa.array(rows)))


def _whole_only(build: Callable[[], Column]) -> Callable[[Rows | None], Column]:
    """A builder that makes the whole column whatever rows are asked for."""

    def make(rows: Rows | None) -> Column:
        column = build()
        return column if rows is None else Column(column.codes[rows], column.values, column.memo)

    return make


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
    codes, values = _dictionary(as_joined(column))
    if pa.types.is_string(values.type) and (blank := pc.index(values, "").as_py()) >= 0:
        codes = np.where(codes == blank, np.int32(MISSING), codes)
    return Column(codes.reshape(-1, 1), values if (codes >= 0).any() else values[:0])


def _encode_rare(column: pa.ChunkedArray | pa.Array) -> Column:
    """The same for a field that most sources lack, at no cost where they do."""
    return EMPTY if column.null_count == len(column) else _encode_single(column)


def plain_texts(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column in one piece, its dictionary written out."""
    flat = as_joined(column)
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
    codes, distinct = _dictionary(values if pa.types.is_dictionary(values.type) else values.cast(pa.string()))
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


def as_digits(dates: pa.Array) -> pa.Array:
    """Dates as "YYYYMMDD", which is what typing errors happen to."""
    return pc.strftime(dates, format="%Y%m%d").cast(pa.string())


def _dates_as_digits(dates: Column) -> Column:
    return Column(dates.codes, as_digits(dates.values))
