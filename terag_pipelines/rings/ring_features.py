"""The features of named rings, one row each: shape, money, what is shared, who is near; all rings at once.

They describe a ring and are shown with it. Its risk does not rest on them but on its members' scores, none
of which has seen a label of a ring that it judges.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from terag_pipelines.rings.features import (
    FeatureParams,
    is_just_below,
    measure_closeness,
    measure_pass_through,
)
from terag_pipelines.rings.flows import MICROSECONDS_PER_DAY
from terag_pipelines.rings.model import RING_FEATURES, SHARED_KINDS
from terag_pipelines.rings.nodes import Tables, read_frame
from terag_pipelines.rings.portraits import Core, Inside, between_members, look_inside
from terag_pipelines.rings.projection import Projection
from terag_pipelines.rings.risk import read_outcomes
from terag_pipelines.rings.trails import CycleParams
from terag_pipelines.tables import as_frame

MICROSECONDS_PER_HOUR = MICROSECONDS_PER_DAY / 24


@dataclass(frozen=True)
class RingFeatureParams:
    """An account is new where it was opened no more than `new_days` before its ring's first transfer."""

    features: FeatureParams = field(default_factory=FeatureParams)
    cycles: CycleParams = field(default_factory=CycleParams)
    new_days: float = 90.0


def measure_rings(
    ring_members: pa.Table, projection: Projection, tables: Tables, params: RingFeatureParams | None = None
) -> pa.Table:
    """RING_FEATURES of all rings of RING_MEMBERS, over the graph in which they were found.

    `tables` by name: accounts and labels, of which a missing one counts as empty. Shares are of transfers
    between members where nothing else is said; null where there is nothing to take a share of.
    """
    chosen = params or RingFeatureParams()
    members = _place_members(ring_members, projection)
    inside = look_inside(Core(members), projection, chosen.cycles, chosen.features.max_identifier_holders)
    parts = [
        _shape(members, projection),
        _fans(members, inside),
        _circles(members, inside),
        _habits(inside, chosen.features),
        _speed(members, projection, chosen.features),
        _inside_share(members, projection),
        _shared(inside),
        _closeness(members, projection, tables),
        _newness(members, inside, projection, tables, chosen.new_days),
    ]
    table = members.select("ring", "ring_id").unique().sort("ring")
    for part in parts:
        table = table.join(part, on="ring", how="left", maintain_order="left")
    shared = [f"shared_{kind}" for kind in SHARED_KINDS]
    counts = ["n_ties", "n_circles", "n_just_below", "n_relayed", *shared]
    whole = table.with_columns(pl.col(counts).fill_null(0)).sort("ring_id")
    return RING_FEATURES.conform(whole.drop("ring").to_arrow())


def _place_members(ring_members: pa.Table, projection: Projection) -> pl.DataFrame:
    """ring (0, 1, ...), ring_id, node, entity_id, by ring and entity id."""
    placed = as_frame(ring_members, ["ring_id", "entity_id"])
    nodes = projection.index.nodes.select("entity_id", "node")
    return (
        placed.join(nodes, on="entity_id")
        .sort("ring_id", "entity_id")
        .with_columns(ring=pl.col("ring_id").rank("dense").cast(pl.Int64) - 1)
    )


def _shape(members: pl.DataFrame, projection: Projection) -> pl.DataFrame:
    sizes = members.group_by("ring").agg(n_members=pl.len().cast(pl.Int64))
    ring_of = members.select("node", "ring")
    tied = between_members(projection.edges, ring_of, "left", "right").group_by("ring")
    ties = tied.agg(n_ties=pl.len().cast(pl.Int64), mean_tie=pl.col("weight").sum())
    pairs = pl.col("n_members") * (pl.col("n_members") - 1) / 2
    return sizes.join(ties, on="ring", how="left").with_columns(
        density=pl.col("n_ties").fill_null(0) / pairs,
        mean_tie=pl.col("mean_tie").fill_null(0.0) / pairs,
    )


def _fans(members: pl.DataFrame, inside: Inside) -> pl.DataFrame:
    """The largest share of a ring's other members that pay one, or are paid by one."""
    others = members.group_by("ring").agg(others=pl.len() - 1.0)
    for name, hub, spoke in (("fan_in", "target", "source"), ("fan_out", "source", "target")):
        spokes = inside.transfers.group_by("ring", hub).agg(n=pl.col(spoke).n_unique())
        most = spokes.group_by("ring").agg(pl.col("n").max().alias(name))
        others = others.join(most, on="ring", how="left").with_columns(
            pl.col(name).fill_null(0) / pl.col("others")
        )
    return others.drop("others")


def _circles(members: pl.DataFrame, inside: Inside) -> pl.DataFrame:
    sizes = members.group_by("ring").agg(n=pl.len())
    found = inside.circles.group_by("ring").agg(
        n_circles=pl.col("cycle").n_unique().cast(pl.Int64), n_on=pl.col("node").n_unique()
    )
    joined = sizes.join(found, on="ring", how="left")
    return joined.select("ring", "n_circles", circle_share=pl.col("n_on").fill_null(0) / pl.col("n"))


def _habits(inside: Inside, params: FeatureParams) -> pl.DataFrame:
    below = is_just_below(params.reporting_limits, params.just_below)
    days = (pl.col("at").max() - pl.col("at").min()) / MICROSECONDS_PER_DAY
    return inside.transfers.group_by("ring").agg(
        n_just_below=below.sum().cast(pl.Int64),
        round_share=(pl.col("amount_minor") % params.round_minor == 0).mean(),
        span_days=days,
    )


def _speed(members: pl.DataFrame, projection: Projection, params: FeatureParams) -> pl.DataFrame:
    """How much of what members get, from anybody, leaves again at once, and after how many hours."""
    nodes = members["node"].implode()
    moved = projection.transfers
    near = moved.filter(pl.col("source").is_in(nodes) | pl.col("target").is_in(nodes))
    came = near.group_by(node="target").agg(came=pl.col("amount").sum())
    passed = came.join(measure_pass_through(near, params), on="node")
    of_members = members.select("ring", "node").join(passed, on="node").group_by("ring")
    share = of_members.agg(pass_through=pl.col("passed_amount").sum() / pl.col("came").sum())
    return share.join(_relays(members, projection), on="ring", how="full", coalesce=True)


def _relays(members: pl.DataFrame, projection: Projection) -> pl.DataFrame:
    moved, relays = projection.transfers, projection.relays
    waited = moved["at"].gather(relays["second"]) - moved["at"].gather(relays["first"])
    steps = relays.select("first", node=moved["target"].gather(relays["first"]), hours=waited)
    by_ring = steps.join(members.select("ring", "node"), on="node").group_by("ring")
    return by_ring.agg(
        n_relayed=pl.col("first").n_unique().cast(pl.Int64),
        relay_hours=pl.col("hours").median() / MICROSECONDS_PER_HOUR,
    )


def _inside_share(members: pl.DataFrame, projection: Projection) -> pl.DataFrame:
    paid = projection.transfers.join(members.select("ring", source="node"), on="source")
    stays = paid.join(
        members.select("ring", target="node", stays=pl.lit(1.0)), on=["ring", "target"], how="left"
    )
    kept = pl.col("amount") * pl.col("stays").fill_null(0.0)
    return stays.group_by("ring").agg(inside_share=kept.sum() / pl.col("amount").sum())


def _shared(inside: Inside) -> pl.DataFrame:
    """How many identifiers of each kind two or more members hold."""
    things = inside.held.unique(["ring", "kind", "value"])
    by_kind = [(pl.col("kind") == kind).sum().cast(pl.Int64).alias(f"shared_{kind}") for kind in SHARED_KINDS]
    return things.group_by("ring").agg(by_kind)


def _closeness(members: pl.DataFrame, projection: Projection, tables: Tables) -> pl.DataFrame:
    """How close the closest member is to a watchlist, and to somebody whom analysts found to be a fraud."""
    nodes = projection.index.nodes
    fraud = pl.Series("node", read_outcomes(tables, projection.index, "training") == 1)
    watched = measure_closeness(projection, nodes.filter(pl.col("is_watchlist"))["node"])
    guilty = measure_closeness(projection, nodes.filter(fraud)["node"])
    near = members.select("ring", "node").with_columns(
        watchlist_closeness=pl.Series(watched).gather(members["node"]),
        fraud_closeness=pl.Series(guilty).gather(members["node"]),
        is_fraud=fraud.gather(members["node"]),
    )
    return near.group_by("ring").agg(
        pl.col("watchlist_closeness", "fraud_closeness").max(),
        n_labelled_fraud=pl.col("is_fraud").sum().cast(pl.Int64),
    )


def _newness(
    members: pl.DataFrame, inside: Inside, projection: Projection, tables: Tables, new_days: float
) -> pl.DataFrame:
    """The share of the accounts of a ring, of those whose opening is known, that were new when it began."""
    opened = read_frame(tables, "accounts", ["account_id", "opened_on"]).drop_nulls()
    held = opened.join(projection.index.accounts, on="account_id").join(members, on="node")
    first = inside.transfers.group_by("ring").agg(began=pl.col("at").min().cast(pl.Datetime("us")).dt.date())
    age = (pl.col("began") - pl.col("opened_on")).dt.total_days()
    return held.join(first, on="ring").group_by("ring").agg(new_account_share=(age <= new_days).mean())
