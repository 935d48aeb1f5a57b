"""Histories in memory: written by hand, for tests of their callers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from resources.call_codec import encode_call
from terag_pipelines.errors import StoreUnavailableError
from terag_pipelines.tuning.model import INDEX_DECISIONS, QUERY_WINDOWS
from terag_pipelines.tuning.ports import SampledCall, SeenCall


class MemoryQueryHistory:
    """A QueryHistory; while `is_away` it cannot be reached."""

    def __init__(self) -> None:
        self.is_away = False
        self._rows: dict[tuple[object, ...], dict[str, object]] = {}

    def append(self, windows: pa.Table) -> None:
        if self.is_away:
            raise StoreUnavailableError("the history is away")
        for row in QUERY_WINDOWS.conform(windows).to_pylist():
            self._rows.setdefault(tuple(row[name] for name in QUERY_WINDOWS.key), row)

    def windows(self, since: datetime | None = None) -> pa.Table:
        rows = [row for row in self._rows.values() if since is None or row["ended_at"] >= since]
        return QUERY_WINDOWS.conform(pa.Table.from_pylist(rows, schema=QUERY_WINDOWS.schema))


class MemoryCallHistory:
    """A CallHistory that keeps `n_kept` calls of a shape; while `is_away` it cannot be reached."""

    def __init__(self, n_kept: int = 8) -> None:
        self.is_away = False
        self._n_kept = n_kept
        self._seen: dict[str, dict[bytes, SeenCall]] = {}

    def append(self, calls: Iterable[SeenCall]) -> None:
        if self.is_away:
            raise StoreUnavailableError("the history is away")
        for seen in calls:
            if (encoded := encode_call(seen.call)) is not None:
                self._keep(encoded, seen)

    def calls(self) -> Mapping[str, Sequence[SampledCall]]:
        return {shape: tuple(one.call for one in kept.values()) for shape, kept in self._seen.items()}

    def _keep(self, encoded: bytes, seen: SeenCall) -> None:
        kept = self._seen.setdefault(seen.shape_id, {})
        known = kept.get(encoded, seen)
        kept[encoded] = max(known, seen, key=lambda one: one.seen_at)
        newest = sorted(kept.items(), key=lambda item: item[1].seen_at, reverse=True)
        self._seen[seen.shape_id] = dict(newest[: self._n_kept])


class MemoryTuningLog:
    """A TuningLog in memory, for tests of its callers."""

    def __init__(self) -> None:
        self._rows: dict[tuple[datetime, int], dict[str, Any]] = {}
        self._uses: dict[str, datetime] = {}

    def append(self, decisions: pa.Table) -> None:
        for row in INDEX_DECISIONS.conform(decisions).to_pylist():
            self._rows.setdefault((row["decided_at"], row["step"]), row)

    def decisions(self) -> pa.Table:
        rows = list(self._rows.values())
        return INDEX_DECISIONS.from_columns(
            **{name: [row[name] for row in rows] for name in INDEX_DECISIONS.schema.names}
        )

    def note_uses(self, used_at: Mapping[str, datetime]) -> None:
        for name, instant in used_at.items():
            self._uses[name] = max(instant, self._uses.get(name, instant))

    def uses(self) -> Mapping[str, datetime]:
        return dict(self._uses)
