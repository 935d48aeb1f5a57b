"""Which column of a file is which field, told from names and values, for a source without a manifest.

Every column gets a reading with its reason; nothing is decided in silence. Columns whose name is that of an
answer (cluster, entity_id, match_id) are never used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from terag_pipelines.entities.column_names import (
    NamedField,
    field_of_name,
    names_iin_or_bin,
    names_the_truth,
    plain_column_name,
)
from terag_pipelines.entities.column_values import ColumnValues, phone_region
from terag_pipelines.entities.manifests import FieldSource, FileSpec, Manifest
from terag_pipelines.entities.parties import PARTY_WORDS
from terag_pipelines.entities.quarantine import FaultLedger
from terag_pipelines.entities.raw_files import RawFile
from terag_pipelines.entities.vocabulary import PARTY_FIELDS, VALIDITY_FIELDS
from terag_pipelines.errors import LinkingError, ManifestError
from terag_pipelines.side_by_side import run_side_by_side

IGNORE = "ignore"
ROW_COLUMN = "(row number)"
SURE_SHARE = 0.8
EMPTY = "not used: it is empty"
LEAST_SHARE = 0.1
PERSON_SHARE = 0.85
_PERSON_FIELDS = frozenset(
    (
        "given_name",
        "family_name",
        "patronymic",
        "birth_date",
        "sex",
        "iin",
        "ssn",
        "passport",
        "driving_licence",
    )
)
_ORGANISATION_FIELDS = frozenset(("organisation_name", "bin"))
_NO_EVIDENCE = frozenset(("id", "party_type", "first_seen", *VALIDITY_FIELDS))
_DATES = frozenset(("birth_date", *VALIDITY_FIELDS))
_SHARE_OF: Mapping[str, tuple[str, str]] = {
    "email": ("email_share", "e-mail addresses"),
    "iin": ("iin_share", "valid IINs"),
    "bin": ("bin_share", "valid BINs"),
    "birth_date": ("date_share", "dates that exist"),
    **dict.fromkeys(VALIDITY_FIELDS, ("end_share", "dates that exist")),
}
_UNSURE = NamedField("", (9, 0))


@dataclass(frozen=True)
class ColumnReading:
    """What one column was taken for (None: it is not used) and why."""

    column: str
    field: str | None
    reason: str


@dataclass(frozen=True)
class SourceReading:
    """How one file or table was read: its columns, what its rows are, and the entry a manifest would have."""

    spec: FileSpec
    columns: tuple[ColumnReading, ...]
    holds_reason: str


@dataclass(frozen=True)
class Readings:
    """How all sources were read; `notes` say what was decided for all of them, `raws` have an id column."""

    sources: tuple[SourceReading, ...]
    manifest: Manifest
    notes: tuple[str, ...]
    raws: Mapping[str, RawFile] = field(repr=False)


@dataclass(frozen=True)
class ReadingParams:
    """What a person says about the sources; None and absent columns are left to be told from the data.

    `fields` maps columns to fields of a manifest or to "ignore".
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    holds: str | None = None
    country: str | None = None
    date_order: str | None = None
    max_bad_share: float = 0.05


@dataclass
class _Guess:
    """One column's reading while it is made, how sure its name is, and its values if they were looked at."""

    column: str
    field: str | None
    reason: str
    named: NamedField = _UNSURE
    values: ColumnValues | None = None

    def drop(self, reason: str) -> None:
        self.field, self.reason = None, reason


def read_columns(
    raws: Mapping[str, RawFile],
    params: ReadingParams = ReadingParams(),
    paths: Mapping[str, str] = MappingProxyType({}),
) -> Readings:
    """How to read each of the sources (by dataset name), by the names and values of their columns.

    `paths` name the sources in messages, where a dataset's own name does not tell which file it is.
    Neither the order of rows nor that of columns changes the reading.

    Raises: ManifestError where `fields` names a column or field that there is not, LinkingError where a
    source has no rows or nothing in it is recognised, TooManyBadRowsError where too many cannot be read.
    """
    for name, raw in raws.items():
        _check_rows(paths.get(name, name), raw, params)
    _check_overrides(raws, params)
    guesses = {name: _guess_all(raw, params) for name, raw in raws.items()}
    for name, guessed in guesses.items():
        _choose_id(guessed)
        _check_recognised(paths.get(name, name), guessed)
    country, country_note = _country_of(guesses, params)
    order, order_note = _date_order_of(guesses, params)
    share = _person_share(guesses)
    sources = tuple(
        _read_source(name, paths.get(name, name), guesses[name], share, params) for name in sorted(raws)
    )
    manifest = Manifest(
        name="link",
        files=tuple(source.spec for source in sources),
        country=country,
        date_order=order,
        max_bad_share=params.max_bad_share,
    )
    identified = {
        name: raw if _has_id(guesses[name]) else _with_row_numbers(raw) for name, raw in raws.items()
    }
    notes = tuple(note for note in (country_note, order_note, _kinds_note(sources)) if note)
    return Readings(sources, manifest, notes, identified)


def _check_rows(path: str, raw: RawFile, params: ReadingParams) -> None:
    FaultLedger(FileSpec(path, path, "", "parties", max_bad_share=params.max_bad_share), raw).check_share()
    if not len(raw.rows):
        raise LinkingError(f"{path}: there are no rows to link")


def _check_overrides(raws: Mapping[str, RawFile], params: ReadingParams) -> None:
    there = {column for raw in raws.values() for column in raw.table.column_names}
    for column, name in sorted(params.fields.items()):
        if column not in there:
            raise ManifestError(f"there is no column {column!r} in {', '.join(sorted(raws))}")
        if name not in (*PARTY_FIELDS, IGNORE):
            allowed = ", ".join((*PARTY_FIELDS, IGNORE))
            raise ManifestError(f"column {column!r}: there is no field {name!r}; there are {allowed}")


def _guess_all(raw: RawFile, params: ReadingParams) -> list[_Guess]:
    names = sorted(raw.table.column_names)
    guesses = run_side_by_side([partial(_guess, raw.table[name], name, params) for name in names])
    guesses.sort(key=lambda guess: (guess.named.rank, guess.column))
    people = {guess.field for guess in guesses} & {"given_name", "family_name", "birth_date"}
    for guess in guesses:
        if people and guess.field == "description" and plain_column_name(guess.column) == "title":
            guess.drop("not used: beside names of people a title may be a form of address or a post")
    _take_name_beside_surname(guesses)
    _drop_unclear_intervals(guesses)
    return guesses


def _take_name_beside_surname(guesses: list[_Guess]) -> None:
    """Beside a surname a column called "name" that holds single names is the given name."""
    found = {guess.field for guess in guesses}
    if "family_name" not in found or "given_name" in found:
        return
    for guess in guesses:
        is_plain = plain_column_name(guess.column) == "name" and guess.reason != "as you said"
        if guess.field == "full_name" and is_plain and guess.values and guess.values.person_share < 0.5:
            guess.field, guess.reason = "given_name", "by its name, beside a surname and of single names"


def _drop_unclear_intervals(guesses: list[_Guess]) -> None:
    """Beside several columns of telephones or cards nothing says which of them an interval is of."""
    n_columns = Counter(guess.field for guess in guesses)
    for guess in guesses:
        kind = guess.field.partition("_")[0] if guess.field in VALIDITY_FIELDS else None
        if kind in ("phone", "card") and n_columns[kind] > 1 and guess.reason != "as you said":
            guess.drop(f"not used: there are {n_columns[kind]} columns of the kind {kind}; say whose it is")


def _guess(column: pa.ChunkedArray, name: str, params: ReadingParams) -> _Guess:
    if (asked := params.fields.get(name)) is not None:
        is_used = asked != IGNORE
        values = ColumnValues.of(column) if is_used else None
        return _Guess(name, asked if is_used else None, "as you said", NamedField(asked, (-1, 0)), values)
    if names_the_truth(name):
        return _Guess(name, None, "not used: by its name it tells who is who, which is never evidence")
    values = ColumnValues.of(column)
    if not values.n_there:
        return _Guess(name, None, EMPTY)
    if names_iin_or_bin(name):
        return _guess_number(name, values)
    named = field_of_name(name)
    if named is not None and named.field in VALIDITY_FIELDS and values.end_share < LEAST_SHARE:
        named = None  # phone_from and phone_to may as well be the two ends of a call
    return _guess_by_values(name, values) if named is None else _guess_by_name(name, named, values)


def _guess_number(name: str, values: ColumnValues) -> _Guess:
    kind = "iin" if values.iin_share >= values.bin_share else "bin"
    share = f"{values.iin_share:.0%} are valid IINs and {values.bin_share:.0%} valid BINs"
    return _Guess(name, kind, f"its name says IIN or BIN: {share}", NamedField(kind, (0, 0)), values)


def _guess_by_name(name: str, named: NamedField, values: ColumnValues) -> _Guess:
    guess = _Guess(name, named.field, "by its name", named, values)
    if named.field == "description" and values.title_share >= 0.5:
        guess.drop("not used: its values are forms of address")
    if named.field == "party_type" and not _says_party_type(values):
        guess.drop("not used: its values are no words for people and organisations")
    if named.field in _SHARE_OF:
        figure, kind = _SHARE_OF[named.field]
        share = getattr(values, figure)
        if share < LEAST_SHARE:
            guess.drop(f"not used: its name says {named.field}, but {share:.0%} of its values are {kind}")
        elif share < SURE_SHARE:
            guess.reason = f"by its name, though only {share:.0%} of its values are {kind}"
    if guess.field in _DATES and values.date_formats:
        guess.reason += f"; some are written as {', '.join(values.date_formats)}"
    if guess.field and values.n_there > 1 and values.is_constant:
        guess.reason += "; it has one value everywhere"
    return guess


def _says_party_type(values: ColumnValues) -> bool:
    known = sum(text.casefold() in PARTY_WORDS for text in values.sample)
    return values.share(known) >= SURE_SHARE


def _guess_by_values(name: str, values: ColumnValues) -> _Guess:
    for kind in ("email", "iin", "bin"):
        figure, words = _SHARE_OF[kind]
        if (share := getattr(values, figure)) >= SURE_SHARE:
            return _Guess(name, kind, f"by its values: {share:.0%} are {words}", values=values)
    if (share := values.international_share) >= SURE_SHARE:
        return _Guess(name, "phone", f"by its values: {share:.0%} are phone numbers", values=values)
    if values.date_share >= SURE_SHARE:
        return _Guess(name, None, "not used: its values are dates, but the name does not say of what")
    return _Guess(name, None, "not used: neither its name nor its values are known")


def _choose_id(guesses: list[_Guess]) -> None:
    """One id column: of those so named, the surest in which every row has a value of its own."""
    candidates = [guess for guess in guesses if guess.field == "id"]
    said = [guess for guess in candidates if guess.reason == "as you said"]
    fit = said or [guess for guess in candidates if guess.values is not None and guess.values.is_unique]
    for guess in candidates:
        if guess not in fit[:1]:
            is_unique = guess.values is not None and guess.values.is_unique
            other = f"{fit[0].column!r} is the id" if fit else "the numbers of rows are the ids"
            why = "" if is_unique else "its values are missing or repeat; "
            guess.drop(f"not used: {why}{other}")


def _has_id(guesses: Sequence[_Guess]) -> bool:
    return any(guess.field == "id" for guess in guesses)


def _check_recognised(name: str, guesses: Sequence[_Guess]) -> None:
    if all(guess.field is None or guess.field in _NO_EVIDENCE for guess in guesses):
        n_empty = sum(guess.reason == EMPTY for guess in guesses)
        raise LinkingError(
            f"{name}: none of its {len(guesses)} columns ({n_empty} of them empty) is recognised as a name, "
            "date, number, contact or address; is its first line a header? Say which column is what, "
            "COLUMN=FIELD, or write a manifest"
        )


def _country_of(guesses: Mapping[str, list[_Guess]], params: ReadingParams) -> tuple[str, str]:
    if params.country is not None:
        return params.country.upper(), ""
    phones = [
        g.values for one in guesses.values() for g in one if g.field == "phone" and g.values is not None
    ]
    regions, share = phone_region(sorted(phones, key=lambda values: values.sample))
    if not regions:
        return Manifest.country, ""
    if share < 0.5:
        return (
            Manifest.country,
            "country: the phone numbers are valid in no one country; their digits are compared",
        )
    others = f"; as many in {', '.join(regions[1:])}: say which if it is wrong" if regions[1:] else ""
    told = f"{share:.0%} of the phone numbers without a country code are valid there{others}"
    return regions[0], f"country: {regions[0]}, for {told}"


def _date_order_of(guesses: Mapping[str, list[_Guess]], params: ReadingParams) -> tuple[str, str]:
    if params.date_order is not None:
        return params.date_order, ""
    dated = [g.values for one in guesses.values() for g in one if g.field in _DATES and g.values is not None]
    day_first, month_first, open_ones = (
        sum(votes) for votes in zip((0, 0, 0), *(v.order_votes() for v in dated), strict=True)
    )
    if not day_first + month_first + open_ones:
        return "dmy", ""
    order, said = ("mdy", "month") if month_first > day_first else ("dmy", "day")
    if day_first and month_first:
        counts = f"{day_first} dates can only have the day first, {month_first} only the month"
        return order, f"date order is ambiguous: {counts}; the {said} is taken to be first"
    if not day_first + month_first:
        return (
            order,
            "date order is ambiguous: no date such as 31/12/1990 tells; the day is taken to be first",
        )
    return order, f"date order: the {said} is first, as in all dates that tell"


def _person_share(guesses: Mapping[str, list[_Guess]]) -> float:
    """Over all sources: the share of whole names that have the form of a person's."""
    named = [
        g.values for one in guesses.values() for g in one if g.field == "full_name" and g.values is not None
    ]
    n = sum(len(values.sample) for values in named)
    return sum(values.person_share * len(values.sample) for values in named) / max(n, 1)


def _read_source(
    name: str, path: str, guesses: list[_Guess], person_share: float, params: ReadingParams
) -> SourceReading:
    holds, reason = _holds_of({guess.field for guess in guesses} - {None}, person_share, params)
    fields: dict[str, list[_Guess]] = {}
    for guess in guesses:
        if guess.field is not None:
            fields.setdefault(guess.field, []).append(guess)
    sources = {name: tuple(map(_source_of, given)) for name, given in sorted(fields.items())}
    if "id" not in sources:
        sources["id"] = (FieldSource(column=ROW_COLUMN),)
    spec = FileSpec(name, path, "", holds, sources, max_bad_share=params.max_bad_share)
    columns = (ColumnReading(guess.column, guess.field, guess.reason) for guess in guesses)
    return SourceReading(spec, tuple(sorted(columns, key=lambda reading: reading.column)), reason)


def _source_of(guess: _Guess) -> FieldSource:
    is_date = guess.field in _DATES and guess.values is not None
    formats = guess.values.date_formats if is_date and guess.values is not None else ()
    return FieldSource(column=guess.column, formats=formats)


def _holds_of(fields: set[Any], person_share: float, params: ReadingParams) -> tuple[str, str]:
    """What the rows are, and why."""
    if params.holds is not None:
        return params.holds, "as you said"
    people, firms = sorted(fields & _PERSON_FIELDS), sorted(fields & _ORGANISATION_FIELDS)
    if "party_type" in fields:
        return "parties", "each row says whether it is a person or an organisation"
    if people and firms:
        return "parties", "people or organisations, row by row, by the fields that a row has"
    if people or firms:
        return ("people" if people else "organisations"), f"because of {', '.join(people or firms)}"
    if "full_name" in fields:
        told = f"{person_share:.0%} of the names have the form of a person's name"
        return ("people" if person_share >= PERSON_SHARE else "organisations"), told
    return "parties", "no column says whether they are people or organisations"


def _kinds_note(sources: Sequence[SourceReading]) -> str:
    kinds = {source.spec.holds for source in sources}
    if {"people", "organisations"} <= kinds:
        return (
            "one source holds people and another organisations: a person is never linked to an organisation"
        )
    return ""


def _with_row_numbers(raw: RawFile) -> RawFile:
    numbers = pa.array(raw.rows).cast(pa.string())
    return replace(raw, table=raw.table.append_column(ROW_COLUMN, numbers))
