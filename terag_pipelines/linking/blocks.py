"""Blocks: the records that share every key of a rule, by sorting hashes, and the pairs within them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Codes = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]

_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads neighbouring codes
_ODD_32 = np.uint32(0x9E3779B9)
_MOST_BUCKET_BITS = 22
_SMALL = 100_000  # from here on polars sorts faster, with all cores


@dataclass(frozen=True)
class Blocks:
    """Rows ordered by block: block b is rows[starts[b] : starts[b] + sizes[b]], ascending. None is alone."""

    rows: Rows
    starts: Rows
    sizes: Rows

    def n_pairs(self, cap: int) -> int:
        """Pairs within the blocks of at most `cap` rows."""
        kept = self.sizes[self.sizes <= cap]
        return int((kept * (kept - 1) // 2).sum())

    def select(self, mask: Mask) -> Blocks:
        """The blocks under the mask."""
        if mask.all():
            return self
        sizes = self.sizes[mask]
        return Blocks(self.rows[np.repeat(mask, self.sizes)], np.cumsum(sizes) - sizes, sizes)

    def cap_for(self, budget: int, most: int) -> int:
        """The largest block size up to `most` whose blocks together keep within the budget."""
        counts = np.bincount(self.sizes[self.sizes <= most], minlength=most + 1)
        sizes = np.arange(len(counts))
        within = np.cumsum(counts * (sizes * (sizes - 1) // 2)) <= budget
        return int(np.flatnonzero(within).max(initial=0))

    def pairs(self) -> tuple[Rows, Rows]:
        """Every pair of rows that share a block; left < right."""
        ends = np.repeat(self.starts + self.sizes, self.sizes)
        after = ends - np.arange(len(self.rows)) - 1  # rows that follow within the block
        left = np.repeat(np.arange(len(self.rows)), after)
        offset = np.arange(len(left)) - np.repeat(np.cumsum(after) - after, after)
        return self.rows[left], self.rows[left + 1 + offset]

    def neighbours(self) -> tuple[Rows, Rows]:
        """Each row of a block with the next one."""
        last = np.zeros(len(self.rows), bool)
        last[self.starts + self.sizes - 1] = True
        at = np.flatnonzero(~last)
        return self.rows[at], self.rows[at + 1]


def hash_keys(keys: Sequence[Codes], rows: Rows | None = None) -> tuple[Rows, Hashes]:
    """The rows that have every key, one entry for each combination of values, hashed.

    All rows are looked at, or those given. Equal combinations have equal hashes; two different ones share a
    hash about once in 2^64.
    """
    whole = rows is None
    rows = np.arange(len(keys[0]), dtype=np.int64) if rows is None else rows
    hashes, known = np.zeros(len(rows), np.uint64), np.ones(len(rows), bool)
    for codes in sorted(keys, key=lambda codes: codes.shape[1]):
        own = codes if whole else codes[rows]
        if codes.shape[1] > 1:
            whole = False
            at, slot = np.nonzero((own >= 0) & known[:, None])
            rows, hashes, known, own = rows[at], hashes[at], known[at], own[at, slot][:, None]
        known &= own[:, 0] >= 0
        mix_codes(hashes, own[:, 0])
    return rows[known], hashes[known]


def mix_codes(hashes: Hashes, codes: Codes) -> None:
    """Each hash with one more code in it; in place."""
    hashes += codes.view(np.uint32)
    hashes += np.uint64(1)
    hashes *= _ODD
    hashes ^= hashes >> np.uint64(29)


def make_blocks(keys: Sequence[Codes], rows: Rows | None = None) -> Blocks:
    """The blocks of rows (all, or those given) that share every key; a row may be in several."""
    return group_hashes(*hash_keys(keys, rows), len(keys[0]))


@dataclass(frozen=True)
class SampledBlocks:
    """Whole blocks of about one in `every` of the values of a rule's first key.

    The hash of the first row with a value says whether it is one: that of its code would differ with the
    order in which the source has its values. Of keys with several slots all blocks are taken.
    """

    keys: Mapping[str, Codes]
    every: int
    rows: dict[str, Rows | None] = field(default_factory=dict)  # by the first key; None for all

    def of(self, rule: Sequence[str]) -> Blocks:
        """The sampled blocks of the rows that share every key of a rule."""
        first = rule[0]
        if first not in self.rows:
            self.rows[first] = self._sample(self.keys[first])
        return make_blocks([self.keys[name] for name in rule], self.rows[first])

    def _sample(self, codes: Codes) -> Rows | None:
        if self.every == 1 or codes.shape[1] > 1:
            return None
        spread = _first_rows(codes[:, 0]) * _ODD_32 >> np.uint32(12)
        return np.flatnonzero((spread % np.uint32(self.every) == 0) & (codes[:, 0] >= 0))


def _first_rows(codes: Codes) -> npt.NDArray[np.uint32]:
    """For each row the first row with the same code."""
    first = np.empty(int(codes.max(initial=0)) + 2, np.uint32)  # the last place is for what is missing
    first[codes[::-1]] = np.arange(len(codes), dtype=np.uint32)[::-1]
    return first[codes]


def group_hashes(rows: Rows, hashes: Hashes, n: int) -> Blocks:
    """Blocks of rows (each below n) with equal hashes.

    The row rides in the low bits of its hash, so that one sort orders both; what is left of the hash keeps
    different keys apart but for about n^2 / 2^(64 - log2 n) chance meetings, which only cost a comparison.
    """
    rows, hashes = _without_lonely(rows, hashes)
    bits = np.uint64(max(n - 1, 1).bit_length())
    packed = sort_numbers(((hashes >> bits) << bits) | rows.view(np.uint64))
    top = packed >> bits
    starts = np.flatnonzero(np.append(True, top[1:] != top[:-1])) if len(top) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(starts, len(top)))
    row = packed & ((np.uint64(1) << bits) - np.uint64(1))
    return Blocks(row.view(np.int64), starts, sizes).select(sizes > 1)


def _without_lonely(rows: Rows, hashes: Hashes) -> tuple[Rows, Hashes]:
    """Without rows whose hash surely nobody shares: sorting is for those that may meet."""
    bits = min(max(len(rows).bit_length() + 1, 8), _MOST_BUCKET_BITS)
    bucket = (hashes >> np.uint64(64 - bits)).view(np.int64)
    shared = (np.bincount(bucket, minlength=1 << bits) > 1)[bucket]
    return rows[shared], hashes[shared]


def sort_numbers(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The numbers in ascending order."""
    return np.sort(numbers) if len(numbers) < _SMALL else pl.Series(numbers).sort().to_numpy().copy()


def without_doubles(ordered: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Ordered numbers, each once."""
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered
