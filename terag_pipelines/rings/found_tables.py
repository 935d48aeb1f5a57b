"""What the ring finder on its own hands out: who is in which community and ring, and the rings."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa

from terag_pipelines.money import Money
from terag_pipelines.rings.edge_tables import GraphOfEdges
from terag_pipelines.rings.flows import sum_flows
from terag_pipelines.tables import TableSchema, as_frame

TEXT, TEXTS = pa.string(), pa.list_(pa.string())
INSTANT = pa.timestamp("us", tz="UTC")

MEMBERSHIPS = TableSchema(
    name="memberships",
    schema=pa.schema(
        [
            ("node", TEXT),
            ("community", TEXT),  # its first node in the order of ids
            ("ring", TEXT),  # null where the node is in none
            ("role", TEXT),  # in the ring
            ("score", pa.float64()),  # 0 to 1; out of fold for a node with a label
            ("is_hub", pa.bool_()),  # deals with so many that it ties nobody together
            ("reasons", TEXTS),  # in words, the strongest first
        ]
    ),
    key=("node",),
)

RINGS = TableSchema(
    name="rings",
    schema=pa.schema(
        [
            ("ring", TEXT),  # "ring_" + 16 hex digits over the sorted members
            ("community", TEXT),
            ("kind", TEXT),  # "cycle", "fan_in", "fan_out", "dense_group" or "mixed"
            ("severity", TEXT),  # "low", "medium", "high" or "critical"
            ("risk", pa.float64()),  # mean score of the members, 0 to 1; no probability
            ("is_supervised", pa.bool_()),  # scores come from a model that labels trained
            ("n_members", pa.int64()),
            ("members", TEXTS),
            ("n_watchlist", pa.int64()),
            ("n_ties", pa.int64()),  # pairs of members that are tied, by transfers or otherwise
            ("density", pa.float64()),  # of all pairs of members
            ("n_transfers", pa.int64()),  # between members
            ("amount", pa.decimal128(28, 4)),  # of these, in `currency`
            ("currency", TEXT),  # "units" where the file has none; null without transfers
            (
                "inside_share",
                pa.float64(),
            ),  # of what members pay, what goes to members; null without transfers
            ("first_at", INSTANT),
            ("last_at", INSTANT),
            ("reasons", TEXTS),
        ]
    ),
    key=("ring",),
)


def memberships_table(ring_scores: pa.Table, ring_members: pa.Table, hubs: pl.DataFrame) -> pa.Table:
    """MEMBERSHIPS out of RING_SCORES and RING_MEMBERS."""
    scores = as_frame(ring_scores, ["entity_id", "community_id", "score", "reasons"])
    members = as_frame(ring_members, ["entity_id", "ring_id", "role"])
    joined = scores.join(members, on="entity_id", how="left", maintain_order="left")
    return MEMBERSHIPS.from_columns(
        node=joined["entity_id"].to_arrow(),
        community=joined["community_id"].to_arrow(),
        ring=joined["ring_id"].to_arrow(),
        role=joined["role"].to_arrow(),
        score=joined["score"].to_arrow(),
        is_hub=joined["entity_id"].is_in(hubs["node"].implode()).to_arrow(),
        reasons=joined["reasons"].to_arrow(),
    )


def rings_table(
    fraud_rings: pa.Table, ring_members: pa.Table, graph: GraphOfEdges, is_supervised: bool
) -> pa.Table:
    """RINGS out of FRAUD_RINGS, RING_MEMBERS and the graph."""
    rings = as_frame(fraud_rings).join(_shape_of(ring_members, graph), on="ring_id", maintain_order="left")
    columns: dict[str, Any] = {
        "ring": "ring_id",
        "community": "community_id",
        "risk": "risk_score",
        **{name: name for name in RINGS.schema.names if name in rings.columns},
    }
    return RINGS.from_columns(
        **{name: rings[column].to_arrow() for name, column in columns.items()},
        is_supervised=[is_supervised] * rings.height,
        amount=[_amount(row) for row in rings.select("n_transfers", "amount_minor", "currency").to_dicts()],
    )


def _amount(ring: Mapping[str, Any]) -> Decimal | None:
    if not ring["n_transfers"]:
        return None
    return Money(ring["amount_minor"], ring["currency"] or "").as_decimal()


def _shape_of(ring_members: pa.Table, graph: GraphOfEdges) -> pl.DataFrame:
    """ring_id, members, n_ties, density, inside_share of each ring."""
    numbers = graph.projection.index.nodes.select("entity_id", "node")
    members = as_frame(ring_members, ["ring_id", "entity_id"]).join(numbers, on="entity_id")
    place = members.select("ring_id", "node")
    ties = graph.projection.edges.join(place.rename({"node": "left"}), on="left").join(
        place.rename({"node": "right"}), on=["right", "ring_id"]
    )
    flows = sum_flows(graph.projection.transfers).select("source", "target", "amount")
    paid = flows.join(place.rename({"node": "source"}), on="source").sort("ring_id", "source", "target")
    kept = paid.join(place.rename({"node": "target"}), on=["target", "ring_id"], maintain_order="left")
    shape = members.sort("ring_id", "entity_id").group_by("ring_id", maintain_order=True)
    parts = (
        ties.group_by("ring_id").agg(n_ties=pl.len().cast(pl.Int64)),
        paid.group_by("ring_id", maintain_order=True).agg(paid=pl.col("amount").sum()),
        kept.group_by("ring_id", maintain_order=True).agg(kept=pl.col("amount").sum()),
    )
    joined = shape.agg(members="entity_id", n=pl.len())
    for part in parts:
        joined = joined.join(part, on="ring_id", how="left", maintain_order="left")
    return joined.select(
        "ring_id",
        "members",
        pl.col("n_ties").fill_null(0),
        density=pl.col("n_ties").fill_null(0) / (pl.col("n") * (pl.col("n") - 1) / 2),
        inside_share=pl.col("kept").fill_null(0.0) / pl.col("paid"),
    )
