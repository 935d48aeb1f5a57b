"""The graph's schema (ADR 0002): node labels, relationship types, properties, and what a batch sums to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from terag_pipelines.tables import TableSchema

TEXT = pa.string()
ROW = pa.int32()
POINTER_LABEL = "LoadPointer"
"""Bookkeeping nodes: `promoted` (what readers follow), `turn` and `token` (of loaders), `load:<number>`."""
OPEN_END = 1 << 34
"""`valid_to` of rows that no load has ended is this or more. It fits, with all that a load is summed by, into
the first record of a row's properties."""
ENDS = ("start_row", "end_row")


@dataclass(frozen=True)
class NodeSpec:
    """A label, the column that identifies a node within a load, and all columns stored, in order."""

    label: str
    id_column: str
    schema: pa.Schema


@dataclass(frozen=True)
class EdgeSpec:
    """A relationship type between two labels.

    The columns are start_row, end_row (the rows of both ends in the node tables of the same plan or
    manifest), then those of `identity` (a pair may have one relationship for each value of them; never null)
    and then the other properties.
    """

    type: str
    start: NodeSpec
    end: NodeSpec
    identity: tuple[str, ...]
    schema: pa.Schema

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that tell one relationship of the type from another."""
        return (*ENDS, *self.identity)

    @property
    def properties(self) -> pa.Schema:
        """What is stored of a relationship: all columns behind its ends."""
        return pa.schema(list(self.schema)[len(ENDS) :])


def _edge(
    kind: str,
    start: NodeSpec,
    end: NodeSpec,
    *properties: tuple[str, pa.DataType],
    identity: tuple[str, ...] = (),
) -> EdgeSpec:
    return EdgeSpec(kind, start, end, identity, pa.schema([*((end, ROW) for end in ENDS), *properties]))


ENTITY = NodeSpec(
    "Entity",
    "entity_id",
    pa.schema(
        [
            ("entity_id", TEXT),
            ("party_type", TEXT),
            ("display_name", TEXT),
            ("is_partial", pa.bool_()),
            ("is_watchlist", pa.bool_()),
            ("n_records", pa.int64()),
        ]
    ),
)
RECORD = NodeSpec(
    "Record",
    "record_id",
    pa.schema([("record_id", TEXT), ("dataset", TEXT), ("display_name", TEXT), ("party_type", TEXT)]),
)
ACCOUNT = NodeSpec(
    "Account",
    "account_id",
    pa.schema([("account_id", TEXT), ("bank", TEXT), ("currency", TEXT), ("is_outside", pa.bool_())]),
)
DEVICE = NodeSpec("Device", "device_id", pa.schema([("device_id", TEXT)]))
IDENTIFIER = NodeSpec("Identifier", "identifier_id", pa.schema([("identifier_id", TEXT), ("kind", TEXT)]))
NODES = (ENTITY, RECORD, ACCOUNT, DEVICE, IDENTIFIER)

RESOLVES_TO = _edge("RESOLVES_TO", RECORD, ENTITY, ("link_probability", pa.float64()))
LINKED = _edge("LINKED", RECORD, RECORD, ("match_weight", pa.float64()), ("link_probability", pa.float64()))
HOLDS = _edge("HOLDS", ENTITY, ACCOUNT)
TRANSFERRED = _edge(
    "TRANSFERRED",
    ACCOUNT,
    ACCOUNT,
    ("currency", TEXT),
    ("n_transfers", pa.int64()),
    ("amount_minor", pa.int64()),
    ("first_at_ms", pa.int64()),  # since 1970 in UTC: the importer takes ten times as long to read instants
    ("last_at_ms", pa.int64()),
    identity=("currency",),
)
HAS_IDENTIFIER = _edge("HAS_IDENTIFIER", ENTITY, IDENTIFIER)
USES = _edge("USES", ENTITY, DEVICE)
RELATED_TO = _edge("RELATED_TO", ENTITY, ENTITY, ("kind", TEXT), ("share", pa.float64()), identity=("kind",))
EDGES = (RESOLVES_TO, LINKED, HOLDS, TRANSFERRED, HAS_IDENTIFIER, USES, RELATED_TO)

GRAPH_LOAD = TableSchema(
    name="graph_load",
    schema=pa.schema(
        [
            ("element", TEXT),  # "node", "relationship", or "left_out" for rows that the graph does not take
            ("name", TEXT),  # label, relationship type, or why rows were left out
            ("n_rows", pa.int64()),
            ("row_hash_sum", TEXT),  # exact decimal sum of the stored row hashes; null for what was left out
        ]
    ),
    key=("element", "name"),
)


@dataclass(frozen=True)
class ContentSum:
    """How many rows of a label or type there are and the exact sum of their 63-bit row hashes."""

    n_rows: int
    row_hash_sum: int


def digest_of(sums: Mapping[str, ContentSum]) -> str:
    """SHA-256 over counts and hash sums by label and type: the same for the same content in any order."""
    content = {name: [total.n_rows, total.row_hash_sum] for name, total in sums.items()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def differing(expected: Mapping[str, ContentSum], stored: Mapping[str, ContentSum]) -> list[str]:
    """Labels and types whose stored count or hash sum is not the expected one, sorted."""
    return sorted(name for name, total in expected.items() if stored[name] != total)
