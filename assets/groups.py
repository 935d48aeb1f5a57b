"""What the assets of one group have in common: the group's name, owner, kinds and freshness."""

from typing import Any

import dagster as dg

from assets.freshness import DAILY, MONTHLY


def group(
    name: str,
    owner: str,
    *kinds: str,
    freshness: dg.FreshnessPolicy | None = DAILY,
) -> dict[str, Any]:
    """Keyword arguments for the assets of a group."""
    return {
        "group_name": name,
        "owners": [f"team:{owner}"],
        "kinds": {"python", *kinds},
        "freshness_policy": freshness,
    }


SOURCES = group("sources", "data", "parquet")
LINKING = group("linking", "data", "parquet")
REVIEW = group("review", "risk", "mongodb", "parquet")
CALIBRATION = group("calibration", "risk", "scikitlearn", "parquet")
GRAPH = group("graph", "platform", "neo4j")
RINGS = group("rings", "risk", "parquet")
TWINS = group("twins", "risk", "parquet")
BILLING = group("billing", "finance", "mongodb", "parquet", freshness=MONTHLY)
ALERTS = group("alerts", "risk", "mongodb", "parquet")
PROMOTION = group("promotion", "platform", "parquet")


def out(group_arguments: dict[str, Any], description: str) -> dg.AssetOut:
    """One output of a multi-asset in a group."""
    return dg.AssetOut(description=description, **group_arguments)


def tables_in(*names: str) -> dict[str, dg.AssetIn]:
    """Inputs for an asset that takes many tables, each under its own name."""
    return {name: dg.AssetIn() for name in names}
