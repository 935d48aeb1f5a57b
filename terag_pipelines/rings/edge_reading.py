"""Edges, nodes and labels of loose files as typed tables; what cannot be used is in quarantine, with why.

A row with an amount is a transfer, a row without one is a plain tie. Ids are texts as they were given:
leading zeros stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.amounts import digits_of
from terag_pipelines.entities.column_types import ColumnReading
from terag_pipelines.entities.distinct import as_plain, as_series, map_distinct, one_array
from terag_pipelines.entities.manifests import FieldSource, FileSpec, Manifest
from terag_pipelines.entities.mapped_rows import MappedRows, as_mask, as_text_column, is_null
from terag_pipelines.entities.model import QUARANTINED_ROWS
from terag_pipelines.entities.parties import PARTY_WORDS
from terag_pipelines.entities.quarantine import FaultLedger
from terag_pipelines.entities.raw_files import RawFile
from terag_pipelines.entities.texts import BLANK_WORDS
from terag_pipelines.errors import ConfigurationError, RingError
from terag_pipelines.money import OWN_UNITS
from terag_pipelines.rings.edge_columns import EDGES, LABELS, NODES, ColumnsRead, check_told, read_columns
from terag_pipelines.rings.edge_times import TimeUnit, Window, find_unit, read_window
from terag_pipelines.rings.words import say_count, say_instant
from terag_pipelines.tables import as_frame

Mask = npt.NDArray[np.bool_]

LEAST_WEIGHT, MOST_WEIGHT = 1e-12, 1e12
MOST_MINOR = 2**62  # what all amounts of a file may add up to, in minor units
NO_TIMES = "transfers have no times: how fast money moves, and in which order, says nothing here"
_INSTANT = pl.Datetime("us", "UTC")
_ROW = {
    "id": pl.String,
    "source": pl.String,
    "target": pl.String,
    "kind": pl.String,
    "currency": pl.String,
    "amount_minor": pl.Int64,
    "at": _INSTANT,
    "weight": pl.Float64,
}
_NODE = {
    "node": pl.String,
    "name": pl.String,
    "party_type": pl.String,
    "opened_on": pl.Date,
    "is_watchlist": pl.Boolean,
}
_LABEL = {"node": pl.String, "is_fraud": pl.Boolean}
_BLANKS = pa.array(sorted(BLANK_WORDS))


@dataclass(frozen=True)
class EdgeParams:
    """What a person says about the files; what is left out is told from names and values.

    `fields` maps columns to fields, or to "ignore". Amounts without a currency are in `currency`; without one
    too, in units of their own. A small whole number as a time counts `step` (seconds, minutes, hours, days).
    `since` and `until` bound the window; a day of `until` belongs to it.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    currency: str = OWN_UNITS
    step: str = "days"
    date_order: str = "dmy"
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class FileRead:
    """What became of the rows of one file: all of them, those in quarantine, and those outside the window.

    `n_repeated` rows say what an earlier row says; with an id of its own each counts once, else they count.
    """

    role: str
    file: str
    columns: tuple[ColumnReading, ...]
    n_rows: int
    n_quarantined: int
    n_outside: int = 0
    n_repeated: int = 0


@dataclass(frozen=True)
class GivenGraph:
    """What was read: `transfers` and `ties` (source, target, kind, ...), `nodes`, `labels`, in an order that
    does not depend on that of the rows. `span`: the first and last time of usable rows, in the window or not.
    """

    transfers: pl.DataFrame
    ties: pl.DataFrame
    nodes: pl.DataFrame
    labels: pl.DataFrame
    quarantine: pa.Table
    files: tuple[FileRead, ...]
    unit: TimeUnit
    window: Window
    span: tuple[datetime, datetime] | None
    notes: tuple[str, ...] = ()

    @property
    def has_times(self) -> bool:
        """Whether transfers have times of their own."""
        return bool(self.transfers["at"].drop_nulls().len())

    @property
    def n_edges(self) -> int:
        """Transfers and plain ties that can be used."""
        return self.transfers.height + self.ties.height


@dataclass(frozen=True)
class GivenFile:
    """A file or table as it was read, and what it is called in messages."""

    name: str
    raw: RawFile


def read_graph(
    edges: GivenFile, nodes: GivenFile | None, labels: GivenFile | None, params: EdgeParams
) -> GivenGraph:
    """Everything that was handed in, conformed. A graph without a usable edge is one too: `check_graph`.

    Raises: MissingColumnError where a file lacks a column that it needs, ConfigurationError where what was
    said does not fit the files, RingError where amounts are too large to be added.
    """
    given = {EDGES: edges, NODES: nodes, LABELS: labels}
    there = {role: one for role, one in given.items() if one is not None}
    check_told(params.fields, {role: one.raw.columns for role, one in there.items()})
    open_files = {role: _open(role, one, params) for role, one in there.items()}
    window = _window(open_files[EDGES], params)
    read = _read_edges(open_files[EDGES], window, params)
    listed = _read_nodes(open_files.get(NODES))
    known = pl.concat([read.rows["source"], read.rows["target"], listed.rows["node"]]).unique()
    labelled = _read_labels(open_files.get(LABELS), known)
    counts = {EDGES: read.counts, NODES: listed.counts, LABELS: labelled.counts}
    is_transfer = pl.col("amount_minor").is_not_null()
    return GivenGraph(
        transfers=read.rows.filter(is_transfer).drop("weight"),
        ties=read.rows.filter(~is_transfer).drop("amount_minor", "currency"),
        nodes=listed.rows,
        labels=labelled.rows,
        quarantine=_quarantine(open_files),
        files=tuple(_file_read(role, one, counts[role]) for role, one in open_files.items()),
        unit=open_files[EDGES].unit,
        window=window,
        span=read.span,
        notes=tuple(filter(None, read.notes)),
    )


def check_graph(given: GivenGraph) -> None:
    """Raises: RingError where no edge can be used, or none lies in the window; the sentence says why."""
    edges = given.files[0]
    if given.n_edges:
        return
    if not edges.n_rows:
        raise RingError(f"{edges.file}: has a header and no rows: there is nothing to look at")
    lost = (
        f"{say_count(edges.n_quarantined, 'row')} in quarantine: {say_reasons(given.quarantine, edges.file)}"
    )
    if not edges.n_outside:
        raise RingError(f"{edges.file}: no row can be used; {lost}")
    span = (
        f"its times go from {say_instant(given.span[0])} to {say_instant(given.span[1])}"
        if given.span
        else ""
    )
    more = f"; {lost}" if edges.n_quarantined else ""
    raise RingError(
        f"{edges.file}: none of {say_count(edges.n_outside, 'row')} lies in the window "
        f"({given.window}); {span}{more}"
    )


def say_reasons(quarantine: pa.Table, file: str, n_most: int = 5) -> str:
    """The commonest reasons of a file's quarantine with their counts."""
    counted = count_reasons(quarantine).filter(pl.col("file") == file).head(n_most)
    return ", ".join(f"{name} {reason} ({n:,})".strip() for _, name, reason, n in counted.iter_rows())


def count_reasons(quarantine: pa.Table) -> pl.DataFrame:
    """file, field, reason, n of a quarantine, the commonest first."""
    rows = as_frame(quarantine, ["file", "field", "reason"])
    counted = rows.group_by("file", "field", "reason").agg(n=pl.len())
    return counted.sort(["n", "file", "field", "reason"], descending=[True, False, False, False])


@dataclass(frozen=True)
class _Open:
    """One file while it is read."""

    given: GivenFile
    columns: ColumnsRead
    rows: MappedRows
    unit: TimeUnit

    @property
    def ledger(self) -> FaultLedger:
        return self.rows.ledger

    def usable(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of the file that are not left out."""
        return frame.filter(pl.Series(~self.ledger.left_out, dtype=pl.Boolean))


@dataclass(frozen=True)
class _Rows:
    """The usable rows of one file, how many others there were, and what to tell."""

    rows: pl.DataFrame
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    span: tuple[datetime, datetime] | None = None


def _open(role: str, given: GivenFile, params: EdgeParams) -> _Open:
    table = given.raw.table
    columns = read_columns(role, given.name, table.column_names, params.fields)
    sources = {name: FieldSource(column=column) for name, column in columns.fields.items()}
    unit = TimeUnit()
    if "time" in columns:
        unit = find_unit(one_array(table[columns.fields["time"]]), params.step)
        sources["time"] = replace(sources["time"], unit=unit.unit, origin=unit.origin)
    spec = FileSpec(given.name, given.name, "csv", role, {name: (one,) for name, one in sources.items()})
    manifest = Manifest(role, (spec,), currency=params.currency, date_order=params.date_order)
    rows = MappedRows(spec, given.raw, manifest, FaultLedger(spec, given.raw))
    return _Open(given, columns, rows, unit)


def _quarantine(files: Mapping[str, _Open]) -> pa.Table:
    tables = [one.ledger.quarantined_rows() for one in files.values()]
    return pa.concat_tables([QUARANTINED_ROWS.empty(), *tables])


def _file_read(role: str, one: _Open, counts: Mapping[str, int]) -> FileRead:
    return FileRead(
        role, one.given.name, one.columns.readings, one.given.raw.n_rows, one.ledger.n_left_out, **counts
    )


# Edges


def _window(file: _Open, params: EdgeParams) -> Window:
    window = read_window(params.since, params.until, file.unit, params.date_order)
    if window and "time" not in file.columns:
        raise ConfigurationError(f"{file.given.name}: a window was asked for, and no column is the time")
    return window


def _read_edges(file: _Open, window: Window, params: EdgeParams) -> _Rows:
    kept = file.usable(_parse(file, params))
    _check_sums(file.given.name, kept)
    inside = _within(kept, window)
    rows, n_repeated = _without_repeats(inside, has_ids="id" in file.columns)
    counts = {"n_outside": kept.height - inside.height, "n_repeated": n_repeated}
    times = kept["at"].drop_nulls().sort()
    span = (times[0], times[-1]) if len(times) else None
    return _Rows(rows, counts, tuple(_edge_notes(file, rows, window)), span)


def _parse(file: _Open, params: EdgeParams) -> pl.DataFrame:
    """All readable rows in the columns of _ROW; the ledger knows which of them cannot be used."""
    rows, ledger = file.rows, file.ledger
    ends = {side: _required_ids(rows, side) for side in ("source", "target")}
    itself = as_mask(pc.equal(ends["source"], ends["target"]))
    ledger.leave_out(itself, "target", "is the source itself")
    kind, weight = rows.texts("kind"), _weights(rows)
    given_at, at = _instants(rows)
    given, minor, currency = _amounts(rows, params.currency)
    is_tie = _are_ties(given, given_at, kind, weight)
    _leave_out_half_transfers(ledger, ~is_tie, given, given_at)
    columns = {**ends, "id": _ids(rows, "id"), "kind": kind, "at": at, "weight": pa.array(weight)}
    money = {"amount_minor": minor, "currency": currency}
    blank = pa.array(is_tie)
    columns |= {name: pc.if_else(blank, pa.scalar(None, v.type), v) for name, v in money.items()}
    frame = _frame({name: columns[name] for name in _ROW}, _ROW)
    return frame.with_columns(weight=pl.col("weight").fill_nan(None))


def _required_ids(rows: MappedRows, name: str) -> pa.Array:
    ids = _ids(rows, name)
    rows.ledger.leave_out(is_null(ids), name, "is missing")
    return ids


def _ids(rows: MappedRows, name: str) -> pa.Array:
    """Ids as they were given but for blanks around them; null where nothing, or a word for it, was."""
    texts = as_plain(as_text_column(rows.first(name))).cast(pa.string())
    trimmed = pc.utf8_trim_whitespace(texts)
    blank = pc.is_in(pc.utf8_lower(trimmed), _BLANKS, skip_nulls=True)
    return one_array(pc.if_else(blank, pa.scalar(None, pa.string()), trimmed))


def _weights(rows: MappedRows) -> npt.NDArray[np.float64]:
    """NaN where there is none."""
    if not rows.has("weight"):
        return np.full(rows.n, np.nan)
    given, weights = rows.numbers("weight")
    fits = (weights >= LEAST_WEIGHT) & (weights <= MOST_WEIGHT)
    rows.ledger.leave_out(~is_null(given) & ~fits, "weight", "is no number above 0")
    return weights


def _instants(rows: MappedRows) -> tuple[Mask, pa.Array]:
    """Where a time was given, and timestamp(us, UTC)."""
    if not rows.has("time"):
        return np.zeros(rows.n, np.bool_), pa.nulls(rows.n, pa.timestamp("us", tz="UTC"))
    at, given = rows.instants("time"), ~is_null(_ids(rows, "time"))
    rows.ledger.left_out |= given & is_null(at)
    return given, at


def _amounts(rows: MappedRows, currency: str) -> tuple[Mask, pa.Array, pa.Array]:
    """Where an amount was given, its minor units, and its currency."""
    if not rows.has("amount"):
        return np.zeros(rows.n, np.bool_), pa.nulls(rows.n, pa.int64()), pa.nulls(rows.n, pa.string())
    codes = pc.utf8_upper(rows.texts("currency"))
    unknown = ~is_null(codes) & ~as_mask(pc.match_substring_regex(codes, "^[A-Z]{3,5}$"))
    filled = one_array(pc.coalesce(codes, pa.scalar(currency)))
    told, minor = rows.amounts("amount", digits_of(filled))
    given = ~is_null(told)
    for bad, reason in (
        (is_null(minor), "is no amount"),
        (as_mask(pc.less(minor, 0)), "is negative"),
        (as_mask(pc.equal(minor, 0)), "is zero to the smallest unit"),
    ):
        rows.ledger.leave_out(given & bad, "amount", reason)
    rows.ledger.leave_out(given & unknown, "currency", "is no currency code")
    return given, minor, filled


def _are_ties(given: Mask, given_at: Mask, kind: pa.Array, weight: npt.NDArray[np.float64]) -> Mask:
    """Which rows are no transfers: all of a file without amounts, else those that say that they are ties.

    A weight does, and so does a kind or a place among timed transfers where neither amount nor time is given.
    """
    if not given.any():
        return ~given
    says_so = ~np.isnan(weight) | (~given_at & (~is_null(kind) | given_at.any()))
    return ~given & says_so


def _leave_out_half_transfers(ledger: FaultLedger, is_transfer: Mask, given: Mask, given_at: Mask) -> None:
    ledger.leave_out(is_transfer & ~given, "amount", "is missing")
    if given_at.any():
        ledger.leave_out(is_transfer & ~given_at, "time", "is missing")


def _check_sums(name: str, rows: pl.DataFrame) -> None:
    """Amounts are added exactly, so all of them must fit into one number."""
    total = float(rows["amount_minor"].cast(pl.Float64).sum())
    if total >= MOST_MINOR:
        raise RingError(
            f"{name}: its amounts add up to {total / 100:.3g}, more than can be added exactly; "
            "give them in larger units"
        )


def _within(rows: pl.DataFrame, window: Window) -> pl.DataFrame:
    """The rows of the window; what has no time is in every window."""
    if window.since:
        rows = rows.filter((pl.col("at") >= window.since).fill_null(value=True))
    if window.until:
        rows = rows.filter((pl.col("at") < window.until).fill_null(value=True))
    return rows


def _without_repeats(rows: pl.DataFrame, has_ids: bool) -> tuple[pl.DataFrame, int]:
    """The rows in order of their content, and how many of them say what another says."""
    ordered = rows.sort(*_ROW, nulls_last=True)
    distinct = ordered.unique(maintain_order=True)
    return (distinct if has_ids else ordered), ordered.height - distinct.height


def _edge_notes(file: _Open, rows: pl.DataFrame, window: Window) -> list[str]:
    """What a person should know about how edges were read; "" where it does not hold."""
    is_transfer, has_time = rows["amount_minor"].is_not_null(), rows["at"].is_not_null()
    n_undated = int((~has_time).sum()) if window else 0
    is_timed = bool((is_transfer & has_time).any())
    own = bool(rows["currency"].eq(OWN_UNITS).any())
    return [
        file.unit.told if has_time.any() else "",
        f"{say_count(n_undated, 'row')} without a time: part of every window" if n_undated else "",
        NO_TIMES if is_transfer.any() and not is_timed else "",
        "" if is_transfer.any() else "there are no amounts: every row is a plain tie, whatever its direction",
        "weights count for rows without an amount only"
        if is_transfer.any() and "weight" in file.columns
        else "",
        "amounts are in the file's own units, to two digits after the point" if own else "",
    ]


# Nodes and labels


def _read_nodes(file: _Open | None) -> _Rows:
    if file is None:
        return _Rows(pl.DataFrame(schema=_NODE))
    rows = file.rows
    given = {
        "node": _required_ids(rows, "node"),
        "name": rows.texts("name"),
        "party_type": map_distinct(as_plain(rows.texts("kind")), _party_type),
        "opened_on": rows.days("opened"),
        "is_watchlist": rows.flags("watchlist"),
    }
    frame = file.usable(_frame(given, _NODE))
    once = frame.group_by("node").agg(
        pl.col("name", "party_type", "opened_on").min(), pl.col("is_watchlist").fill_null(value=False).any()
    )
    return _Rows(once.select(*_NODE).sort("node"), {"n_repeated": frame.height - once.height})


def _party_type(text: str) -> str | None:
    return PARTY_WORDS.get(text.casefold())


def _read_labels(file: _Open | None, known: pl.Series) -> _Rows:
    """Labels of known nodes; those that contradict each other are all left out."""
    if file is None:
        return _Rows(pl.DataFrame(schema=_LABEL))
    rows, ledger = file.rows, file.ledger
    node, fraud = _required_ids(rows, "node"), rows.flags("fraud")
    ledger.leave_out(is_null(_ids(rows, "fraud")), "fraud", "is missing")
    ledger.left_out |= is_null(fraud)
    frame = _frame({"node": node, "is_fraud": fraud}, _LABEL)
    is_known = frame["node"].is_in(known.implode()).fill_null(value=False).to_numpy()
    ledger.leave_out(~is_known, "node", "is no node of the edges")
    outcomes = frame.with_columns(is_fraud=pl.when(pl.Series(~ledger.left_out)).then("is_fraud"))
    least, most = (getattr(pl.col("is_fraud"), end)().over("node") for end in ("min", "max"))
    clash = outcomes.select(pl.col("is_fraud").is_not_null() & (least != most)).to_series()
    ledger.leave_out(
        clash.fill_null(value=False).to_numpy(), "fraud", "contradicts another label of this node"
    )
    kept = file.usable(frame)
    once = kept.unique().sort("node")
    return _Rows(once, {"n_repeated": kept.height - once.height})


def _frame(columns: Mapping[str, Any], schema: Mapping[str, Any]) -> pl.DataFrame:
    series = {name: as_series(as_plain(one_array(column))) for name, column in columns.items()}
    return pl.DataFrame(series).cast(pl.Schema(schema))
