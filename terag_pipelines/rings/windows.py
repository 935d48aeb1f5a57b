"""The time window in which rings are sought, as a manifest says it under `rings:`; without it, all the time
there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.manifests import Manifest
from terag_pipelines.errors import ManifestError
from terag_pipelines.rings.model import RING_WINDOWS
from terag_pipelines.rings.nodes import Tables

KNOWN_KEYS = ("window_days",)
MOST_DAYS = 36_525
TIMED = ("party_events", "transfers")
"""The tables to which a window applies, in the order of their names."""


@dataclass(frozen=True)
class RingSpec:
    """`window_days`: only transfers and events of so many days up to the newest transfer or event of the
    batch count; None: all.
    """

    window_days: float | None = None


def read_rings(manifest: Manifest) -> RingSpec:
    """What a manifest's `rings:` mapping says. Raises: ManifestError for unknown keys and wrong values."""
    given = manifest.rings or {}
    if unknown := sorted(set(given) - set(KNOWN_KEYS)):
        raise ManifestError(f"rings: unknown {unknown}, known are {list(KNOWN_KEYS)}")
    days = given.get("window_days")
    is_number = isinstance(days, int | float) and not isinstance(days, bool)
    if days is not None and not (is_number and 0 < days <= MOST_DAYS):
        raise ManifestError(f"rings.window_days: a number of days above 0 is expected, {MOST_DAYS:,} at most")
    return RingSpec(None if days is None else float(days))


def place_windows(tables: Tables, spec: RingSpec) -> pa.Table:
    """RING_WINDOWS: where the window of each of TIMED begins and ends, and how many rows lie before it."""
    times = [tables[name]["occurred_at"] for name in TIMED]
    newest = max((last for last in map(_newest, times) if last), default=None)
    since = newest - timedelta(days=spec.window_days) if newest and spec.window_days else None
    return RING_WINDOWS.from_columns(
        table_name=list(TIMED),
        since=[since] * len(TIMED),
        until=[newest] * len(TIMED),
        n_rows=[len(column) for column in times],
        n_before=[_count_before(column, since) for column in times],
    )


def say_windows(windows: pa.Table) -> str:
    """The windows in a sentence: when they begin, and what that leaves out."""
    rows = windows.to_pylist()
    if not any(row["since"] for row in rows):
        return "all transfers and events count: the manifest's rings.window_days says no window"
    left_out = ", ".join(f"{row['n_before']:,} of {row['n_rows']:,} {row['table_name']}" for row in rows)
    return f"from {rows[0]['since']:%d.%m.%Y %H:%M} UTC on; left out as older: {left_out}"


def _newest(times: pa.ChunkedArray) -> datetime | None:
    newest: datetime | None = pc.max(times).as_py()
    return newest


def _count_before(times: pa.ChunkedArray, since: datetime | None) -> int:
    if since is None:
        return 0
    return int(pc.sum(pc.less(times, pa.scalar(since, times.type))).as_py() or 0)
