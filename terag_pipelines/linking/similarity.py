"""How alike two values are, computed once for each distinct pair of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA, JaroWinkler

from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.encoding import MISSING, Column, distinct_keys

Similarity = npt.NDArray[np.float32]
Texts = npt.NDArray[np.object_]
UNKNOWN = -1.0


def jaro_winkler(left: Codes, right: Codes, texts: Texts) -> Similarity:
    """Jaro-Winkler similarity of each pair, 0 to 1; UNKNOWN where either is missing."""
    return _of_distinct_pairs(left, right, texts, JaroWinkler.similarity, when_equal=1.0)


def token_set(left: Codes, right: Codes, texts: Texts) -> Similarity:
    """Overlap of the words of each pair, 0 to 1: 1 where one holds all words of the other."""
    return 0.01 * _of_distinct_pairs(left, right, texts, fuzz.token_set_ratio, when_equal=100.0)


def contains(left: Codes, right: Codes, texts: Texts) -> Similarity:
    """How nearly the shorter of each pair stands within the longer, 0 to 1."""
    return 0.01 * _of_distinct_pairs(left, right, texts, fuzz.partial_ratio, when_equal=100.0)


def edit_distance(left: Codes, right: Codes, texts: Texts) -> Similarity:
    """Edits (insert, delete, change, swap of neighbours) of each pair; UNKNOWN where either is missing."""
    return _of_distinct_pairs(left, right, texts, OSA.distance, when_equal=0.0)


def closeness_of(edits: Similarity) -> Similarity:
    """Ten less the edits, so that more is closer; UNKNOWN stays."""
    return np.where(edits < 0, edits, 10.0 - np.minimum(edits, 10.0)).astype(np.float32)


def where_both(condition: npt.NDArray[np.bool_], left: Codes, right: Codes) -> tuple[Codes, Codes]:
    """The pairs of codes that fulfil the condition; both sides of the others become missing."""
    hidden = np.int32(MISSING)
    return np.where(condition, left, hidden), np.where(condition, right, hidden)


def best_over_slots(
    column: Column, left: Codes, right: Codes, measure: Callable[[Codes, Codes], Similarity]
) -> Similarity:
    """The best of what `measure` finds between any value of the left rows and any of the right ones.

    UNKNOWN where either side has no value.
    """
    best = np.full(len(left), UNKNOWN, np.float32)
    for i in range(column.codes.shape[1]):
        for j in range(column.codes.shape[1]):
            one, other = column.codes[left, i], column.codes[right, j]
            at = np.flatnonzero((one >= 0) & (other >= 0))
            best[at] = np.maximum(best[at], measure(one[at], other[at]))
    return best


def _of_distinct_pairs(
    left: Codes, right: Codes, texts: Texts, scorer: Callable[..., Any], when_equal: float
) -> Similarity:
    result = np.full(len(left), UNKNOWN, np.float32)
    known, same = (left >= 0) & (right >= 0), left == right
    result[known & same] = when_equal
    todo = np.flatnonzero(known & ~same)
    if len(todo) == 0:
        return result
    low, high = np.minimum(left[todo], right[todo]), np.maximum(left[todo], right[todo])
    distinct, which = distinct_keys(low.astype(np.int64) * len(texts) + high)
    first, second = texts[distinct // len(texts)], texts[distinct % len(texts)]
    scores = process.cpdist(first.tolist(), second.tolist(), scorer=scorer, dtype=np.float32)
    result[todo] = scores[which]
    return result
