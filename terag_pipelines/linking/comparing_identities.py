"""Comparison of what is fixed at birth or written in a document: dates, sex, numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from terag_pipelines.entities.identifiers import read_iins
from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.encoding import MISSING, Column, EncodedRecords, as_digits
from terag_pipelines.linking.levels import Levels, grade, rank
from terag_pipelines.linking.similarity import (
    Similarity,
    best_over_slots,
    closeness_of,
    edit_distance,
    where_both,
)
from terag_pipelines.linking.validity import apart_in_time


def compare_birth_dates(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """Birth dates: day and month in the other order, one digit or two neighbours mistyped.

    "near" are two edits, or day and month in the other order beside a slip in the year. Of a record whose IIN
    carries another date either may be right: it agrees where one of them does.
    """
    column = records.columns.get("birth_date")
    if column is None:
        return {}
    texts = column.texts
    one, other = column.first[left], column.first[right]
    edits = edit_distance(one, other, texts)
    levels = grade("birth_date", closeness_of(edits), ("exact", 10.0), ("typo", 9.0), ("near", 8.0))
    turned = pc.replace_substring_regex(column.values, pattern=r"(\d{2})(\d{2})$", replacement=r"\2\1")
    twin = np.append(pc.index_in(turned, value_set=column.values).fill_null(-2).to_numpy(), -2)
    levels[(one >= 0) & (one != other) & (twin[one] == other)] = rank("birth_date", "swapped")
    far = np.flatnonzero(levels == rank("birth_date", "different"))
    both = np.append(texts, np.asarray(turned.to_numpy(zero_copy_only=False), object))
    twice = edit_distance((one[far] + len(column.values)).astype(np.int32), other[far], both) == 1
    levels[far[twice]] = rank("birth_date", "near")
    in_doubt = _dates_of_iins(records, column)
    if in_doubt is not None:
        agrees = (in_doubt[left] == other) | (in_doubt[right] == one)
        levels[agrees & (one >= 0) & (other >= 0)] = rank("birth_date", "exact")
    return {"birth_date": levels}


def _dates_of_iins(records: EncodedRecords, born: Column) -> Codes | None:
    """By row, the code of the birth date in the IIN where it is not the stated one; None where none is.

    No date that somebody states is missing, and agrees with no one.
    """
    column = records.columns.get("iin")
    if column is None:
        return None
    dates = column.once("birth dates", lambda: as_digits(read_iins(column.values).birth_dates))
    codes = np.append(pc.index_in(dates, value_set=born.values).fill_null(-2).to_numpy(), -2)[column.first]
    codes[codes == born.first] = -2
    return codes.astype(np.int32) if (codes >= 0).any() else None


def compare_generations(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """Junior and senior, where the name says so."""
    column = records.columns.get("generation")
    if column is None:
        return {}
    return {"generation": _same_or_different(column.first[left], column.first[right])}


def compare_sexes(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """Sex as recorded."""
    column = records.columns.get("sex")
    return {} if column is None else {"sex": _same_or_different(column.first[left], column.first[right])}


def compare_bins(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """Business identification numbers (only valid ones are in the records)."""
    column = records.columns.get("bin")
    return {} if column is None else {"bin": _same_or_different(column.first[left], column.first[right])}


def _same_or_different(left: Codes, right: Codes) -> Levels:
    return np.where((left < 0) | (right < 0), 0, np.where(left == right, 1, 2)).astype(np.int8)


def compare_iins(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """Individual identification numbers (only valid ones are in the records)."""
    column = records.columns.get("iin")
    if column is None:
        return {}
    edits = edit_distance(column.first[left], column.first[right], column.texts)
    levels = np.select([edits < 0, edits == 0, edits == 1], [0, 1, 2], 3).astype(np.int8)
    return {"iin": levels}


def compare_identifiers(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """Documents of one kind: any one shared, one mistyped, or none alike. Different kinds are no evidence.

    Nor are different cards, of which people have several, or cards that were theirs at different times.
    """
    column = records.columns.get("identifiers")
    if column is None:
        return {}
    levels = _grade_documents(column, left, right)
    apart = apart_in_time(records, "card", left, right)
    if apart is not None:
        at = np.flatnonzero(apart)
        levels[at] = _grade_documents(_without_cards(column), left[at], right[at])
    return {"identifiers": levels}


def _grade_documents(column: Column, left: Codes, right: Codes) -> Levels:
    kinds = column.regroup(pc.replace_substring_regex(column.values, pattern=":[^:]*$", replacement=""))
    is_card = _are_cards(column)

    def closeness(one: Codes, other: Codes) -> Similarity:
        comparable = kinds[one] == kinds[other]
        if is_card.any():
            comparable &= ~is_card[one] | (one == other)
        return closeness_of(edit_distance(*where_both(comparable, one, other), column.texts))

    best = best_over_slots(column, left, right, closeness)
    return grade("identifiers", best, ("shared", 10.0), ("typo", 8.0))


def _are_cards(column: Column) -> npt.NDArray[np.bool_]:
    return column.flag(pc.starts_with(column.values, "card:"))


def _without_cards(column: Column) -> Column:
    codes = np.where(_are_cards(column)[column.codes], np.int32(MISSING), column.codes)
    return Column(codes, column.values)
