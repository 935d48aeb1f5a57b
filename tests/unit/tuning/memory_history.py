"""Histories in memory: written by hand, for tests of their callers."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from terag_pipelines.errors import StoreUnavailableError
from terag_pipelines.tuning.model import QUERY_WINDOWS


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
