"""Billing periods: boundaries to the second, in the tenant's zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.billing.periods import billing_period, last_day, month_at, month_index, months_of
from terag_pipelines.errors import BillingError
from tests.unit.billing.cases import at

SECOND = timedelta(seconds=1)
ZONES = ("Asia/Almaty", "UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "Africa/Cairo")


def _month_of(instant: datetime, zone: str) -> str:
    microseconds = (instant - at(1970, 1, 1)) // timedelta(microseconds=1)
    return str(months_of(np.array([microseconds], dtype=np.int64), zone)[0])


def test_a_month_in_almaty_begins_five_hours_before_utc() -> None:
    period = billing_period("2026-07", "Asia/Almaty")
    assert (period.start_at, period.end_at) == (at(2026, 6, 30, 19), at(2026, 7, 31, 19))
    assert period.holds(period.start_at)
    assert not period.holds(period.end_at)


def test_the_month_in_which_almaty_became_utc_plus_five_has_an_hour_more() -> None:
    february = billing_period("2024-02", "Asia/Almaty")
    assert (february.start_at, february.end_at) == (at(2024, 1, 31, 18), at(2024, 2, 29, 19))
    assert february.end_at - february.start_at == timedelta(days=29, hours=1)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("month", ["2024-02", "2024-03", "2025-12", "2026-01", "2026-07"])
def test_a_second_decides_on_the_month(month: str, zone: str) -> None:
    period = billing_period(month, zone)
    assert _month_of(period.start_at, zone) == month
    assert _month_of(period.start_at - SECOND, zone) == month_at(month_index(month) - 1)
    assert _month_of(period.end_at - SECOND, zone) == month
    assert _month_of(period.end_at, zone) == month_at(month_index(month) + 1)


@settings(deadline=None)
@given(st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)), st.sampled_from(ZONES))  # noqa: DTZ001
def test_months_are_those_of_the_wall_clock(naive: datetime, zone: str) -> None:
    instant = naive.replace(tzinfo=UTC)
    local = instant.astimezone(ZoneInfo(zone))
    assert _month_of(instant, zone) == f"{local:%Y-%m}"


def test_the_turnover_date_is_the_last_day() -> None:
    assert [str(last_day(month)) for month in ("2025-12", "2024-02")] == ["2025-12-31", "2024-02-29"]


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "2026-00", "june", "2026-07\n"])
def test_a_malformed_month_is_refused(month: str) -> None:
    with pytest.raises(BillingError, match="YYYY-MM"):
        billing_period(month, "UTC")


@pytest.mark.parametrize("zone", ["Asia/Atlantis", "../../etc/passwd", ""])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(BillingError, match="time zone"):
        billing_period("2026-07", zone)
