"""Dates and times from text: declared formats first, then the common ones.

What does not exist becomes null.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.distinct import as_series, convert_distinct, one_array
from terag_pipelines.entities.vocabulary import EPOCH_UNITS, STEP_UNITS

FIRST_YEAR, LAST_YEAR = 1850, 2200
"""Years outside are taken for errors of typing."""

_OFFSET = r"Z|[+-](?:0\d|1[0-8])(?::?[0-5]\d)?"
_CLOCK = rf"[T ]+(\d{{1,2}}):(\d{{2}})(?::(\d{{2}})(?:[.,](\d{{1,6}})\d*)?)?\s*({_OFFSET})?$"
_YEAR_FIRST = r"^(\d{4})(?:(\d{2})(\d{2})|[-/.](\d{1,2})[-/.](\d{1,2}))$"
_YEAR_LAST = r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2})$"
_FAST_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")
_MICROSECONDS = 1_000_000
_UNITS_PER_DAY = {"D": 1, "s": 86_400, "ms": 86_400_000, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}


def read_days(texts: pa.Array, formats: tuple[str, ...] = (), date_order: str = "dmy") -> pa.Array:
    """date32 for each text, null where it is no date that exists between 1850 and 2200.

    `formats` (strptime) are tried first, in order; then ISO 8601, YYYYMMDD, d.m.Y, and d/m/Y or m/d/Y by
    `date_order`.
    """
    days = convert_distinct(texts, lambda distinct: _days_of(distinct, formats, date_order))
    return one_array(days.to_arrow())


def read_instants(
    texts: pa.Array, formats: tuple[str, ...] = (), date_order: str = "dmy", time_zone: str = "UTC"
) -> pa.Array:
    """timestamp(us, UTC) for each text, null where unreadable.

    A time without an offset is local to `time_zone`.
    """
    series = as_series(texts)
    local = _declared(series, formats, pl.Datetime("us"), time_zone)
    for fast in _FAST_FORMATS:
        local = _fill(local, series, partial(_fast_times, fast))
    instants = _sane(_to_utc(local, time_zone))
    rest = instants.is_null() & series.is_not_null()
    if rest.any():
        slow = convert_distinct(
            one_array(series.filter(rest).to_arrow()), lambda s: _slow_instants(s, date_order, time_zone)
        )
        instants = instants.scatter(rest.arg_true(), slow)
    return one_array(instants.to_arrow()).cast(pa.timestamp("us", tz="UTC"))


def instants_from_numbers(numbers: npt.NDArray[np.float64], unit: str, origin: str | None) -> pa.Array:
    """timestamp(us, UTC) from step numbers after `origin` or from seconds since 1970; NaN gives null."""
    start = np.datetime64(origin or "1970-01-01", "us").astype(np.int64)
    scale = STEP_UNITS[unit] * _MICROSECONDS if unit in STEP_UNITS else _MICROSECONDS / EPOCH_UNITS[unit]
    too_far = ~(np.abs(numbers) < 2**62 / scale)
    micros = start + np.where(too_far, 0, numbers) * scale
    bad = too_far | (np.abs(micros) > 2**62)
    whole = np.where(bad, 0, micros).round().astype(np.int64)
    return one_array(_sane(as_series(pa.array(whole, pa.timestamp("us", tz="UTC"), mask=bad))).to_arrow())


def instants_of(values: pa.Array, time_zone: str) -> pa.Array:
    """timestamp(us, UTC) of dates or timestamps; those without a zone are local to `time_zone`."""
    series = as_series(sane_years(values))
    aware = isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone is not None
    micros = (
        series.dt.cast_time_unit("us")
        if isinstance(series.dtype, pl.Datetime)
        else series.cast(pl.Datetime("us"))
    )
    utc = micros.dt.convert_time_zone("UTC") if aware else _to_utc(micros, time_zone)
    return one_array(_sane(utc).to_arrow()).cast(pa.timestamp("us", tz="UTC"))


def days_of(values: pa.Array) -> pa.Array:
    """date32 of dates or timestamps, null outside the years 1850 to 2200.

    A timestamp with a time zone gives the day in that zone.
    """
    series = as_series(sane_years(values))
    days = series.dt.date() if isinstance(series.dtype, pl.Datetime) else series.cast(pl.Date)
    return one_array(days.to_arrow())


def sane_years(values: pa.Array) -> pa.Array:
    """Dates or timestamps as they are, null outside the years 1850 to 2200."""
    # By their numbers: far outside them, Arrow's casts overflow and polars ends the process.
    numbers = values.view(pa.int32() if pa.types.is_date32(values.type) else pa.int64()).cast(pa.int64())
    first, last = (np.datetime64(f"{year}-01-01", "D").astype(int) for year in (FIRST_YEAR, LAST_YEAR + 1))
    per_day = _UNITS_PER_DAY["D" if pa.types.is_date32(values.type) else getattr(values.type, "unit", "ms")]
    sane = pc.and_(pc.greater_equal(numbers, first * per_day), pc.less(numbers, last * per_day))
    return pc.if_else(sane, values, pa.scalar(None, values.type))


def _days_of(texts: pl.Series, formats: tuple[str, ...], date_order: str) -> pl.Series:
    days = _declared(texts, formats, pl.Date())
    return _fill(days, texts, lambda rest: _common_days(rest, date_order))


def _common_days(texts: pl.Series, date_order: str) -> pl.Series:
    bare = texts.str.replace(_CLOCK, "").str.strip_chars()
    year_first = bare.str.extract_groups(_YEAR_FIRST).struct
    year_last = bare.str.extract_groups(_YEAR_LAST).struct
    dotted = bare.str.contains(".", literal=True)
    month_first = (
        (~dotted).fill_null(False) if date_order == "mdy" else pl.repeat(False, len(bare), eager=True)
    )
    first, second = year_last.field("1"), year_last.field("2")
    day, month = second.zip_with(month_first, first), first.zip_with(month_first, second)
    iso = _iso_days(
        year_first.field("1"),
        year_first.field("2").fill_null(year_first.field("4")),
        year_first.field("3").fill_null(year_first.field("5")),
    )
    return _sane(iso).fill_null(_sane(_iso_days(_four_digits(year_last.field("3")), month, day)))


def _four_digits(years: pl.Series) -> pl.Series:
    """Two-digit years as spreadsheets read them: 30 to 99 are 1930 to 1999."""
    number = years.cast(pl.Int32, strict=False)
    short = (years.str.len_chars() == 2).fill_null(False)
    century = pl.select(pl.when(number >= 30).then(1900).otherwise(2000)).to_series()
    return (number + century).zip_with(short, number).cast(pl.String)


def _iso_days(year: pl.Series, month: pl.Series, day: pl.Series) -> pl.Series:
    text = year + "-" + month.str.zfill(2) + "-" + day.str.zfill(2)
    return text.str.to_date("%Y-%m-%d", strict=False)


def _slow_instants(texts: pl.Series, date_order: str, time_zone: str) -> pl.Series:
    clock = texts.str.extract_groups(_CLOCK).struct
    days = _common_days(texts, date_order)
    hour, minute, second = (clock.field(name).cast(pl.Int64, strict=False).fill_null(0) for name in "123")
    micro = clock.field("4").str.pad_end(6, "0").cast(pl.Int64, strict=False).fill_null(0)
    offset = _offset_seconds(clock.field("5"))
    seconds = hour * 3600 + minute * 60 + second
    midnight = days.cast(pl.Datetime("us")).cast(pl.Int64)
    moment = (midnight + seconds * _MICROSECONDS + micro).set(
        ~((hour < 24) & (minute < 60) & (second < 60)), None
    )
    fixed = (moment - offset * _MICROSECONDS).cast(pl.Datetime("us", "UTC"))
    return _sane(fixed.fill_null(_to_utc(moment.cast(pl.Datetime("us")), time_zone)))


def _offset_seconds(texts: pl.Series) -> pl.Series:
    plain = texts.str.replace("Z", "+00", literal=True).str.replace(":", "", literal=True).str.pad_end(5, "0")
    minutes = plain.str.slice(1, 2).cast(pl.Int64) * 60 + plain.str.slice(3, 2).cast(pl.Int64)
    return minutes.zip_with(plain.str.starts_with("+").fill_null(False), -minutes) * 60


def _declared(
    texts: pl.Series, formats: tuple[str, ...], kind: pl.Date | pl.Datetime, time_zone: str = "UTC"
) -> pl.Series:
    """Days, or times local to `time_zone`, by the declared formats in order."""
    read = pl.repeat(None, len(texts), dtype=kind, eager=True)
    for declared in formats:
        read = _fill(read, texts, partial(_strptime, kind, declared, time_zone))
    return read


def _fast_times(declared: str, texts: pl.Series) -> pl.Series:
    return texts.str.to_datetime(declared, strict=False, time_unit="us")


def _strptime(kind: pl.Date | pl.Datetime, declared: str, time_zone: str, texts: pl.Series) -> pl.Series:
    read = texts.str.strptime(kind, declared, strict=False)
    has_offset = isinstance(read.dtype, pl.Datetime) and read.dtype.time_zone is not None
    local = read.dt.convert_time_zone(time_zone).dt.replace_time_zone(None) if has_offset else read
    return _sane(local)


def _fill(known: pl.Series, texts: pl.Series, read: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """The nulls of `known` filled by reading their texts."""
    rest = known.is_null() & texts.is_not_null()
    if not rest.any():
        return known
    return known.scatter(rest.arg_true(), read(texts.filter(rest)))


def _to_utc(local: pl.Series, time_zone: str) -> pl.Series:
    aware = local.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    return aware.dt.convert_time_zone("UTC")


def _sane(values: pl.Series) -> pl.Series:
    year = values.dt.year()
    return values.set(~year.is_between(FIRST_YEAR, LAST_YEAR).fill_null(True), None)
