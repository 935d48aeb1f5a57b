"""Entities over time: an entity keeps its id through growth, mergers and splits, and every change is logged.

The survivor of a merger is the entity with the earliest member, of a split the part that holds the earliest
member; every other part is born anew. An id in use, now or in the run before, is never given to another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import polars as pl
import pyarrow as pa

from terag_pipelines.linking.entity_tables import first_members, ids_of_entities, name_entity
from terag_pipelines.linking.known_pairs import EarlierEntities, unchanged_records
from terag_pipelines.linking.model import ENTITY_CHANGES
from terag_pipelines.linking.scored_rows import Mask, Rows, ScoredRows
from terag_pipelines.tables import as_frame

EVENTS = ("new record", "corrected record", "removed record")


@dataclass(frozen=True)
class NamedEntities:
    """The canonical id of each entity (by its number), and what happened to entities: ENTITY_CHANGES."""

    ids: pa.Array
    changes: pa.Table


def name_entities(
    ordered: pa.Table,
    labels: Rows,
    earlier: EarlierEntities | None,
    links: ScoredRows,
    decisions: pa.Table | None = None,
) -> NamedEntities:
    """Ids for the entities of sorted records, taken over from an earlier run where there was one.

    `links` and `decisions` (PAIR_DECISIONS) are those that made the entities what they are now.
    """
    if earlier is None:
        return NamedEntities(ids_of_entities(ordered, labels), ENTITY_CHANGES.empty())
    unchanged = unchanged_records(earlier.records, ordered)
    members = _members_now(ordered, labels, unchanged).join(
        _members_before(earlier.members), on="record_id", how="full", coalesce=True
    )
    heirs = _find_heirs(members)
    ids = _fill_ids(ordered, labels, heirs, earlier.members["entity_id"].unique().to_pylist())
    frame = members.join(
        pl.DataFrame({"entity": np.arange(len(ids)), "entity_id": ids}), on="entity", how="left"
    )
    decided = _decided_entities(frame, decisions)
    changes = _describe_changes(frame, decided, _joining_links(ordered, labels, links))
    return NamedEntities(pa.array(ids, pa.string()), changes)


def _members_now(ordered: pa.Table, labels: Rows, unchanged: Mask) -> pl.DataFrame:
    seen = ordered["first_seen"].cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    return pl.DataFrame(
        {
            "record_id": pl.Series(values=ordered["record_id"]),
            "entity": labels,
            "seen": seen,
            "unchanged": unchanged,
        }
    )


def _members_before(earlier: pa.Table) -> pl.DataFrame:
    columns = {name: pl.Series(values=earlier[name]) for name in ("record_id", "entity_id")}
    return pl.DataFrame(columns).rename({"entity_id": "before"})


def _find_heirs(members: pl.DataFrame) -> pl.DataFrame:
    """Which entity takes over which earlier id: columns entity and before, each at most once.

    An earlier entity lives on where its earliest member is; of several in one, the one with the earliest.
    """
    both = members.drop_nulls(["entity", "before"]).sort("seen", "record_id")
    survivors = both.unique("before", keep="first", maintain_order=True)
    return survivors.unique("entity", keep="first", maintain_order=True).select("entity", "before")


def _fill_ids(ordered: pa.Table, labels: Rows, heirs: pl.DataFrame, before: Iterable[str]) -> list[str]:
    first = ordered["record_id"].combine_chunks().take(pa.array(first_members(ordered, labels))).to_pylist()
    inherited: dict[int, str] = dict(zip(heirs["entity"].to_list(), heirs["before"].to_list(), strict=True))
    in_use = set(before)  # those that nobody takes over too: whoever asks for one is told what became of it
    return [inherited.get(at) or _free_name(record, in_use) for at, record in enumerate(first)]


def _free_name(record_id: str, in_use: set[str]) -> str:
    """The id after the earliest member, with a number behind it where another entity bears that id."""
    name, nth = name_entity(record_id), 1
    while name in in_use:
        nth += 1
        name = name_entity(f"{record_id}#{nth}")
    in_use.add(name)
    return name


def _joining_links(ordered: pa.Table, labels: Rows, links: ScoredRows) -> pl.DataFrame:
    """The links within entities, strongest first."""
    ids = ordered["record_id"].combine_chunks()
    frame = pl.DataFrame(
        {
            "entity": labels[links.left],
            "left_id": pl.Series(values=ids.take(pa.array(links.left))),
            "right_id": pl.Series(values=ids.take(pa.array(links.right))),
            "probability": links.probability,
        }
    )
    return frame.filter(labels[links.left] == labels[links.right])


def _decided_entities(frame: pl.DataFrame, decisions: pa.Table | None) -> pl.Series:
    """The entities, now and before, that a decision brought together or parted: it did not hold before."""
    if decisions is None:
        return pl.Series(dtype=pl.String)
    pairs = as_frame(decisions).select("left_id", "right_id", "is_match")
    known = frame.drop_nulls(["before", "entity_id"]).select("record_id", "before", "entity_id")
    for side in ("left_id", "right_id"):
        pairs = pairs.join(known, left_on=side, right_on="record_id", suffix="_of_right")
    was_one, is_one = (pl.col(name) == pl.col(f"{name}_of_right") for name in ("before", "entity_id"))
    pairs = pairs.filter((was_one != pl.col("is_match")) & (is_one == pl.col("is_match")))
    ids = ("before", "entity_id", "before_of_right", "entity_id_of_right")
    return pl.concat([pairs[name] for name in ids]).unique()


def _describe_changes(frame: pl.DataFrame, decided: pl.Series, links: pl.DataFrame) -> pa.Table:
    """One row for each entity that was born, grew, shrank, took over others, fell apart or ended."""
    now = (
        frame.drop_nulls("entity_id")
        .group_by("entity_id", "entity")
        .agg(
            n_after=pl.len(),
            sources=pl.col("before").drop_nulls().unique().sort(),
            n_new=pl.col("before").is_null().sum(),
        )
    )
    before = (
        frame.drop_nulls("before")
        .group_by("before")
        .agg(
            n_before=pl.len(),
            parts=pl.col("entity_id").drop_nulls().unique().sort(),
        )
    )
    changed = now.join(before, left_on="entity_id", right_on="before", how="full", coalesce=True)
    changed = changed.with_columns(pl.col("n_before", "n_after", "n_new").fill_null(0))
    changed = changed.with_columns(
        sources=pl.col("sources").fill_null([]).list.set_difference(pl.concat_list("entity_id")),
        parts=pl.col("parts").fill_null([]).list.set_difference(pl.concat_list("entity_id")),
    )
    changed = changed.with_columns(change=_kind_of_change()).drop_nulls("change")
    ties = _ties_between(frame, links)
    changed = changed.join(ties, on="entity", how="left").join(_events_of(frame), on="entity_id", how="left")
    return ENTITY_CHANGES.conform(
        changed.select(
            "entity_id",
            "change",
            from_ids=pl.col("sources").list.sort(),
            into_ids=pl.col("parts").list.sort(),
            n_before=pl.col("n_before").cast(pl.Int64),
            n_after=pl.col("n_after").cast(pl.Int64),
            cause=pl.when(pl.col("entity_id").is_in(decided.implode()))
            .then(pl.lit("decision"))
            .otherwise(_cause()),
            left_id=pl.when(pl.col("change") == "merged").then("left_id"),
            right_id=pl.when(pl.col("change") == "merged").then("right_id"),
        ).to_arrow()
    )


def _kind_of_change() -> pl.Expr:
    n_before, n_after = pl.col("n_before"), pl.col("n_after")
    return (
        pl.when(n_before == 0)
        .then(pl.lit("born"))
        .when((n_after == 0) & (pl.col("parts").list.len() > 0))
        .then(pl.lit("taken over"))
        .when(n_after == 0)
        .then(pl.lit("ended"))
        .when(pl.col("sources").list.len() > 0)
        .then(pl.lit("merged"))
        .when(pl.col("parts").list.len() > 0)
        .then(pl.lit("split"))
        .when(n_after > n_before)
        .then(pl.lit("grew"))
        .when(n_after < n_before)
        .then(pl.lit("shrank"))
        .when(pl.col("n_new") > 0)
        .then(pl.lit("grew"))
    )


def _events_of(frame: pl.DataFrame) -> pl.DataFrame:
    """What records did in each entity and in those it exchanged records with: first and last of EVENTS."""
    event = pl.when(pl.col("before").is_null()).then(pl.lit(0)).when(pl.col("entity_id").is_null()).then(2)
    event = event.when(~pl.col("unchanged")).then(1)
    frame = frame.select("entity_id", "before", event=event)
    moved = frame.filter(pl.col("entity_id") != pl.col("before")).select("entity_id", "before").unique()
    now, then = (frame.select(pl.col(side).alias("at"), "event") for side in ("entity_id", "before"))
    own = pl.concat([now, then]).drop_nulls().unique()
    ways = (moved.rename({one: "to", other: "at"}) for one, other in permutations(moved.columns))
    beside = pl.concat([way.join(own, on="at").select(at="to", event="event") for way in ways])
    events = pl.concat([own, beside]).group_by(entity_id="at")
    return events.agg(first_event=pl.col("event").min(), last_event=pl.col("event").max())


def _cause() -> pl.Expr:
    """What records did to gain or to lose; where they did nothing, what is known about others, or an undo."""
    is_part = (pl.col("change") == "born") & (pl.col("sources").list.len() > 0)
    loses = pl.col("change").is_in(["split", "shrank", "ended"]) | is_part
    event = pl.when(loses).then("last_event").otherwise("first_event")
    return event.replace_strict(
        dict(enumerate(EVENTS)), default="evidence or decision", return_dtype=pl.String
    )


def _ties_between(members: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """By entity, the strongest link between records that were not of one entity before."""
    before = members.select("record_id", "before")
    tied = links.join(
        before.rename({"record_id": "left_id", "before": "left_before"}), on="left_id", how="left"
    )
    tied = tied.join(
        before.rename({"record_id": "right_id", "before": "right_before"}), on="right_id", how="left"
    )
    tied = tied.filter(pl.col("left_before").ne_missing(pl.col("right_before")))
    tied = tied.sort("probability", "left_id", "right_id", descending=[True, False, False])
    return tied.unique("entity", keep="first", maintain_order=True).select("entity", "left_id", "right_id")
