"""People, organisations and watchlist entries, normalised to entity records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.addresses import house_numbers, place_keys, plain_postcode, split_addresses
from terag_pipelines.entities.countries import country_code
from terag_pipelines.entities.distinct import (
    as_coded,
    as_plain,
    as_series,
    as_texts,
    convert_coded,
    first_of,
    map_distinct,
    map_distinct_fields,
    one_array,
    only_where,
    places_of,
    recode,
)
from terag_pipelines.entities.emails import plain_emails
from terag_pipelines.entities.identifiers import plain_identifier, read_bins, read_iins
from terag_pipelines.entities.joined_texts import as_joined, first_or_joined, join_later
from terag_pipelines.entities.known_ids import earlier_rows
from terag_pipelines.entities.mapped_rows import (
    NO_TEXT,
    Flat,
    MappedRows,
    as_mask,
    is_null,
    map_flat,
    words_of,
)
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.entities.name_order import sorted_names, sorted_tokens
from terag_pipelines.entities.names import (
    PersonName,
    looks_like_organisation,
    split_full_name,
    split_given_names,
    split_organisation_name,
)
from terag_pipelines.entities.phones import phone_numbers
from terag_pipelines.entities.quarantine import FaultLedger, Mask
from terag_pipelines.entities.transliteration import name_key, name_keys, token_key, token_keys
from terag_pipelines.entities.vocabulary import DATED_KINDS, IDENTIFIER_KINDS
from terag_pipelines.side_by_side import run_side_by_side

PARTY_WORDS = words_of(
    {
        "person": "person, individual, natural, p, физ, фл, физическое лицо, жеке тұлға",
        "organisation": "organisation, organization, company, legal, entity, business, "
        "юр, юл, юридическое лицо, заңды тұлға",
        None: "unknown",
    }
)
_SEX_WORDS = words_of(
    {
        "female": "f, female, woman, w, ж, жен, жен., женский, женщина, ә, әйел",
        "male": "m, male, man, м, муж, муж., мужской, мужчина, е, ер, еркек",
        None: "u, unknown, x, н, не указан",
    }
)
_MAX_DESCRIPTION = 4_000  # characters
_TYPE_OF_HOLDS = {"people": "person", "organisations": "organisation"}


@dataclass
class _Draft:
    """The columns of a file's entity records while they are made, and the quality flags of its rows."""

    rows: MappedRows
    columns: dict[str, pa.Array] = field(default_factory=dict)
    flags: list[tuple[str, Mask]] = field(default_factory=list)

    def flag(self, name: str, mask: Mask) -> None:
        if mask.any():
            self.flags.append((name, mask))

    def lose(self, field_name: str, mask: Mask, reason: str) -> None:
        """A value that cannot be used: it has a quarantine row, the row stays."""
        self.rows.ledger.lose_field(mask, field_name, reason)

    def made_by(self, add: Callable[[_Draft], None]) -> _Draft:
        """What `add` makes of the same rows and party types, in a draft and a ledger of its own."""
        ledger = FaultLedger(self.rows.spec, self.rows.raw)
        part = _Draft(replace(self.rows, ledger=ledger), {"party_type": self.columns["party_type"]})
        add(part)
        return part

    def join(self, part: _Draft) -> None:
        """Takes over the columns, flags and faults of a part."""
        self.columns |= part.columns
        self.flags += part.flags
        self.rows.ledger.faults += part.rows.ledger.faults


def normalise_parties(rows: MappedRows) -> pa.Table:
    """Entity records of a file that holds parties, one per row that is not left out; not yet conformed.

    Texts may be dictionaries, or joined later (entities/joined_texts.py); written_out makes them plain.
    Bad optional values become null with a quality flag and a quarantine row; a missing or repeated id leaves
    the row out.
    """
    draft = _Draft(rows)
    _add_ids(draft)
    _add_types(draft)
    for part in run_side_by_side([partial(draft.made_by, add) for add in _PARTS]):
        draft.join(part)
    return _finish(draft)


def _add_ids(draft: _Draft) -> None:
    rows = draft.rows
    native = rows.required_texts("id")
    rows.ledger.leave_out_repeats(earlier_rows(native, rows), "id")
    draft.columns |= {
        "native_id": native,
        "record_id": pc.binary_join_element_wise(f"{rows.spec.name}:", native, ""),
        "dataset": _coded_constant(rows, rows.spec.name),
        "file": _coded_constant(rows, rows.spec.path),
        "row": pa.array(rows.raw.rows),
        "is_partial": pa.array(np.zeros(rows.n, np.bool_)),
        "is_watchlist": pa.array(np.full(rows.n, rows.spec.holds == "watchlist")),
        "first_seen": rows.instants("first_seen"),
    }


def _add_types(draft: _Draft) -> None:
    rows = draft.rows
    known = _TYPE_OF_HOLDS.get(rows.spec.holds) or rows.spec.party_type
    if known and not rows.has("party_type"):
        draft.columns["party_type"] = _coded_constant(rows, known)
        return
    told = rows.words("party_type", PARTY_WORDS, "is neither a person nor an organisation")
    given = pc.coalesce(told, _constant(rows, known))
    organised = ~is_null(rows.texts("organisation_name"))
    personal = np.zeros(rows.n, np.bool_)
    for name in ("given_name", "family_name", "birth_date", "iin", "sex"):
        personal |= ~is_null(rows.texts(name)) if rows.has(name) else False
    guess = pc.if_else(
        pa.array(organised), "organisation", pc.if_else(pa.array(personal), "person", "unknown")
    )
    draft.columns["party_type"] = one_array(pc.coalesce(given, guess))


def _add_names(draft: _Draft) -> None:
    rows, columns = draft.rows, draft.columns
    is_organisation = as_mask(pc.equal(columns["party_type"], "organisation"))
    whole, organisation = rows.coded("full_name"), rows.coded("organisation_name")
    parts = _person_parts(rows, only_where(whole, ~is_organisation))
    company = only_where(first_of(organisation, whole), is_organisation)
    keys = tuple(convert_coded(part, _name_keys) for part in parts)
    columns |= dict(zip(("given_name", "family_name", "patronymic"), parts, strict=True))
    columns |= dict(zip(("given_key", "family_key", "patronymic_key"), keys, strict=True))
    organisation_key, legal_form = _fields_of(company, split_organisation_name, 2)
    columns |= {"organisation_key": organisation_key, "legal_form": legal_form}
    columns["name_key"] = sorted_names(organisation_key, keys, convert_coded(whole, _name_keys))
    columns["display_name"] = first_or_joined(first_of(company, whole), parts[0], parts[2], parts[1])
    columns["alias_keys"] = _alias_keys(rows, parts, columns["name_key"])


def _person_parts(rows: MappedRows, whole: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Given name, family name and patronymic.

    A full name fills them only where neither of the first two is given.
    """
    given, family, patronymic = rows.coded("given_name"), rows.coded("family_name"), rows.coded("patronymic")
    split = _fields_of(only_where(whole, is_null(given) & is_null(family)), _full_name_parts, 3)
    given_only, behind = _split_given(only_where(given, is_null(patronymic)))
    return (
        first_of(given_only, given, split[0]),
        first_of(family, split[1]),
        first_of(patronymic, behind, split[2]),
    )


def _fields_of(
    values: pa.DictionaryArray, convert: Callable[[str], Sequence[str | None]], n_fields: int
) -> tuple[pa.DictionaryArray, ...]:
    """Each distinct text converted to `n_fields` texts, a dictionary array for each."""
    fields = map_distinct_fields(values.dictionary, convert, n_fields)
    return tuple(recode(column, values.indices) for column in fields)


def _full_name_parts(text: str) -> tuple[str | None, str | None, str | None]:
    name = split_full_name(text)
    return name.given, name.family, name.patronymic


def _split_given(names: pa.DictionaryArray) -> tuple[pa.DictionaryArray, pa.DictionaryArray]:
    """Given names, and the patronymics that stand behind them."""
    several = np.append(as_mask(pc.match_substring(names.dictionary, " ")), False)[places_of(names)]
    if not several.any():
        return names, only_where(names, several)
    given, behind = _fields_of(only_where(names, several), _given_parts, 2)
    return first_of(only_where(names, ~several), given), behind


def _given_parts(text: str) -> tuple[str | None, str | None]:
    name: PersonName = split_given_names(text)
    return name.given, name.patronymic


def _name_keys(names: pa.Array) -> pa.Array:
    keys = name_keys(names)
    return one_array(pc.if_else(pc.equal(keys, ""), NO_TEXT, keys))


def _alias_keys(rows: MappedRows, parts: tuple[pa.Array, pa.Array, pa.Array], own: pa.Array) -> pa.Array:
    """Sorted keys of every further name: aliases, former surnames, and further values of the name fields."""
    organisation = map_flat(rows.values("organisation_name"), lambda text: split_organisation_name(text)[0])
    people = [
        map_flat(rows.values(name), lambda text: name_key(text) or None) for name in ("full_name", "alias")
    ]
    former = [map_flat(flat, lambda text: name_key(text) or None) for flat in _former_names(rows, parts)]
    flats = [organisation, *people, *former, _paired_names(rows)]
    positions = np.concatenate([flat.positions for flat in flats])
    keys = sorted_tokens(pa.concat_arrays([flat.values for flat in flats]))
    primary = as_plain(as_joined(own.take(pa.array(positions))))
    return Flat(positions, keys).keep(~as_mask(pc.equal(keys, primary)) & ~is_null(keys)).lists(rows.n)


def _former_names(rows: MappedRows, parts: tuple[pa.Array, pa.Array, pa.Array]) -> list[Flat]:
    """Former surnames with the given name and patronymic that the record has."""
    if not rows.has("former_family_name"):
        return []
    flat = rows.values("former_family_name")
    own = pa.array(flat.positions)
    given, _, patronymic = (part.take(own) for part in parts)
    names = join_later(*map(as_coded, (flat.values, given, patronymic)))
    return [Flat(flat.positions, as_plain(as_joined(names)))]


def _paired_names(rows: MappedRows) -> Flat:
    """Second and later pairs of given and family name, as one name each."""
    if not rows.may_have_several("family_name"):
        return Flat(np.empty(0, np.int64), pa.array([], pa.string()))
    family = _numbered(rows.values("family_name")).filter(pl.col("nth") > 0)
    if not len(family):
        return Flat(np.empty(0, np.int64), pa.array([], pa.string()))
    given = _numbered(rows.values("given_name"))
    pairs = family.join(given, on=["position", "nth"], how="left", maintain_order="left")
    names = as_texts((pairs["value_right"].fill_null("") + " " + pairs["value"]).str.strip_chars())
    return Flat(pairs["position"].to_numpy(), names)


def _numbered(flat: Flat) -> pl.DataFrame:
    frame = pl.DataFrame({"position": flat.positions, "value": as_series(as_plain(flat.values))})
    return frame.with_columns(nth=pl.int_range(pl.len()).over("position"))


def _add_person_facts(draft: _Draft) -> None:
    rows = draft.rows
    born, sex = rows.days("birth_date"), rows.words("sex", _SEX_WORDS, "is neither female nor male")
    draft.columns |= {"birth_date": born, "sex": sex, "iin": rows.blank()}
    if rows.has("iin"):
        _add_iins(draft, born, sex)


def _add_iins(draft: _Draft, born: pa.Array, sex: pa.Array) -> None:
    """The IINs, and the birth dates and sexes that they carry where the row says none."""
    given = draft.rows.texts("iin")
    read = read_iins(given)
    draft.lose(
        "iin", ~is_null(given) & is_null(read.values), "is no valid IIN (12 digits, date, check digit)"
    )
    draft.flag("iin_birth_date_mismatch", as_mask(pc.not_equal(born, read.birth_dates)))
    draft.flag("iin_sex_mismatch", as_mask(pc.not_equal(sex, read.sexes)))
    draft.flag("birth_date_from_iin", is_null(born) & ~is_null(read.birth_dates))
    draft.columns |= {
        "iin": read.values,
        "birth_date": one_array(pc.coalesce(born, read.birth_dates)),
        "sex": one_array(pc.coalesce(sex, read.sexes)),
    }


def _add_identifiers(draft: _Draft) -> None:
    rows = draft.rows
    given = rows.texts("bin")
    bins = read_bins(given) if rows.has("bin") else given
    draft.lose(
        "bin", ~is_null(given) & is_null(bins), "is no valid BIN (12 digits, month, type, check digit)"
    )
    kinds = [
        (kind, map_flat(rows.values(kind), plain_identifier)) for kind in IDENTIFIER_KINDS if rows.has(kind)
    ]
    for kind, flat in kinds:
        draft.lose(
            kind, _rows_of(rows, flat.positions[is_null(flat.values)]), "is too short or one sign repeated"
        )
    named = [pc.binary_join_element_wise(f"{kind}:", flat.values, "") for kind, flat in kinds]
    positions = np.concatenate([np.empty(0, np.int64), *(flat.positions for _, flat in kinds)])
    values = pa.concat_arrays([pa.array([], pa.string()), *named])
    draft.columns |= {"bin": bins, "identifiers": Flat(positions, values).lists(rows.n)}


def _add_contacts(draft: _Draft) -> None:
    rows = draft.rows
    given = rows.values("phone")
    numbers, valid = phone_numbers(given.values, rows.manifest.country)
    draft.lose("phone", _rows_of(rows, given.positions[is_null(numbers)]), "has fewer than five digits")
    draft.flag("phone_not_valid", _rows_of(rows, given.positions[~valid & ~is_null(numbers)]))
    given_emails = rows.values("email")
    addresses = Flat(given_emails.positions, plain_emails(given_emails.values))
    draft.lose(
        "email", _rows_of(rows, addresses.positions[is_null(addresses.values)]), "is no e-mail address"
    )
    draft.columns |= {
        "phones": Flat(given.positions, numbers).lists(rows.n),
        "emails": addresses.lists(rows.n),
    }


def _add_addresses(draft: _Draft) -> None:
    rows = draft.rows
    given_house = rows.coded("house")
    line, whole = split_addresses(rows.coded("street")), split_addresses(rows.coded("address"))
    locality, region = place_keys(rows.coded("locality")), place_keys(rows.coded("region"))
    postcode = _converted(rows.coded("postcode"), plain_postcode)
    house_key = convert_coded(given_house, token_keys)
    composed = (line[3], house_key, locality, region, convert_coded(postcode, pc.utf8_lower))
    draft.columns |= {
        "street": first_of(line[0], whole[0]),
        "house": first_of(house_numbers(given_house), line[1], whole[1]),
        "locality": first_of(locality, line[2], whole[2]),
        "region": region,
        "postcode": postcode,
        "country": _converted(rows.coded("country"), country_code),
        "address_key": first_or_joined(whole[3], *composed),
    }


def _add_validity(draft: _Draft) -> None:
    """From when to when telephones, cards and the address were the party's; both ends belong to it."""
    rows, never = draft.rows, pa.nulls(draft.rows.n, pa.date32())
    for kind in DATED_KINDS:
        first, last = f"{kind}_from", f"{kind}_to"
        start = rows.days(first) if rows.has(first) else never
        end = rows.last_days(last) if rows.has(last) else never
        reverse = as_mask(pc.greater(start, end))
        draft.lose(last, reverse, f"is before {first}: the interval is not known")
        if reverse.any():
            start, end = (pc.if_else(pa.array(reverse), never, ends) for ends in (start, end))
        draft.columns |= {first: start, last: end}


def _converted(values: pa.DictionaryArray, convert: Callable[[str], str | None]) -> pa.DictionaryArray:
    return convert_coded(values, lambda distinct: map_distinct(distinct, convert))


def _add_descriptions(draft: _Draft) -> None:
    """The Latin key of each row's free texts, joined in the order of their columns."""
    rows = draft.rows
    flat = rows.values("description")
    frame = pl.DataFrame({"position": flat.positions, "value": as_series(as_plain(flat.values))})
    joined = frame.group_by("position", maintain_order=True).agg(pl.col("value").str.join(" "))
    keys = map_distinct(
        as_texts(joined["value"].str.slice(0, _MAX_DESCRIPTION)), lambda text: token_key(text) or None
    )
    places = np.full(rows.n, -1, np.int64)
    places[joined["position"].to_numpy()] = np.arange(len(joined))
    draft.columns["description"] = keys.take(pa.array(places, mask=places < 0))


def _rows_of(rows: MappedRows, positions: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Mask:
    mask = np.zeros(rows.n, np.bool_)
    mask[positions] = True
    return mask


def _constant(rows: MappedRows, text: str | None) -> pa.Array:
    return one_array(pa.repeat(pa.scalar(text, pa.string()), rows.n))


def _coded_constant(rows: MappedRows, text: str) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows.n, np.int32)), pa.array([text], pa.string()))


_PARTS = (
    _add_names, _add_person_facts, _add_identifiers, _add_contacts, _add_addresses, _add_validity,
    _add_descriptions,
)  # fmt: skip


def _finish(draft: _Draft) -> pa.Table:
    draft.columns["quality_flags"] = _flag_lists(draft)
    draft.rows.coded_texts.clear()
    names = ENTITY_RECORDS.schema.names
    table = pa.table([one_array(draft.columns.pop(name)) for name in names], names=names)
    left_out = draft.rows.ledger.left_out
    return table.filter(pa.array(~left_out)) if left_out.any() else table


def _flag_lists(draft: _Draft) -> pa.Array:
    """The flags of each row: those of the draft, and '<field>_invalid' for every field that was lost."""
    flags = [(name, np.flatnonzero(mask)) for name, mask in draft.flags]
    flags += [(f"{fault.field}_invalid", fault.positions) for fault in draft.rows.ledger.faults]
    positions = np.concatenate([np.empty(0, np.int64), *(where for _, where in flags)])
    names = pa.array([name for name, where in flags for _ in range(len(where))], pa.string())
    return Flat(positions, names).lists(draft.rows.n)


def partial_parties(names: pl.DataFrame) -> pa.Table:
    """Entity records of counterparties outside the bank, known by account and name only; `row` is null.

    `names` has one row per account: account, name (the most frequent, null where none), others (list of
    further names), file.
    """
    display = as_texts(names["name"])
    organised = map_distinct(display, lambda text: "1" if looks_like_organisation(text) else "0")
    is_organisation = as_mask(pc.equal(organised, "1"))
    person = one_array(pc.if_else(pa.array(is_organisation), NO_TEXT, display))
    company = one_array(pc.if_else(pa.array(is_organisation), display, NO_TEXT))
    parts = map_distinct_fields(person, _full_name_parts, 3)
    keys = tuple(map(_name_keys, parts))
    organisation_key, legal_form = map_distinct_fields(company, split_organisation_name, 2)
    is_person = ~is_null(parts[0]) & ~is_null(parts[1])
    ordered = sorted_names(
        as_coded(organisation_key), tuple(map(as_coded, keys)), as_coded(_name_keys(person))
    )
    name_keys = as_plain(as_joined(ordered))
    kinds = np.where(is_organisation, "organisation", np.where(is_person, "person", "unknown"))
    n = len(names)
    return ENTITY_RECORDS.from_columns(
        record_id=as_texts("outside:" + names["account"]),
        dataset=["outside"] * n,
        native_id=as_texts(names["account"]),
        party_type=pa.array(kinds, pa.string()),
        is_partial=[True] * n,
        is_watchlist=[False] * n,
        display_name=display,
        given_name=parts[0], family_name=parts[1], patronymic=parts[2],
        given_key=keys[0], family_key=keys[1], patronymic_key=keys[2],
        name_key=name_keys,
        alias_keys=_other_keys(names["others"], name_keys),
        organisation_key=organisation_key,
        legal_form=legal_form,
        **{name: _empty_lists(n) for name in ("identifiers", "phones", "emails", "quality_flags")},
        file=as_texts(names["file"]),
    )  # fmt: skip


def _other_keys(others: pl.Series, own: pa.Array) -> pa.Array:
    flat = pl.DataFrame({"position": np.arange(len(others)), "value": others}).explode("value").drop_nulls()
    keys = sorted_tokens(map_distinct(as_texts(flat["value"]), _any_name_key))
    positions = flat["position"].to_numpy()
    primary = own.take(pa.array(positions))
    return Flat(positions, keys).keep(~as_mask(pc.equal(keys, primary)) & ~is_null(keys)).lists(len(others))


def _any_name_key(text: str) -> str | None:
    return split_organisation_name(text)[0] if looks_like_organisation(text) else name_key(text) or None


def _empty_lists(n: int) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.zeros(n + 1), pa.int32()), pa.array([], pa.string()))
