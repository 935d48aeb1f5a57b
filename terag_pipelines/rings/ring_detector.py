"""The ring finder on its own: edges in, communities and rings out, without a store or an orchestrator.

    from terag_pipelines.rings.ring_detector import FraudRingDetector
    found = FraudRingDetector().find(edges)
    found.rings

A table is anything that hands out Arrow (pyarrow, pandas, polars, DuckDB results), with a column for either
end of an edge, and where they are known with amount, currency, time, weight and kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.linking.auto_linker import ArrowTable, as_raw
from terag_pipelines.rings.dense_groups import DenseGroups, find_dense_groups
from terag_pipelines.rings.detection import RingDetection, score_projection
from terag_pipelines.rings.edge_reading import GivenFile, GivenGraph, check_graph, read_graph
from terag_pipelines.rings.edge_tables import graph_of_edges
from terag_pipelines.rings.findings import DetectorParams, Findings
from terag_pipelines.rings.found_pages import render_found
from terag_pipelines.rings.naming import NamedRings, name_projected
from terag_pipelines.rings.words import NO_TIME
from terag_pipelines.tables import as_frame


@dataclass(frozen=True)
class FoundRings(Findings):
    """Findings, and the page that shows them."""

    def report_html(self) -> str:
        """One page that needs nothing but itself and prints on A4; it shows ids and names."""
        return render_found(self)


@dataclass(frozen=True)
class FraudRingDetector:
    """Finds communities and rings in a list of edges; it tells itself what the columns are.

    The same edges in any order give the same result, in any process.
    """

    params: DetectorParams = field(default_factory=DetectorParams)

    def find(
        self,
        edges: pa.Table | ArrowTable,
        nodes: pa.Table | ArrowTable | None = None,
        labels: pa.Table | ArrowTable | None = None,
    ) -> FoundRings:
        """The communities and rings of a table of edges. `nodes` add names, kinds, dates and watchlists,
        `labels` say who is known to be fraud and who is not.

        Raises: RingError where no edge can be used, and what `read` raises.
        """
        given = {"edges": edges, "nodes": nodes, "labels": labels}
        files = {
            name: None if table is None else GivenFile(name, as_raw(table, name))
            for name, table in given.items()
        }
        return self.find_in(self.read(cast(GivenFile, files["edges"]), files["nodes"], files["labels"]))

    def read(
        self, edges: GivenFile, nodes: GivenFile | None = None, labels: GivenFile | None = None
    ) -> GivenGraph:
        """What can be used of files, and what is in quarantine.

        Raises: MissingColumnError, ConfigurationError and RingError, as `read_graph` does.
        """
        return read_graph(edges, nodes, labels, self.params.edges)

    def find_in(self, given: GivenGraph) -> FoundRings:
        """The communities and rings of edges that were read. Raises: RingError where there are none."""
        check_graph(given)
        params = self.params
        graph = graph_of_edges(given, params.rings.projection)
        detection = score_projection(graph.tables, graph.projection, params.rings)
        membership = detection.communities.membership
        dense = find_dense_groups(membership, graph.projection.edges, params.dense)
        scores = lift_scores(detection, dense)
        scores = scores if given.has_times else _without_speed(scores)
        named = name_projected(scores, graph.projection, None, params.naming)
        named = replace(named, rings=_tell_dense_groups(named, dense, detection, given.has_times))
        return FoundRings(given, graph, detection, dense, scores, named, params)


def lift_scores(detection: RingDetection, dense: DenseGroups) -> pa.Table:
    """RING_SCORES in which members of dense groups have at least the score of these, and say so.

    Scores of a model stay: it has seen how dense communities are.
    """
    scores = as_frame(detection.scores)
    told = dense.table.select(
        "group",
        told=pl.format(
            "one of {} of whom {}% of the pairs are tied, where {}% are usual",
            "n_members",
            *((pl.col(name) * 100).round().cast(pl.Int64) for name in ("density", "usual_density")),
        ),
    )
    groups = pl.DataFrame(
        {"group": dense.group, "lift": dense.node_scores()}, schema_overrides={"group": pl.Int64}
    )
    joined = scores.with_columns(groups.join(told, on="group", how="left", maintain_order="left"))
    is_told = pl.col("told").is_not_null()
    lifted = pl.max_horizontal("score", "lift")
    reasons = pl.when(is_told).then(pl.concat_list("told", "reasons")).otherwise(pl.col("reasons"))
    joined = joined.with_columns(
        score=pl.when(pl.col("is_supervised")).then("score").otherwise(lifted),
        anomaly_score=pl.max_horizontal("anomaly_score", "lift"),
        reasons=reasons,
    )
    return joined.select(scores.columns).to_arrow().cast(detection.scores.schema)


def _tell_dense_groups(
    named: NamedRings, dense: DenseGroups, detection: RingDetection, has_times: bool
) -> pa.Table:
    """FRAUD_RINGS in which rings that nothing but their ties bind are dense groups, with the reason first."""
    rings = as_frame(named.rings)
    members = as_frame(named.members, ["ring_id", "entity_id"])
    groups = detection.index.nodes.select("entity_id", group=pl.Series(dense.group, dtype=pl.Int64))
    told = (
        members.join(groups.filter(pl.col("group") >= 0), on="entity_id")
        .group_by("ring_id", "group")
        .agg(n=pl.len())
        .join(dense.table, on="group")
        .sort("ring_id", "n", "group", descending=[False, True, False])
        .unique("ring_id", keep="first", maintain_order=True)
        .select(
            "ring_id",
            told=pl.format(
                "{}% of the pairs of {} members are tied, where {}% are usual",
                (pl.col("density") * 100).round().cast(pl.Int64),
                "n_members",
                (pl.col("usual_density") * 100).round().cast(pl.Int64),
            ),
        )
    )
    joined = rings.join(told, on="ring_id", how="left", maintain_order="left")
    is_dense = pl.col("told").is_not_null()
    joined = joined.with_columns(
        kind=pl.when(is_dense & (pl.col("kind") == "mixed")).then(pl.lit("dense_group")).otherwise("kind"),
        reasons=pl.when(is_dense).then(pl.concat_list("told", "reasons")).otherwise(pl.col("reasons")),
    )
    table = joined.select(rings.columns).to_arrow().cast(named.rings.schema)
    return table if has_times else _without_times(table)


def _without_speed(table: pa.Table) -> pa.Table:
    """Reasons without words that tell how fast money moved, where nobody knows."""
    quick = re.compile(r" within days| at once| on one day|(?<=who )just ")
    reasons = [[quick.sub("", reason) for reason in row] for row in table["reasons"].to_pylist()]
    at = table.column_names.index("reasons")
    return table.set_column(at, table.schema.field(at), pa.array(reasons, table.schema.field(at).type))


def _without_times(rings: pa.Table) -> pa.Table:
    for name in ("first_at", "last_at"):
        at = rings.column_names.index(name)
        moment = pc.if_else(
            pc.equal(rings[name], pa.scalar(NO_TIME, rings.schema.field(at).type)), None, rings[name]
        )
        rings = rings.set_column(at, rings.schema.field(at), moment)
    return _without_speed(rings)
