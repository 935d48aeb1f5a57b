"""Comparison of what is fixed at birth or written in a document: dates, sex, numbers."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.encoding import EncodedRecords
from terag_pipelines.linking.levels import Levels, grade, rank
from terag_pipelines.linking.similarity import (
    Similarity,
    best_over_slots,
    closeness_of,
    edit_distance,
    where_both,
)


def compare_birth_dates(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """Birth dates: day and month in the other order, one digit or two neighbours mistyped.

    "near" are two edits, or day and month in the other order beside a slip in the year.
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
    return {"birth_date": levels}


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
    """Documents of one kind: any one shared, one mistyped, or none alike. Different kinds are no evidence."""
    column = records.columns.get("identifiers")
    if column is None:
        return {}
    texts = column.texts
    kinds = column.regroup(pc.replace_substring_regex(column.values, pattern=":[^:]*$", replacement=""))

    def closeness(one: Codes, other: Codes) -> Similarity:
        return closeness_of(edit_distance(*where_both(kinds[one] == kinds[other], one, other), texts))

    best = best_over_slots(column, left, right, closeness)
    return {"identifiers": grade("identifiers", best, ("shared", 10.0), ("typo", 8.0))}
