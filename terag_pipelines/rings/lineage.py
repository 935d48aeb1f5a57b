"""Rings over time: a ring keeps its id while it continues, and what became of each is told batch by batch.

Events are those of Palla, Barabási, Vicsek, Quantifying social group evolution (2007), and of Greene, Doyle,
Cunningham, Tracking the evolution of communities in dynamic social networks (2010), with one more: a ring
that was gone and is back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import polars as pl
import pyarrow as pa

from terag_pipelines.linking.model import ENTITY_CHANGES
from terag_pipelines.rings.model import RING_COMMUNITIES, RING_EVENTS, RING_HISTORY, RING_TRACES
from terag_pipelines.rings.naming import NamedRings
from terag_pipelines.rings.portraits import identify_ring
from terag_pipelines.rings.succession import Succession, find_heirs, follow_entities
from terag_pipelines.tables import as_frame


@dataclass(frozen=True)
class LineageParams:
    """How much two rings must have in common, and how long a ring is remembered.

    A ring continues an earlier one where their common members are `least_share` of the smaller of the two.
    It *merged* where it took in another one, that is most of the members of a ring that continues in no
    other; it *split* where it parted with a new ring, most of whose members came from it. Else it *grew* or
    *shrank* where it is larger or smaller by more than `least_change` of its size before, and *continued*
    where it is not. A ring that no earlier one lives on in is *born*. A ring that lives on nowhere *died*,
    or *merged* into where most of its members are. An entity that was taken over counts as whoever took it
    over, so that linking records better makes no ring shrink.

    `stability` is the mean overlap of the last `n_batches_of_stability`: .9 says that from batch to batch
    nine in ten of all who were in it stayed. A ring that is gone is remembered for `n_batches_remembered`:
    where it comes back in that time it *returned*, under its id. `n_batches_told` events of a ring are
    kept, and its first.
    """

    least_share: float = 0.5
    least_change: float = 0.1
    n_batches_of_stability: int = 6
    n_batches_remembered: int = 12
    n_batches_told: int = 24


@dataclass(frozen=True)
class EarlierRings:
    """What a batch leaves to the next: RING_COMMUNITIES, RING_TRACES and RING_HISTORY."""

    communities: pa.Table
    traces: pa.Table
    history: pa.Table


@dataclass(frozen=True)
class Lineage:
    """`ids`: the lasting id of each ring by the one that it was named by; the tables are RING_EVENTS of this
    batch, RING_HISTORY and RING_TRACES with it.
    """

    ids: Mapping[str, str]
    events: pa.Table
    history: pa.Table
    traces: pa.Table


@dataclass(frozen=True)
class _Batch:
    """A batch by its id, and by its number among those of its source."""

    name: str
    number: int


def trace_rings(
    members: pa.Table,
    batch: str,
    earlier: EarlierRings | None = None,
    entity_changes: pa.Table | None = None,
    params: LineageParams | None = None,
) -> Lineage:
    """What became of rings since the last batch, and the ids that they keep.

    The result is the same for any order of rows. The same members again give the same ids, and no event but
    "continued".

    Args:
        members: ring_id, entity_id, as RING_MEMBERS has them; nobody is in two rings. The ids are those of
            rings that are born, which `identify_ring` gives.
        batch: the id of this batch.
        entity_changes: ENTITY_CHANGES since the last batch.
    """
    chosen = params or LineageParams()
    past = earlier or EarlierRings(RING_COMMUNITIES.empty(), RING_TRACES.empty(), RING_HISTORY.empty())
    groups = as_frame(members, ["ring_id", "entity_id"]).rename({"ring_id": "group"})
    groups = groups.sort("group", "entity_id")
    history = as_frame(past.history)
    last = _last_number(history)
    traces = _read_traces(past.traces, last, entity_changes)
    found = find_heirs(groups, traces, chosen.least_share)
    ids = _give_ids(groups, found.heirs, {*history["ring_id"], *traces["ring"]})
    told = _tell_events(_count(groups, traces, found, ids), _others(found, ids), chosen)
    events = _date_events(told, history, _Batch(batch, last + 1), chosen)
    left = _leave_traces(groups, ids, traces, last + 1, chosen)
    kept = _keep_history(pl.concat([history, events.select(history.columns)]), left, last + 1, chosen)
    return Lineage(
        ids,
        RING_EVENTS.conform(events.to_arrow()),
        RING_HISTORY.conform(kept.to_arrow()),
        RING_TRACES.conform(left.to_arrow()),
    )


def take_ids(named: NamedRings, ids: Mapping[str, str]) -> NamedRings:
    """The same rings under their lasting ids."""
    rings, members = (_rename(table, ids) for table in (named.rings, named.members))
    return replace(named, rings=rings, members=members)


def largest_changes(events: pa.Table, n: int) -> pa.Table:
    """The `n` events of RING_EVENTS in which most members came or left; none in which nobody did."""
    n_moved = pl.col("n_members") + pl.col("n_members_before") - 2 * pl.col("n_kept")
    moved = as_frame(events).with_columns(n_moved=n_moved).filter(pl.col("n_moved") > 0)
    ordered = moved.sort(["n_moved", "ring_id"], descending=[True, False]).head(n)
    columns = ["ring_id", "event", "n_members_before", "n_members", "n_kept", "overlap", "other_ring_ids"]
    return ordered.select(columns).to_arrow()


def communities_of(ring_scores: pa.Table) -> pa.Table:
    """RING_COMMUNITIES of a batch."""
    return RING_COMMUNITIES.conform(ring_scores.select(RING_COMMUNITIES.schema.names))


def _rename(table: pa.Table, ids: Mapping[str, str]) -> pa.Table:
    lasting = pa.array([ids[one] for one in table["ring_id"].to_pylist()], pa.string())
    renamed = table.set_column(table.column_names.index("ring_id"), "ring_id", lasting)
    return renamed.sort_by(
        [(name, "ascending") for name in ("ring_id", "entity_id") if name in table.column_names]
    )


def _last_number(history: pl.DataFrame) -> int:
    return int(history["batch_number"].cast(pl.Int64).max() or 0)  # type: ignore[arg-type]


def _read_traces(traces: pa.Table, last: int, entity_changes: pa.Table | None) -> pl.DataFrame:
    """ring, entity_id, batch_number, is_alive: a ring is alive that was there in the last batch."""
    frame = as_frame(traces).select(
        "entity_id", "batch_number", ring="ring_id", is_alive=pl.col("batch_number") == last
    )
    return follow_entities(frame, ENTITY_CHANGES.empty() if entity_changes is None else entity_changes)


def _give_ids(groups: pl.DataFrame, heirs: pl.DataFrame, known: set[str]) -> dict[str, str]:
    """The lasting id of each group; an id that any ring had is given to no other."""
    inherited: dict[str, str] = dict(heirs.select("group", "ring").iter_rows())
    by_group = groups.group_by("group", maintain_order=True).agg("entity_id")
    return {
        group: inherited.get(group) or _free_id(group, entity_ids, known)
        for group, entity_ids in by_group.iter_rows()
    }


def _free_id(born: str, entity_ids: Iterable[str], known: set[str]) -> str:
    ring_id, nth = born, 1
    while ring_id in known:
        nth += 1
        ring_id = identify_ring([*entity_ids, f"#{nth}"])
    known.add(ring_id)
    return ring_id


def _count(
    groups: pl.DataFrame, traces: pl.DataFrame, found: Succession, ids: Mapping[str, str]
) -> pl.DataFrame:
    """ring_id, n_members, n_members_before, n_kept, overlap, was_alive of every ring of now and of the last
    batch; overlap and was_alive are null of a new ring.
    """
    now = groups.group_by("group").agg(n_members=pl.len().cast(pl.Int64))
    then = traces.group_by(ring_id="ring").agg(
        n_members_before=pl.len().cast(pl.Int64), was_alive=pl.col("is_alive").first()
    )
    current = now.join(found.heirs, on="group", how="left").with_columns(ring_id=_as_ids("group", ids))
    both = current.drop("group", "ring").join(then, on="ring_id", how="full", coalesce=True)
    both = both.filter(pl.col("n_members").is_not_null() | pl.col("was_alive"))
    gone = pl.when(pl.col("n_members").is_null()).then(0.0)
    return both.with_columns(
        pl.col("n_members", "n_members_before", "n_kept").fill_null(0),
        overlap=gone.otherwise("overlap"),
    ).sort("ring_id")


def _as_ids(column: str, ids: Mapping[str, str]) -> pl.Expr:
    return pl.col(column).replace_strict(dict(ids), return_dtype=pl.String)


def _others(found: Succession, ids: Mapping[str, str]) -> pl.DataFrame:
    """ring_id, tie, other: whom each ring merged with and parted from, both told of both."""
    told = [
        frame.select(one=_as_ids("group", ids), other="ring", tie=pl.lit(tie))
        for frame, tie in ((found.mergers, "merged"), (found.partings, "split"))
    ]
    ways = pl.concat(told)
    return pl.concat(
        [ways.rename({"one": "ring_id"}), ways.select(other="one", ring_id="other", tie="tie")],
        how="diagonal",
    )


def _tell_events(counted: pl.DataFrame, others: pl.DataFrame, params: LineageParams) -> pl.DataFrame:
    tie = pl.col("tie").min()
    tied = others.group_by("ring_id").agg(
        other_ring_ids=pl.col("other").filter(pl.col("tie") == tie).unique().sort(), tie=tie
    )
    n_now, n_then = pl.col("n_members"), pl.col("n_members_before")
    event = (
        pl.when(pl.col("tie").is_not_null())
        .then("tie")
        .when(n_now == 0)
        .then(pl.lit("died"))
        .when(pl.col("was_alive").is_null())
        .then(pl.lit("born"))
        .when(~pl.col("was_alive"))
        .then(pl.lit("returned"))
        .when(n_now > n_then * (1 + params.least_change))
        .then(pl.lit("grew"))
        .when(n_now < n_then * (1 - params.least_change))
        .then(pl.lit("shrank"))
        .otherwise(pl.lit("continued"))
    )
    told = counted.join(tied, on="ring_id", how="left").with_columns(event=event)
    return told.with_columns(pl.col("other_ring_ids").fill_null([])).drop("tie", "was_alive")


def _date_events(
    told: pl.DataFrame, history: pl.DataFrame, batch: _Batch, params: LineageParams
) -> pl.DataFrame:
    """Events with their batch, since when the ring is known, in how many it was there, how stable it is."""
    past = history.sort("batch_number").group_by("ring_id", maintain_order=True)
    n_earlier = params.n_batches_of_stability - 1
    known = past.agg(
        pl.col("first_batch_number").first(),
        pl.col("n_batches").last(),
        overlaps=pl.col("overlap").drop_nulls().tail(n_earlier),
    )
    dated = told.join(known, on="ring_id", how="left")
    overlaps = pl.concat_list(pl.col("overlaps").fill_null([]), "overlap").list.drop_nulls()
    return dated.with_columns(
        pl.col("first_batch_number").fill_null(batch.number),
        pl.col("n_batches").fill_null(0) + (pl.col("n_members") > 0).cast(pl.Int64),
        batch=pl.lit(batch.name),
        batch_number=pl.lit(batch.number, pl.Int64),
        stability=overlaps.list.mean(),
    ).select(RING_EVENTS.schema.names)


def _leave_traces(
    groups: pl.DataFrame, ids: Mapping[str, str], traces: pl.DataFrame, number: int, params: LineageParams
) -> pl.DataFrame:
    """The members of all rings of now, and of those that are gone and not forgotten yet."""
    current = groups.select("entity_id", ring_id=_as_ids("group", ids), batch_number=pl.lit(number, pl.Int64))
    is_gone = ~pl.col("ring").is_in(list(ids.values()))
    is_remembered = pl.col("batch_number") >= number - params.n_batches_remembered
    gone = traces.filter(is_gone & is_remembered).select("entity_id", "batch_number", ring_id="ring")
    return pl.concat([current, gone.select(current.columns)]).sort("ring_id", "entity_id")


def _keep_history(
    history: pl.DataFrame, traces: pl.DataFrame, number: int, params: LineageParams
) -> pl.DataFrame:
    """The events of rings that are remembered: those of the last batches, and each ring's first and last."""
    at = pl.col("batch_number")
    is_told = at > number - params.n_batches_told
    is_end = (at == pl.col("first_batch_number")) | (at == at.max().over("ring_id"))
    is_remembered = pl.col("ring_id").is_in(traces["ring_id"].unique().implode())
    return history.filter(is_remembered & (is_told | is_end))
