"""From entities, shared identifiers and transfers to one weighted graph in which communities are sought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import polars as pl

from terag_pipelines.entities.validity import interval_of, part_by_time
from terag_pipelines.entities.vocabulary import VALIDITY_FIELDS
from terag_pipelines.rings.flows import MICROSECONDS_PER_DAY, find_hubs, sum_flows, transfers_between_entities
from terag_pipelines.rings.levies import LevyParams, find_levies
from terag_pipelines.rings.nodes import NodeIndex, Tables, index_nodes, read_frame, read_in_window
from terag_pipelines.rings.trails import RelayParams, find_relays

_CARD = "card:"  # in front of the number, among the identifiers of a record
IDENTIFIER_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "iin": 2.0,
        "document": 2.0,
        "device": 1.0,
        "card": 1.0,
        "phone": 1.0,
        "email": 1.0,
        "address": 0.5,
        "ip": 0.25,
    }
)


@dataclass(frozen=True)
class ProjectionParams:
    """How strongly two entities are tied by what they share and by what they pay each other.

    An identifier of `k` holders ties each pair of them by `identifier_weights[kind] / (k - 1)`: the rarer,
    the stronger; above `max_identifier_holders` it ties nobody (a call centre, a block of flats). Transfers
    tie a pair by the mean of the part they are of the payer's outflow and of the receiver's inflow, times
    `transfer_weight`, halved for every `half_life_days` since the last of them; transfers that pass on what
    just came, or are passed on at once, tie a pair by `relay_weight` times (1 - 1/2 ** their number); a levy
    ties its payers to the payee by `levy_weight`.
    Whoever deals with more than `max_counterparties` (payroll, utilities, shops) ties nobody together by
    transfers.
    """

    identifier_weights: Mapping[str, float] = field(default_factory=lambda: IDENTIFIER_WEIGHTS)
    other_identifier_weight: float = 0.5
    relationship_weight: float = 0.5
    max_identifier_holders: int = 20
    transfer_weight: float = 1.0
    relay_weight: float = 1.0
    levy_weight: float = 1.0
    half_life_days: float = 90.0
    max_counterparties: int = 100
    relays: RelayParams = field(default_factory=RelayParams)
    levies: LevyParams = field(default_factory=LevyParams)


@dataclass(frozen=True)
class Projection:
    """The graph and what it was made of; nodes are numbers of `index`.

    `edges`: left < right, weight. `shared`: left < right, kind, n_holders: one row per identifier that a
    pair shares. `holdings`: node, kind, value, n_holders (2 or more). `transfers`: source, target, amount
    (in typical transfers of its currency), amount_minor, currency, at (microseconds), is_cash, sorted.
    `hubs`: nodes with too many counterparties. `relays`: first, second, rows of `transfers`. `levies`: as
    find_levies gives them. `related`: left < right, from stated relationships.
    """

    index: NodeIndex
    edges: pl.DataFrame
    shared: pl.DataFrame
    holdings: pl.DataFrame
    transfers: pl.DataFrame
    relays: pl.DataFrame
    levies: pl.DataFrame
    related: pl.DataFrame
    hubs: pl.Series


def project_entities(tables: Tables, params: ProjectionParams) -> Projection:
    """The weighted undirected graph of one batch, the same for any order of input rows."""
    index = index_nodes(tables)
    holdings = hold_identifiers(tables, index)
    shared = pair_holders(holdings, params.max_identifier_holders)
    transfers = transfers_between_entities(tables, index)
    hubs = find_hubs(transfers, params.max_counterparties)
    related = relate_entities(tables, index)
    relays = find_relays(transfers, hubs, params.relays)
    levies = find_levies(transfers, index.nodes, hubs, params.levies)
    ties = [
        _identifier_ties(shared, params),
        _transfer_ties(transfers, hubs, params),
        _relay_ties(transfers, relays, hubs, params),
        _levy_ties(levies, params),
        related.with_columns(weight=pl.lit(params.relationship_weight)),
    ]
    edges = (
        pl.concat(ties).sort("left", "right", "weight").group_by("left", "right", maintain_order=True).sum()
    )
    return Projection(index, edges, shared, holdings, transfers, relays, levies, related, hubs)


def hold_identifiers(tables: Tables, index: NodeIndex) -> pl.DataFrame:
    """node, kind, value, n_holders of every identifier, address and device that two or more entities hold.

    What passed from one entity to another in time is not held by both.
    """
    held = pl.concat(
        [
            *_record_identifiers(tables, index),
            _linked_objects(tables, index),
            *_used_in_transfers(tables, index),
        ]
    )
    known = part_by_time(held.drop_nulls(["node", "kind", "value"]).filter(pl.col("value") != ""))
    distinct = known.unique(["node", "kind", "value"])
    return (
        distinct.with_columns(n_holders=pl.len().over("kind", "value").cast(pl.Int64))
        .filter(pl.col("n_holders") > 1)
        .sort("kind", "value", "node")
    )


def _record_identifiers(tables: Tables, index: NodeIndex) -> list[pl.DataFrame]:
    columns = ["record_id", "iin", "bin", "address_key", "identifiers", "phones", "emails", *VALIDITY_FIELDS]
    records = read_frame(tables, "entity_records", columns).join(index.records, on="record_id")
    single = {"iin": "iin", "bin": "document", "address_key": "address"}
    several = {"phones": "phone", "emails": "email"}
    papers = records.explode("identifiers", empty_as_null=True)
    is_card = pl.col("identifiers").str.starts_with(_CARD)
    cards = papers.filter(is_card).with_columns(pl.col("identifiers").str.strip_prefix(_CARD))
    return [
        *(_held(records, name, kind) for name, kind in single.items()),
        *(_held(records.explode(name, empty_as_null=True), name, kind) for name, kind in several.items()),
        _held(papers.filter(~is_card), "identifiers", "document"),
        _held(cards, "identifiers", "card"),
    ]


def _held(records: pl.DataFrame, name: str, kind: str) -> pl.DataFrame:
    return records.select("node", pl.lit(kind).alias("kind"), pl.col(name).alias("value"), *interval_of(kind))


def _linked_objects(tables: Tables, index: NodeIndex) -> pl.DataFrame:
    columns = ["record_id", "object_kind", "object_id", "valid_from", "valid_to"]
    relationships = read_frame(tables, "relationships", columns)
    return (
        relationships.filter(pl.col("object_kind") != "record")
        .join(index.records, on="record_id")
        .select("node", kind="object_kind", value="object_id", start="valid_from", end="valid_to")
    )


def _used_in_transfers(tables: Tables, index: NodeIndex) -> list[pl.DataFrame]:
    transfers = read_in_window(tables, "transfers", ["source_account", "device_id", "ip", "occurred_at"])
    used = transfers.join(index.accounts, left_on="source_account", right_on="account_id")
    return [
        _held(used, name, kind).drop_nulls("value").unique()
        for kind, name in (("device", "device_id"), ("ip", "ip"))
    ]


def pair_holders(holdings: pl.DataFrame, max_holders: int) -> pl.DataFrame:
    """left < right, kind, n_holders: one row for every identifier that a pair shares, hubs left out."""
    few = holdings.filter(pl.col("n_holders") <= max_holders)
    pairs = few.join(few.select("kind", "value", right="node"), on=["kind", "value"])
    return (
        pairs.filter(pl.col("node") < pl.col("right"))
        .select(left="node", right="right", kind="kind", n_holders="n_holders")
        .sort("left", "right", "kind", "n_holders")
    )


def relate_entities(tables: Tables, index: NodeIndex) -> pl.DataFrame:
    """left < right of every pair of entities between which the source states a relationship."""
    relationships = read_frame(tables, "relationships", ["record_id", "object_kind", "object_id"])
    pairs = (
        relationships.filter(pl.col("object_kind") == "record")
        .join(index.records, on="record_id")
        .join(index.records.select(object_id="record_id", other="node"), on="object_id")
    )
    return _as_pairs(pairs.select(a="node", b="other")).unique().sort("left", "right")


def _as_pairs(ends: pl.DataFrame) -> pl.DataFrame:
    return ends.filter(pl.col("a") != pl.col("b")).select(
        left=pl.min_horizontal("a", "b"), right=pl.max_horizontal("a", "b")
    )


def _identifier_ties(shared: pl.DataFrame, params: ProjectionParams) -> pl.DataFrame:
    return shared.select("left", "right", weight=weigh_identifier(params))


def weigh_identifier(params: ProjectionParams) -> pl.Expr:
    """How strongly one identifier of `kind` ties two of its `n_holders`."""
    by_kind = pl.col("kind").replace_strict(
        dict(params.identifier_weights), default=params.other_identifier_weight, return_dtype=pl.Float64
    )
    return by_kind / (pl.col("n_holders") - 1)


def weigh_money(projection: Projection, params: ProjectionParams) -> pl.DataFrame:
    """left < right, weight: the part of each tie that transfers and relays make."""
    transfers, hubs = projection.transfers, projection.hubs
    ties = [
        _transfer_ties(transfers, hubs, params),
        _relay_ties(transfers, projection.relays, hubs, params),
    ]
    ordered = pl.concat(ties).sort("left", "right", "weight")
    return ordered.group_by("left", "right", maintain_order=True).sum()


def _transfer_ties(transfers: pl.DataFrame, hubs: pl.Series, params: ProjectionParams) -> pl.DataFrame:
    flows = sum_flows(transfers)
    newest = pl.col("last_at").max()
    age_days = (newest - pl.col("last_at")) / MICROSECONDS_PER_DAY
    share = (
        pl.col("amount") / pl.col("amount").sum().over("source")
        + pl.col("amount") / pl.col("amount").sum().over("target")
    ) / 2
    weighted = flows.with_columns(
        weight=params.transfer_weight * share * 0.5 ** (age_days / params.half_life_days)
    )
    return _pair_flows(weighted.filter(pl.col("weight") > 0), hubs)  # centuries fade to nought


def pair_relays(projection: Projection) -> pl.DataFrame:
    """left, right, n_relayed: pairs between which relayed money went, hubs left out; a row for each
    direction.
    """
    return _count_relays(projection.transfers, projection.relays, projection.hubs)


def _count_relays(transfers: pl.DataFrame, relays: pl.DataFrame, hubs: pl.Series) -> pl.DataFrame:
    rows = pl.concat([relays["first"], relays["second"]]).unique().sort()
    moved = transfers.select(pl.col("source", "target").gather(rows))
    return _pair_flows(moved.group_by("source", "target").agg(weight=pl.len()), hubs).rename(
        {"weight": "n_relayed"}
    )


def _relay_ties(
    transfers: pl.DataFrame, relays: pl.DataFrame, hubs: pl.Series, params: ProjectionParams
) -> pl.DataFrame:
    counted = _count_relays(transfers, relays, hubs)
    return counted.select("left", "right", weight=params.relay_weight * (1 - 0.5 ** pl.col("n_relayed")))


def _levy_ties(levies: pl.DataFrame, params: ProjectionParams) -> pl.DataFrame:
    pairs = _as_pairs(levies.select(a="payee", b="payer")).unique()
    return pairs.with_columns(weight=pl.lit(params.levy_weight))


def _pair_flows(weighted: pl.DataFrame, hubs: pl.Series) -> pl.DataFrame:
    apart = ~pl.col("source").is_in(hubs.implode()) & ~pl.col("target").is_in(hubs.implode())
    return weighted.filter(apart).select(
        left=pl.min_horizontal("source", "target"),
        right=pl.max_horizontal("source", "target"),
        weight="weight",
    )
