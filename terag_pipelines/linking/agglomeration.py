"""Clusters inside a suspicious component: the best supported merges first, within constraints."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

Edge = tuple[int, int, float, bool]  # members, weight, whether it is a link
Marks = frozenset[tuple[str, str]]


class Agglomeration:
    """Average-linkage merging of a few members; deterministic, ties by member order.

    `marks[i]` are (kind, value) identities of member i: two clusters that hold different values of one kind
    never merge, nor do clusters without a link between them. A pair never compared counts `unseen_weight`.
    """

    def __init__(self, marks: Sequence[Marks], edges: Iterable[Edge], unseen_weight: float) -> None:
        self._members = {i: [i] for i in range(len(marks))}
        self._marks = {i: dict(known) for i, known in enumerate(marks)}
        self._sums: dict[int, dict[int, tuple[float, int, bool]]] = defaultdict(dict)
        self._unseen_weight = unseen_weight
        for i, j, weight, is_link in edges:
            self._sums[i][j] = self._sums[j][i] = (weight, 1, is_link)
        self._heap = [(-self._average(i, j), i, j) for i in self._sums for j in self._sums[i] if i < j]
        heapq.heapify(self._heap)

    def run(self) -> list[list[int]]:
        """The clusters, sorted. Merges go on while the average weight between two is above 0."""
        while self._heap:
            negative, i, j = heapq.heappop(self._heap)
            if negative >= 0:
                break
            if self._is_current(i, j, -negative) and not self._conflict(i, j):
                self._merge(i, j)
        return sorted(sorted(members) for members in self._members.values())

    def _is_current(self, i: int, j: int, average: float) -> bool:
        return i in self._members and j in self._members and self._average(i, j) == average

    def _average(self, i: int, j: int) -> float:
        total, n_seen, is_linked = self._sums[i][j]
        if not is_linked:
            return -math.inf
        n_pairs = len(self._members[i]) * len(self._members[j])
        return (total + (n_pairs - n_seen) * self._unseen_weight) / n_pairs

    def _conflict(self, i: int, j: int) -> bool:
        one, other = self._marks[i], self._marks[j]
        return any(other.get(kind, value) != value for kind, value in one.items())

    def _merge(self, i: int, j: int) -> None:
        self._members[i] += self._members.pop(j)
        self._marks[i] |= self._marks.pop(j)
        moved = self._sums.pop(j)
        for k, (total, n_seen, linked) in moved.items():
            del self._sums[k][j]
            if k != i:
                known, n_known, is_linked = self._sums[i].get(k, (0.0, 0, False))
                self._sums[i][k] = self._sums[k][i] = (known + total, n_known + n_seen, is_linked or linked)
        for k in self._sums[i]:
            first, second = min(i, k), max(i, k)
            heapq.heappush(self._heap, (-self._average(first, second), first, second))
