"""What review asks of a store: a log of decisions that only grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import pyarrow as pa

Pair = tuple[str, str]
LogCheck = Callable[[pa.Table], None]
"""Looks at a log of review and raises where an entry must not follow it."""


@dataclass(frozen=True)
class ReviewEntry:
    """One entry of the log: a decision on a pair of records, or the undo of one.

    `position` counts the entries of the pair from 1 and is given by the store: 0 is an entry not yet stored.
    """

    decision_id: str
    left_id: str
    right_id: str
    is_match: bool | None  # None in an undo
    decided_by: str
    decided_at: datetime
    note: str | None = None
    undoes: str | None = None
    position: int = 0

    @property
    def pair(self) -> Pair:
        """The pair of record ids, in order."""
        return self.left_id, self.right_id

    def says_the_same(self, other: ReviewEntry) -> bool:
        """Whether both are one entry that was sent twice; the second may have been sent later."""
        return replace(self, position=0, decided_at=other.decided_at) == replace(other, position=0)


class ReviewLog(Protocol):
    """The system of record of what people decided.

    Every method may raise StoreUnavailableError (no answer in time; safe to repeat) or StoreError.
    """

    def append(self, entry: ReviewEntry, check: LogCheck | None = None) -> ReviewEntry:
        """Adds an entry after the pair's last one and gives it with its position.

        Safe to repeat: an entry whose id is known already is given as it is stored. Of several that are
        written at once each gets a position of its own. `check` sees the log (REVIEW_ENTRIES) that the entry
        follows, all of it: no other entry comes in between. It is called again where one did.

        Raises: DecisionReusedError where the id is that of another decision; what `check` raises.
        """
        ...

    def find(self, decision_id: str) -> ReviewEntry:
        """The entry of this id. Raises: NotFoundError."""
        ...

    def entries(self, pairs: Sequence[Pair] | None = None) -> pa.Table:
        """REVIEW_ENTRIES: the whole log, or what it has on some pairs."""
        ...
