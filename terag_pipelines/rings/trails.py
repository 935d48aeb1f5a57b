"""Where money goes next: transfers that pass on what just came (relays), and short time-respecting cycles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from terag_pipelines.rings.flows import MICROSECONDS_PER_DAY

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

STEPS_AT_ONCE = 4_000_000
"""So many next transfers are held in memory at a time, and those of one path more."""

CYCLE_SCHEMA = {"cycle": pl.Int64, "position": pl.Int64, "transfer": pl.Int64}


@dataclass(frozen=True)
class CycleParams:
    """A cycle of `min_length` to `max_length` transfers, each no earlier than the one before (to the second),
    over by `window_days`.

    Each transfer carries between `min_carried` and `max_carried` of the one before: a share may be kept,
    money may be added. After each the next `max_next` of its receiver are looked at. A tenth of `max_paths`
    transfers are begun with at a time, and of these no more than `max_paths` open paths are followed: what is
    beyond it is left unsearched.
    """

    min_length: int = 2
    max_length: int = 8
    window_days: float = 30.0
    min_carried: float = 0.7
    max_carried: float = 1.1
    max_next: int = 1_000
    max_paths: int = 2_000_000


@dataclass(frozen=True)
class RelayParams:
    """A relay: a transfer of at least `min_amount` typical transfers, followed within `window_days` by one
    of its receiver to somebody else that carries between `min_carried` and `max_carried` of it. The next
    `max_next` of the receiver are looked at.
    """

    window_days: float = 2.0
    min_carried: float = 0.85
    max_carried: float = 1.0
    min_amount: float = 1.0
    max_next: int = 1_000


def find_relays(transfers: pl.DataFrame, hubs: pl.Series, params: RelayParams) -> pl.DataFrame:
    """first, second: rows of `transfers` of which the second passes on what the first brought; not through
    a hub.
    """
    large = transfers["amount"].to_numpy() >= params.min_amount * params.min_carried
    rows = np.flatnonzero(large)
    steps = CycleParams(
        window_days=params.window_days,
        min_carried=params.min_carried,
        max_carried=params.max_carried,
        max_next=params.max_next,
    )
    search = _Search.over(transfers, rows, steps)
    through = ~np.isin(search.target, hubs) & (search.amount >= params.min_amount)
    parts = search.next_steps(np.flatnonzero(through)[:, None], steps)
    pairs = np.concatenate([part[search.is_simple(part)] for part in parts])
    found = pl.DataFrame({"first": search.rows[pairs[:, 0]], "second": search.rows[pairs[:, 1]]})
    return found.sort("first", "second")


def find_cycles(
    transfers: pl.DataFrame, community: Ints, hubs: pl.Series, params: CycleParams
) -> pl.DataFrame:
    """cycle, position, transfer: which rows of `transfers` make up each cycle, in the order of time.

    Only transfers inside one community and not of a hub are searched. A cycle starts with its first
    transfer (that of the first row where all are of one instant), so none is found twice, and visits nobody
    twice.
    """
    kept = _searchable(transfers, community, hubs)
    search = _Search.over(transfers, kept, params)
    at_once = max(params.max_paths // 10, 1)
    starts = np.arange(len(kept), dtype=np.int64)
    found = [
        cycles
        for begun in range(0, len(starts), at_once)
        for cycles in _follow(search, starts[begun : begun + at_once], params)
    ]
    return _as_table(found)


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

    def next_steps(self, paths: Ints, params: CycleParams) -> Iterator[Ints]:
        """The ways to extend `paths` (n x length, positions in this search) by one transfer in time, part by
        part; one part at least.
        """
        last, first = paths[:, -1], paths[:, 0]
        window = int(params.window_days * MICROSECONDS_PER_DAY // 1_000_000)
        base = self.target[last] * self.span
        low = np.searchsorted(self.keys, base + self.at[last], side="left")
        high = np.searchsorted(self.keys, base + self.at[first] + window, side="right")
        counts = np.clip(high - low, 0, params.max_next)
        cuts = np.flatnonzero(np.diff(np.cumsum(counts) // STEPS_AT_ONCE)) + 1
        for part in np.split(np.arange(len(paths)), cuts):
            yield self._extend(paths[part], low[part], counts[part], params)

    def _extend(self, paths: Ints, low: Ints, counts: Ints, params: CycleParams) -> Ints:
        """Each path with each of its `counts` next transfers from position `low` on that carries enough."""
        last = paths[:, -1]
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


def _follow(search: _Search, starts: Ints, params: CycleParams) -> Iterator[Ints]:
    """The cycles that begin with these transfers, as rows of `transfers`, by length."""
    paths = starts[:, None]
    while len(paths) and paths.shape[1] < params.max_length:
        paths = _first_steps(search, paths, params)
        closed = search.is_closed(paths)
        if paths.shape[1] >= params.min_length:
            yield search.rows[paths[closed]]
        paths = paths[~closed & search.is_simple(paths)]


def _first_steps(search: _Search, paths: Ints, params: CycleParams) -> Ints:
    """The next steps of `paths`, `max_paths` of them at most."""
    parts, n_found = [], 0
    for part in search.next_steps(paths, params):
        parts.append(part[: params.max_paths - n_found])
        n_found += len(parts[-1])
        if n_found == params.max_paths:
            break
    return np.concatenate(parts)


def _as_table(found: list[Ints]) -> pl.DataFrame:
    """Cycles of several lengths, numbered from 0."""
    columns, n_before = [pl.DataFrame(schema=CYCLE_SCHEMA)], 0
    for length in sorted({cycles.shape[1] for cycles in found}):
        cycles = _drop_turned(np.concatenate([one for one in found if one.shape[1] == length]))
        columns.append(pl.DataFrame(_as_columns(cycles, n_before), schema=CYCLE_SCHEMA))
        n_before += len(cycles)
    return pl.concat(columns)


def _drop_turned(cycles: Ints) -> Ints:
    """One of all cycles of the same transfers: where these are of one instant, each may come first."""
    order = np.argsort(cycles[:, 0], kind="stable")
    first = np.unique(np.sort(cycles[order], axis=1), axis=0, return_index=True)[1]
    return cycles[np.sort(order[first])]


def _as_columns(cycles: Ints, first_number: int) -> dict[str, Ints]:
    n, length = cycles.shape
    return {
        "cycle": np.repeat(np.arange(first_number, first_number + n), length),
        "position": np.tile(np.arange(length), n),
        "transfer": cycles.ravel(),
    }
