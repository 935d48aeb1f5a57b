"""Phone numbers in E.164, by Google's libphonenumber (package phonenumbers)."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import phonenumbers
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.distinct import as_series, as_texts, one_array

_NOT_DIGITS = re.compile(r"\D+")
_EXTENSION = re.compile(r"(?<![^\W\d_])(?:доб|вн|ext|x)\W*\d+\s*$", re.IGNORECASE)  # not the x of "fax"
MIN_DIGITS = 5
_PLAINLY_WRITTEN = r"^\+?[0-9 ().-]{7,20}$"
_NUMBER_TYPES = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
    *("personal_number", "voip", "pager", "uan", "voicemail"),
)


def phone_number(text: str, country: str) -> tuple[str | None, bool]:
    """A number in E.164 and True.

    Or its digits alone and False where it is valid nowhere; None under five digits.
    """
    bare = _EXTENSION.sub("", text)
    digits = _NOT_DIGITS.sub("", bare)
    is_complete = len(digits) > 10 and "+" not in bare
    attempts = (bare, f"+{digits}") if is_complete else (bare,)
    for attempt in attempts:
        if number := _valid_e164(attempt, country):
            return number, True
    return (digits if len(digits) >= MIN_DIGITS else None), False


def _valid_e164(text: str, country: str) -> str | None:
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def phone_numbers(texts: pa.Array, country: str) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """The number of each text as `phone_number` gives it, and whether it is valid, each (n,).

    Numbers of the country that are plainly written are judged by the library's own patterns, as columns; the
    library itself sees the rest.
    """
    encoded = texts.dictionary_encode()
    distinct = as_series(encoded.dictionary)
    quick = _without_doubt(_quick_numbers(distinct, country), distinct, country)
    is_invalid = quick.is_null() & _surely_invalid(distinct, country)
    rest = (quick.is_null() & ~is_invalid).arg_true()
    slow = [phone_number(text, country) for text in distinct.gather(rest)]
    numbers = quick.zip_with(~is_invalid, distinct).scatter(
        rest, pl.Series([n for n, _ in slow], dtype=pl.String)
    )
    valid = quick.is_not_null().scatter(rest, pl.Series([v for _, v in slow], dtype=pl.Boolean))
    flags = pc.fill_null(one_array(valid.to_arrow()).take(encoded.indices), False)
    return as_texts(numbers).take(encoded.indices), np.asarray(flags, np.bool_)


def _quick_numbers(texts: pl.Series, country: str) -> pl.Series:
    """E.164 of plainly written numbers of the country, by the library's own patterns; null for all others."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
    if metadata is None:
        return pl.repeat(None, len(texts), dtype=pl.String, eager=True)
    code, national = str(metadata.country_code), f"^(?:{'|'.join(_valid_patterns(metadata))})$"
    plain = texts.set(~texts.str.contains(_PLAINLY_WRITTEN).fill_null(False), None).str.replace_all(
        r"[^0-9+]", ""
    )
    if metadata.international_prefix:  # 810, 00, 011: what follows has a country code of its own
        plain = plain.set(plain.str.contains(f"^(?:{metadata.international_prefix})").fill_null(False), None)
    abroad = plain.str.starts_with("+")
    home = plain.str.strip_prefix(f"+{code}").set(abroad & ~plain.str.starts_with(f"+{code}"), None)
    found = home.set(~home.str.contains(national), None)
    for prefix in (metadata.national_prefix, code):
        bare = plain.str.strip_prefix(prefix or "").set(abroad | ~plain.str.starts_with(prefix or "?"), None)
        found = found.fill_null(bare.set(~bare.str.contains(national), None))
    return f"+{code}" + found


def _surely_invalid(texts: pl.Series, country: str) -> pl.Series:
    """Whether a text is digits alone that the library would find valid under no reading of their prefixes.

    Readings: as they are, without the country's code, without its national prefix, without both. Not judged
    are numbers that could begin with a code for calls abroad or with the code of any country, and prefixes
    that the library rewrites.
    """
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
    if metadata is None or metadata.national_prefix_transform_rule:
        return pl.repeat(False, len(texts), eager=True)
    code = str(metadata.country_code)
    prefix = f"^(?:{metadata.national_prefix_for_parsing or '$^'})"
    judged = texts.str.contains(r"^[0-9]{5,10}$") | texts.str.contains(r"^0[0-9]{10,19}$")
    judged &= ~texts.str.contains(f"^(?:{metadata.international_prefix or '$^'})")
    national = _any_national(code)
    may_be_valid = pl.repeat(False, len(texts), eager=True)
    for reading in (texts, texts.str.strip_prefix(code)):
        for bare in (reading, reading.str.replace(prefix, "")):
            may_be_valid |= bare.str.contains(national)
    return (judged & ~may_be_valid).fill_null(False)


def _any_national(code: str) -> str:
    """What makes a national number valid in any region that has the country code."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)]
    known = (phonenumbers.PhoneMetadata.metadata_for_region(region, None) for region in regions)
    patterns = [
        pattern for metadata in known if metadata is not None for pattern in _valid_patterns(metadata)
    ]
    return f"^(?:{'|'.join(patterns)})$"


def _valid_patterns(metadata: Any) -> list[str]:
    """What makes a national number valid: the general pattern of a type that the country has."""
    types = (getattr(metadata, name) for name in _NUMBER_TYPES)
    return [
        kind.national_number_pattern for kind in types if kind is not None and kind.national_number_pattern
    ]


def _without_doubt(numbers: pl.Series, texts: pl.Series, country: str) -> pl.Series:
    """The quick numbers that the library could not read otherwise; null for the others, which it has to see.

    It strips a prefix or the country's code wherever what is left may be a number, and what may be one is
    said by the general pattern, which is narrower than those of the types together.
    """
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
    if metadata is None or metadata.general_desc is None:
        return numbers
    general, code = f"^(?:{metadata.general_desc.national_number_pattern})$", str(metadata.country_code)
    prefix = f"^(?:{metadata.national_prefix_for_parsing or '$^'})"
    at = numbers.is_not_null().arg_true()
    national, written = numbers.gather(at).str.strip_prefix(f"+{code}"), texts.gather(at)
    digits = written.str.replace_all("[^0-9]", "")
    is_bare, has_code = digits == national, digits == code + national
    is_home = ~written.str.contains("+", literal=True)
    doubtful = ~national.str.contains(general)
    doubtful |= national.str.contains(prefix) & national.str.replace(prefix, "").str.contains(general)
    doubtful |= is_home & ~is_bare & digits.str.contains(general)
    doubtful |= is_home & ~is_bare & ~has_code & (digits.str.replace(prefix, "") != national)
    return numbers.scatter(at.filter(doubtful), None)
