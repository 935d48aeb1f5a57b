"""Which ring of now continues which of then: by the members they have in common, one to one.

Sources: Greene, Doyle, Cunningham, Tracking the evolution of communities in dynamic social networks (2010),
who match by the Jaccard index; Palla, Barabási, Vicsek, Quantifying social group evolution (2007), where the
largest part of a split and the best match of a merger live on.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from terag_pipelines.tables import as_frame


@dataclass(frozen=True)
class Succession:
    """Groups are those of now, rings those of then.

    `heirs`: group, ring, n_kept, overlap; each group and each ring at most once. `mergers`: group, ring:
    living rings without an heir, most of whose members are now in a group that another one lives on in.
    `partings`: group, ring: groups that continue no living ring, most of whose members were in one that
    lives on elsewhere.
    """

    heirs: pl.DataFrame
    mergers: pl.DataFrame
    partings: pl.DataFrame


def find_heirs(groups: pl.DataFrame, traces: pl.DataFrame, least_share: float) -> Succession:
    """Who continues whom.

    A group may continue a ring where the members they have in common are `least_share` or more of the
    smaller of the two. Of several the pair with the highest Jaccard index comes first, then the one with
    more members in common, then by ids; living rings before those that are no more.

    Args:
        groups: group, entity_id.
        traces: ring, entity_id, is_alive.
    """
    pairs = _pair_up(groups, traces)
    smaller = pl.min_horizontal("n_now", "n_then")
    matched = _match(pairs.filter(pl.col("n_kept") >= least_share * smaller))
    living = pairs.filter("is_alive")
    went_in = living.filter(pl.col("n_kept") >= least_share * pl.col("n_then"))
    came_from = living.filter(pl.col("n_kept") >= least_share * pl.col("n_now"))
    of_living = matched.filter("is_alive")
    return Succession(
        matched.select("group", "ring", "n_kept", "overlap"),
        went_in.join(of_living, on="ring", how="anti").select("group", "ring"),
        came_from.join(of_living, on="group", how="anti").select("group", "ring"),
    )


def _pair_up(groups: pl.DataFrame, traces: pl.DataFrame) -> pl.DataFrame:
    """Every group and ring with a member in common, best first."""
    now = groups.with_columns(n_now=pl.len().over("group").cast(pl.Int64))
    then = traces.with_columns(n_then=pl.len().over("ring").cast(pl.Int64))
    pairs = (
        now.join(then, on="entity_id")
        .group_by("group", "ring", "n_now", "n_then", "is_alive")
        .agg(n_kept=pl.len().cast(pl.Int64))
    )
    either = pl.col("n_now") + pl.col("n_then") - pl.col("n_kept")
    return pairs.with_columns(overlap=pl.col("n_kept") / either).sort(
        ["is_alive", "overlap", "n_kept", "ring", "group"], descending=[True, True, True, False, False]
    )


def _match(pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs taken one after the other, none whose group or ring is taken already."""
    groups: set[str] = set()
    rings: set[str] = set()
    taken = []
    for at, (group, ring) in enumerate(pairs.select("group", "ring").iter_rows()):
        if group not in groups and ring not in rings:
            groups.add(group)
            rings.add(ring)
            taken.append(at)
    return pairs[taken]


def follow_entities(traces: pl.DataFrame, entity_changes: pa.Table) -> pl.DataFrame:
    """Traces by the entities of now: one that was taken over counts as whoever took it over.

    An entity that was split keeps its id, and stands for itself alone.
    """
    changes = as_frame(entity_changes, ["entity_id", "change", "into_ids"])
    gone = changes.filter(pl.col("change") == "taken over").explode("into_ids", empty_as_null=True)
    moved = traces.join(gone.select("entity_id", "into_ids"), on="entity_id", how="left")
    renamed = moved.with_columns(entity_id=pl.coalesce("into_ids", "entity_id")).drop("into_ids")
    return renamed.unique(["ring", "entity_id"]).sort("ring", "entity_id")
