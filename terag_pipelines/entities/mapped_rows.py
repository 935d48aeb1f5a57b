"""The rows of a file seen through its manifest entry: each field as a typed column, faults noted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities import dates
from terag_pipelines.entities.amounts import amounts_from_numbers, amounts_from_texts
from terag_pipelines.entities.distinct import as_coded, as_plain, as_series, as_texts, map_distinct, one_array
from terag_pipelines.entities.manifests import FieldSource, FileSpec, Manifest
from terag_pipelines.entities.quarantine import FaultLedger, Mask
from terag_pipelines.entities.raw_files import RawFile
from terag_pipelines.entities.texts import clean_coded, clean_texts
from terag_pipelines.entities.vocabulary import EPOCH_UNITS, STEP_UNITS
from terag_pipelines.errors import MissingColumnError

NO_TEXT = pa.scalar(None, pa.string())
_YES = frozenset(("1", "1.0", "true", "t", "yes", "y", "да", "иә", "+"))
_NO = frozenset(("0", "0.0", "false", "f", "no", "n", "нет", "жоқ"))


@dataclass(frozen=True)
class Flat:
    """Several values per row: `positions` (m,) of the rows, ascending, and `values` (m,) their texts."""

    positions: npt.NDArray[np.int64]
    values: pa.Array

    def keep(self, mask: Mask) -> Flat:
        """The values where `mask` (m,) holds."""
        if mask.all():
            return self
        return Flat(self.positions[mask], self.values.filter(pa.array(mask)))

    def lists(self, n_rows: int) -> pa.Array:
        """A list of texts per row: its distinct values in ascending order; empty lists where there are none.

        The values stay a dictionary where they are one and no row has several.
        """
        if bool((np.diff(self.positions) > 0).all()):  # one value a row
            there = self.keep(~is_null(self.values))
            return pa.ListArray.from_arrays(_offsets_of(there.positions, n_rows), there.values)
        frame = pl.DataFrame({"position": self.positions, "value": as_series(as_plain(self.values))})
        ordered = frame.drop_nulls().unique().sort("position", "value")
        offsets = _offsets_of(ordered["position"].to_numpy(), n_rows)
        return pa.ListArray.from_arrays(offsets, as_texts(ordered["value"]))


@dataclass(frozen=True)
class MappedRows:
    """Typed access to the fields of a file's readable rows, n of them.

    A method for an optional field gives null where a value is unusable and notes a lost field; one for a
    required field leaves the row out as well.
    """

    spec: FileSpec
    raw: RawFile
    manifest: Manifest
    ledger: FaultLedger
    coded_texts: dict[str, pa.DictionaryArray] = field(default_factory=dict, repr=False)
    known_texts: Mapping[str, pa.Array] = field(default_factory=dict, repr=False)  # that were read before

    @property
    def n(self) -> int:
        """The number of readable rows."""
        return len(self.raw.rows)

    def has(self, name: str) -> bool:
        """Whether the manifest maps the field."""
        return name in self.spec.fields

    def may_have_several(self, name: str) -> bool:
        """Whether a row may have more than one value of the field."""
        sources = self.spec.fields.get(name, ())
        return len(sources) > 1 or any(is_list(self._column(source)) for source in sources)

    def blank(self) -> pa.Array:
        """A text column of nulls."""
        return pa.nulls(self.n, pa.string())

    def first(self, name: str) -> pa.Array:
        """The first value of each row in the field's own type or as text, before cleaning.

        Null where absent.
        """
        columns = [self._column(source) for source in self.spec.fields.get(name, ())]
        if len(columns) == 1 and not is_list(columns[0]):
            return columns[0]
        cleaned = [clean_texts(as_text_column(column)) for column in columns]
        return one_array(pc.coalesce(*cleaned)) if cleaned else self.blank()

    def texts(self, name: str) -> pa.Array:
        """The first cleaned text of each row, (n,) string; null where absent or blank.

        A reference has the name of the dataset in front that its own column refers to.
        """
        if name in self.known_texts:
            return self.known_texts[name]
        sources = self.spec.fields.get(name, ())
        if not any(source.dataset for source in sources):
            column = self.first(name)
            texts = as_text_column(column)
            return texts if pa.types.is_integer(column.type) else clean_texts(texts)
        return one_array(pc.coalesce(*(self._reference(source) for source in sources)))

    def coded(self, name: str) -> pa.DictionaryArray:
        """`texts` as a dictionary array (n,) of distinct values, read once."""
        if not self.has(name):
            return pa.DictionaryArray.from_arrays(pa.nulls(self.n, pa.int32()), pa.array([], pa.string()))
        if name not in self.coded_texts:
            is_plain = not any(source.dataset for source in self.spec.fields.get(name, ()))
            read = clean_coded(as_text_column(self.first(name))) if is_plain else as_coded(self.texts(name))
            self.coded_texts[name] = read
        return self.coded_texts[name]

    def required_texts(self, name: str) -> pa.Array:
        """Cleaned texts; rows without one are left out."""
        texts = self.texts(name)
        self.ledger.leave_out(is_null(texts), name, "is missing")
        return texts

    def values(self, name: str) -> Flat:
        """All cleaned values of a field that may have several."""
        parts = [self._flat(self._column(source)) for source in self.spec.fields.get(name, ())]
        if not parts:
            return Flat(np.empty(0, np.int64), pa.array([], pa.string()))
        if len(parts) == 1:
            return parts[0]
        positions = np.concatenate([part.positions for part in parts])
        values = pa.concat_arrays([as_plain(part.values) for part in parts])
        order = np.argsort(positions, kind="stable")
        return Flat(positions[order], values.take(pa.array(order)))

    def days(self, name: str) -> pa.Array:
        """date32 (n,); a value that is no existing date is lost."""
        given, days = self._read_days(name)
        self.ledger.lose_field(_lost(given, days), name, "is no date that exists")
        return days

    def last_days(self, name: str) -> pa.Array:
        """The same for the end of an interval, where the year 9999 stands for none: it is null, not lost."""
        given, days = self._read_days(name)
        has_end = ~as_mask(pc.match_substring(as_plain(as_text_column(given)), "9999"))
        self.ledger.lose_field(_lost(given, days) & has_end, name, "is no date that exists")
        return days

    def instants(self, name: str, required: bool = False) -> pa.Array:
        """timestamp(us, UTC) (n,); where required, rows without one are left out."""
        column = self.first(name)
        given, instants = self._read_instants(name, column)
        if required:
            self.ledger.leave_out(is_null(given), name, "is missing")
            self.ledger.leave_out(is_null(instants), name, "is no time that exists")
        else:
            self.ledger.lose_field(_lost(given, instants), name, "is no time that exists")
        return instants

    def amounts(self, name: str, digits: npt.NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
        """What was given, and integer minor units (n,) int64, null where unreadable.

        `digits` (n,) of each currency.
        """
        column = self.first(name)
        shift = np.zeros(self.n, np.int64) if self._unit(name) == "minor" else digits
        if pa.types.is_floating(column.type):
            return column, amounts_from_numbers(as_floats(column), shift)
        given = clean_texts(as_text_column(column))
        return given, amounts_from_texts(given, shift)

    def numbers(self, name: str) -> tuple[pa.Array, npt.NDArray[np.float64]]:
        """What was given, and float64 (n,), NaN where it is no finite number."""
        return read_numbers(self.first(name))

    def flags(self, name: str) -> pa.Array:
        """bool (n,); a value that is neither yes nor no is lost."""
        column = self.first(name)
        if pa.types.is_boolean(column.type):
            return column
        given = clean_texts(as_text_column(column))
        flags = pc.equal(map_distinct(given, _yes_or_no), "1")
        self.ledger.lose_field(_lost(given, flags), name, "is neither yes nor no")
        return one_array(flags)

    def words(self, name: str, meaning: Mapping[str, str | None], reason: str) -> pa.Array:
        """The field's casefolded words put through `meaning`.

        Unknown words are lost. A meaning of None is no value.
        """
        given = self.texts(name)
        words = map_distinct(given, lambda text: meaning.get(text.casefold(), "?"))
        unknown = as_mask(pc.equal(words, "?"))
        self.ledger.lose_field(unknown, name, reason)
        return one_array(pc.if_else(pa.array(unknown), NO_TEXT, words))

    def _read_days(self, name: str) -> tuple[Any, pa.Array]:
        """What was given, and date32 (n,), null where it is no existing date."""
        column = self.first(name)
        if is_day_or_instant(column.type):
            return column, dates.days_of(column)
        given = self.coded(name)
        return given, dates.read_days(given, self._formats(name), self.manifest.date_order)

    def _read_instants(self, name: str, column: Any) -> tuple[Any, Any]:
        unit = self._unit(name)
        if unit in STEP_UNITS or unit in EPOCH_UNITS:
            given, numbers = self.numbers(name)
            return given, dates.instants_from_numbers(numbers, str(unit), self.spec.fields[name][0].origin)
        if is_day_or_instant(column.type):
            return column, dates.instants_of(column, self.manifest.time_zone)
        given = clean_texts(as_text_column(column))
        instants = dates.read_instants(
            given, self._formats(name), self.manifest.date_order, self.manifest.time_zone
        )
        return given, instants

    def _formats(self, name: str) -> tuple[str, ...]:
        return tuple(text for source in self.spec.fields.get(name, ()) for text in source.formats)

    def _unit(self, name: str) -> str | None:
        return next((source.unit for source in self.spec.fields.get(name, ()) if source.unit), None)

    def _reference(self, source: FieldSource) -> pa.Array:
        texts = clean_texts(as_text_column(self._column(source)))
        return (
            texts if source.dataset is None else pc.binary_join_element_wise(f"{source.dataset}:", texts, "")
        )

    def _column(self, source: FieldSource) -> Any:
        """The column that a source names: constant, template, column or JSON path, matched where asked."""
        if source.value is not None:
            return one_array(pa.repeat(pa.scalar(source.value, pa.string()), self.n))
        if source.template is not None:
            column = self._filled_template(source.template)
        else:
            column = self._named_column(source.columns[0])
        return column if source.match is None else _matched(column, source.match)

    def _named_column(self, name: str) -> Any:
        if name not in self.raw.table.column_names:
            return self.blank()  # an optional source; a required one was checked before
        return one_array(self.raw.table[name])

    def _filled_template(self, template: str) -> pa.Array:
        parts = re.split(r"({[^{}]+})", template)
        pieces = [
            clean_texts(as_text_column(self._named_column(p[1:-1]))) if p.startswith("{") else p
            for p in parts
            if p
        ]
        return one_array(pc.binary_join_element_wise(*pieces, ""))

    def _flat(self, column: Any) -> Flat:
        if is_list(column):
            positions = np.asarray(pc.list_parent_indices(column), np.int64)
            values = clean_texts(as_text_column(pc.list_flatten(column)))
        else:
            positions, values = np.arange(self.n), clean_coded(as_text_column(column))
        valid = ~is_null(values)
        return Flat(positions, values).keep(valid)


def _offsets_of(positions: npt.NDArray[np.int64], n_rows: int) -> pa.Array:
    """Where the values of each row begin, and the last end, int32 (n_rows + 1,)."""
    offsets = np.zeros(n_rows + 1, np.int32)
    if len(positions):
        np.cumsum(np.bincount(positions, minlength=n_rows), out=offsets[1:])
    return pa.array(offsets)


def words_of(meanings: Mapping[str | None, str]) -> dict[str, str | None]:
    """Each word of a comma-separated list with what it means."""
    return {word.strip(): meaning for meaning, words in meanings.items() for word in words.split(",")}


def check_columns(spec: FileSpec, raw: RawFile) -> None:
    """Raises: MissingColumnError where the manifest entry names a column that the file does not have."""
    there = set(raw.columns) | set(raw.table.column_names)
    if missing := [name for name in spec.columns if name not in there]:
        fields = sorted(
            name for name, sources in spec.fields.items() if any(missing[0] in s.columns for s in sources)
        )
        wanted = f", which the field {fields[0]!r} is made of" if fields else ""
        present = _told_columns(raw.columns, none_is_there=len(missing) == len(spec.columns) > 1)
        raise MissingColumnError(f"{spec.path}: there is no column {missing[0]!r}{wanted}; {present}")


def _told_columns(columns: Sequence[str], *, none_is_there: bool) -> str:
    """What was there; a first line that is no header would be a client's data, and is not repeated."""
    if none_is_there:
        n = len(columns)
        return f"nor is any other that the manifest names: is the first line, of {n} columns, a header?"
    return "the columns are: " + ", ".join(columns[:40]) + (", ..." if len(columns) > 40 else "")


def as_text_column(column: Any) -> Any:
    """A column as text: whole floats without a point, times in ISO 8601, lists by their first text."""
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_dictionary(column.type):
        return (
            column
            if pa.types.is_string(column.type.value_type)
            else as_text_column(column.dictionary_decode())
        )
    if is_list(column):
        return _first_texts(column)
    if pa.types.is_floating(column.type):
        return _text_of_floats(column)
    return column.cast(pa.string())


def as_floats(column: Any) -> npt.NDArray[np.float64]:
    """Numbers as float64, NaN for null and for what is not finite."""
    numbers = np.array(column.cast(pa.float64(), safe=False).fill_null(np.nan), np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def read_numbers(column: Any) -> tuple[pa.Array, npt.NDArray[np.float64]]:
    """What was given, and float64 (n,), NaN where it is no finite number."""
    if _is_number(column.type):
        return column, as_floats(column)
    given = clean_texts(as_text_column(column)).cast(pa.string())
    plain = pc.replace_substring(pc.replace_substring_regex(given, r"[\s']", ""), ",", ".")
    numbers = as_series(plain).cast(pl.Float64, strict=False).to_numpy().astype(np.float64)
    return given, np.where(np.isfinite(numbers), numbers, np.nan)


def is_null(values: Any) -> Mask:
    """Where values are null, (n,)."""
    return np.asarray(values.is_null(), dtype=np.bool_)


def is_day_or_instant(kind: Any) -> bool:
    """Whether a column is of dates or timestamps; a time of day or a duration says no day."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def as_mask(flags: Any) -> Mask:
    """Arrow booleans as a numpy mask; null is false."""
    return np.asarray(pc.fill_null(flags, False), dtype=np.bool_)


def map_flat(flat: Flat, convert: Callable[[str], str | None]) -> Flat:
    """Each distinct value converted once; null where `convert` gives None."""
    return Flat(flat.positions, map_distinct(flat.values, convert))


def _text_of_floats(column: Any) -> Any:
    numbers = as_floats(column)
    whole = ~np.isnan(numbers) & (numbers == np.floor(numbers)) & (np.abs(numbers) < 2.0**53)
    given = ~is_null(column) & ~np.isnan(np.array(column.fill_null(np.nan), np.float64))
    if bool((whole | ~given).all()):
        return pa.array(np.where(whole, numbers, 0).astype(np.int64), mask=~given).cast(pa.string())
    return pc.if_else(pa.array(given), column.cast(pa.string()), NO_TEXT)


def is_list(column: Any) -> bool:
    """Whether a column has lists of values."""
    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type))


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _first_texts(lists: Any) -> Any:
    """The first text of each list that is not blank, cleaned; null where there is none."""
    values = clean_texts(as_text_column(pc.list_flatten(lists)))
    there = np.flatnonzero(~is_null(values))
    rows, first = np.unique(np.asarray(pc.list_parent_indices(lists), np.int64)[there], return_index=True)
    places = np.full(len(lists), -1, np.int64)
    places[rows] = there[first]
    return values.take(pa.array(places, mask=places < 0))


def _matched(column: Any, expression: str) -> Any:
    if not is_list(column):
        return as_texts(as_series(as_text_column(column)).cast(pl.String).str.extract(expression, 1))
    items = as_series(as_text_column(pc.list_flatten(column))).cast(pl.String).str.extract(expression, 1)
    return pa.ListArray.from_arrays(_offsets(column), as_texts(items))


def _offsets(column: Any) -> Any:
    sizes = np.asarray(pc.fill_null(pc.list_value_length(column), 0), np.int64)
    return pa.array(np.concatenate(([0], np.cumsum(sizes))), pa.int32())


def _lost(given: Any, kept: Any) -> Mask:
    return ~is_null(given) & is_null(kept)


def _yes_or_no(text: str) -> str | None:
    word = text.casefold()
    return "1" if word in _YES else "0" if word in _NO else None
