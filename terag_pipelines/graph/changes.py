"""What a load changes of the one before it (ADR 0007), and what a load holds, as tables that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.graph.load_plan import N_THREADS, LoadPlan, sum_rows
from terag_pipelines.graph.model import EDGES, ENDS, NODES, OPEN_END, ROW, ContentSum, EdgeSpec, NodeSpec
from terag_pipelines.tables import as_frame

Mask = npt.NDArray[np.bool_]
KEYS = ("start_key", "end_key")


@dataclass(frozen=True)
class LoadManifest:
    """What a load holds, without its properties.

    `nodes` by label: id column, row_hash, valid_from. `edges` by type: start_row and end_row (of these
    nodes), identity columns, row_hash.
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
    """The rows that a load ends, those that it writes, and the manifest of what it then holds.

    `ended_nodes`: key. `ended_edges`: start_key, end_key, identity columns. `new_nodes` and `updated_nodes`:
    key, then the plan's columns. `new_edges` and `updated_edges`: start_key, end_key, then the plan's columns
    behind the ends. With `ends_all` what is open in the store ends, whatever it is.
    """

    number: int
    ended_nodes: Mapping[str, pa.Table]
    ended_edges: Mapping[str, pa.Table]
    updated_nodes: Mapping[str, pa.Table]
    updated_edges: Mapping[str, pa.Table]
    new_nodes: Mapping[str, pa.Table]
    new_edges: Mapping[str, pa.Table]
    manifest: LoadManifest
    ends_all: bool = False

    @property
    def n_ended(self) -> int:
        """Nodes and relationships of the load before that are not part of this one."""
        return _n_rows(self.ended_nodes, self.ended_edges)

    @property
    def n_updated(self) -> int:
        """Nodes and relationships that are given other properties."""
        return _n_rows(self.updated_nodes, self.updated_edges)

    @property
    def n_rows(self) -> int:
        """Rows that travel."""
        return self.n_ended + self.n_updated + _n_rows(self.new_nodes, self.new_edges)


@dataclass(frozen=True)
class WholeGraph:
    """All that a store which holds nothing is given, ready to be written.

    `nodes`: key, row_hash, valid_from, valid_to, then the plan's columns; `edges`: start_row, end_row (of
    these nodes), row_hash, valid_from, valid_to, then the plan's columns. What each query asks for comes
    first: the store reads properties from the first one on.
    """

    number: int
    nodes: Mapping[str, pa.Table]
    edges: Mapping[str, pa.Table]
    manifest: LoadManifest


def whole_graph(plan: LoadPlan, number: int) -> WholeGraph:
    """The plan as load `number` of an empty store."""
    nodes = {spec.label: _with_interval(plan.nodes[spec.label], ("key",), number, spec) for spec in NODES}
    edges = {spec.type: _with_interval(plan.edges[spec.type], ENDS, number) for spec in EDGES}
    held = {spec.label: nodes[spec.label].select(_held_schema(spec).names) for spec in NODES}
    return WholeGraph(number, nodes, edges, LoadManifest(held, _held_edges(plan)))


def find_change(
    plan: LoadPlan, base: LoadManifest | None, number: int, *, in_place: bool = False
) -> GraphChange:
    """What load `number` has to change for the store to hold the plan, where it holds `base` now.

    Without a base everything is ended and written. A relationship is new where its row is, or the node of one
    of its ends; rows are the same where their 63-bit hashes are. The same for rows in any order.
    `in_place`: the base is not kept, so a row of which only properties differ is updated.
    """
    before = base or empty_manifest()
    nodes = {spec: _NodeChange.of(spec, plan, before, number, in_place) for spec in NODES}
    edges = {spec: _EdgeChange.of(spec, plan, before, nodes, in_place) for spec in EDGES}
    held = {spec.label: change.held.to_arrow().cast(_held_schema(spec)) for spec, change in nodes.items()}
    return GraphChange(
        number,
        {spec.label: change.ended.to_arrow() for spec, change in nodes.items()},
        {spec.type: change.ended.to_arrow() for spec, change in edges.items()},
        {spec.label: change.updated.to_arrow() for spec, change in nodes.items()},
        {spec.type: change.updated.to_arrow() for spec, change in edges.items()},
        {spec.label: change.new.to_arrow() for spec, change in nodes.items()},
        {spec.type: change.new.to_arrow() for spec, change in edges.items()},
        LoadManifest(held, _held_edges(plan)),
        ends_all=base is None,
    )


def sample_content(plan: LoadPlan, manifest: LoadManifest, n_rows: int) -> dict[str, pa.Table]:
    """Up to `n_rows` rows of each label and type of a load with all that is stored of them: the least hashes.

    Nodes: key, then the plan's columns; relationships: start_key, end_key, then the columns behind the ends.
    """
    keys = {spec: _keys(as_frame(manifest.nodes[spec.label]), spec) for spec in NODES}
    sample = {}
    for spec in NODES:
        at = _least(plan.nodes[spec.label], n_rows)
        rows = as_frame(plan.nodes[spec.label].take(at))
        sample[spec.label] = rows.select(keys[spec][at].alias("key"), pl.all()).to_arrow()
    for kind in EDGES:
        rows = as_frame(plan.edges[kind.type].take(_least(plan.edges[kind.type], n_rows)))
        sample[kind.type] = _with_keys(rows, keys[kind.start], keys[kind.end]).to_arrow()
    return sample


@dataclass(frozen=True)
class _NodeChange:
    """`held`: id, row_hash, valid_from; `ended`: key; `updated` and `new`: key and columns.

    `is_gone` and `is_new` by row of the base and of the plan: relationships go, and come, with such a node.
    """

    held: pl.DataFrame
    ended: pl.DataFrame
    updated: pl.DataFrame
    new: pl.DataFrame
    keys_before: pl.Series
    keys: pl.Series
    is_gone: Mask
    is_new: Mask

    @classmethod
    def of(
        cls, spec: NodeSpec, plan: LoadPlan, base: LoadManifest, number: int, in_place: bool
    ) -> _NodeChange:
        before, rows = as_frame(base.nodes[spec.label]), as_frame(plan.nodes[spec.label])
        known = before.select(spec.id_column, hash_before="row_hash", came="valid_from")
        beside = rows.select(spec.id_column, "row_hash").join(
            known, on=spec.id_column, how="left", maintain_order="left"
        )
        is_same = beside["row_hash"].eq_missing(beside["hash_before"])
        stays = beside["came"].is_not_null() if in_place else is_same
        came = pl.when(stays).then(pl.col("came")).otherwise(pl.lit(number, pl.Int64)).alias("valid_from")
        held = beside.with_columns(came).select(before.columns)
        keys, keys_before = _keys(held, spec), _keys(before, spec)
        gone = ~before[spec.id_column].is_in(held.filter(stays)[spec.id_column].implode())
        keyed = rows.select(keys.alias("key"), pl.all())
        return cls(
            held,
            keys_before.filter(gone).to_frame("key"),
            keyed.filter(stays & ~is_same),
            keyed.filter(~stays),
            keys_before,
            keys,
            gone.to_numpy(),
            (~stays).to_numpy(),
        )


@dataclass(frozen=True)
class _EdgeChange:
    """`ended`: keys and identity; `updated` and `new`: keys and columns."""

    ended: pl.DataFrame
    updated: pl.DataFrame
    new: pl.DataFrame

    @classmethod
    def of(
        cls,
        spec: EdgeSpec,
        plan: LoadPlan,
        base: LoadManifest,
        nodes: Mapping[NodeSpec, _NodeChange],
        in_place: bool,
    ) -> _EdgeChange:
        before, rows = as_frame(base.edges[spec.type]), as_frame(plan.edges[spec.type])
        start, end = nodes[spec.start], nodes[spec.end]
        with ThreadPoolExecutor(N_THREADS) as pool:
            gone = pool.submit(_changed, before, rows, start.is_gone, end.is_gone)
            come = pool.submit(_changed, rows, before, start.is_new, end.is_new)
        key = [*KEYS, *spec.identity]
        ended = _with_keys(before.filter(gone.result()), start.keys_before, end.keys_before).select(key)
        new = _with_keys(rows.filter(come.result()), start.keys, end.keys)
        if not in_place:
            return cls(ended, new.clear(), new)
        updated = new.join(ended, on=key, how="semi", maintain_order="left")
        return cls(
            ended.join(updated, on=key, how="anti", maintain_order="left"),
            updated,
            new.join(updated, on=key, how="anti", maintain_order="left"),
        )


def _changed(rows: pl.DataFrame, others: pl.DataFrame, start_moves: Mask, end_moves: Mask) -> pl.Series:
    """Which relationships the others do not have, or stand on a node that goes or comes."""
    is_there = rows["row_hash"].is_in(others["row_hash"].implode()).to_numpy()
    start, end = (rows[name].to_numpy() for name in ENDS)
    return pl.Series(~is_there | start_moves[start] | end_moves[end])


def _with_keys(edges: pl.DataFrame, start_keys: pl.Series, end_keys: pl.Series) -> pl.DataFrame:
    """The relationships with the keys of their ends instead of rows."""
    start, end = (
        keys[edges[name]].alias(key)
        for keys, name, key in zip((start_keys, end_keys), ENDS, KEYS, strict=True)
    )
    return edges.select(start, end, pl.exclude(ENDS))


def _keys(held: pl.DataFrame, spec: NodeSpec) -> pl.Series:
    """The keys of the nodes of a manifest."""
    parts = [pl.col("valid_from").cast(pl.String), pl.lit(":"), pl.col(spec.id_column)]
    return held.select(pl.concat_str(parts).alias("key"))["key"]


def _least(table: pa.Table, n_rows: int) -> npt.NDArray[np.int64]:
    """The places of the rows with the least hashes."""
    hashes = table["row_hash"].to_numpy()
    n_rows = min(n_rows, len(hashes))
    return np.sort(np.argpartition(hashes, n_rows - 1)[:n_rows]) if n_rows else np.empty(0, np.int64)


def _with_interval(
    table: pa.Table, ends: tuple[str, ...], number: int, node: NodeSpec | None = None
) -> pa.Table:
    """Rows that came with load `number`: key or ends, hash and interval first."""
    values = {"valid_from": number, "valid_to": OPEN_END}
    for name, value in values.items():
        table = table.append_column(name, pa.repeat(pa.scalar(value, pa.int64()), table.num_rows))
    if node is not None:
        table = table.append_column("key", _keys(as_frame(table), node).to_arrow().cast(pa.string()))
    first = (*ends, "row_hash", *values)
    return table.select([*first, *(name for name in table.column_names if name not in first)])


def _held_edges(plan: LoadPlan) -> dict[str, pa.Table]:
    return {spec.type: plan.edges[spec.type].select([*spec.key, "row_hash"]) for spec in EDGES}


def _held_schema(spec: NodeSpec) -> pa.Schema:
    return pa.schema([(spec.id_column, pa.string()), ("row_hash", pa.int64()), ("valid_from", pa.int64())])


def empty_manifest() -> LoadManifest:
    """That of a store which holds nothing: its tables have the schemas of every manifest."""
    of_edge = {
        spec: [*((end, ROW) for end in ENDS), *((name, pa.string()) for name in spec.identity)]
        for spec in EDGES
    }
    return LoadManifest(
        {spec.label: _held_schema(spec).empty_table() for spec in NODES},
        {spec.type: pa.schema([*of_edge[spec], ("row_hash", pa.int64())]).empty_table() for spec in EDGES},
    )


def _n_rows(*parts: Mapping[str, pa.Table]) -> int:
    return sum(table.num_rows for part in parts for table in part.values())
