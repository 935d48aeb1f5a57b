"""Where money goes next: transfers that pass on what just came (relays), and short time-respecting cycles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from terag_pipelines.rings.flows import MICROSECONDS_PER_DAY

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CYCLE_SCHEMA = {"cycle": pl.Int64, "position": pl.Int64, "transfer": pl.Int64}


@dataclass(frozen=True)
class CycleParams:
    """A cycle of `min_length` to `max_length` transfers, each no earlier than the one before, over by
    `window_days`.

    Each transfer carries between `min_carried` and `max_carried` of the one before: a share may be kept,
    money may be added. `max_paths` bounds the open paths that are followed at once; what is beyond it is
    left unsearched.
    """

    min_length: int = 2
    max_length: int = 8
    window_days: float = 30.0
    min_carried: float = 0.7
    max_carried: float = 1.1
    max_paths: int = 2_000_000


@dataclass(frozen=True)
class RelayParams:
    """A relay: a transfer of at least `min_amount` typical transfers, followed within `window_days` by one
    of its receiver to somebody else that carries between `min_carried` and `max_carried` of it.
    """

    window_days: float = 2.0
    min_carried: float = 0.85
    max_carried: float = 1.0
    min_amount: float = 1.0


def find_relays(transfers: pl.DataFrame, hubs: pl.Series, params: RelayParams) -> pl.DataFrame:
    """first, second: rows of `transfers` of which the second passes on what the first brought; not through
    a hub.
    """
    large = transfers["amount"].to_numpy() >= params.min_amount * params.min_carried
    rows = np.flatnonzero(large)
    steps = CycleParams(
        window_days=params.window_days, min_carried=params.min_carried, max_carried=params.max_carried
    )
    search = _Search.over(transfers, rows, steps)
    through = ~np.isin(search.target, hubs) & (search.amount >= params.min_amount)
    pairs = search.next_steps(np.flatnonzero(through)[:, None], steps)
    pairs = pairs[search.is_simple(pairs)]
    found = pl.DataFrame({"first": search.rows[pairs[:, 0]], "second": search.rows[pairs[:, 1]]})
    return found.sort("first", "second")


def find_cycles(
    transfers: pl.DataFrame, community: Ints, hubs: pl.Series, params: CycleParams
) -> pl.DataFrame:
    """cycle, position, transfer: which rows of `transfers` make up each cycle, in the order of time.

    Only transfers inside one community and not of a hub are searched. A cycle starts with its first
    transfer, so none is found twice, and visits nobody twice.
    """
    kept = _searchable(transfers, community, hubs)
    search = _Search.over(transfers, kept, params)
    found = _follow(search, params)
    return pl.DataFrame(found, schema=CYCLE_SCHEMA) if found else pl.DataFrame(schema=CYCLE_SCHEMA)


def _searchable(transfers: pl.DataFrame, community: Ints, hubs: pl.Series) -> Ints:
    source, target = transfers["source"].to_numpy(), transfers["target"].to_numpy()
    inside = (community[source] == community[target]) & ~np.isin(source, hubs) & ~np.isin(target, hubs)
    rows = np.flatnonzero(inside)
    if not len(rows):
        return rows
    n = len(community)
    links = coo_matrix((np.ones(len(rows), dtype=np.int8), (source[rows], target[rows])), shape=(n, n))
    _, strong = connected_components(links, directed=True, connection="strong")
    within: Ints = rows[strong[source[rows]] == strong[target[rows]]]
    return within


@dataclass(frozen=True)
class _Search:
    """Transfers sorted by payer and time, so what may follow one is a contiguous run of rows."""

    rows: Ints
    source: Ints
    target: Ints
    at: Ints
    amount: Floats
    keys: Ints
    span: int

    @classmethod
    def over(cls, transfers: pl.DataFrame, rows: Ints, params: CycleParams) -> _Search:
        source, target = transfers["source"].to_numpy()[rows], transfers["target"].to_numpy()[rows]
        seconds = transfers["at"].to_numpy()[rows] // 1_000_000
        seconds = seconds - (seconds.min() if len(seconds) else 0)
        order = np.lexsort((rows, seconds, source))
        window = int(params.window_days * MICROSECONDS_PER_DAY // 1_000_000)
        span = int(seconds.max() if len(seconds) else 0) + window + 2
        amount = transfers["amount"].to_numpy()[rows][order]
        keys = source[order] * span + seconds[order]
        return cls(rows[order], source[order], target[order], seconds[order], amount, keys, span)

    def next_steps(self, paths: Ints, params: CycleParams) -> Ints:
        """All ways to extend `paths` (n x length, positions in this search) by one transfer in time."""
        last, first = paths[:, -1], paths[:, 0]
        window = int(params.window_days * MICROSECONDS_PER_DAY // 1_000_000)
        base = self.target[last] * self.span
        low = np.searchsorted(self.keys, base + self.at[last], side="left")
        high = np.searchsorted(self.keys, base + self.at[first] + window, side="right")
        counts = np.maximum(high - low, 0)
        parent = np.repeat(np.arange(len(paths)), counts)
        step = (
            np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
        )
        carried = self.amount[step] / self.amount[last[parent]]
        fits = (carried >= params.min_carried) & (carried <= params.max_carried)
        extended: Ints = np.column_stack([paths[parent[fits]], step[fits]])
        return extended

    def is_closed(self, paths: Ints) -> npt.NDArray[np.bool_]:
        closed: npt.NDArray[np.bool_] = self.target[paths[:, -1]] == self.source[paths[:, 0]]
        return closed

    def is_simple(self, paths: Ints) -> npt.NDArray[np.bool_]:
        seen = self.target[paths[:, -1]][:, None] == self.source[paths]
        simple: npt.NDArray[np.bool_] = ~seen.any(axis=1)
        return simple


def _follow(search: _Search, params: CycleParams) -> dict[str, Ints]:
    paths = np.arange(len(search.rows), dtype=np.int64)[:, None]
    n_found, parts = 0, []
    while len(paths) and paths.shape[1] < params.max_length:
        paths = search.next_steps(paths[: params.max_paths], params)
        closed = search.is_closed(paths)
        if paths.shape[1] >= params.min_length:
            parts.append(_as_columns(search.rows[paths[closed]], n_found))
            n_found += int(closed.sum())
        paths = paths[~closed & search.is_simple(paths)]
    return {name: np.concatenate([part[name] for part in parts]) for name in CYCLE_SCHEMA} if n_found else {}


def _as_columns(cycles: Ints, first_number: int) -> dict[str, Ints]:
    n, length = cycles.shape
    return {
        "cycle": np.repeat(np.arange(first_number, first_number + n), length),
        "position": np.tile(np.arange(length), n),
        "transfer": cycles.ravel(),
    }
