"""Very many records that say the same: two of them stand for all.

Their blocks would be over every cap and all their pairs would say the same. So the first two copies are
compared like any records; each further one is compared with the first alone, counts for nothing where
frequencies are learned, and follows those two: into one entity where they are one, alone where they are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from terag_pipelines.linking.blocks import Blocks, Codes, Mask, Rows, group_hashes, mix_codes

FEW = 8  # copies; so many are compared each with each


@dataclass(frozen=True)
class Copies:
    """The record in row follower[i] is a copy of those in first[i] and second[i]; followers ascend."""

    follower: Rows
    first: Rows
    second: Rows

    def __len__(self) -> int:
        return len(self.follower)

    def follows(self, n: int) -> Mask | None:
        """Which of n rows follow others; None where none does."""
        if len(self) == 0:
            return None
        mask = np.zeros(n, bool)
        mask[self.follower] = True
        return mask

    def pairs(self) -> tuple[Rows, Rows]:
        """The first of each set of copies with every other one."""
        first, at = np.unique(self.first, return_index=True)
        return np.concatenate([first, self.first]), np.concatenate([self.second[at], self.follower])

    def sizes(self) -> Rows:
        """How many copies each set has."""
        return np.asarray(np.unique(self.first, return_counts=True)[1] + 2, dtype=np.int64)

    def without(self, rows: Rows) -> Copies:
        """The same, but these rows stand for themselves."""
        return self.select(~np.isin(self.follower, rows))

    def replace_seconds(self, apart: tuple[Rows, Rows]) -> Copies:
        """The same, but where the first and the second are one of these pairs a follower is the second."""
        decided = [np.minimum(*apart) << 32 | np.maximum(*apart), self.first << 32 | self.second]
        parted = np.isin(decided[1], decided[0])
        at, which = np.unique(self.first, return_index=True, return_inverse=True)[1:]
        stands_in = np.isin(np.arange(len(self)), at) & parted
        second = np.where(parted, self.follower[at][which], self.second)
        return Copies(self.follower, self.first, second).select(~stands_in)

    def spread(self, labels: Rows) -> Rows:
        """Labels of entities, without gaps, in which followers have the label of those that they follow."""
        if len(self) == 0:
            return labels
        together = labels[self.first] == labels[self.second]
        spread = labels.copy()
        spread[self.follower[together]] = labels[self.first[together]]
        return np.asarray(np.unique(spread, return_inverse=True)[1], dtype=np.int64)

    def select(self, mask: Mask) -> Copies:
        """The copies under the mask."""
        return Copies(self.follower[mask], self.first[mask], self.second[mask])


_NONE = np.zeros(0, np.int64)
NO_COPIES = Copies(_NONE, _NONE, _NONE)


def find_copies(columns: Sequence[Codes], kinds: Sequence[Codes], few: int = FEW) -> Copies:
    """Who follows whom among rows of codes, each column of shape (n, slots), where more than `few` are equal.

    Codes below zero are missing; rows that have nothing but their kinds are no copies of each other.
    """
    if not columns:
        return NO_COPIES
    says_something = np.logical_or.reduce([(codes >= 0).any(axis=1) for codes in columns])
    columns = [*columns, *kinds]
    blocks = _alike(columns, np.flatnonzero(says_something), few)
    n_followers = blocks.sizes - 2
    if len(n_followers) == 0:
        return NO_COPIES
    first, second = (np.repeat(blocks.rows[blocks.starts + place], n_followers) for place in (0, 1))
    place = np.arange(len(blocks.rows)) - np.repeat(blocks.starts, blocks.sizes)
    found = Copies(blocks.rows[place > 1], first, second).select(_are_equal(columns, blocks)[place > 1])
    order = np.argsort(found.follower)
    return Copies(found.follower[order], found.first[order], found.second[order])


def _alike(columns: Sequence[Codes], rows: Rows, few: int) -> Blocks:
    """Blocks of more than `few` of the rows, of which the codes have one hash."""
    n = len(columns[0])
    hashes = np.zeros(n, np.uint64)
    for codes in columns:
        for slot in range(codes.shape[1]):
            mix_codes(hashes, np.ascontiguousarray(codes[:, slot]))
    blocks = group_hashes(rows, hashes[rows], n)
    return blocks.select(blocks.sizes > few)


def _are_equal(columns: Sequence[Codes], blocks: Blocks) -> Mask:
    """Whether each row of the blocks equals the first and the second of its block: hashes may deceive."""
    equal = np.ones(len(blocks.rows), bool)
    for place in (0, 1):
        other = np.repeat(blocks.rows[blocks.starts + place], blocks.sizes)
        for codes in columns:
            equal &= (codes[blocks.rows] == codes[other]).all(axis=1)
    return equal
