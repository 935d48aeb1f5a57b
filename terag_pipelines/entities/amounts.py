"""Amounts from text or numbers to integer minor units, exactly."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.entities.distinct import as_series, map_distinct, one_array
from terag_pipelines.money import minor_digits

_PLAIN = r"^-?\d{1,15}(\.\d+)?$"
_THOUSANDS = re.compile(r"(?<=\d)[ '\u00a0](?=\d{3})")
_COMMA_THOUSANDS = re.compile(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_LIMIT = 2**62
_EXACT_FLOAT = 2.0**53


def digits_of(currencies: pa.Array) -> npt.NDArray[np.int64]:
    """Digits after the point of each row's currency (ISO 4217). Shape (n,)."""
    encoded = currencies.dictionary_encode()
    digits = np.array([minor_digits(code or "") for code in encoded.dictionary.to_pylist()] or [2], np.int64)
    return digits[np.asarray(encoded.indices.fill_null(0), np.int64)] if len(currencies) else digits[:0]


def amounts_from_texts(texts: pa.Array, digits: npt.NDArray[np.int64]) -> pa.Array:
    """Minor units (int64) of amounts in major units, halves away from zero; null where unreadable.

    A comma is decimal unless it parts groups of three digits (0,500 is a half); blanks and apostrophes may
    part thousands.
    """
    plain = as_series(_plain_numbers(texts))
    parts = plain.str.strip_prefix("-").str.splitn(".", 2).struct
    fraction = parts.field("field_1").fill_null("").str.slice(0, 6).str.pad_end(6, "0")
    whole = parts.field("field_0").cast(pl.Int64, strict=False)
    scale = pl.Series(10**digits)
    step = pl.Series(10 ** (6 - digits))
    minor = whole * scale + (fraction.cast(pl.Int64, strict=False) + step // 2) // step
    fits = (whole < _LIMIT // 1000).fill_null(False)
    signed = minor.zip_with(~plain.str.starts_with("-").fill_null(False), -minor)
    return one_array(signed.set(~fits, None).to_arrow()).cast(pa.int64())


def amounts_from_numbers(numbers: npt.NDArray[np.float64], digits: npt.NDArray[np.int64]) -> pa.Array:
    """Minor units (int64) of each amount in major units.

    Null where it is no number or too large to be exact.
    """
    scaled = np.abs(np.nan_to_num(numbers, posinf=np.inf, neginf=np.inf)) * 10.0**digits
    bad = ~np.isfinite(numbers) | (scaled > _EXACT_FLOAT)
    # The nudge undoes binary fractions just below a half, such as 0.285 * 100.
    minor = np.floor(np.where(bad, 0.0, scaled) + 0.5 + 1e-6).astype(np.int64)
    return pa.array(np.where(numbers < 0, -minor, minor), pa.int64(), mask=bad)


def _plain_numbers(texts: pa.Array) -> pa.Array:
    """Numbers as digits with at most one point; null where there is none."""
    series = as_series(texts)
    plain = series.str.contains(_PLAIN).fill_null(False)
    if bool((plain | series.is_null()).all()):
        return texts
    mended = map_distinct(one_array(series.filter(~plain).to_arrow()).cast(pa.string()), _mended_number)
    return one_array(series.scatter((~plain).arg_true(), as_series(mended)).to_arrow()).cast(pa.string())


def _mended_number(text: str) -> str | None:
    bare = _THOUSANDS.sub("", text.strip())
    bare = bare.replace(",", "") if _COMMA_THOUSANDS.fullmatch(bare) else bare.replace(",", ".")
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", bare, re.ASCII):
        return None
    try:
        number = Decimal(bare)
    except InvalidOperation:
        return None
    return f"{number:f}" if abs(number) < Decimal(10) ** 15 else None
