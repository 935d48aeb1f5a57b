"""Tenants of the platform and a month of their usage, with what each owes for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from terag_pipelines.demo.calendar import DAY_S, Calendar, seconds_of_day
from terag_pipelines.demo.identity import draw_bins
from terag_pipelines.demo.price_book import net_total_minor
from terag_pipelines.demo.randomness import Ints, Rng, between, pick
from terag_pipelines.demo.texts import format_digits
from terag_pipelines.demo.transfers import coded

METERS = ("api_calls", "links_resolved", "what_if_answers", "graph_reads")
MOST_PER_EVENT = (24, 12, 3, 40)
"""The largest quantity that one event of each meter reports."""
TENANTS = (
    ("t-altyn", "АО «Алтын Банк Демо»", "enterprise", 6800, "Алматы, пр. Аль-Фараби, 17"),
    ("t-steppe", "ТОО «Steppe Pay»", "growth", 3900, "Астана, ул. Достык, 5/1"),
    ("t-nomad", "ТОО «Nomad Telecom»", "enterprise", 9800, "Алматы, ул. Тимирязева, 28В"),
    ("t-jibek", "АО «Жібек Несие»", "starter", 900, "Шымкент, ул. Тауке хана, 44"),
    ("t-caspian", "АО «Caspian Leasing»", "growth", 2100, "Актау, 14 микрорайон, 61"),
    ("t-orda", "ТОО «Орда Микрокредит»", "starter", 420, "Тараз, ул. Толе би, 63"),
    ("t-silk", "LLP Silk Wallet", "growth", 3100, "Алматы, ул. Желтоксан, 115"),
    ("t-tengri", "АО «Тәңрі Сақтандыру»", "starter", 260, "Астана, ул. Сыганак, 29"),
    ("t-altai", "ТОО «Altai Mobile»", "enterprise", 5200, "Усть-Каменогорск, ул. Казахстан, 64"),
    ("t-zhetisu", "ЖШС «Жетісу Финанс»", "starter", 1300, "Талдыкорган, ул. Абая, 256"),
    ("t-ustyurt", "АО «Үстірт Банк»", "growth", 1700, "Атырау, ул. Сатпаева, 19"),
    ("t-quiet", "ТОО «Тихая Гавань»", "starter", 0, "Костанай, ул. Байтурсынова, 67"),
    ("t-new", "ТОО «Жаңа Бастау»", "growth", 0, "Караганда, пр. Бухар жырау, 24"),
)  # fmt: skip
"""Id, name, plan, number of usage events in the month, address."""
RESENT_SHARE = 0.006
EDGE_EVENTS = 6


@dataclass(frozen=True)
class Tenancy:
    """The raw tenants and usage files and each tenant's true net total for the month, in minor units."""

    tenants: pa.Table
    usage: pa.Table
    net_totals: dict[str, int]


def serve_tenants(calendar: Calendar, rng: Rng) -> Tenancy:
    """All tenants with their events: resent ones, and ones just outside the month in local time."""
    tenant = np.repeat(np.arange(len(TENANTS)), [row[3] for row in TENANTS])
    at = calendar.start_s(0) + _moments(calendar, rng, len(tenant))
    tenant, at = _add_edges(calendar, tenant, at)
    meter = pick(rng, (55, 25, 5, 15), len(tenant))
    quantity = 1 + (rng.random(len(tenant)) ** 2 * np.array(MOST_PER_EVENT)[meter]).astype(np.int64)
    inside = (at >= calendar.start_s(0)) & (at < calendar.end_s)
    totals = _net_totals(tenant[inside], meter[inside], quantity[inside])
    order = np.argsort(at, kind="stable")
    usage = _usage(tenant[order], meter[order], quantity[order], at[order], rng)
    return Tenancy(_tenants(calendar, rng), usage, totals)


def _moments(calendar: Calendar, rng: Rng, n: int) -> Ints:
    """Seconds from the month's start, from a day before it to a day after its end."""
    n_days = (calendar.end_s - calendar.start_s(0)) // DAY_S
    return between(rng, -1, int(n_days), n) * DAY_S + seconds_of_day(rng, n)


def _add_edges(calendar: Calendar, tenant: Ints, at: Ints) -> tuple[Ints, Ints]:
    """Events at the first and last seconds of the month and right outside, for each tenant that has usage."""
    busy = np.unique(tenant)
    start, end = calendar.start_s(0), calendar.end_s
    edges = np.array([start - 1, start, start + 1, end - 1, end, end + 1])
    return np.r_[tenant, np.repeat(busy, EDGE_EVENTS)], np.r_[at, np.tile(edges, len(busy))]


def _net_totals(tenant: Ints, meter: Ints, quantity: Ints) -> dict[str, int]:
    n_meters = len(METERS)
    sums = np.bincount(tenant * n_meters + meter, quantity, len(TENANTS) * n_meters).astype(np.int64)
    used = sums.reshape(-1, n_meters).tolist()
    return {
        row[0]: net_total_minor(row[2], dict(zip(METERS, of_tenant, strict=True)))
        for row, of_tenant in zip(TENANTS, used, strict=True)
    }


def _usage(tenant: Ints, meter: Ints, quantity: Ints, at: Ints, rng: Rng) -> pa.Table:
    """The usage file; some events come a second time, with the same id, somewhere later."""
    n = len(tenant)
    resent = rng.choice(n, int(RESENT_SHARE * n), replace=False)
    place = np.r_[np.arange(n), np.minimum(resent + between(rng, 1, 400, len(resent)), n)]
    rows = np.r_[np.arange(n), resent][np.argsort(place, kind="stable")]
    return pa.table(
        {
            "event_id": format_digits(rng.permutation(n) + 10**8, "ev-#########").take(pa.array(rows)),
            "tenant": coded(tenant[rows], pa.array([row[0] for row in TENANTS])),
            "meter": coded(meter[rows], pa.array(METERS)),
            "quantity": pa.array(quantity[rows]),
            "occurred_at": pa.array(at[rows] * 1_000_000, pa.timestamp("us", "UTC")),
        }
    )


def _tenants(calendar: Calendar, rng: Rng) -> pa.Table:
    n = len(TENANTS)
    started = np.asarray(
        np.datetime64(calendar.month, "M").astype("datetime64[D]") - between(rng, 100, 1500, n)
    )
    bins = draw_bins(started, np.zeros(n, dtype=np.int64), rng)
    return pa.table(
        {
            "tenant_id": [row[0] for row in TENANTS],
            "name": [row[1] for row in TENANTS],
            "bin": format_digits(bins, "############"),
            "address": [row[4] for row in TENANTS],
            "email": [f"finance@{row[0][2:]}.example" for row in TENANTS],
            "plan": [row[2] for row in TENANTS],
            "currency": ["KZT"] * n,
            "time_zone": ["Asia/Almaty"] * n,
            "started_on": pa.array(started.astype("datetime64[D]")).cast(pa.string()),
        }
    )
