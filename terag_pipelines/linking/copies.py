"""Very many records that say the same: two of them stand for all.

Their blocks would be over every cap and all their pairs would say the same. So the first two copies are
compared like any records; each further one is compared with the first alone, counts for nothing where
frequencies are learned, and follows those two: into one entity where they are one, alone where they are not.
What was found of the first holds of every copy: one on which people decided has the first one's pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from terag_pipelines.linking.blocks import Blocks, Codes, Mask, Rows, group_hashes, mix_codes
from terag_pipelines.linking.scored_rows import DecidedRows, ScoredRows

FEW = 8  # copies; so many are compared each with each
MOST_HEIRS = 200  # of one set of copies that have pairs with each other: their number grows with the square


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

    def stand_apart(self, decided: DecidedRows) -> tuple[Copies, Heirs]:
        """The copies that still follow when those on which people decided stand for themselves, as do two
        others of each set, which the rest follows; and who of them has to have the pairs of its first.

        Copies that are kept apart from the same rows, and are decided to be one with none, are still copies.
        """
        firsts, at = np.unique(self.first, return_index=True)
        copies = {
            "row": np.concatenate([firsts, self.second[at], self.follower]),
            "first": np.concatenate([firsts, firsts, self.first]),
            "second": np.concatenate([self.second[at], self.second[at], self.second]),
        }
        groups = pl.DataFrame(copies).join(_said_of(decided), on="row", how="left")
        alike = ["first", pl.col("said").fill_null("")]
        ordered = groups.sort("row").with_columns(
            place=pl.int_range(pl.len()).over(alike),
            lead=pl.col("row").first().over(alike),
            next=pl.col("row").slice(1, 1).first().over(alike),
        )
        after = ordered.filter(pl.col("place") > 1)
        heirs = ordered.filter((pl.col("row") > pl.col("second")) & (pl.col("place") < 2)).sort(
            "first", "row"
        )
        return Copies(*_numbers(after, "row", "lead", "next")), Heirs(
            *_numbers(heirs, "row", "first", "second")
        )

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


@dataclass(frozen=True)
class Heirs:
    """Row heir[i] says the same as first[i] and second[i] and has their pairs, though it was not compared.

    Ordered by (first, heir).
    """

    heir: Rows
    first: Rows
    second: Rows

    def inherit(self, scored: ScoredRows, following: Copies) -> ScoredRows:
        """The scored pairs, and behind them those that the heirs have as their firsts have them; with copies
        that follow no heir has a pair."""
        others = np.concatenate([self.heir, following.follower])
        own = np.flatnonzero(~(np.isin(scored.left, others) | np.isin(scored.right, others)))
        left, right, few = scored.left[own], scored.right[own], self._few()
        of_left, as_left = self.fan(left)
        of_right, as_right = self.fan(right)
        of_both, as_one = few.fan(left)
        again, as_other = few.fan(right[of_both])
        within, one, other = few.meet(left, right)
        at = np.concatenate([of_left, of_right, of_both[again], within])
        ends = (
            np.concatenate([as_left, left[of_right], as_one[again], one]),
            np.concatenate([right[of_left], as_right, as_other, other]),
        )
        return scored.followed_by(own[at], np.minimum(*ends), np.maximum(*ends))

    def _few(self) -> Heirs:
        """At most MOST_HEIRS of each first."""
        keep = np.arange(len(self.heir)) - np.searchsorted(self.first, self.first) < MOST_HEIRS
        return Heirs(self.heir[keep], self.first[keep], self.second[keep])

    def fan(self, rows: Rows) -> tuple[Rows, Rows]:
        """Each heir of each of the rows: the place among the rows, and the heir."""
        start = np.searchsorted(self.first, rows)
        n = np.searchsorted(self.first, rows, side="right") - start
        place = np.repeat(np.arange(len(rows)), n)
        offset = np.arange(len(place)) - np.repeat(np.cumsum(n) - n, n)
        return place, self.heir[start[place] + offset]

    def meet(self, left: Rows, right: Rows) -> tuple[Rows, Rows, Rows]:
        """Each two heirs of one first, and the place of the pair that this first makes with its second."""
        starts, sizes = np.unique(self.first, return_index=True, return_counts=True)[1:]
        one, other = Blocks(np.arange(len(self.heir)), starts, sizes).pairs()
        pairs = left << 32 | right
        order = np.argsort(pairs)
        wanted = self.first[one] << 32 | self.second[one]
        at = np.searchsorted(pairs[order], wanted)
        found = np.append(pairs[order], -1)[at] == wanted
        return order[at[found]], self.heir[one[found]], self.heir[other[found]]


def follow_decisions(
    copies: Copies, scored: ScoredRows, decided: DecidedRows, inherits_links: bool = True
) -> tuple[Copies, ScoredRows]:
    """The copies that follow in spite of what people decided, and the scored pairs, behind which are those of
    copies that stand for themselves without having been compared; of links, if these are inherited too."""
    if not (len(copies) and decided.are_any):
        return copies, scored
    following, heirs = copies.stand_apart(decided)
    found = heirs.inherit(scored, following)
    is_link = found.is_link & (inherits_links | (np.arange(len(found.left)) < len(scored.left)))
    return following, replace(found, is_link=is_link)


_NONE = np.zeros(0, np.int64)
NO_COPIES = Copies(_NONE, _NONE, _NONE)


def find_copies(columns: Sequence[Codes], kinds: Sequence[Codes], few: int = FEW) -> Copies:
    """Who follows whom among rows of codes, each column of shape (n, slots), where more than `few` are equal.

    Codes below zero are missing; rows that have nothing but their kinds are no copies of each other.
    """
    blocks = _alike(columns, kinds, few)
    n_followers = blocks.sizes - 2
    if len(n_followers) == 0:
        return NO_COPIES
    first, second = (np.repeat(blocks.rows[blocks.starts + place], n_followers) for place in (0, 1))
    place = np.arange(len(blocks.rows)) - np.repeat(blocks.starts, blocks.sizes)
    equal = _are_equal([*columns, *kinds], blocks)
    found = Copies(blocks.rows[place > 1], first, second).select(equal[place > 1])
    order = np.argsort(found.follower)
    return Copies(found.follower[order], found.first[order], found.second[order])


def find_equals(columns: Sequence[Codes], kinds: Sequence[Codes]) -> tuple[Rows, Rows]:
    """The rows that equal others, and for each the first that it equals, which may be itself."""
    blocks = _alike(columns, kinds, 1)
    first = np.repeat(blocks.rows[blocks.starts], blocks.sizes)
    equal = _are_equal([*columns, *kinds], blocks)
    return blocks.rows[equal], first[equal]


def _alike(columns: Sequence[Codes], kinds: Sequence[Codes], few: int) -> Blocks:
    """Blocks of more than `few` rows that have anything but kinds, of which all codes have one hash."""
    if not columns:
        return Blocks(_NONE, _NONE, _NONE)
    n = len(columns[0])
    rows = np.flatnonzero(np.logical_or.reduce([(codes >= 0).any(axis=1) for codes in columns]))
    hashes = np.zeros(n, np.uint64)
    for codes in (*columns, *kinds):
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


def _said_of(decided: DecidedRows) -> pl.DataFrame:
    """By `row` the text `said`: rows that are kept apart from the same others, and are decided to be one with
    none, have the same."""
    parted = [pl.DataFrame({"row": decided.apart[side], "other": decided.apart[1 - side]}) for side in (0, 1)]
    apart = pl.concat(parted).unique().sort("other").group_by("row").agg(pl.col("other").cast(pl.String))
    tied = pl.DataFrame({"row": np.unique(np.concatenate(decided.together))})
    own = tied.with_columns(said=pl.format("one with {}", "row"))
    others = apart.join(tied, on="row", how="anti").select("row", said=pl.col("other").list.join(","))
    return pl.concat([own, others])


def _numbers(frame: pl.DataFrame, *columns: str) -> tuple[Rows, ...]:
    return tuple(frame[name].to_numpy() for name in columns)
