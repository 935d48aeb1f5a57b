"""How assets are cut in time."""

import dagster as dg

TIME_ZONE = "Asia/Almaty"

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2026-01", fmt="%Y-%m", timezone=TIME_ZONE, end_offset=1)
"""Billing months; the one that runs now is among them, so that it can be previewed."""
