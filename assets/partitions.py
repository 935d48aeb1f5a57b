"""How assets are cut in time."""

import dagster as dg

TIME_ZONE = "Asia/Almaty"

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2026-01", fmt="%Y-%m", timezone=TIME_ZONE)
"""Billing months that are over: the running one is no partition yet, so it cannot be invoiced."""
