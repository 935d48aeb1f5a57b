"""What a batch looks like as a graph: node and relationship tables made of the lake's tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.model import ACCOUNTS, ENTITY_RECORDS, RELATIONSHIPS, TRANSFERS
from terag_pipelines.entities.validity import interval_of, part_by_time
from terag_pipelines.graph import model
from terag_pipelines.graph.model import EDGES, GRAPH_LOAD, NODES, ContentSum, EdgeSpec, NodeSpec, digest_of
from terag_pipelines.linking.model import ENTITIES, ENTITY_MEMBERS, LINKS
from terag_pipelines.tables import TableSchema

NO_CURRENCY = "XXX"
"""ISO 4217's code for "no currency": a relationship's identity has no nulls."""

_INPUTS = {
    schema.name: schema
    for schema in (ENTITIES, ENTITY_MEMBERS, LINKS, ENTITY_RECORDS, ACCOUNTS, TRANSFERS, RELATIONSHIPS)
}
_MOST = (1 << 63) - 1
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

    `left_out` counts rows that the graph does not take, by reason.
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
        spec: _with_short_texts(frame, spec, left_out)
        for spec, frame in _nodes(frames, identifiers.edges).items()
    }
    edges = {}
    for spec, found in _edges(frames, identifiers.edges).items():
        frame = _with_sums_that_fit(found, spec, left_out)
        whole = _with_both_ends(frame, nodes[spec.start], nodes[spec.end])
        if n_dangling := frame.height - whole.height:
            left_out[f"{spec.type} without both ends"] = n_dangling
        edges[spec.type] = _hashed(whole, spec.schema, spec.key)
    hashed = {spec.label: _hashed(frame, spec.schema, (spec.id_column,)) for spec, frame in nodes.items()}
    return LoadPlan(batch_id, hashed, edges, left_out)


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
    frame = pl.from_arrow(schema.empty() if table is None else table.select(schema.schema.names))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series
    return frame


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


def _with_short_texts(frame: pl.DataFrame, spec: NodeSpec, left_out: dict[str, int]) -> pl.DataFrame:
    kept = frame.filter(pl.col(spec.id_column).str.len_chars() <= MAX_TEXT)
    if n_long := frame.height - kept.height:
        left_out[f"{spec.label} with an id of more than {MAX_TEXT} characters"] = n_long
    return kept.with_columns(pl.col(pl.String).str.slice(0, MAX_TEXT))


# --- relationships


def _edges(frames: _Frames, identifier_edges: pl.DataFrame) -> dict[EdgeSpec, pl.DataFrame]:
    frame_of = {
        model.RESOLVES_TO: frames.members.rename({"record_id": "start_id", "entity_id": "end_id"}),
        model.LINKED: frames.links.rename({"left_id": "start_id", "right_id": "end_id"}),
        model.HOLDS: frames.account_holders().rename({"entity_id": "start_id", "account_id": "end_id"}),
        model.TRANSFERRED: _transfers(frames),
        model.HAS_IDENTIFIER: identifier_edges,
        model.USES: _device_uses(frames),
        model.RELATED_TO: _related_entities(frames),
    }
    return {spec: frame_of[spec].select(spec.schema.names) for spec in EDGES}


def _transfers(frames: _Frames) -> pl.DataFrame:
    return (
        frames.transfers.select(
            pl.col("source_account").alias("start_id"),
            pl.col("target_account").alias("end_id"),
            pl.col("currency").fill_null(NO_CURRENCY),
            "amount_minor",
            "occurred_at",
        )
        .group_by("start_id", "end_id", "currency")
        .agg(
            pl.len().cast(pl.Int64).alias("n_transfers"),
            pl.col("amount_minor").cast(pl.Int128).sum(),
            pl.col("occurred_at").min().alias("first_at"),
            pl.col("occurred_at").max().alias("last_at"),
        )
    )


def _device_uses(frames: _Frames) -> pl.DataFrame:
    """Entity and device, of relationships, and of transfers out of the entity's accounts."""
    stated = frames.related(of_records=False).filter(pl.col("object_kind") == "device")
    paid = (
        frames.transfers.select(
            pl.col("source_account").alias("account_id"), pl.col("device_id").alias("end_id")
        )
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


def _with_sums_that_fit(frame: pl.DataFrame, spec: EdgeSpec, left_out: dict[str, int]) -> pl.DataFrame:
    """The rows whose sums fit into the integers of Arrow and the store."""
    kept = frame.filter(pl.col(pl.Int128).abs() <= _MOST) if pl.Int128 in frame.dtypes else frame
    if n_huge := frame.height - kept.height:
        left_out[f"{spec.type} with a sum of more than 64 bits"] = n_huge
    return kept.with_columns(pl.col(pl.Int128).cast(pl.Int64))


def _with_both_ends(frame: pl.DataFrame, starts: pl.DataFrame, ends: pl.DataFrame) -> pl.DataFrame:
    """The rows whose two ends are nodes of the batch."""
    known_start = frame.join(starts, left_on="start_id", right_on=starts.columns[0], how="semi")
    return known_start.join(ends, left_on="end_id", right_on=ends.columns[0], how="semi")


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


# --- row hashes


def _hashed(frame: pl.DataFrame, schema: pa.Schema, key: tuple[str, ...]) -> pa.Table:
    """The frame sorted by its key, of the schema, with `row_hash` as the last column."""
    table = frame.sort(key).to_arrow().cast(schema)
    return table.append_column("row_hash", pa.array(hash_rows(table), pa.int64()))


def hash_rows(table: pa.Table) -> npt.NDArray[np.int64]:
    """A 63-bit hash of each row's values, the same on every machine and in every run (SipHash, fixed key).

    Texts carry their length, nulls are a letter: rows that differ are never the same text.
    """
    texts = [_tagged(column) for column in table.columns]
    joined = pc.binary_join_element_wise(*texts, "") if texts else pa.array([], pa.string())
    values = joined.to_numpy(zero_copy_only=False) if isinstance(joined, pa.Array) else joined.to_numpy()
    hashes = pd.util.hash_array(values.astype(object), categorize=False)
    return np.asarray(hashes & np.uint64(_MOST), dtype=np.int64)


def _tagged(column: pa.ChunkedArray) -> pa.ChunkedArray:
    plain = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    text = plain.cast(pa.string())
    length = pc.utf8_length(text).cast(pa.string())
    return pc.binary_join_element_wise(length, text, ":").fill_null("N")


def sum_rows(table: pa.Table) -> ContentSum:
    """Count of a table's rows and the exact sum of their column `row_hash`."""
    # Halves, since the sum of 2 M 63-bit numbers does not fit into 64 bits; the store sums the same halves.
    hashes = table["row_hash"].to_numpy()
    return ContentSum(table.num_rows, (int((hashes >> 32).sum()) << 32) + int((hashes & 0xFFFFFFFF).sum()))
