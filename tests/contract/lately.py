"""A noon not long ago: what MongoDB forgets after some months must not be forgotten while a test runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

LATE_NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=40)
