"""What a batch looks like as a graph: node and relationship tables made of the lake's tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.model import ACCOUNTS, ENTITY_RECORDS, RELATIONSHIPS, TRANSFERS
from terag_pipelines.entities.validity import interval_of, part_by_time
from terag_pipelines.graph import model
from terag_pipelines.graph.model import (
    ENDS,
    GRAPH_LOAD,
    NODES,
    ContentSum,
    EdgeSpec,
    NodeSpec,
    digest_of,
)
from terag_pipelines.graph.row_hashes import MOST, code_values, combine, hash_rows
from terag_pipelines.linking.model import ENTITIES, ENTITY_MEMBERS, LINKS
from terag_pipelines.tables import TableSchema

ROW_HASH = "row_hash"
MAX_ROW = (1 << 31) - 1
N_THREADS = 2
Counts = dict[str, int]
NO_CURRENCY = "XXX"
"""ISO 4217's code for "no currency": a relationship's identity has no nulls."""

_INPUTS = {
    schema.name: schema
    for schema in (ENTITIES, ENTITY_MEMBERS, LINKS, ENTITY_RECORDS, ACCOUNTS, TRANSFERS, RELATIONSHIPS)
}
MAX_TEXT = 1_000
"""Characters of an id or text in the graph: an index takes no more than 8 kB, and refuses the whole batch."""


@dataclass(frozen=True)
class LoadPlanParams:
    """How identifiers become nodes.

    `identifier_key` keys the hash that stands for a raw phone, e-mail, IIN, ... in the graph: give a secret
    of the installation (up to 64 bytes), since an unkeyed hash of a phone number is found by trying all of
    them. Raises nothing. `max_identifier_degree`: an identifier of more entities than this (a call centre's
    phone, a default value) ties nobody together and is left out.
    """

    identifier_key: bytes = b""
    max_identifier_degree: int = 50


@dataclass(frozen=True)
class LoadPlan:
    """All nodes by label and relationships by type of one batch; tables end with `row_hash` (63-bit, int64).

    Nodes are sorted by id, and relationships name their ends by the rows of their nodes (`start_row`,
    `end_row`). `left_out` counts rows that the graph does not take, by reason.
    """

    batch_id: str
    nodes: Mapping[str, pa.Table]
    edges: Mapping[str, pa.Table]
    left_out: Mapping[str, int]

    def sums(self) -> dict[str, ContentSum]:
        """Count and hash sum by label and relationship type."""
        return {name: sum_rows(table) for name, table in {**self.nodes, **self.edges}.items()}

    def counts(self) -> dict[str, int]:
        """Rows by label and relationship type."""
        return {name: table.num_rows for name, table in {**self.nodes, **self.edges}.items()}

    @property
    def n_rows(self) -> int:
        """Nodes and relationships in all."""
        return sum(self.counts().values())

    def end_ids(self, spec: EdgeSpec) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """The ids of both ends of each relationship of a type."""
        edges = self.edges[spec.type]
        start, end = (
            self.nodes[node.label][node.id_column].take(edges[name])
            for name, node in zip(ENDS, (spec.start, spec.end), strict=True)
        )
        return start, end

    def digest(self) -> str:
        """The digest that a store which holds exactly this plan computes for it."""
        return digest_of(self.sums())

    def summary(self) -> pa.Table:
        """The plan as GRAPH_LOAD: counts and hash sums, and what was left out."""
        sums = self.sums()
        rows = [("node", label, sums[label]) for label in self.nodes]
        rows += [("relationship", kind, sums[kind]) for kind in self.edges]
        found = [(element, name, total.n_rows, str(total.row_hash_sum)) for element, name, total in rows]
        columns = zip(*found, *[("left_out", why, n, None) for why, n in self.left_out.items()], strict=True)
        return GRAPH_LOAD.from_columns(**dict(zip(GRAPH_LOAD.schema.names, columns, strict=True)))


def build_load_plan(
    batch_id: str, tables: Mapping[str, pa.Table], params: LoadPlanParams | None = None
) -> LoadPlan:
    """The plan of one batch: entities and their members, links, records, accounts, transfers, relationships.

    A table that is missing counts as empty. Rows whose ends are not in the batch are left out and counted.
    The plan is the same for the same content in any row order. Transfers become one relationship per ordered
    pair of accounts and currency; only identifiers of two or more entities become nodes. Texts are cut at
    MAX_TEXT characters; nodes with a longer id, and transfers whose sum takes more than 64 bits, are left out
    and counted.
    """
    frames = _Frames.of(tables)
    identifiers = _identifiers(frames, params or LoadPlanParams())
    left_out = dict(identifiers.left_out)
    nodes = {
        spec: _node_table(spec, _with_short_texts(frame, spec, left_out))
        for spec, frame in _nodes(frames, identifiers.edges).items()
    }
    edges = {}
    for spec, (table, reasons) in _edge_tables(_edges(frames, identifiers.edges), nodes).items():
        edges[spec] = table
        left_out |= reasons
    return LoadPlan(
        batch_id,
        {spec.label: table for spec, table in nodes.items()},
        {spec.type: table for spec, table in edges.items()},
        left_out,
    )


@dataclass(frozen=True)
class _Frames:
    entities: pl.DataFrame
    members: pl.DataFrame
    links: pl.DataFrame
    records: pl.DataFrame
    accounts: pl.DataFrame
    transfers: pl.DataFrame
    relationships: pl.DataFrame

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table]) -> _Frames:
        return cls(*(_frame(tables, schema) for schema in _INPUTS.values()))

    def entity_of(self, frame: pl.DataFrame, record: str, entity: str) -> pl.DataFrame:
        """The frame with the entity that a record column resolves to; null for unresolved records."""
        of_record = self.members.select(pl.col("record_id").alias(record), pl.col("entity_id").alias(entity))
        return frame.join(of_record, on=record, how="left")

    def account_holders(self) -> pl.DataFrame:
        held = self.accounts.filter(pl.col("record_id").is_not_null())
        return self.entity_of(held, "record_id", "entity_id").select("account_id", "entity_id")

    def related(self, of_records: bool) -> pl.DataFrame:
        """Relationships with the entity of their subject; those with records as object, or all others."""
        chosen = self.relationships.filter((pl.col("object_kind") == "record") == of_records)
        return self.entity_of(chosen, "record_id", "entity_id")


def _frame(tables: Mapping[str, pa.Table], schema: TableSchema) -> pl.DataFrame:
    table = tables.get(schema.name)
    return _as_frame(schema.empty() if table is None else table.select(schema.schema.names))


# --- nodes


def _nodes(frames: _Frames, identifier_edges: pl.DataFrame) -> dict[NodeSpec, pl.DataFrame]:
    identifiers = identifier_edges.select(pl.col("end_id").alias("identifier_id"), "kind").unique()
    frame_of = {
        model.ENTITY: frames.entities,
        model.RECORD: frames.records,
        model.ACCOUNT: frames.accounts,
        model.DEVICE: _device_uses(frames).select(pl.col("end_id").alias("device_id")).unique(),
        model.IDENTIFIER: identifiers,
    }
    return {spec: frame_of[spec].select(spec.schema.names) for spec in NODES}


def _with_short_texts(frame: pl.DataFrame, spec: NodeSpec, left_out: Counts) -> pl.DataFrame:
    kept = frame.filter(pl.col(spec.id_column).str.len_chars() <= MAX_TEXT)
    if n_long := frame.height - kept.height:
        left_out[f"{spec.label} with an id of more than {MAX_TEXT} characters"] = n_long
    return kept.with_columns(pl.col(pl.String).str.slice(0, MAX_TEXT))


# --- relationships


def _edges(frames: _Frames, identifier_edges: pl.DataFrame) -> dict[EdgeSpec, pl.DataFrame]:
    """By type: start_id, end_id and the columns behind the ends; transfers one by one."""
    return {
        model.RESOLVES_TO: frames.members.rename({"record_id": "start_id", "entity_id": "end_id"}),
        model.LINKED: frames.links.rename({"left_id": "start_id", "right_id": "end_id"}),
        model.HOLDS: frames.account_holders().rename({"entity_id": "start_id", "account_id": "end_id"}),
        model.TRANSFERRED: frames.transfers.select(
            pl.col("source_account").alias("start_id"),
            pl.col("target_account").alias("end_id"),
            pl.col("currency").fill_null(NO_CURRENCY),
            pl.col("amount_minor").cast(pl.Int128),
            pl.col("occurred_at").dt.epoch("ms").alias("at_ms"),
        ),
        model.HAS_IDENTIFIER: identifier_edges,
        model.USES: _device_uses(frames),
        model.RELATED_TO: _related_entities(frames),
    }


def _device_uses(frames: _Frames) -> pl.DataFrame:
    """Entity and device, of relationships, and of transfers out of the entity's accounts."""
    stated = frames.related(of_records=False).filter(pl.col("object_kind") == "device")
    paid = (
        frames.transfers.select(
            pl.col("source_account").alias("account_id"), pl.col("device_id").alias("end_id")
        )
        .drop_nulls()
        .unique()
        .join(frames.account_holders(), on="account_id", how="inner")
    )
    both = [
        stated.select(pl.col("entity_id").alias("start_id"), pl.col("object_id").alias("end_id")),
        paid.select(pl.col("entity_id").alias("start_id"), "end_id"),
    ]
    return pl.concat(both).drop_nulls().unique()


def _related_entities(frames: _Frames) -> pl.DataFrame:
    ends = frames.entity_of(frames.related(of_records=True), "object_id", "object_entity")
    return (
        ends.filter(pl.col("entity_id").ne_missing(pl.col("object_entity")))
        .select(
            pl.col("entity_id").alias("start_id"),
            pl.col("object_entity").alias("end_id"),
            pl.col("relationship_kind").alias("kind"),
            "share",
        )
        .group_by("start_id", "end_id", "kind")
        .agg(pl.col("share").max())
    )


def _edge_tables(
    frames: Mapping[EdgeSpec, pl.DataFrame], nodes: Mapping[NodeSpec, pa.Table]
) -> dict[EdgeSpec, tuple[pa.Table, Counts]]:
    """By type: the relationships, and why others were left out. Two types at once, the longest first."""

    def make(spec: EdgeSpec) -> tuple[pa.Table, Counts]:
        left_out: Counts = {}
        return _edge_table(spec, _between_nodes(spec, frames[spec], nodes, left_out), nodes), left_out

    longest_first = sorted(frames, key=lambda spec: -frames[spec].height)
    with ThreadPoolExecutor(N_THREADS) as pool:
        made = dict(zip(longest_first, pool.map(make, longest_first), strict=True))
    return {spec: made[spec] for spec in frames}


def _between_nodes(
    spec: EdgeSpec, frame: pl.DataFrame, nodes: Mapping[NodeSpec, pa.Table], left_out: Counts
) -> pl.DataFrame:
    """The relationships whose two ends are nodes of the batch, by the rows of those, sorted by their key."""
    found = frame.with_columns(
        _rows_of(frame["start_id"], spec.start, nodes).alias("start_row"),
        _rows_of(frame["end_id"], spec.end, nodes).alias("end_row"),
    )
    whole = found.drop_nulls(ENDS)
    if whole.height < found.height:
        dangling = found.filter(pl.any_horizontal(pl.col(ENDS).is_null()))
        n_dangling = dangling.select("start_id", "end_id", *spec.identity).n_unique()
        left_out[f"{spec.type} without both ends"] = n_dangling
    summed = _sum_transfers(whole, left_out) if spec is model.TRANSFERRED else whole
    ends = pl.col("start_row").cast(pl.Int64) * (MAX_ROW + 1) + pl.col("end_row")  # sorts fast, as a number
    by_identity = summed.sort(spec.identity) if spec.identity else summed
    return by_identity.select(spec.schema.names).sort(ends, maintain_order=True)


def _rows_of(ids: pl.Series, spec: NodeSpec, nodes: Mapping[NodeSpec, pa.Table]) -> pl.Series:
    known = nodes[spec][spec.id_column]
    return pl.Series(pc.index_in(ids.to_arrow().cast(known.type), value_set=known.combine_chunks()))


def _sum_transfers(transfers: pl.DataFrame, left_out: Counts) -> pl.DataFrame:
    """One row for each pair of accounts and currency, without sums that do not fit into 64 bits."""
    flows = transfers.group_by(*model.TRANSFERRED.key).agg(
        pl.len().cast(pl.Int64).alias("n_transfers"),
        pl.col("amount_minor").sum(),
        pl.col("at_ms").min().alias("first_at_ms"),
        pl.col("at_ms").max().alias("last_at_ms"),
    )
    kept = flows.filter(pl.col("amount_minor").abs() <= MOST)
    if n_huge := flows.height - kept.height:
        left_out[f"{model.TRANSFERRED.type} with a sum of more than 64 bits"] = n_huge
    return kept.with_columns(pl.col("amount_minor").cast(pl.Int64))


# --- identifiers


@dataclass(frozen=True)
class _Identifiers:
    edges: pl.DataFrame  # start_id (entity), end_id (identifier), kind
    left_out: Mapping[str, int]


def _identifiers(frames: _Frames, params: LoadPlanParams) -> _Identifiers:
    held = _held_identifiers(frames)
    degree = pl.len().over("kind", "value")
    shared = held.with_columns(degree.alias("n_entities")).filter(pl.col("n_entities") > 1)
    is_kept = pl.col("n_entities") <= params.max_identifier_degree
    too_common = shared.filter(~is_kept).select("kind", "value").unique().group_by("kind").len().sort("kind")
    reason = f"identifier of more than {params.max_identifier_degree} entities: "
    edges = _named(shared.filter(is_kept), params.identifier_key)
    return _Identifiers(edges, {reason + kind: n for kind, n in too_common.iter_rows()})


def _held_identifiers(frames: _Frames) -> pl.DataFrame:
    """Distinct entity_id, kind, value, of records and of relationships to things other than devices.

    What passed from one entity to another in time is not shared by them.
    """
    records = frames.entity_of(frames.records, "record_id", "entity_id")
    single = [_values(records, kind, kind) for kind in ("iin", "bin")] + [
        _values(records, "address_key", "address")
    ]
    several = [
        _values(records.explode(many), many, one) for many, one in (("phones", "phone"), ("emails", "email"))
    ]
    things = frames.related(of_records=False).filter(pl.col("object_kind") != "device")
    stated = things.select(
        "entity_id",
        pl.col("object_kind").alias("kind"),
        pl.col("object_id").alias("value"),
        start="valid_from",
        end="valid_to",
    )
    held = pl.concat([*single, *several, _documents(records), stated])
    return part_by_time(held.drop_nulls(["entity_id", "kind", "value"])).unique()


def _values(records: pl.DataFrame, column: str, kind: str) -> pl.DataFrame:
    return records.select(
        "entity_id", pl.lit(kind).alias("kind"), pl.col(column).alias("value"), *interval_of(kind)
    )


def _documents(records: pl.DataFrame) -> pl.DataFrame:
    """Passports and the like: the text before the first colon is their kind."""
    parts = pl.col("identifiers").str.splitn(":", 2)
    kind = parts.struct.field("field_0").str.to_lowercase()
    return records.explode("identifiers").select(
        "entity_id",
        kind.alias("kind"),
        parts.struct.field("field_1").alias("value"),
        *(pl.when(kind == "card").then(end).alias(end.meta.output_name()) for end in interval_of("card")),
    )


def _named(shared: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Edges to identifiers named by kind and keyed BLAKE2b (RFC 7693), 128 bits, once per distinct value."""
    distinct = shared.select("kind", "value").unique()
    names = [
        f"{kind}:{hashlib.blake2b(f'{kind}:{value}'.encode(), key=key, digest_size=16).hexdigest()}"
        for kind, value in distinct.iter_rows()
    ]
    named = distinct.with_columns(pl.Series("end_id", names, dtype=pl.String))
    return shared.join(named, on=["kind", "value"]).select(
        pl.col("entity_id").alias("start_id"), "end_id", "kind"
    )


# --- tables with row hashes


def _node_table(spec: NodeSpec, frame: pl.DataFrame) -> pa.Table:
    table = frame.sort(spec.id_column).to_arrow().cast(spec.schema)
    return table.append_column(ROW_HASH, pa.array(hash_rows(table)))


def _edge_table(spec: EdgeSpec, frame: pl.DataFrame, nodes: Mapping[NodeSpec, pa.Table]) -> pa.Table:
    """The hash is of the ids of both ends, not of their rows."""
    table = frame.to_arrow().cast(spec.schema)
    ends = [
        code_values(nodes[node][node.id_column])[table[name].to_numpy()]
        for name, node in zip(ENDS, (spec.start, spec.end), strict=True)
    ]
    codes = [*ends, *(code_values(table[name]) for name in spec.properties.names)]
    return table.append_column(ROW_HASH, pa.array(combine(codes, table.num_rows)))


def _as_frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series
    return frame


def sum_rows(table: pa.Table) -> ContentSum:
    """Count of a table's rows and the exact sum of their column `row_hash`."""
    # Halves, since the sum of 2 M 63-bit numbers does not fit into 64 bits; the store sums the same halves.
    hashes = table[ROW_HASH].to_numpy()
    return ContentSum(table.num_rows, (int((hashes >> 32).sum()) << 32) + int((hashes & 0xFFFFFFFF).sum()))
