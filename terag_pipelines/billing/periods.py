"""Billing periods: "YYYY-MM" in a tenant's time zone as half-open intervals of UTC.

Zones come from the tzdata distribution that the lock pins, not from the operating system: Kazakhstan has been
one zone, UTC+5, since 2024-03-01, and older zone data would put an hour of usage into the wrong month.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from terag_pipelines.errors import BillingError

MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class BillingPeriod:
    """A month of one time zone: from `start_at` to before `end_at`, both UTC."""

    month: str
    start_at: datetime
    end_at: datetime

    def holds(self, instant: datetime) -> bool:
        """Whether an instant lies in the period."""
        return self.start_at <= instant < self.end_at


def billing_period(month: str, time_zone: str) -> BillingPeriod:
    """The UTC interval of a month in a zone.

    Raises: BillingError where the month is not "YYYY-MM" or the zone is not in tzdata.
    """
    return BillingPeriod(month, _midnight(month, time_zone), _midnight(next_month(month), time_zone))


def check_month(month: str) -> str:
    """The month as given. Raises: BillingError where it is not "YYYY-MM"."""
    if not MONTH.fullmatch(month):
        raise BillingError(f"a billing month is written YYYY-MM, not {month[:20]!r}")
    return month


def next_month(month: str) -> str:
    """The month after."""
    return month_at(month_index(month) + 1)


def month_index(month: str) -> int:
    """Months since year 0. Raises: BillingError where it is not "YYYY-MM"."""
    check_month(month)
    return int(month[:4]) * 12 + int(month[5:]) - 1


def month_at(index: int) -> str:
    """The month of an index."""
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def first_day(month: str) -> date:
    """The first day of a month."""
    check_month(month)
    return date(int(month[:4]), int(month[5:]), 1)


def last_day(month: str) -> date:
    """The last day of a month: the turnover date of what was supplied in it."""
    return first_day(next_month(month)) - timedelta(days=1)


@cache
def time_zone_of(name: str) -> ZoneInfo:
    """A zone from the tzdata distribution. Raises: BillingError where it has none of this name."""
    if name not in _zone_names():
        raise BillingError(f"unknown time zone {name[:40]!r}")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as compiled:
        return ZoneInfo.from_file(compiled, key=name)


def months_of(instants_us: npt.NDArray[np.int64], time_zone: str) -> pl.Series:
    """The month ("YYYY-MM") of each instant (microseconds since 1970 UTC) in a zone."""
    if not len(instants_us):
        return pl.Series(dtype=pl.String)
    first, last = (_month_near(int(bound)) for bound in (instants_us.min(), instants_us.max()))
    months = [month_at(index) for index in range(first - 1, last + 2)]
    starts = np.array([_microseconds(_midnight(month, time_zone)) for month in months], dtype=np.int64)
    return pl.Series(months).gather(np.searchsorted(starts, instants_us, side="right") - 1)


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text().split())


@cache
def _midnight(month: str, time_zone: str) -> datetime:
    day = first_day(month)
    return datetime(day.year, day.month, 1, tzinfo=time_zone_of(time_zone)).astimezone(UTC)


def _month_near(instant_us: int) -> int:
    at = EPOCH + timedelta(microseconds=instant_us)
    return at.year * 12 + at.month - 1


def _microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)
