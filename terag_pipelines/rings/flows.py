"""Money between entities: transfers with both ends as nodes, sums by pair, and who is a hub."""

from __future__ import annotations

import polars as pl

from terag_pipelines.rings.nodes import NodeIndex, Tables, read_in_window

MICROSECONDS_PER_DAY = 86_400_000_000


def transfers_between_entities(tables: Tables, index: NodeIndex) -> pl.DataFrame:
    """Transfers of the window with both ends as nodes; those within one entity and those without an end, an
    amount or a time left out.
    """
    columns = [
        "transfer_id",
        "source_account",
        "target_account",
        "amount_minor",
        "currency",
        "occurred_at",
        "is_cash",
    ]
    ends = index.accounts
    transfers = (
        read_in_window(tables, "transfers", columns)
        .join(ends.select(source_account="account_id", source="node"), on="source_account")
        .join(ends.select(target_account="account_id", target="node"), on="target_account")
        .filter((pl.col("source") != pl.col("target")) & (pl.col("amount_minor") > 0))
    )
    typical = pl.col("amount_minor").median().over(pl.col("currency").fill_null(""))
    return (
        transfers.sort("transfer_id")
        .with_columns(amount=pl.col("amount_minor") / typical, at=pl.col("occurred_at").dt.epoch("us"))
        .select(
            "source",
            "target",
            "amount",
            "amount_minor",
            "currency",
            "at",
            pl.col("is_cash").fill_null(value=False),
        )
        .sort("at", "source", "target", "amount_minor", "currency", "is_cash", maintain_order=True)
    )


def find_hubs(transfers: pl.DataFrame, max_counterparties: int) -> pl.Series:
    """Nodes that pay or are paid by more than `max_counterparties` others, sorted."""
    out = transfers.select(node="source", other="target")
    both = pl.concat([out, transfers.select(node="target", other="source")])
    counts = both.group_by("node").agg(pl.col("other").n_unique().alias("n"))
    return counts.filter(pl.col("n") > max_counterparties)["node"].sort()


def sum_flows(transfers: pl.DataFrame) -> pl.DataFrame:
    """One row per ordered pair: source, target, n_transfers, amount, first_at, last_at; sorted."""
    return (
        transfers.group_by("source", "target", maintain_order=True)
        .agg(
            n_transfers=pl.len().cast(pl.Int64),
            amount=pl.col("amount").sum(),
            first_at=pl.col("at").min(),
            last_at=pl.col("at").max(),
        )
        .sort("source", "target")
    )
