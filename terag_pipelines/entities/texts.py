"""Cleaning of text as given: Unicode NFKC, one apostrophe and hyphen, single spaces, nothing invisible."""

from __future__ import annotations

import re
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.distinct import as_coded, map_distinct, one_array, recode

_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]"
)
_SIGNS = str.maketrans(
    {**dict.fromkeys("’‘ʼʹ`´ʻ′", "'"), **dict.fromkeys("‐‑‒–—―−", "-"), **dict.fromkeys("«»„“”", '"')}
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Printable ASCII without the backtick, Latin-1 letters and Cyrillic without combining marks: NFKC leaves
# them alone.
_SIGN = r"[!-_a-~À-ÿ\x{0400}-\x{0482}\x{048A}-\x{04FF}]"
_PLAIN = rf"^{_SIGN}+( {_SIGN}+)*$"
BLANK_WORDS = frozenset(
    {"", "-", "--", "null", "none", "nan", "n/a", "na", "nil", "#n/a", "\\n"}
    | {"unknown", "no data", "not available", "not provided", "неизвестно", "нет данных", "не указано"}
    | {"не указан", "не указана", "отсутствует", "белгісіз", "деректер жоқ", "мәлімет жоқ"}
)
"""Texts that stand for no value, casefolded."""
_BLANKS = pa.array(sorted(BLANK_WORDS))
_LONGEST_BLANK = max(map(len, BLANK_WORDS))


def clean_text(text: str) -> str | None:
    """The text in NFKC with plain apostrophes, hyphens and quotes and single spaces.

    None where nothing is left.
    """
    visible = _INVISIBLE.sub("", _CONTROL.sub(" ", text))
    signs = unicodedata.normalize("NFKC", visible.translate(_SIGNS)).translate(_SIGNS)
    return " ".join(_INVISIBLE.sub("", signs).split()) or None


def clean_texts(values: pa.Array) -> pa.Array:
    """Each text cleaned as `clean_text` does.

    Blanks and words for 'no value' become null. Shape (n,), string.
    """
    if pa.types.is_dictionary(values.type):
        return clean_texts(values.dictionary).take(values.indices)
    texts = values.cast(pa.string())
    plain = pc.fill_null(pc.match_substring_regex(texts, _PLAIN), True)
    if not pc.all(plain, min_count=0).as_py():
        mended = map_distinct(one_array(pc.if_else(plain, pa.scalar(None, pa.string()), texts)), clean_text)
        texts = one_array(pc.if_else(plain, texts, mended))
    return _without_blank_words(texts)


def clean_coded(values: pa.Array) -> pa.DictionaryArray:
    """The same as a dictionary array, each distinct text cleaned once."""
    coded = as_coded(values)
    return recode(clean_texts(coded.dictionary), coded.indices)


def _without_blank_words(texts: pa.Array) -> pa.Array:
    short = pc.fill_null(pc.less_equal(pc.binary_length(texts), _LONGEST_BLANK), False)
    if not pc.any(short, min_count=0).as_py():
        return texts
    nothing = pa.scalar(None, pa.string())
    blank = pc.is_in(pc.utf8_lower(pc.if_else(short, texts, nothing)), _BLANKS, skip_nulls=True)
    return pc.if_else(blank, nothing, texts)
