"""E-mail addresses in one form."""

from __future__ import annotations

import re

import polars as pl
import pyarrow as pa

from terag_pipelines.entities.distinct import as_series, as_texts, convert_coded

_IN_BRACKETS = re.compile(r"<\s*([^<>\s]+)\s*>\s*$")
_ADDRESS = re.compile(r"[^@\s<>\"(),;:]{1,64}@(?:[\w-]{1,63}\.)+[\w-]{2,63}")


def plain_email(text: str) -> str | None:
    """The address in lower case, without a display name or 'mailto:'; None where it is not one address."""
    inner = _IN_BRACKETS.search(text)
    address = (inner[1] if inner else text).strip().removeprefix("mailto:").strip(".,;").casefold()
    return address if _ADDRESS.fullmatch(address) else None


# Addresses in ASCII that need no more than lower case; short, so that no part can be longer than allowed.
_PLAIN_ADDRESS = r"^[!#-'*+\-/-9=?A-Z\[-~][!#-'*+\-./-9=?A-Z\[-~]*@(?:[0-9A-Za-z_-]+\.)+[0-9A-Za-z_-]{2,}$"


def plain_emails(texts: pa.Array) -> pa.DictionaryArray:
    """`plain_email` of each text."""
    return convert_coded(texts, lambda distinct: as_texts(_plain_distinct(as_series(distinct))))


def _plain_distinct(texts: pl.Series) -> pl.Series:
    is_plain = (texts.str.contains(_PLAIN_ADDRESS) & (texts.str.len_bytes() <= 63)).fill_null(False)
    rest = (~is_plain & texts.is_not_null()).arg_true()
    slow = pl.Series([plain_email(text) for text in texts.gather(rest)], dtype=pl.String)
    return texts.str.to_lowercase().scatter(rest, slow)
