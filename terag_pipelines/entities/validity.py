"""Identifiers that passed from one holder to the next: each of their times is an identifier of its own."""

from __future__ import annotations

import polars as pl

from terag_pipelines.entities.vocabulary import DATED_KINDS

HELD = ("kind", "value")
_NEVER = 2**31 - 1  # days: the end that does not come


def interval_of(kind: str) -> tuple[pl.Expr, pl.Expr]:
    """`start` and `end` of what a row of ENTITY_RECORDS holds of a kind; null where it has no interval."""
    if kind not in DATED_KINDS:
        return pl.lit(None, pl.Date).alias("start"), pl.lit(None, pl.Date).alias("end")
    return pl.col(f"{kind}_from").alias("start"), pl.col(f"{kind}_to").alias("end")


def part_by_time(held: pl.DataFrame) -> pl.DataFrame:
    """The rows without `start` and `end`; a value has a number behind it in all its later times.

    The times of one `kind` and `value` are those in which its holders' intervals meet, one after the other,
    both ends included; an end that is not known is open. Where no interval is known nothing changes.
    """
    plain = held.drop("start", "end")
    if held["start"].null_count() == held.height or held["end"].null_count() == held.height:
        return plain
    ordered = held.sort(*HELD, "start", nulls_last=False)
    reached = pl.col("end").cast(pl.Int32).fill_null(_NEVER).cum_max().shift(1)
    begins = (pl.col("start").cast(pl.Int32) > reached).fill_null(False)
    numbered = ordered.with_columns(begins=begins.over(HELD)).with_columns(
        number=pl.col("begins").cast(pl.Int32).cum_sum().over(HELD)
    )
    later = pl.format("{} #{}", "value", "number")
    value = pl.when(pl.col("number") > 0).then(later).otherwise("value")
    return numbered.with_columns(value=value).select(plain.columns)
