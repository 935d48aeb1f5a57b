"""Who stands in the ring graph: one node per entity, and which record and which account leads to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from terag_pipelines.entities import model
from terag_pipelines.rings.model import RING_WINDOWS
from terag_pipelines.tables import as_frame

Tables = Mapping[str, pa.Table]

_SCHEMAS = {
    schema.name: schema.schema
    for schema in (
        model.ENTITY_RECORDS,
        model.ACCOUNTS,
        model.TRANSFERS,
        model.PARTY_EVENTS,
        model.RELATIONSHIPS,
        model.LABELS,
        RING_WINDOWS,
    )
}
_MEMBERS = pa.schema([("record_id", pa.string()), ("entity_id", pa.string())])


def read_frame(tables: Tables, name: str, columns: list[str]) -> pl.DataFrame:
    """The named columns of one input table as a polars frame, empty where the source lacks the table."""
    schema = _MEMBERS if name == "entity_members" else _SCHEMAS[name]
    table = tables.get(name)
    chosen = schema.empty_table() if table is None else table
    return as_frame(chosen.select(columns))


def read_in_window(tables: Tables, name: str, columns: list[str]) -> pl.DataFrame:
    """As read_frame, of the rows with a time in the batch's window (RING_WINDOWS), if it has one.

    `columns` include occurred_at.
    """
    windows = read_frame(tables, "ring_windows", ["table_name", "since"]).drop_nulls()
    since = windows.filter(pl.col("table_name") == name)["since"]
    rows = read_frame(tables, name, columns).drop_nulls("occurred_at")
    return rows if since.is_empty() else rows.filter(pl.col("occurred_at") >= since[0])


@dataclass(frozen=True)
class NodeIndex:
    """Nodes in the order of their entity ids, and the way from records and accounts to them.

    `nodes`: node (0..n-1), entity_id, party_type, is_partial,
    is_watchlist. `records`: record_id, node. `accounts`:
    account_id, node. A record that no link mentions is an entity of its own; an account whose holder is not
    known stands as the partial entity "account:<account_id>".
    """

    nodes: pl.DataFrame
    records: pl.DataFrame
    accounts: pl.DataFrame

    def __len__(self) -> int:
        return self.nodes.height

    def find_subjects(self, subject_ids: pl.Series) -> pl.Series:
        """The node of each subject of a label, given as record, entity or account id; null where unknown."""
        ways = [
            self.records.rename({"record_id": "subject"}),
            self.nodes.select(subject="entity_id", node="node"),
            self.accounts.rename({"account_id": "subject"}),
        ]
        known = pl.concat(ways).unique("subject", keep="first", maintain_order=True)
        asked = subject_ids.rename("subject").to_frame()
        return asked.join(known, on="subject", how="left", maintain_order="left")["node"]


def index_nodes(tables: Tables) -> NodeIndex:
    """Every entity of the batch as a node, whether or not it ever moved money."""
    records = _records_with_entities(tables)
    accounts = _accounts_with_entities(tables, records)
    lone = accounts.select("entity_id", party_type=pl.lit("unknown"), is_partial=True, is_watchlist=False)
    everyone = pl.concat([records.select(lone.columns), lone])
    nodes = (
        everyone.group_by("entity_id")
        .agg(pl.col("party_type").min(), pl.col("is_partial").all(), pl.col("is_watchlist").any())
        .sort("entity_id")
        .with_row_index("node")
        .with_columns(pl.col("node").cast(pl.Int64))
    )
    numbers = nodes.select("entity_id", "node")
    return NodeIndex(
        nodes=nodes,
        records=records.join(numbers, on="entity_id").select("record_id", "node").sort("record_id"),
        accounts=accounts.join(numbers, on="entity_id").select("account_id", "node").sort("account_id"),
    )


def _records_with_entities(tables: Tables) -> pl.DataFrame:
    records = read_frame(tables, "entity_records", ["record_id", "party_type", "is_partial", "is_watchlist"])
    members = read_frame(tables, "entity_members", ["record_id", "entity_id"])
    return records.join(members, on="record_id", how="left").with_columns(
        pl.coalesce("entity_id", "record_id").alias("entity_id"),
        pl.col("is_partial", "is_watchlist").fill_null(value=False),
    )


def _accounts_with_entities(tables: Tables, records: pl.DataFrame) -> pl.DataFrame:
    transfers = read_frame(tables, "transfers", ["source_account", "target_account"])
    used = pl.concat([transfers["source_account"], transfers["target_account"]]).drop_nulls().unique()
    held = read_frame(tables, "accounts", ["account_id", "record_id"])
    return (
        pl.concat([held["account_id"], used.rename("account_id")])
        .unique()
        .to_frame()
        .join(held, on="account_id", how="left")
        .join(records.select("record_id", "entity_id"), on="record_id", how="left")
        .select(
            "account_id", entity_id=pl.coalesce("entity_id", pl.concat_str(pl.lit("account:"), "account_id"))
        )
    )
