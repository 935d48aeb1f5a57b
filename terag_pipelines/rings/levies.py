"""Levies: several payers who pay one payee the very same amount, most payments of which it gets.

Amounts that coincide to the last unit are set by somebody: a smurf's share, or a price. Organisations sell at
a price, so only payees who are none count; a savings club, in which each collects in turn, pays its amount to
many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import gammaln

LEVY_SCHEMA = {
    "payee": pl.Int64,
    "payer": pl.Int64,
    "currency": pl.String,
    "amount_minor": pl.Int64,
    "n_payers": pl.Int64,
    "decades": pl.Float64,
}


@dataclass(frozen=True)
class LevyParams:
    """At least `min_payers` pay the amount, and of all transfers of that amount at least `min_share` go to
    this payee.
    """

    min_payers: int = 5
    min_share: float = 0.5


def find_levies(
    transfers: pl.DataFrame, nodes: pl.DataFrame, hubs: pl.Series, params: LevyParams
) -> pl.DataFrame:
    """payee, payer, currency, amount_minor, n_payers, decades of every levy and payer in it, sorted; hubs
    take none.

    `decades` is -log10 of the chance that so many of the payee's payers would hit on one amount, were each to
    pay it as often as payers of others do (a binomial's largest term).
    """
    sellers = nodes.filter(pl.col("party_type") == "organisation")["node"]
    apart = pl.concat([sellers, hubs.cast(pl.Int64)]).implode()
    payers = transfers.group_by("target").agg(n_all=pl.col("source").n_unique().cast(pl.Int64))
    alike = (
        transfers.with_columns(n_alike=pl.len().over("currency", "amount_minor"))
        .filter(~pl.col("target").is_in(apart))
        .group_by("target", "currency", "amount_minor")
        .agg(payer=pl.col("source").unique().sort(), n_here=pl.len(), n_alike=pl.col("n_alike").first())
        .with_columns(n_payers=pl.col("payer").list.len().cast(pl.Int64))
    )
    is_set = pl.col("n_here") >= params.min_share * pl.col("n_alike")
    levies = alike.filter(is_set & (pl.col("n_payers") >= params.min_payers)).join(payers, on="target")
    told = levies.with_columns(decades=_decades(levies, transfers.height)).rename({"target": "payee"})
    each = told.explode("payer").select(list(LEVY_SCHEMA)).cast(pl.Schema(LEVY_SCHEMA))
    return each.sort(list(LEVY_SCHEMA))


def _decades(levies: pl.DataFrame, n_transfers: int) -> pl.Series:
    elsewhere = (levies["n_alike"] - levies["n_here"] + 1).to_numpy() / (n_transfers + 1)
    n, k = levies["n_all"].to_numpy(), levies["n_payers"].to_numpy()
    ways = (gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)) / np.log(10)
    return pl.Series(np.maximum(-k * np.log10(elsewhere) - ways, 0.0), dtype=pl.Float64)
