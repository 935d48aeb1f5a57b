"""Comparison of names: of persons, in parts or whole, and of organisations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.encoding import Column, EncodedRecords, derive
from terag_pipelines.linking.levels import FIELD_BY_NAME, Levels, grade, rank
from terag_pipelines.linking.similarity import (
    Similarity,
    best_over_slots,
    edit_distance,
    jaro_winkler,
    token_set,
    where_both,
)
from terag_pipelines.linking.variants import (
    GIVEN_NAMES,
    WELL_KNOWN_NAMES,
    land_groups,
    nickname_groups,
    share_group,
)

# Of a patronymic's key: what is behind the father's name.
_OF_A_DAUGHTER = r"(ovna|evna|inichna|ichna| ?kizi)$"
_OF_ANY_CHILD = r"^(.{2,}?)i?(ovich|evich|ovna|evna|inichna|ichna|ich| ?uli| ?kizi)$"

MANY_HOLDERS = 10  # a value that so many records hold is no slip of the keyboard


def compare_names(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """Given and family name; the full name where a part is missing or a further name agrees better."""
    if "given_key" not in records.columns or "family_key" not in records.columns:
        names = records.columns.get("any_name")
        return {} if names is None else {"full_name": _compare_words(names, left, right, "full_name")}
    compared = _compare_parts(records, left, right)
    given, family = compared["given_name"], compared["family_name"]
    split = ((given > 0) & (family > 0)) | (given == rank("given_name", "swapped"))
    apart = (given >= rank("given_name", "different")) | (family == rank("family_name", "different"))
    several = _holds_more_names(records)
    several = several[left] | several[right]
    at = np.flatnonzero(~split | (apart & several))
    if len(at) == 0:
        return compared
    full = _compare_words(*records.over_pairs("any_name", left[at], right[at]), "full_name")
    agrees = (full > 0) & (full <= rank("full_name", "subset"))
    use_full = (full > 0) & (~split[at] | agrees)
    given[at[use_full]] = family[at[use_full]] = 0
    compared["full_name"] = np.zeros_like(given)
    compared["full_name"][at[use_full]] = full[use_full]
    return compared


def _compare_parts(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    given, family = records.columns["given_key"], records.columns["family_key"]
    given_levels = _name_levels("given_name", given, left, right)
    family_levels = _name_levels("family_name", family, left, right)
    swapped = _are_swapped(given_levels, family_levels, (given, family), (left, right))
    given_levels[swapped] = rank("given_name", "swapped")
    family_levels[swapped] = 0  # one event, one piece of evidence
    _tell_known_names_apart(given_levels, records, left, right)
    _allow_married_names(records, family_levels, given_levels, left, right)
    return {"given_name": given_levels, "family_name": family_levels}


def _name_levels(field: str, column: Column, left_rows: Codes, right_rows: Codes) -> Levels:
    levels_of = {level.name for level in FIELD_BY_NAME[field].levels}
    left, right, texts = column.first[left_rows], column.first[right_rows], column.texts
    latin = _in_latin_letters(column)
    one, other = where_both(latin[left] == latin[right], left, right)
    alike = jaro_winkler(one, other, texts)
    levels = grade(field, alike, ("exact", 1.0), *[("similar", 0.80)] * ("similar" in levels_of))
    near = np.flatnonzero((alike >= 0.92) & (alike < 1))
    few_edits = edit_distance(one[near], other[near], texts) <= 2
    levels[near[few_edits]] = rank(field, "close")
    single = column.flag(pc.equal(pc.utf8_length(column.values), 1))
    initials = column.regroup(pc.utf8_slice_codeunits(column.values, 0, 1))
    short = single[left] | single[right]
    levels[(levels > 1) & short & (initials[left] == initials[right])] = rank(field, "initial")
    if "nickname" in levels_of:
        groups = nickname_groups(texts)
        weak = np.flatnonzero(levels > rank(field, "nickname"))
        levels[weak[share_group(groups[left[weak]], groups[right[weak]])]] = rank(field, "nickname")
    return levels


def _tell_known_names_apart(levels: Levels, records: EncodedRecords, left: Codes, right: Codes) -> None:
    """Two established given names are two names: those that the tables know or that many records hold.

    Kristen and Kristin may be one all the same; Marat and Murat, however few letters differ, are not.
    """
    given = records.columns["given_key"]
    one, other = given.first[left], given.first[right]
    unlike = np.flatnonzero(levels >= rank("given_name", "similar"))
    lands = given.once("lands", lambda: land_groups(given.texts))
    is_one = share_group(lands[one[unlike]], lands[other[unlike]])
    levels[unlike[is_one]] = rank("given_name", "nickname")
    held_often = np.append(records.count_holders("given_key") >= MANY_HOLDERS, False)
    established = _is_among(given, WELL_KNOWN_NAMES) | held_often
    unlike = unlike[~is_one & established[one[unlike]] & established[other[unlike]]]
    told_apart = _is_among(given, GIVEN_NAMES)
    near = np.flatnonzero(levels == rank("given_name", "close"))
    near = near[told_apart[one[near]] & told_apart[other[near]]]
    near = near[~share_group(lands[one[near]], lands[other[near]])]
    levels[np.concatenate([unlike, near])] = rank("given_name", "other")


def _is_among(column: Column, names: frozenset[str]) -> npt.NDArray[np.bool_]:
    return column.flag(pc.is_in(column.values, value_set=pa.array(sorted(names))))


def _allow_married_names(
    records: EncodedRecords, family: Levels, given: Levels, left: Codes, right: Codes
) -> None:
    """A woman may marry: where given name, patronymic and birth date agree, a new family name says little."""
    patronymic, born = records.columns.get("patronymic_key"), records.columns.get("birth_date")
    if patronymic is None or born is None:
        return
    at = np.flatnonzero((family == rank("family_name", "different")) & (given == rank("given_name", "exact")))
    is_daughter = patronymic.flag(pc.match_substring_regex(patronymic.values, _OF_A_DAUGHTER))
    one, other = left[at], right[at]
    same = (born.first[one] == born.first[other]) & (born.first[one] >= 0)
    same &= is_daughter[patronymic.first[one]] & is_daughter[patronymic.first[other]]
    same &= _fathers(patronymic).first[one] == _fathers(patronymic).first[other]
    family[at[same]] = rank("family_name", "similar")


def _fathers(patronymic: Column) -> Column:
    """The father's name in each patronymic, whatever its ending: Bolatuli and Bolatovich have one father."""
    return derive(patronymic, pc.replace_substring_regex(patronymic.values, _OF_ANY_CHILD, r"\1"))


def _in_latin_letters(column: Column) -> npt.NDArray[np.bool_]:
    """By code: names of which only one is in Latin letters cannot be compared."""
    return column.flag(pc.match_substring_regex(column.values, r"^[\x00-\x7f]"))


def _are_swapped(
    given_levels: Levels,
    family_levels: Levels,
    names: tuple[Column, Column],
    pair: tuple[Codes, Codes],
) -> npt.NDArray[np.bool_]:
    """Whether given and family name changed places, a typing error allowed."""
    unlike = (given_levels >= rank("given_name", "similar")) & (
        family_levels >= rank("family_name", "similar")
    )
    at = np.flatnonzero(unlike)
    given, family, texts = names[0].first, names[1].first, names[0].texts
    left, right = pair[0][at], pair[1][at]
    across = jaro_winkler(given[left], family[right], texts)
    back = jaro_winkler(family[left], given[right], texts)
    swapped = np.zeros(len(given_levels), bool)
    swapped[at] = (np.minimum(across, back) >= 0.85) & (np.maximum(across, back) >= 0.92)
    return swapped


def _holds_more_names(records: EncodedRecords) -> npt.NDArray[np.bool_]:
    """Rows with a further name, or with several words in the given or family name."""
    several = np.zeros(len(records), bool)
    if "alias_keys" in records.columns:
        several |= records.columns["alias_keys"].first >= 0
    for name in ("given_key", "family_key"):
        column = records.columns[name]
        several |= column.flag(pc.match_substring(column.values, " "))[column.first]
    return several


def _compare_words(column: Column, left: Codes, right: Codes, field: str) -> Levels:
    """Every name of one record against every name of the other, the words in any order."""
    texts, latin = column.texts, _in_latin_letters(column)
    digits = _numbers_in(column.values) if field == "organisation_name" else pa.nulls(len(texts), pa.string())
    numbers = column.regroup(digits)

    def spelling(one: Codes, other: Codes) -> Similarity:
        alike = jaro_winkler(*where_both(latin[one] == latin[other], one, other), texts)
        return np.where(_are_numbered_apart(numbers[one], numbers[other]), np.minimum(alike, 0), alike)

    alike = best_over_slots(column, left, right, spelling)
    levels = grade(field, alike, ("exact", 1.0), ("close", 0.95), ("similar", 0.85))
    several = column.flag(pc.match_substring(column.values, " "))

    def shared_words(one: Codes, other: Codes) -> Similarity:
        comparable = several[one] & several[other] & ~_are_numbered_apart(numbers[one], numbers[other])
        return token_set(*where_both(comparable, one, other), texts)

    words = best_over_slots(column, left, right, shared_words)
    levels[(words >= 0.999) & (levels > rank(field, "subset"))] = rank(field, "subset")
    levels[(words >= 0.90) & (levels > rank(field, "similar"))] = rank(field, "similar")
    return levels


def _numbers_in(names: pa.Array) -> pa.Array:
    """The digits of each name, number by number; null where it has none."""
    numbers = pc.utf8_trim(pc.replace_substring_regex(names, "[^0-9]+", " "), " ")
    return pc.if_else(pc.equal(numbers, ""), pa.scalar(None, pa.string()), numbers)


def _are_numbered_apart(one: Codes, other: Codes) -> npt.NDArray[np.bool_]:
    """Whether both names have numbers, and others: school 5 is not school 7."""
    return np.asarray((one >= 0) & (other >= 0) & (one != other))


def compare_patronymics(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """The patronymic in Kazakh or Russian form: many records have none, which is no evidence."""
    column = records.columns.get("patronymic_key")
    if column is None:
        return {}
    levels = _name_levels("patronymic", _fathers(column), left, right)
    of_daughter = column.flag(pc.match_substring_regex(column.values, _OF_A_DAUGHTER))
    of_any = column.flag(pc.match_substring_regex(column.values, _OF_ANY_CHILD))
    one, other = column.first[left], column.first[right]
    of_both = of_any[one] & of_any[other] & (of_daughter[one] != of_daughter[other])
    levels[(levels > 0) & of_both] = rank("patronymic", "different")  # a brother and a sister
    return {"patronymic": levels}


def compare_organisations(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """Names of organisations without their legal form, in any order of words, and their further names."""
    column = records.columns.get("organisation_key")
    if column is None:
        return {}
    levels = _compare_words(column, left, right, "organisation_name")
    names = records.columns.get("any_name")
    if names is not None:
        other = _compare_words(names, left, right, "organisation_name")
        both = (levels > 0) & (other > 0)
        levels = np.where(both, np.minimum(levels, other), np.maximum(levels, other)).astype(np.int8)
    return {"organisation_name": levels}
