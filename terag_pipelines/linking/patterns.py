"""Patterns: the levels of a pair in all fields as one number, and how many pairs show each.

The layout is the same for all pairs, so that counts of partitions add up and patterns of an earlier run count
beside those of a later one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.encoding import distinct_keys
from terag_pipelines.linking.levels import (
    AGREED_IDENTIFIER,
    FIELD_BY_NAME,
    FIELDS,
    NAMESAKES,
    Compared,
    Levels,
)

Keys = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
BITS = 4  # of a pattern key for each field: up to 15 levels
ALL_FIELDS = tuple(known.name for known in FIELDS)
assert BITS * len(ALL_FIELDS) < 64  # noqa: S101 - a pattern is one 64-bit number


@dataclass(frozen=True)
class PatternCounts:
    """Distinct patterns of levels (n_patterns, n_fields), ordered, and how many pairs show each."""

    fields: tuple[str, ...]
    patterns: Levels
    counts: Floats

    @property
    def n_pairs(self) -> float:
        """How many pairs were counted."""
        return float(self.counts.sum())

    def of_known_fields(self) -> PatternCounts:
        """Without fields that are missing in every pair."""
        known = np.flatnonzero(self.patterns.any(axis=0))
        return PatternCounts(tuple(self.fields[i] for i in known), self.patterns[:, known], self.counts)


def pattern_keys(compared: Compared) -> Keys:
    """One integer for each pair that stands for its levels in all fields."""
    arrays = list(compared.values())
    keys = np.zeros(len(arrays[0]) if arrays else 0, np.int64)
    for levels in arrays:
        keys = (keys << BITS) | levels
    return keys


def unpack_keys(keys: Keys, n_fields: int) -> Levels:
    """The levels (n_keys, n_fields) that pattern keys stand for."""
    shifts = BITS * np.arange(n_fields - 1, -1, -1)
    return ((keys[:, None] >> shifts) & ((1 << BITS) - 1)).astype(np.int8)


def count_patterns(fields: Sequence[str], keys: Keys) -> PatternCounts:
    """Patterns and counts of one partition of pairs."""
    distinct, which = distinct_keys(keys)
    counts = np.bincount(which, minlength=len(distinct)).astype(np.float64)
    order = np.argsort(distinct)
    return PatternCounts(tuple(fields), unpack_keys(distinct[order], len(fields)), counts[order])


def merge_counts(parts: Iterable[PatternCounts]) -> PatternCounts:
    """The counts of several partitions together: fields must be the same."""
    found = list(parts)
    fields = found[0].fields
    columns = {f: np.concatenate([part.patterns[:, i] for part in found]) for i, f in enumerate(fields)}
    keys, which = np.unique(pattern_keys(columns), return_inverse=True)
    counts = np.bincount(which, np.concatenate([part.counts for part in found]), minlength=len(keys))
    return PatternCounts(fields, unpack_keys(keys, len(fields)), counts.astype(np.float64))


@dataclass(frozen=True)
class ComparedPairs:
    """Pairs as patterns over ALL_FIELDS, and which of them are judged as organisations."""

    keys: Keys
    is_organisation: Mask

    @cached_property
    def _distinct(self) -> tuple[Keys, npt.NDArray[np.int32]]:
        return distinct_keys(self.keys)

    @property
    def which_pattern(self) -> npt.NDArray[np.int32]:
        """The number of each pair's pattern among the distinct ones."""
        return self._distinct[1]

    @cached_property
    def texts(self) -> list[str]:
        """The distinct patterns as texts."""
        return describe_patterns(ALL_FIELDS, unpack_keys(self._distinct[0], len(ALL_FIELDS)))

    @property
    def rests_on_identifier(self) -> Mask:
        """Where an identifier or a contact agrees."""
        return self._found(AGREED_IDENTIFIER)

    @property
    def are_namesakes(self) -> Mask:
        """Where generation or birth date tell apart what has one name and one address."""
        return self._found(NAMESAKES)

    def _found(self, expression: re.Pattern[str]) -> Mask:
        found = np.array([expression.search(text) is not None for text in self.texts], bool)
        return np.asarray(found[self.which_pattern]) if len(found) else np.zeros(0, bool)

    def levels(self, name: str) -> Levels:
        """The levels of one field."""
        shift = BITS * (len(ALL_FIELDS) - 1 - ALL_FIELDS.index(name))
        return ((self.keys >> shift) & ((1 << BITS) - 1)).astype(np.int8)

    def known_levels(self) -> Compared:
        """The levels of every field that some pair has."""
        known = np.bitwise_or.reduce(self.keys) if len(self.keys) else np.int64(0)
        held = unpack_keys(np.array([known]), len(ALL_FIELDS))[0] > 0
        return {name: self.levels(name) for name, has in zip(ALL_FIELDS, held, strict=True) if has}

    def select(self, mask: Mask) -> ComparedPairs:
        """The pairs under the mask."""
        return ComparedPairs(self.keys[mask], self.is_organisation[mask])

    def count(self, is_organisation: bool) -> PatternCounts:
        """The patterns of the pairs of one kind."""
        return count_patterns(ALL_FIELDS, self.keys[self.is_organisation == is_organisation])


def join_compared(parts: Sequence[ComparedPairs]) -> ComparedPairs:
    """Several partitions of pairs, one behind the other."""
    return ComparedPairs(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.is_organisation for part in parts]),
    )


def describe_patterns(fields: Sequence[str], levels: Levels) -> list[str]:
    """Texts such as "given_name:exact|birth_date:typo" for each row of levels, without missing fields."""
    names = [["", *(f"{name}:{level.name}" for level in FIELD_BY_NAME[name].levels)] for name in fields]
    return ["|".join(names[i][k] for i, k in enumerate(row) if k) for row in levels.tolist()]


def parse_patterns(texts: pa.ChunkedArray) -> Keys:
    """Pattern keys over ALL_FIELDS out of such texts.

    Raises: LinkingError for a field or level that does not exist.
    """
    encoded = texts.combine_chunks().dictionary_encode()
    keys = np.array([_parse_pattern(text) for text in encoded.dictionary.to_pylist()], np.int64)
    return keys[encoded.indices.to_numpy()] if len(keys) else np.zeros(0, np.int64)


def _parse_pattern(text: str) -> int:
    try:
        return sum(_PART_KEYS[part] for part in text.split("|") if part)
    except KeyError as error:
        raise LinkingError(f"there is no level {error} in this version: link from the records anew") from None


def _part_keys() -> Mapping[str, int]:
    return {
        f"{known.name}:{level.name}": rank << BITS * (len(FIELDS) - 1 - at)
        for at, known in enumerate(FIELDS)
        for rank, level in enumerate(known.levels, start=1)
    }


_PART_KEYS = _part_keys()
