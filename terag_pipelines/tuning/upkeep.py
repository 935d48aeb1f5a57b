"""What earlier runs decided and saw, and which indexes nobody asks any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from terag_pipelines.tuning.advice import Candidate
from terag_pipelines.tuning.ports import IndexSpec, IndexUse
from terag_pipelines.tuning.trials import KEPT, REVERTED

PLATFORM_PREFIX = "terag_"
"""Names of the platform's own schema: what its loads look up is not judged by what people ask."""
GROWTH = 2
"""A label that has this many times the rows is another one for an index that did not pay before."""


@dataclass(frozen=True)
class PastTrial:
    """The last decision on an index."""

    decision: str
    decided_at: datetime
    reason: str
    n_entries: int | None


@dataclass(frozen=True)
class Past:
    """The last decision on each index by name, and when each was last seen to serve a query, anywhere."""

    trials: Mapping[str, PastTrial] = field(default_factory=dict)
    used_at: Mapping[str, datetime] = field(default_factory=dict)

    def is_kept(self, index: IndexSpec) -> bool:
        """Whether the last decision on the index was to keep it."""
        last = self.trials.get(index.name)
        return last is not None and last.decision == KEPT

    def reversion(self, candidate: Candidate, now: datetime, retry_days: int) -> str | None:
        """Why a candidate is not worth another trial yet; None where it is."""
        last = self.trials.get(candidate.index.name)
        if last is None or last.decision != REVERTED or now - last.decided_at >= timedelta(retry_days):
            return None
        if last.n_entries is None or candidate.n_entries >= GROWTH * max(1, last.n_entries):
            return None
        day = last.decided_at.date().isoformat()
        return f"it was tried on {day}: {last.reason}; it is tried again after {retry_days} days"


def idle_indexes(
    indexes: Iterable[IndexSpec],
    uses: Mapping[str, IndexUse],
    past: Past,
    now: datetime,
    unused_days: int,
) -> dict[IndexSpec, str]:
    """Those that served nothing for `unused_days`, and since when, in words.

    `uses`: what the server says, which counts from nought where the index was made anew; `past` knows of
    the others. One of which nothing is known is left alone.
    """
    found = {}
    for index in indexes:
        since = _last_sign(index, uses.get(index.name), past)
        if index.is_constraint or since is None or _is_platforms(index):
            continue
        if now - since >= timedelta(unused_days):
            found[index] = f"it served no query since {since.date().isoformat()}"
    return found


def twin_indexes(indexes: Iterable[IndexSpec]) -> dict[IndexSpec, str]:
    """Those of the same properties as another one, in another order; of two of ours the later name."""
    ordered = sorted((i for i in indexes if not i.is_constraint), key=lambda i: (i.is_ours, i.name))
    first: dict[tuple[object, ...], IndexSpec] = {}
    found = {}
    for index in ordered:
        same = (index.element, index.kind, index.label, frozenset(index.properties))
        known = first.setdefault(same, index)
        if known is not index:
            found[index] = f"it has the properties of {known.name} in another order"
    return found


def _last_sign(index: IndexSpec, use: IndexUse | None, past: Past) -> datetime | None:
    """The last instant at which the index was used, or was made."""
    kept = past.trials.get(index.name)
    signs = [
        past.used_at.get(index.name),
        kept.decided_at if kept and kept.decision == KEPT else None,
        use.last_read_at if use else None,
    ]
    if use and not any(signs):  # nobody knows of it but the server
        signs.append(use.counted_since)
    return max((sign for sign in signs if sign is not None), default=None)


def _is_platforms(index: IndexSpec) -> bool:
    return index.name.startswith(PLATFORM_PREFIX) and not index.is_ours
