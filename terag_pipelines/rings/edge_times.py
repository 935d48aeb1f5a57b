"""The times of edges: dates and instants, seconds since 1970 or steps, and the window that is looked at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from terag_pipelines.entities.dates import instants_from_numbers, read_instants
from terag_pipelines.entities.mapped_rows import is_day_or_instant, is_null, read_numbers
from terag_pipelines.entities.vocabulary import EPOCH_UNITS, STEP_UNITS
from terag_pipelines.errors import ConfigurationError
from terag_pipelines.rings.words import say_instant

STEPS = ("seconds", "minutes", "hours", "days")
STEP_ORIGIN = "2000-01-01"
"""The day on which step 0 is shown: steps have no date of their own."""

_LEAST_SECONDS, _LEAST_MILLISECONDS = 1e8, 1e11
_FIRST_DAY, _LAST_DAY = 1850_01_01, 2200_12_31
_SURE_SHARE = 0.8
_DAY = re.compile(r"\d{4}-?\d{2}-?\d{2}|\d{1,2}[./]\d{1,2}[./]\d{4}")


@dataclass(frozen=True)
class TimeUnit:
    """What the numbers of a time column are: `unit` as a manifest names it; None where it is no number."""

    unit: str | None = None

    @property
    def is_step(self) -> bool:
        """Whether times are steps of no known date."""
        return self.unit in STEP_UNITS

    @property
    def origin(self) -> str | None:
        """The day of step 0; None where the numbers are no steps."""
        return STEP_ORIGIN if self.is_step else None

    @property
    def told(self) -> str:
        """How numbers were read, in words; empty for dates and times."""
        if self.unit is None:
            return ""
        name = self.unit.partition("_")[2]
        if self.unit in EPOCH_UNITS:
            return f"times were read as {name} since 1970, by their size"
        return f"times were read as steps of one {name[:-1]} each; step 0 is shown as {STEP_ORIGIN}"

    def instants(self, numbers: list[float]) -> pa.Array:
        """timestamp(us, UTC) of numbers of this unit."""
        return instants_from_numbers(np.array(numbers, np.float64), str(self.unit), self.origin)


@dataclass(frozen=True)
class Window:
    """From `since` on and before `until`, each open where it is None."""

    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None

    def __str__(self) -> str:
        start = f"from {say_instant(self.since)} UTC" if self.since else ""
        end = f"before {say_instant(self.until)} UTC" if self.until else ""
        return " and ".join(filter(None, (start, end))) or "all times"


def find_unit(column: Any, step: str) -> TimeUnit:
    """How to read a time column: by its type, and where most of it are whole numbers, by how large they are.

    `step`: what a small number counts, one of STEPS.
    """
    if is_day_or_instant(column.type):
        return TimeUnit()
    given, numbers = read_numbers(column)
    whole = numbers[np.isfinite(numbers) & (numbers == np.floor(numbers))]
    if not len(whole) or len(whole) < _SURE_SHARE * int((~is_null(given)).sum()):
        return TimeUnit()
    most = float(np.quantile(np.abs(whole), 0.9))
    if _are_days(whole):
        return TimeUnit()
    if most >= _LEAST_SECONDS:
        return TimeUnit("epoch_milliseconds" if most >= _LEAST_MILLISECONDS else "epoch_seconds")
    return TimeUnit(f"step_{step}")


def _are_days(numbers: np.ndarray[Any, np.dtype[np.float64]]) -> bool:
    """Whether most are dates written as one number, such as 20260331."""
    month, day = numbers // 100 % 100, numbers % 100
    is_day = (numbers >= _FIRST_DAY) & (numbers <= _LAST_DAY)
    is_day &= (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return bool(is_day.mean() >= _SURE_SHARE)


def read_window(since: str | None, until: str | None, unit: TimeUnit, date_order: str = "dmy") -> Window:
    """The window between two times as a person writes them; a day or step of `until` belongs to it whole.

    Raises: ConfigurationError where one is no time, or nothing lies between them.
    """
    start = None if since is None else _read_bound("since", since, unit, date_order)
    end = None if until is None else _read_bound("until", until, unit, date_order) + _width(until, unit)
    if start and end and start >= end:
        raise ConfigurationError(f"the window is empty: since {since} comes after until {until}")
    return Window(start, end)


def _read_bound(name: str, text: str, unit: TimeUnit, date_order: str) -> datetime:
    is_number = unit.unit is not None and re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", text)
    read = (
        unit.instants([float(text)]) if is_number else read_instants(pa.array([text.strip()]), (), date_order)
    )
    instant: datetime | None = read[0].as_py()
    if instant is None:
        steps = ", or a step" if unit.is_step else ""
        raise ConfigurationError(f"{name} {text!r}: is no time; write one such as 2026-03-31{steps}")
    return instant


def _width(text: str, unit: TimeUnit) -> timedelta:
    """How long the day, step or moment lasts that was written."""
    if unit.is_step and "-" not in text.strip()[1:]:
        return timedelta(seconds=STEP_UNITS[str(unit.unit)])
    return timedelta(days=1) if _DAY.fullmatch(text.strip()) else timedelta(microseconds=1)
