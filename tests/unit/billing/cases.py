"""Small price books, tenants and usage for the tests of billing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from terag_pipelines.billing.price_book import PriceBook, parse_price_book
from terag_pipelines.entities.model import TENANTS, USAGE_EVENTS

TIERS = [{"up_to": 1000, "unit_price": "0"}, {"up_to": 10000, "unit_price": "1.25"}, {"unit_price": "0.90"}]


def price_book_mapping(currency: str = "KZT") -> dict[str, Any]:
    return {
        "currency": currency,
        "plans": {
            "starter": {
                "base_fee_minor": 1_500_000,
                "meters": {
                    "api_calls": {"model": "graduated", "tiers": TIERS},
                    "what_if_answers": {"model": "per_unit", "unit_price": "45.00"},
                },
            },
            "growth": {
                "base_fee_minor": 0,
                "payment_days": 30,
                "meters": {
                    "graph_reads": {"model": "package", "package_size": 1000, "package_price": "900.00"},
                    "api_calls": {"model": "per_unit", "unit_price": "0.333"},
                },
            },
            "enterprise": {"meters": {"api_calls": {"model": "volume", "tiers": TIERS}}},
        },
        "taxes": [
            {"name": "VAT", "rate": "0.12", "valid_to": date(2025, 12, 31)},
            {"name": "VAT", "rate": "0.16", "valid_from": "2026-01-01"},
        ],
        "seller": {"name": "ТОО «Продавец»", "bin": "180440012345", "iban": "KZ86 125K ZT50 0410 0100"},
    }


def price_book(currency: str = "KZT") -> PriceBook:
    return parse_price_book(price_book_mapping(currency))


def tenants(**plans: str | None) -> pa.Table:
    """Tenants by id with their plans, all in Almaty."""
    n = len(plans)
    return TENANTS.from_columns(
        tenant_id=list(plans),
        name=[f"ТОО «{name}»" for name in plans],
        bin=["990140000385"] * n,
        plan_id=list(plans.values()),
        currency=["KZT"] * n,
        time_zone=["Asia/Almaty"] * n,
    )


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def usage(*events: tuple[str, str, int, datetime], start: int = 0) -> pa.Table:
    """USAGE_EVENTS of (tenant, meter, quantity, time) with ids in order."""
    columns: list[list[Any]] = [list(column) for column in zip(*events, strict=True)] or [[], [], [], []]
    return USAGE_EVENTS.from_columns(
        event_id=[f"e{start + i:06d}" for i in range(len(events))],
        tenant_id=columns[0],
        meter=columns[1],
        quantity=columns[2],
        occurred_at=columns[3],
    )
