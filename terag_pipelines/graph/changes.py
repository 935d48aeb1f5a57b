"""What a load changes of the one before it (ADR 0007), and what a load holds, as tables that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from terag_pipelines.graph.load_plan import LoadPlan, sum_rows
from terag_pipelines.graph.model import EDGES, NODES, OPEN_END, ContentSum, EdgeSpec, NodeSpec


@dataclass(frozen=True)
class LoadManifest:
    """What a load holds, without its properties.

    `nodes` by label: id column, row_hash, valid_from. `edges` by type: start_id, end_id, identity columns,
    row_hash.
    """

    nodes: Mapping[str, pa.Table]
    edges: Mapping[str, pa.Table]

    def tables(self) -> dict[str, pa.Table]:
        """All of them by label or type."""
        return {**self.nodes, **self.edges}

    def sums(self) -> dict[str, ContentSum]:
        """Count and hash sum by label and type."""
        return {name: sum_rows(table) for name, table in self.tables().items()}


@dataclass(frozen=True)
class GraphChange:
    """The rows that a load ends and those that it writes, and the manifest of what it then holds.

    `ended_nodes`: key. `ended_edges`: start_key, end_key, identity columns. `new_nodes`: key, then the plan's
    columns. `new_edges`: start_key, end_key, then the plan's columns behind the ends. With `ends_all` what is
    open in the store ends, whatever it is.
    """

    number: int
    ended_nodes: Mapping[str, pa.Table]
    ended_edges: Mapping[str, pa.Table]
    new_nodes: Mapping[str, pa.Table]
    new_edges: Mapping[str, pa.Table]
    manifest: LoadManifest
    ends_all: bool = False

    @property
    def n_rows(self) -> int:
        """Rows that travel."""
        parts = (self.ended_nodes, self.ended_edges, self.new_nodes, self.new_edges)
        return sum(table.num_rows for part in parts for table in part.values())


def find_change(plan: LoadPlan, base: LoadManifest | None, number: int) -> GraphChange:
    """What load `number` has to change for the store to hold the plan, where it holds `base` now.

    Without a base everything is ended and written. A relationship is new where its row is, or the row of one
    of its ends; rows are the same where their 63-bit hashes are. The same for rows in any order.
    """
    before = base or _empty_manifest()
    nodes = {spec: _NodeChange.of(spec, plan, before, number) for spec in NODES}
    edges = {spec: _EdgeChange.of(spec, plan, before, nodes) for spec in EDGES}
    manifest = LoadManifest(
        {spec.label: change.held.to_arrow() for spec, change in nodes.items()},
        {spec.type: change.held.to_arrow() for spec, change in edges.items()},
    )
    return GraphChange(
        number,
        {spec.label: change.ended.to_arrow() for spec, change in nodes.items()},
        {spec.type: change.ended.to_arrow() for spec, change in edges.items()},
        {spec.label: change.new.to_arrow() for spec, change in nodes.items()},
        {spec.type: change.new.to_arrow() for spec, change in edges.items()},
        manifest,
        ends_all=base is None,
    )


def sample_content(plan: LoadPlan, manifest: LoadManifest, n_rows: int) -> dict[str, pa.Table]:
    """Up to `n_rows` rows of each label and type of a load with all that is stored of them: the least hashes.

    Nodes: key, then the plan's columns; relationships: start_key, end_key, then the columns behind the ends.
    """
    keys = {spec: _frame(manifest.nodes[spec.label]) for spec in NODES}
    sample = {}
    for spec in NODES:
        rows = _least(plan.nodes[spec.label], n_rows)
        keyed = rows.join(keys[spec], on=[spec.id_column, "row_hash"]).select(
            _key(spec.id_column, pl.col("valid_from")).alias("key"), *rows.columns
        )
        sample[spec.label] = keyed.to_arrow()
    for kind in EDGES:
        rows = _least(plan.edges[kind.type], n_rows)
        keyed = _with_keys(rows, kind, keys[kind.start], keys[kind.end])
        sample[kind.type] = keyed.select("start_key", "end_key", *rows.columns[2:]).to_arrow()
    return sample


def with_interval(table: pa.Table, number: int) -> pa.Table:
    """Rows that came with load `number` and have not ended: with valid_from and valid_to, int64, behind."""
    for name, value in (("valid_from", number), ("valid_to", OPEN_END)):
        table = table.append_column(name, pa.repeat(pa.scalar(value, pa.int64()), table.num_rows))
    return table


@dataclass(frozen=True)
class _NodeChange:
    """`before` and `held`: id, row_hash, valid_from; `ended`: key; `new`: key and columns; `anew`: ids."""

    before: pl.DataFrame
    held: pl.DataFrame
    ended: pl.DataFrame
    new: pl.DataFrame
    anew: pl.Series

    @classmethod
    def of(cls, spec: NodeSpec, plan: LoadPlan, base: LoadManifest, number: int) -> _NodeChange:
        before, rows = _frame(base.nodes[spec.label]), _frame(plan.nodes[spec.label])
        same = [spec.id_column, "row_hash"]
        kept = before.join(rows, on=same, how="semi")
        ended = before.join(rows, on=same, how="anti")
        new = rows.join(before, on=same, how="anti", maintain_order="left")
        fresh = new.select(*same, valid_from=pl.lit(number, pl.Int64))
        keyed = new.select(_key(spec.id_column, pl.lit(number)).alias("key"), *rows.columns)
        return cls(
            before,
            pl.concat([kept, fresh]).sort(spec.id_column),
            ended.select(_key(spec.id_column, pl.col("valid_from")).alias("key")),
            keyed,
            pl.concat([ended[spec.id_column], new[spec.id_column]]),
        )


@dataclass(frozen=True)
class _EdgeChange:
    """`held`: ends, identity, row_hash; `ended`: keys and identity; `new`: keys and columns."""

    held: pl.DataFrame
    ended: pl.DataFrame
    new: pl.DataFrame

    @classmethod
    def of(
        cls, spec: EdgeSpec, plan: LoadPlan, base: LoadManifest, nodes: Mapping[NodeSpec, _NodeChange]
    ) -> _EdgeChange:
        before, rows = _frame(base.edges[spec.type]), _frame(plan.edges[spec.type])
        starts, ends = nodes[spec.start], nodes[spec.end]
        ended = _without(before, rows, starts, ends)
        new = _without(rows, before, starts, ends)
        named = ["start_key", "end_key"]
        return cls(
            rows.select(before.columns),
            _with_keys(ended, spec, starts.before, ends.before).select(*named, *spec.identity),
            _with_keys(new, spec, starts.held, ends.held).select(*named, *rows.columns[2:]),
        )


def _without(
    rows: pl.DataFrame, others: pl.DataFrame, starts: _NodeChange, ends: _NodeChange
) -> pl.DataFrame:
    """The relationships that the others do not have, or that stand on a node which is written anew."""
    is_there = rows["row_hash"].is_in(others["row_hash"].implode())
    moved = rows["start_id"].is_in(starts.anew.implode()) | rows["end_id"].is_in(ends.anew.implode())
    return rows.filter(~is_there | moved)


def _with_keys(edges: pl.DataFrame, spec: EdgeSpec, starts: pl.DataFrame, ends: pl.DataFrame) -> pl.DataFrame:
    for side, node, held in (("start", spec.start, starts), ("end", spec.end, ends)):
        of_node = held.select(
            pl.col(node.id_column).alias(f"{side}_id"),
            _key(node.id_column, pl.col("valid_from")).alias(f"{side}_key"),
        )
        edges = edges.join(of_node, on=f"{side}_id", how="left", maintain_order="left")
    return edges


def _least(table: pa.Table, n_rows: int) -> pl.DataFrame:
    return _frame(table).bottom_k(n_rows, by="row_hash")


def _key(id_column: str, valid_from: pl.Expr) -> pl.Expr:
    return pl.concat_str([valid_from.cast(pl.String), pl.lit(":"), pl.col(id_column)])


def _empty_manifest() -> LoadManifest:
    numbers = [("row_hash", pa.int64()), ("valid_from", pa.int64())]
    nodes = {spec.label: pa.schema([(spec.id_column, pa.string()), *numbers]) for spec in NODES}
    edges = {spec.type: pa.schema([(name, pa.string()) for name in spec.key] + numbers[:1]) for spec in EDGES}
    return LoadManifest(
        {label: schema.empty_table() for label, schema in nodes.items()},
        {kind: schema.empty_table() for kind, schema in edges.items()},
    )


def _frame(table: pa.Table) -> pl.DataFrame:
    frame: Any = pl.from_arrow(table)
    return frame  # type: ignore[no-any-return]
