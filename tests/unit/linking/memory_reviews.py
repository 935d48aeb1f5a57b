"""A review log in memory: the contract's reference, and a log for tests that need no MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

import pyarrow as pa

from terag_pipelines.errors import DecisionReusedError, NotFoundError
from terag_pipelines.linking.decisions import tabulate_entries
from terag_pipelines.linking.ports import LogCheck, Pair, ReviewEntry


class MemoryReviews:
    """Implements ReviewLog."""

    def __init__(self) -> None:
        self._entries: dict[str, ReviewEntry] = {}
        self._lock = Lock()

    def append(self, entry: ReviewEntry, check: LogCheck | None = None) -> ReviewEntry:
        with self._lock:
            if known := self._entries.get(entry.decision_id):
                if entry.undoes is None and not entry.says_the_same(known):
                    raise DecisionReusedError("another decision has this id")
                return known
            if check is not None:
                check(self.entries())
            position = 1 + sum(one.pair == entry.pair for one in self._entries.values())
            self._entries[entry.decision_id] = replace(entry, position=position)
            return self._entries[entry.decision_id]

    def find(self, decision_id: str) -> ReviewEntry:
        if decision_id not in self._entries:
            raise NotFoundError("there is no such decision")
        return self._entries[decision_id]

    def entries(self, pairs: Sequence[Pair] | None = None) -> pa.Table:
        return tabulate_entries(
            [one for one in self._entries.values() if pairs is None or one.pair in set(pairs)]
        )
