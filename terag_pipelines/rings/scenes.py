"""One ring as it can be looked at: its members, every transfer between them, and what they share.

Pictures and case files are made from a scene. A member is known by its number, from 1: round the circle in a
ring of kind "cycle", else the central roles first and then who moved most.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa

from terag_pipelines.errors import NotFoundError
from terag_pipelines.money import Money
from terag_pipelines.rings.nodes import NodeIndex, Tables, index_nodes, read_in_window
from terag_pipelines.rings.projection import hold_identifiers
from terag_pipelines.tables import as_frame

ROLES = ("collector", "distributor", "link", "beneficiary", "mule", "shared_identity", "associate")
"""Roles in the order of members and legends."""

_TRANSFER_COLUMNS = [
    "transfer_id",
    "source_account",
    "target_account",
    "source_name",
    "target_name",
    "amount_minor",
    "currency",
    "occurred_at",
    "channel",
    "is_cash",
    "purpose_text",
]


@dataclass(frozen=True)
class Member:
    """An entity in a ring; amounts are from and to members, in the ring's currency.

    `flow` is what it paid to and got from members, in typical transfers of each currency.
    """

    number: int
    entity_id: str
    role: str
    score: float
    is_watchlist: bool
    in_amount_minor: int
    out_amount_minor: int
    flow: float


@dataclass(frozen=True)
class Transfer:
    """A transfer between two members, by their numbers; `currency` is "" where it is not known.

    `size` is the amount in typical transfers of its currency.
    """

    transfer_id: str
    payer: int
    payee: int
    amount_minor: int
    currency: str
    occurred_at: datetime
    size: float
    payer_name: str = ""
    payee_name: str = ""
    channel: str = ""
    is_cash: bool = False
    purpose: str = ""

    @property
    def money(self) -> Money:
        """The amount."""
        return Money(self.amount_minor, self.currency)


@dataclass(frozen=True)
class Flow:
    """All that one member paid another: a sum for each currency, the most used first."""

    payer: int
    payee: int
    n_transfers: int
    sums: tuple[Money, ...]
    size: float


@dataclass(frozen=True)
class SharedIdentifier:
    """A number, address or device that two or more members hold; `n_outside` entities hold it too."""

    kind: str
    value: str
    holders: tuple[int, ...]
    n_outside: int = 0


@dataclass(frozen=True)
class RingScene:
    """A ring: `ring` is its row of FRAUD_RINGS; members by number, transfers by time, what most share first.

    `n_left_out`: members, transfers and shared identifiers that `busiest` took away. `ties`: pairs of
    members, by number, that are tied by something else.
    """

    ring: Mapping[str, Any]
    members: tuple[Member, ...]
    transfers: tuple[Transfer, ...]
    shared: tuple[SharedIdentifier, ...]
    n_left_out: tuple[int, int, int] = (0, 0, 0)
    ties: tuple[tuple[int, int], ...] = ()

    @property
    def kind(self) -> str:
        """The ring's kind."""
        return str(self.ring["kind"])

    def flows(self) -> tuple[Flow, ...]:
        """Who paid whom, in order of their numbers."""
        pairs: dict[tuple[int, int], list[Transfer]] = {}
        for transfer in self.transfers:
            pairs.setdefault((transfer.payer, transfer.payee), []).append(transfer)
        return tuple(
            Flow(*ends, len(moved), sum_money(moved), sum(one.size for one in moved))
            for ends, moved in sorted(pairs.items())
        )


def sum_money(transfers: Iterable[Transfer]) -> tuple[Money, ...]:
    """The exact sum in each currency, that of most transfers first."""
    sums: dict[str, list[int]] = {}
    for transfer in transfers:
        sums.setdefault(transfer.currency, []).append(transfer.amount_minor)
    order = sorted(sums, key=lambda currency: (-len(sums[currency]), currency))
    return tuple(Money(sum(sums[currency]), currency) for currency in order)


def busiest(scene: RingScene, n_members: int) -> RingScene:
    """The scene with those members only that moved most; what goes with the others is counted."""
    order = sorted(scene.members, key=lambda member: (-member.flow, member.number))
    kept = {member.number for member in order[:n_members]}
    transfers = tuple(one for one in scene.transfers if {one.payer, one.payee} <= kept)
    narrowed = [
        replace(one, holders=tuple(number for number in one.holders if number in kept))
        for one in scene.shared
    ]
    shared = tuple(one for one in narrowed if len(one.holders) > 1)
    left_out = (
        len(scene.members) - len(kept),
        len(scene.transfers) - len(transfers),
        len(scene.shared) - len(shared),
    )
    members = tuple(member for member in scene.members if member.number in kept)
    ties = tuple(pair for pair in scene.ties if set(pair) <= kept)
    return RingScene(scene.ring, members, transfers, shared, left_out, ties)


def look_at_ring(ring_id: str, fraud_rings: pa.Table, ring_members: pa.Table, tables: Tables) -> RingScene:
    """The scene of one ring. `tables` as for score_rings. Raises: NotFoundError."""
    return look_at_rings([ring_id], fraud_rings, ring_members, tables)[0]


def look_at_rings(
    ring_ids: Sequence[str], fraud_rings: pa.Table, ring_members: pa.Table, tables: Tables
) -> list[RingScene]:
    """The scenes of several rings, for which the tables are read once. Raises: NotFoundError."""
    rings = {row["ring_id"]: row for row in as_frame(fraud_rings).to_dicts()}
    if unknown := [ring_id for ring_id in ring_ids if ring_id not in rings]:
        raise NotFoundError(f"there is no ring {unknown[0][:40]!r}")
    index = index_nodes(tables)
    known = index.nodes.select("entity_id", "node", "is_watchlist")
    members = as_frame(ring_members).filter(pl.col("ring_id").is_in(list(ring_ids)))
    members = members.join(known, on="entity_id").sort("ring_id", "entity_id")
    transfers = _transfers_within(members, tables, index)
    held = _held_within(members, hold_identifiers(tables, index))
    by_ring = pl.col("ring_id")
    return [
        _compose(rings[one], *(part.filter(by_ring == one) for part in (members, transfers, held)))
        for one in ring_ids
    ]


def _transfers_within(members: pl.DataFrame, tables: Tables, index: NodeIndex) -> pl.DataFrame:
    ends = index.accounts.join(members.select("node", "ring_id"), on="node")
    payers = ends.rename({"account_id": "source_account", "node": "payer"})
    payees = ends.rename({"account_id": "target_account", "node": "payee"})
    moved = read_in_window(tables, "transfers", _TRANSFER_COLUMNS).filter(pl.col("amount_minor") > 0)
    typical = moved.group_by("currency").agg(typical=pl.col("amount_minor").median())
    return (
        moved.join(payers, on="source_account")
        .join(payees, on=["target_account", "ring_id"])
        .filter(pl.col("payer") != pl.col("payee"))
        .drop_nulls("occurred_at")
        .join(typical, on="currency", nulls_equal=True)
        .with_columns(size=pl.col("amount_minor") / pl.col("typical"))
        .sort("occurred_at", "transfer_id")
    )


def _held_within(members: pl.DataFrame, holdings: pl.DataFrame) -> pl.DataFrame:
    held = holdings.join(members.select("node", "ring_id"), on="node").sort("node")
    grouped = held.group_by("ring_id", "kind", "value", maintain_order=True).agg(
        nodes=pl.col("node"), n_holders=pl.col("n_holders").first()
    )
    shared = grouped.with_columns(n=pl.col("nodes").list.len()).filter(pl.col("n") > 1)
    return shared.sort(["n", "kind", "value"], descending=[True, False, False])


def _compose(
    ring: Mapping[str, Any], members: pl.DataFrame, transfers: pl.DataFrame, held: pl.DataFrame
) -> RingScene:
    flow = _flow_of_each(transfers)
    rows = [row | {"flow": flow.get(row["node"], 0.0)} for row in members.to_dicts()]
    order = _round_the_circle(rows, transfers) if ring["kind"] == "cycle" else _central_first(rows)
    number = {node: at for at, node in enumerate(order, start=1)}
    found = [_member(row, number[row["node"]]) for row in rows]
    return RingScene(
        ring=ring,
        members=tuple(sorted(found, key=lambda member: member.number)),
        transfers=tuple(_transfer(row, number) for row in transfers.to_dicts()),
        shared=tuple(_shared(row, number) for row in held.to_dicts()),
    )


def _flow_of_each(transfers: pl.DataFrame) -> dict[int, float]:
    """What each node paid and got, by node."""
    flow: dict[int, float] = defaultdict(float)
    for payer, payee, size in transfers.select("payer", "payee", "size").iter_rows():
        flow[payer] += size
        flow[payee] += size
    return flow


def _member(row: Mapping[str, Any], number: int) -> Member:
    names = ("entity_id", "role", "score", "is_watchlist", "in_amount_minor", "out_amount_minor", "flow")
    return Member(number=number, **{name: row[name] for name in names})


def _transfer(row: Mapping[str, Any], number: Mapping[int, int]) -> Transfer:
    at = cast(datetime, row["occurred_at"])
    return Transfer(
        transfer_id=row["transfer_id"],
        payer=number[row["payer"]],
        payee=number[row["payee"]],
        amount_minor=row["amount_minor"],
        currency=row["currency"] or "",
        occurred_at=at.replace(tzinfo=at.tzinfo or UTC),
        size=row["size"],
        payer_name=row["source_name"] or "",
        payee_name=row["target_name"] or "",
        channel=row["channel"] or "",
        is_cash=bool(row["is_cash"]),
        purpose=row["purpose_text"] or "",
    )


def _shared(row: Mapping[str, Any], number: Mapping[int, int]) -> SharedIdentifier:
    holders = tuple(sorted(number[node] for node in row["nodes"]))
    return SharedIdentifier(row["kind"], row["value"], holders, row["n_holders"] - len(holders))


def _central_first(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    rank = {role: at for at, role in enumerate(ROLES)}
    ordered = sorted(
        rows,
        key=lambda row: (rank.get(row["role"], len(ROLES)), -round(row["flow"], 9), row["entity_id"]),
    )
    return [row["node"] for row in ordered]


def _round_the_circle(rows: Sequence[Mapping[str, Any]], transfers: pl.DataFrame) -> list[int]:
    """From whoever paid most, each time to whom the last one paid most."""
    nodes = [row["node"] for row in rows]
    place = {node: at for at, node in enumerate(nodes)}
    sums = np.zeros((len(nodes), len(nodes)))
    for payer, payee, size in transfers.select("payer", "payee", "size").iter_rows():
        sums[place[payer], place[payee]] += size
    order = [int(sums.sum(axis=1).argmax())]
    left = np.ones(len(nodes), dtype=bool)
    left[order[0]] = False
    while left.any():
        order.append(int(np.where(left, sums[order[-1]], -1.0).argmax()))
        left[order[-1]] = False
    return [nodes[at] for at in order]
