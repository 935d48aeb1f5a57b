"""A graph that was handed in as the tables and the projection in which rings are looked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pyarrow as pa

from terag_pipelines.entities import model
from terag_pipelines.linking.model import ENTITY_MEMBERS
from terag_pipelines.rings.edge_reading import GivenGraph
from terag_pipelines.rings.nodes import NodeIndex, Tables
from terag_pipelines.rings.projection import Projection, ProjectionParams, project_entities
from terag_pipelines.rings.words import NO_TIME

LEAST_LISTED = 0.5  # of all nodes; a shorter list is one of some that somebody has something to say about


@dataclass(frozen=True)
class GraphOfEdges:
    """`projection` has transfers and plain ties in one graph; `ties`: left < right, weight, kinds, all of
    them; `hubs`: node, n_partners of whoever deals with so many that it ties nobody, the busiest first.
    """

    tables: Tables
    projection: Projection
    ties: pl.DataFrame
    hubs: pl.DataFrame


def graph_of_edges(given: GivenGraph, params: ProjectionParams) -> GraphOfEdges:
    """The graph in which communities and rings are sought; a node of the files is an entity of its own.

    A plain tie of the usual (median) weight counts as a stated relationship does, others in proportion.
    """
    tables = tables_of(given)
    projection = project_entities(tables, params)
    ties = pair_ties(given.ties, projection.index)
    transfers = projection.transfers.select("source", "target")
    ends = [transfers, ties.select(source="left", target="right")]
    partners = _count_partners(pl.concat(ends))
    hubs = partners.filter(pl.col("n_partners") > params.max_counterparties)
    hub_nodes = hubs["node"].sort()
    weighed = ties.select(
        "left", "right", weight=pl.col("weight") / pl.col("weight").median() * params.relationship_weight
    )
    edges = (
        pl.concat([projection.edges, weighed])
        .filter(~pl.any_horizontal(pl.col("left", "right").is_in(hub_nodes.implode())))
        .sort("left", "right", "weight")
        .group_by("left", "right", maintain_order=True)
        .sum()
    )
    related = ties.select("left", "right")
    whole = replace(projection, edges=edges, related=related, hubs=hub_nodes)
    named = hubs.join(projection.index.nodes.select("node", "entity_id"), on="node", maintain_order="left")
    return GraphOfEdges(tables, whole, ties, named.select(node="entity_id", n_partners="n_partners"))


def pair_ties(ties: pl.DataFrame, index: NodeIndex) -> pl.DataFrame:
    """left < right, weight and kinds of every pair that plain ties join, whichever way they point."""
    numbers = index.nodes.select("entity_id", "node")
    placed = ties.join(numbers.rename({"entity_id": "source", "node": "a"}), on="source").join(
        numbers.rename({"entity_id": "target", "node": "b"}), on="target"
    )
    pairs = placed.select(
        pl.col("weight").fill_null(1.0),
        "kind",
        left=pl.min_horizontal("a", "b"),
        right=pl.max_horizontal("a", "b"),
    ).sort("left", "right", "weight", "kind")
    return pairs.group_by("left", "right", maintain_order=True).agg(
        pl.col("weight").sum(), kinds=pl.col("kind").drop_nulls().unique().sort()
    )


def _count_partners(ends: pl.DataFrame) -> pl.DataFrame:
    both = pl.concat([ends.select(node="source", other="target"), ends.select(node="target", other="source")])
    counted = both.group_by("node").agg(n_partners=pl.col("other").n_unique())
    return counted.sort(["n_partners", "node"], descending=[True, False])


def tables_of(given: GivenGraph) -> dict[str, pa.Table]:
    """The tables that score_rings and case files read, and `entities` with the names that are known."""
    ends = [frame[side] for frame in (given.transfers, given.ties) for side in ("source", "target")]
    ids = pl.concat([*ends, given.nodes["node"]]).unique().sort()
    nodes = ids.rename("node").to_frame().join(given.nodes, on="node", how="left", maintain_order="left")
    node_ids, names = nodes["node"].to_arrow(), nodes["name"].to_arrow()
    party_type = nodes["party_type"].fill_null("unknown").to_arrow()
    no = np.zeros(len(ids), np.bool_)
    is_outside = find_outsiders(given, ids)
    return {
        "entity_records": model.ENTITY_RECORDS.from_columns(
            record_id=node_ids,
            native_id=node_ids,
            display_name=names,
            party_type=party_type,
            is_partial=is_outside.to_arrow(),
            is_watchlist=nodes["is_watchlist"].fill_null(value=False).to_arrow(),
        ),
        "accounts": model.ACCOUNTS.from_columns(
            account_id=node_ids, record_id=node_ids, opened_on=nodes["opened_on"].to_arrow(), is_outside=no
        ),
        "transfers": _transfers(given.transfers),
        "labels": _labels(given.labels),
        "entity_members": ENTITY_MEMBERS.empty(),
        "entities": pa.table({"entity_id": node_ids, "display_name": names, "party_type": party_type}),
    }


def find_outsiders(given: GivenGraph, ids: pl.Series) -> pl.Series:
    """Which nodes are known from edges alone, where the file of nodes is a list of (nearly) everybody."""
    is_listed = ids.is_in(given.nodes["node"].implode())
    return ~is_listed & bool(is_listed.sum() >= LEAST_LISTED * len(ids))


def _transfers(moved: pl.DataFrame) -> pa.Table:
    """Numbered in the order of their content, so that the order of rows says nothing."""
    return model.TRANSFERS.from_columns(
        transfer_id=[f"t{number:09d}" for number in range(1, moved.height + 1)],
        source_account=moved["source"].to_arrow(),
        target_account=moved["target"].to_arrow(),
        amount_minor=moved["amount_minor"].to_arrow(),
        currency=moved["currency"].to_arrow(),
        occurred_at=moved["at"].fill_null(NO_TIME).to_arrow(),
        channel=moved["kind"].to_arrow(),
        is_cash=np.zeros(moved.height, np.bool_),
    )


def _labels(labels: pl.DataFrame) -> pa.Table:
    n = labels.height
    return model.LABELS.from_columns(
        label_kind=["fraud"] * n,
        subject_id=labels["node"].to_arrow(),
        object_id=[""] * n,
        value=labels["is_fraud"].cast(pl.Int8).cast(pl.String).to_arrow(),
        use=["training"] * n,
    )
