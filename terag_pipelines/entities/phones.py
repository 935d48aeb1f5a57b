"""Phone numbers in E.164, by Google's libphonenumber (package phonenumbers)."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import phonenumbers
import polars as pl
import pyarrow as pa

from terag_pipelines.entities.distinct import as_coded, as_series, as_texts, places_of, recode

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


def phone_numbers(texts: pa.Array, country: str) -> tuple[pa.DictionaryArray, npt.NDArray[np.bool_]]:
    """The number of each text as `phone_number` gives it, and whether it is valid, each (n,).

    Numbers of the country that are plainly written are judged by the library's own patterns, as columns; the
    library itself sees the rest.
    """
    encoded = as_coded(texts)
    distinct = as_series(encoded.dictionary)
    quick = _without_doubt(_quick_numbers(distinct, country), distinct, country)
    unknown = quick.is_null().arg_true()
    is_invalid = _surely_invalid(distinct.gather(unknown), country)
    digits, rest = unknown.filter(is_invalid), unknown.filter(~is_invalid)
    slow = [phone_number(text, country) for text in distinct.gather(rest)]
    valid = quick.is_not_null().scatter(rest, pl.Series([v for _, v in slow], dtype=pl.Boolean)).to_numpy()
    numbers = quick.scatter(digits, distinct.gather(digits)).scatter(
        rest, pl.Series([n for n, _ in slow], dtype=pl.String)
    )
    return recode(as_texts(numbers), encoded.indices), np.append(valid, False)[places_of(encoded)]


def _quick_numbers(texts: pl.Series, country: str) -> pl.Series:
    """E.164 of plainly written numbers of the country, by the library's own patterns; null for all others."""
    found = pl.repeat(None, len(texts), dtype=pl.String, eager=True)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
    if metadata is None:
        return found
    code, national = str(metadata.country_code), f"^(?:{'|'.join(_valid_patterns(metadata))})$"
    plain = _digits_of_plain(texts, metadata.international_prefix)
    abroad = plain.str.starts_with("+")
    readings = [(abroad, f"+{code}"), (~abroad, "")]
    readings += [(~abroad, prefix) for prefix in (metadata.national_prefix, code) if prefix]
    for is_so_written, prefix in readings:
        at = (found.is_null() & is_so_written & plain.str.starts_with(prefix)).arg_true()
        bare = plain.gather(at).str.strip_prefix(prefix)
        is_valid = bare.str.contains(national)
        found = found.scatter(at.filter(is_valid), f"+{code}" + bare.filter(is_valid))
    return found


def _digits_of_plain(texts: pl.Series, international_prefix: str | None) -> pl.Series:
    """The digits of plainly written numbers, with a plus in front where they have one.

    Null for other texts, and behind a prefix for calls abroad (810, 00, 011): what follows has a country's
    code of its own.
    """
    plain = texts.set(~texts.str.contains(_PLAINLY_WRITTEN).fill_null(False), None)
    signed = plain.str.contains("[^0-9+]").fill_null(False).arg_true()
    plain = plain.scatter(signed, plain.gather(signed).str.replace_all(r"[^0-9+]", ""))
    if not international_prefix:
        return plain
    return plain.set(plain.str.contains(f"^(?:{international_prefix})").fill_null(False), None)


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
