"""Months of a made-up town whose rings are born, grow, shrink, merge, split, die and come back, with the
truth of it; and a graph in which they can be found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa

from terag_pipelines.graph.row_hashes import code_values
from terag_pipelines.rings.communities import CommunityParams, find_communities
from terag_pipelines.rings.following import EarlierPartition

N_ALWAYS = 3
MIN_RING = 6
Event = tuple[str, str, int, frozenset[str]]
"""A ring, what became of it, how many members it has now, and the rings it merged with or parted from."""


@dataclass
class Town:
    """Rings by name; `next_month` changes some of them and tells which.

    `guests`: by ring the one that it took in; should they part, each is again what it was. One that took in
    several, or one that had taken in others, is not split.
    """

    n_people: int
    seed: int
    rings: dict[str, list[int]] = field(default_factory=dict)
    gone: dict[str, list[int]] = field(default_factory=dict)
    guests: dict[str, list[tuple[str, list[int]]]] = field(default_factory=dict)
    month: int = 0

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._free = self._rng.permutation(self.n_people).tolist()
        self._n_names = 0

    def next_month(self) -> list[Event]:
        """What becomes of each ring; no ring takes part in two changes of a month."""
        self.month += 1
        if self.month == 1:
            return [self._born() for _ in range(8)]
        untouched = sorted(self.rings)
        self._rng.shuffle(untouched)
        returning = sorted(self.gone)[:1] if self.month % 3 == 0 else []
        told = self._merge(untouched.pop(), untouched.pop())
        apart = [name for name in untouched if self._can_split(name)]
        for name in apart[:1]:
            untouched.remove(name)
            told += self._split(name)
        largest = max(untouched, key=lambda name: len(self.rings[name]))
        untouched.remove(largest)
        told += [self._shrink(largest), self._grow(untouched.pop())]
        if self.month % 2 == 0:
            told.append(self._die(untouched.pop()))
        told += [self._come_back(name) for name in returning]
        told += [self._turn_over(name) for name in untouched]
        return told + [self._born() for _ in range(N_ALWAYS)]

    def _recruit(self, n: int) -> list[int]:
        recruits = [self._free.pop() for _ in range(n)]
        assert len(recruits) == n
        return recruits

    def _new_name(self) -> str:
        self._n_names += 1
        return f"ring {self._n_names:03d}"

    def _born(self) -> Event:
        name = self._new_name()
        self.rings[name] = self._recruit(int(self._rng.integers(MIN_RING, 3 * MIN_RING)))
        return self._event(name, "born")

    def _event(self, name: str, event: str, *others: str) -> Event:
        return name, event, len(self.rings.get(name, [])), frozenset(others)

    def _grow(self, name: str) -> Event:
        n = len(self.rings[name])
        self.rings[name] += self._recruit(int(self._rng.integers(n // 4 + 1, n // 2 + 1)))
        return self._event(name, "grew")

    def _shrink(self, name: str) -> Event:
        n = len(self.rings[name])
        self.rings[name] = self.rings[name][: n - max(1, n // 3)]
        return self._event(name, "shrank")

    def _turn_over(self, name: str) -> Event:
        """One leaves and one joins, where the ring is large enough for nobody to call that another ring."""
        if len(self.rings[name]) >= MIN_RING:
            self.rings[name] = self.rings[name][1:] + self._recruit(1)
        return self._event(name, "continued")

    def _merge(self, one: str, other: str) -> list[Event]:
        if len(self.rings[one]) == len(self.rings[other]):
            self.rings[one] = self.rings[one][1:]  # nobody can say which of two equal rings lives on
        heir, guest = sorted((one, other), key=lambda name: -len(self.rings[name]))
        self.guests.setdefault(heir, []).append((guest, self.rings[guest]))
        self.guests[heir] += self.guests.get(guest, [])
        self.rings[heir] = self.rings[heir] + self.rings.pop(guest)
        return [self._event(heir, "merged", guest), self._event(guest, "merged", heir)]

    def _can_split(self, name: str) -> bool:
        guests, part = self.guests.get(name, []), self._part(name)
        return len(guests) < 2 and MIN_RING <= len(part) < len(self.rings[name]) - len(part)

    def _part(self, name: str) -> list[int]:
        """Who would leave: those who came with the guest, or else the smaller half."""
        members = self.rings[name]
        if guests := self.guests.get(name, []):
            return [one for one in members if one in guests[0][1]]
        return members[len(members) // 2 + 1 :]

    def _split(self, name: str) -> list[Event]:
        members, part = self.rings[name], self._part(name)
        guests = self.guests.pop(name, [])
        other = guests[0][0] if guests else self._new_name()
        self.rings[name], self.rings[other] = [one for one in members if one not in part], part
        return [self._event(name, "split", other), self._event(other, "split", name)]

    def _die(self, name: str) -> Event:
        self.gone[name] = self.rings.pop(name)
        return self._event(name, "died")

    def _come_back(self, name: str) -> Event:
        self.rings[name] = self.gone.pop(name)
        return self._event(name, "returned")


def tie_town(town: Town) -> pl.DataFrame:
    """left < right, weight: most pairs of a ring, friends two by two, and faint chance ties among all."""
    rng = np.random.default_rng((town.seed, town.month))
    pairs = [_tie_ring(np.array(members), rng) for members in town.rings.values()]
    friends = rng.permutation(town.n_people)[: town.n_people // 2 * 2].reshape(-1, 2)
    chance = rng.integers(0, town.n_people, (4 * town.n_people, 2))
    drawn = [(np.vstack(pairs), 1.0), (friends, 0.05), (chance, 0.01)]
    frames = [
        pl.DataFrame({"left": ends.min(axis=1), "right": ends.max(axis=1)}).with_columns(
            weight=pl.lit(weight)
        )
        for ends, weight in drawn
    ]
    ties = pl.concat(frames).filter(pl.col("left") < pl.col("right"))
    return ties.sort("left", "right", "weight").group_by("left", "right", maintain_order=True).sum()


def _tie_ring(members: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Three in four of the pairs, and each member with two on either side in the list, so that nobody is left
    with less.
    """
    one, other = np.triu_indices(len(members), k=1)
    between = np.minimum(other - one, len(members) - (other - one))
    kept = (rng.random(len(one)) < 0.75) | (between <= 2)
    return np.c_[members[one[kept]], members[other[kept]]]


@dataclass(frozen=True)
class Month:
    """What happened, the rings by name, and those that were found: their members by entity id."""

    truth: list[Event]
    rings: dict[str, list[int]]
    found: list[list[str]]


def find_rings(town: Town, n_months: int = 12, is_followed: bool = True) -> Iterator[Month]:
    """Month by month the communities of so many as make a ring, sought from where the last month's were."""
    ids = [f"e:{person:05d}" for person in range(town.n_people)]
    keys, nobody = code_values(pa.array(ids)), np.zeros(town.n_people, dtype=bool)
    earlier = None
    for _ in range(n_months):
        truth = town.next_month()
        params = CommunityParams(resolution=0.2)
        label = find_communities(town.n_people, tie_town(town), params, keys=keys, earlier=earlier).membership
        earlier = EarlierPartition(label, nobody) if is_followed else None
        large = np.flatnonzero(np.bincount(label) >= MIN_RING)
        found = [[ids[person] for person in np.flatnonzero(label == one)] for one in large]
        yield Month(truth, {name: list(who) for name, who in town.rings.items()}, found)
