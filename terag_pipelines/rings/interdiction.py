"""Which accounts to block to stop a ring's money, and whose other money stops with it.

The flow of a ring, in its main currency: all transfers between accounts of two different members, and what
members pay to collectors. A collector is an account outside the ring that two or more members pay, and which
gets at least half of what comes in (within the window, in that currency) from members. The window runs from
the first transfer between members to some days after the last. A blocked account neither pays nor is paid.

Innocent money: transfers in the same window and currency between a blocked account and accounts that are
neither of members nor collectors. Where the money of victims comes in from outside, it is among this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import polars as pl
import pyarrow as pa

from terag_pipelines.rings.cover import CoverParams, Weighted, cover_weight
from terag_pipelines.rings.model import RING_INTERDICTIONS
from terag_pipelines.rings.nodes import Tables, index_nodes, read_in_window
from terag_pipelines.tables import as_frame

_ACCOUNT = ["ring_id", "account_id", "entity_id", "is_member"]
_SIDE = ["account_id", "other", "amount_minor", "currency", "occurred_at"]
_COLUMNS = ["source_account", "target_account", "amount_minor", "currency", "occurred_at"]


@dataclass(frozen=True)
class InterdictionParams:
    """A collector is paid by `min_payers` members and gets `collector_share` of its receipts from members.

    The window ends `window_days` after the last transfer between members.
    """

    cover: CoverParams = field(default_factory=CoverParams)
    min_payers: int = 2
    collector_share: float = 0.5
    window_days: float = 3.0


def plan_interdictions(
    fraud_rings: pa.Table,
    ring_members: pa.Table,
    tables: Tables,
    params: InterdictionParams | None = None,
) -> pa.Table:
    """RING_INTERDICTIONS: of each ring the fewest accounts whose block stops the wanted part of its flow.

    Of such sets the one with the least innocent money. A ring without flow in its currency has no rows.
    `tables` are those that the rings were made of.
    """
    chosen = params or InterdictionParams()
    money = _RingMoney.of(fraud_rings, ring_members, tables, chosen)
    flow = money.flow()
    accounts = _describe_accounts(money, flow)
    planned = [
        _plan(accounts.filter(pl.col("ring_id") == ring_id), edges, chosen.cover)
        for (ring_id,), edges in flow.partition_by("ring_id", as_dict=True, maintain_order=True).items()
    ]
    rows = pl.concat(planned) if planned else accounts
    told = {name: rows[name].to_arrow() for name in RING_INTERDICTIONS.schema.names if name in rows}
    return RING_INTERDICTIONS.from_columns(**told)


@dataclass(frozen=True)
class _RingMoney:
    """`rings`: ring_id, currency, start, end. `accounts`: ring_id, account_id, entity_id, is_member: those of
    members and of collectors. `transfers`: those that could count.
    """

    rings: pl.DataFrame
    accounts: pl.DataFrame
    transfers: pl.DataFrame

    @classmethod
    def of(
        cls, fraud_rings: pa.Table, ring_members: pa.Table, tables: Tables, params: InterdictionParams
    ) -> _RingMoney:
        window = timedelta(days=params.window_days)
        rings = as_frame(fraud_rings, ["ring_id", "currency", "first_at", "last_at"]).drop_nulls("first_at")
        rings = rings.select("ring_id", "currency", start="first_at", end=pl.col("last_at") + window)
        index = index_nodes(tables)
        holders = index.accounts.join(index.nodes.select("node", "entity_id"), on="node").drop("node")
        members = as_frame(ring_members, ["ring_id", "entity_id"]).join(rings.select("ring_id"), on="ring_id")
        owned = holders.join(members, on="entity_id").with_columns(is_member=pl.lit(value=True))
        moved = read_in_window(tables, "transfers", _COLUMNS)
        moved = moved.filter(
            (pl.col("amount_minor") > 0) & (pl.col("source_account") != pl.col("target_account"))
        )
        alone = cls(rings, owned.select(_ACCOUNT), moved)
        found = alone._find_collectors(params).join(holders, on="account_id")
        collectors = found.with_columns(is_member=pl.lit(value=False)).select(_ACCOUNT)
        return cls(rings, pl.concat([alone.accounts, collectors]), moved)

    def in_window(self, moved: pl.DataFrame) -> pl.DataFrame:
        """Of transfers with a ring_id those in the window of their ring; `is_main`: in its currency."""
        known = moved.join(self.rings.rename({"currency": "main"}), on="ring_id")
        inside = known.filter(pl.col("occurred_at").is_between("start", "end"))
        return inside.with_columns(is_main=pl.col("currency").eq_missing(pl.col("main"))).drop(
            "main", "start", "end"
        )

    def paid_by_members(self) -> pl.DataFrame:
        """Transfers of members in the window, with ring_id and `payer` (entity)."""
        payers = self.accounts.filter("is_member").select(
            "ring_id", payer="entity_id", source_account="account_id"
        )
        return self.in_window(self.transfers.join(payers, on="source_account"))

    def _find_collectors(self, params: InterdictionParams) -> pl.DataFrame:
        """ring_id, account_id of accounts outside that live off the members."""
        own = self.accounts.select("ring_id", target_account="account_id")
        out = self.paid_by_members().filter("is_main").join(own, on=own.columns, how="anti")
        paid = out.group_by("ring_id", "target_account").agg(
            n_payers=pl.col("payer").n_unique(), from_members=pl.col("amount_minor").sum()
        )
        likely = paid.filter(pl.col("n_payers") >= params.min_payers)
        receipts = self.in_window(self.transfers.join(likely, on="target_account")).filter("is_main")
        known = receipts.group_by("ring_id", "target_account", "from_members").agg(
            pl.col("amount_minor").sum()
        )
        enough = pl.col("from_members") >= params.collector_share * pl.col("amount_minor")
        return known.filter(enough).select("ring_id", account_id="target_account")

    def paid_within(self) -> pl.DataFrame:
        """Transfers of members to other members and to collectors, in any currency."""
        payees = self.accounts.select(
            "ring_id", payee="entity_id", target_account="account_id", is_to_member="is_member"
        )
        moved = self.paid_by_members().join(payees, on=["ring_id", "target_account"])
        return moved.filter(pl.col("payer") != pl.col("payee"))

    def flow(self) -> pl.DataFrame:
        """ring_id, left, right (account ids, left < right), amount_minor: in the main currency, in order."""
        ends = ["source_account", "target_account"]
        pairs = (
            self.paid_within()
            .filter("is_main")
            .select("ring_id", "amount_minor", left=pl.min_horizontal(ends), right=pl.max_horizontal(ends))
        )
        key = ["ring_id", "left", "right"]
        return pairs.group_by(key).agg(pl.col("amount_minor").sum()).sort(key)

    def innocent(self) -> pl.DataFrame:
        """ring_id, account_id, innocent_minor, n_innocent_transfers: with accounts outside."""
        own = self.accounts.select("ring_id", "account_id")
        ends = ("source_account", "target_account")
        sides = [
            self.transfers.rename({one: "account_id", two: "other"}).join(own, on="account_id")
            for one, two in (ends, ends[::-1])
        ]
        either = pl.concat([side.select("ring_id", *_SIDE) for side in sides])
        outside = self.in_window(either).join(
            own, left_on=["ring_id", "other"], right_on=["ring_id", "account_id"], how="anti"
        )
        return (
            outside.filter("is_main")
            .group_by("ring_id", "account_id")
            .agg(innocent_minor=pl.col("amount_minor").sum(), n_innocent_transfers=pl.len().cast(pl.Int64))
        )


def _describe_accounts(money: _RingMoney, flow: pl.DataFrame) -> pl.DataFrame:
    """The accounts of the flow, by ring and id, with their innocent money and what is the same for a ring."""
    ends = [flow.select("ring_id", account_id=side) for side in ("left", "right")]
    sums = flow.group_by("ring_id").agg(flow_minor=pl.col("amount_minor").sum())
    others = money.paid_within().filter(~pl.col("is_main") & pl.col("is_to_member"))
    counted = others.group_by("ring_id").agg(n_other_currency_transfers=pl.len().cast(pl.Int64))
    counts = ["innocent_minor", "n_innocent_transfers", "n_other_currency_transfers"]
    return (
        pl.concat(ends)
        .unique()
        .join(money.accounts, on=["ring_id", "account_id"])
        .join(money.innocent(), on=["ring_id", "account_id"], how="left")
        .join(money.rings.select("ring_id", "currency"), on="ring_id")
        .join(sums, on="ring_id")
        .join(counted, on="ring_id", how="left")
        .with_columns(pl.col(counts).fill_null(0))
        .sort("ring_id", "account_id")
    )


def _plan(accounts: pl.DataFrame, edges: pl.DataFrame, params: CoverParams) -> pl.DataFrame:
    """The accounts of one ring to block, in order, with what each adds."""
    left, right = (accounts["account_id"].search_sorted(edges[side]) for side in ("left", "right"))
    graph = Weighted(
        left.to_numpy().astype(np.int64),
        right.to_numpy().astype(np.int64),
        edges["amount_minor"].to_numpy(),
        accounts["innocent_minor"].to_numpy(),
    )
    cover = cover_weight(graph, params)
    stopped = [graph.touched(cover.chosen[: n + 1]) for n in range(len(cover.chosen))]
    return accounts[cover.chosen].with_columns(
        rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
        stopped_minor=pl.Series(stopped, dtype=pl.Int64),
        stopped_share=pl.Series(stopped, dtype=pl.Int64) / graph.total,
        n_accounts_least=pl.lit(cover.n_least, pl.Int64),
        is_proven_fewest=pl.lit(cover.is_proven),
    )
