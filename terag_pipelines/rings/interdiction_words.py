"""What a block of accounts would stop, in words: for the case of one ring, and for a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from terag_pipelines.money import Money
from terag_pipelines.rings.sections import Block, Row, Rows, Section, Told
from terag_pipelines.rings.words import say_amount, say_count, say_money
from terag_pipelines.tables import as_frame

TITLE = "What a block would stop"


def say_interdictions(planned: pa.Table, n_rings: int) -> str | None:
    """How many accounts would be blocked in how many rings; None without rings."""
    if not n_rings:
        return None
    rows = as_frame(planned)
    n_stopped, n_proven = (
        rows.filter(which)["ring_id"].n_unique() for which in (pl.lit(value=True), pl.col("is_proven_fewest"))
    )
    told = f"accounts to block: {rows.height:,}, in {n_stopped:,} of {say_count(n_rings, 'ring')}"
    return f"{told}; proven to be the fewest: in {n_proven:,}"


def tell_block(planned: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]) -> Section:
    """The section of a case: the ring's rows of RING_INTERDICTIONS, member numbers by entity id."""
    if not planned:
        return Section(TITLE, (Told("No money moved between members in the ring's currency."),))
    ranked = sorted(planned, key=lambda row: int(row["rank"]))
    head = (
        "",
        "account",
        "member",
        "stopped with those before",
        "share",
        "innocent money",
        "transfers of it",
    )
    rows = tuple(_account_row(row, numbers) for row in ranked)
    blocks: list[Block] = [Told(_say_sum(ranked)), Rows(head, rows, (0, 2, 3, 4, 5, 6))]
    return Section(TITLE, (*blocks, Told(_say_terms(ranked[0]), is_quiet=True)))


def _account_row(row: Mapping[str, Any], numbers: Mapping[str, int]) -> Row:
    currency = row["currency"] or ""
    return (
        str(row["rank"]),
        row["account_id"],
        str(numbers[row["entity_id"]]) if row["is_member"] else "outside",
        say_amount(row["stopped_minor"], currency),
        f"{row['stopped_share']:.1%}",
        say_amount(row["innocent_minor"], currency),
        f"{row['n_innocent_transfers']:,}",
    )


def _say_sum(ranked: Sequence[Mapping[str, Any]]) -> str:
    last, currency = ranked[-1], ranked[-1]["currency"] or ""
    flow, stopped = (say_money(Money(last[name], currency)) for name in ("flow_minor", "stopped_minor"))
    innocent = say_amount(sum(row["innocent_minor"] for row in ranked), currency)
    n_innocent = say_count(sum(row["n_innocent_transfers"] for row in ranked), "transfer")
    blocked = f"Blocking {say_count(len(ranked), 'account')} would have stopped {stopped} of {flow}"
    touched = f"{innocent} of others in {n_innocent}" if innocent != "-" else "nothing of others"
    return f"{blocked} ({last['stopped_share']:.1%}), and with it {touched}. {_say_proof(last)}"


def _say_proof(row: Mapping[str, Any]) -> str:
    if row["is_proven_fewest"]:
        return "No fewer accounts can stop 90%."
    return f"Found greedily: no fewer than {row['n_accounts_least']:,} can stop 90%."


def _say_terms(row: Mapping[str, Any]) -> str:
    told = (
        "Counted: transfers between members and to accounts that gather their money, from the first to three "
        "days after the last. Innocent: what these accounts moved with others meanwhile; money of victims is "
        "among it."
    )
    if n_others := row["n_other_currency_transfers"]:
        told += f" Left out: {say_count(n_others, 'transfer')} between members in other currencies."
    return told
