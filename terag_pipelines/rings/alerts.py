"""Alerts: which rings a person should look at, by which rule, and what to do (the runbook). Nobody is
named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import polars as pl
import pyarrow as pa

from terag_pipelines.money import Money
from terag_pipelines.rings.features import REPORTING_LIMITS
from terag_pipelines.rings.model import RING_ALERTS
from terag_pipelines.tables import as_frame

RUNBOOK = "docs/runbooks/ring-alert.md"
SEVERITIES = ("low", "medium", "high", "critical")


@dataclass(frozen=True)
class AlertParams:
    """Rule "risk": the ring's probability (score where uncalibrated) is `min_risk` or more. Rule "amount":
    members moved the reporting limit of the ring's currency or more between them (`min_amounts_minor`;
    `min_amount_minor` where none is named), at a risk of `min_amount_risk` or more. Rule "watchlist": a
    member is on a watchlist.
    """

    min_risk: float = 0.8
    min_amounts_minor: Mapping[str, int] = field(default_factory=lambda: REPORTING_LIMITS)
    min_amount_minor: int = 1_000_000_000
    min_amount_risk: float = 0.5
    runbook: str = RUNBOOK


def raise_alerts(fraud_rings: pa.Table, params: AlertParams | None = None) -> pa.Table:
    """RING_ALERTS: one row per ring and rule that holds; a ring has the same alert_id in every batch."""
    chosen = params or AlertParams()
    rings = as_frame(fraud_rings).with_columns(risk=pl.coalesce("risk_probability", "risk_score"))
    amounts = [
        str(Money(*row)) if row[1] else "-" for row in rings.select("amount_minor", "currency").iter_rows()
    ]
    told = rings.with_columns(
        money=pl.Series(amounts, dtype=pl.String), percent=(pl.col("risk") * 100).round().cast(pl.Int64)
    )
    raised = pl.concat(_apply_rules(told, chosen))
    ids = [identify_alert(ring_id) for ring_id in raised["ring_id"]]
    named = raised.with_columns(alert_id=pl.Series(ids, dtype=pl.String), runbook=pl.lit(chosen.runbook))
    return RING_ALERTS.from_columns(**{name: named[name].to_arrow() for name in RING_ALERTS.schema.names})


def _apply_rules(rings: pl.DataFrame, params: AlertParams) -> list[pl.DataFrame]:
    least = pl.col("currency").replace_strict(
        dict(params.min_amounts_minor), default=params.min_amount_minor, return_dtype=pl.Int64
    )
    large = (pl.col("amount_minor") >= least) & (pl.col("risk") >= params.min_amount_risk)
    at_least_high = (
        pl.when(pl.col("severity") == "critical").then(pl.lit("critical")).otherwise(pl.lit("high"))
    )
    severity = pl.col("severity")
    return [
        _rule(
            rings, "risk", pl.col("risk") >= params.min_risk, severity, "{} members ({}), risk {}%", "percent"
        ),
        _rule(rings, "amount", large, at_least_high, "{} members ({}) moved {} between them", "money"),
        _rule(
            rings,
            "watchlist",
            pl.col("n_watchlist") > 0,
            at_least_high,
            "{} members ({}), {} on a watchlist",
            "n_watchlist",
        ),
    ]


def _rule(
    rings: pl.DataFrame, rule: str, holds: pl.Expr, severity: pl.Expr, words: str, value: str
) -> pl.DataFrame:
    return rings.filter(holds).select(
        "ring_id",
        rule=pl.lit(rule),
        severity=severity,
        message=pl.format("Ring of " + words, "n_members", pl.col("kind").str.replace_all("_", " "), value),
    )


def identify_alert(ring_id: str) -> str:
    """The id of a ring's alert: "alert_" and 16 hex digits, from which the ring's id cannot be read."""
    return "alert_" + blake2b(ring_id.encode(), digest_size=8).hexdigest()
