"""How old what is served may become."""

from datetime import timedelta

import dagster as dg

DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))
"""Refreshed each night: a warning after a missed night, a failure half a day later."""

MONTHLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=36), warn_window=timedelta(days=33))
"""Made once a month, in its first days."""
