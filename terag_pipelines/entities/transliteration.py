"""One Latin key for a name in Kazakh or Russian Cyrillic, passport Latin or the Kazakh Latin alphabets.

Not a romanisation to show to people: spellings that stand for the same letters are folded into one.
Sources: Kazakh Latin alphabets of the decrees No. 569 (2017) and No. 637 (2018) and the draft of January
2021; passport romanisation after ICAO Doc 9303; BGN/PCGN for the rest.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

import polars as pl
import pyarrow as pa

from terag_pipelines.entities.distinct import as_texts, convert_distinct

# Each letter and what it becomes; ъ and ь become nothing.
_CYRILLIC = """
аa бb вv гg дd еe ёe жj зz иi йi кk лl мm нn оo пp рr сs тt уu фf хh цts чch шsh щsh ъ ыi ь эe юiu яia
әa ғg қk ңn өo ұu үu һh іi їi єe ґg ўu җj ҳh ҷj ӣi ӯu ҡk ҙz ҫs јi љl њn ћch ђj џj ѓg ќk ѕz
"""
_LATIN = """
əa äa áa ğg ǵg ñn ńn ŋn öo óo üu úu ūu ýu ıi şsh šsh çch čch žj ßss øo łl đd ðd þth æae œoe ħh
"""
_LETTERS = str.maketrans({pair[0]: pair[1:] for pair in (_CYRILLIC + _LATIN).split()})

# The alphabet of 2017 marks letters with an apostrophe: s' is ш, c' is ч, y' is у.
_APOSTROPHE_LETTERS = re.compile(r"([scy])'(?=[a-z])")
_APOSTROPHE_SOUNDS = {"s": "sh", "c": "ch", "y": "u"}

_SPELLINGS = {"sch": "sh", "shch": "sh", "shh": "sh", "kh": "h", "gh": "g", "zh": "j", "dj": "j", "tz": "ts",
              "q": "k", "x": "ks", "y": "i", "ii": "i"}  # fmt: skip
_SPELLING = re.compile("|".join(sorted(_SPELLINGS, key=len, reverse=True)))
_SOFT_SIGN_BEFORE_VOWEL = re.compile(r"[ьъ](?=[еёюяиі])")
_IOTATED_E = re.compile(r"(?<=[aeou])ie|\bie")
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼʹ`´ʻˈ′", "'"))
_ASCII_LETTERS = re.compile(r"[a-z ]*")
_N_CACHED_WORDS = 2**18
_MAX_CHARACTERS = 2_000  # of one text; folding takes time in the square of its length
_NOT_IN_A_NAME = re.compile(r"[^\w ]|[\d_]")
_NOT_IN_AN_ADDRESS = re.compile(r"[^\w /]|_")

# What whole columns are folded by: printable ASCII whose signs part words, so that no rule reaches over them.
_PLAIN_NAME = rf"^[A-Za-z !-&(-/:-@\[-^{{-~]{{0,{_MAX_CHARACTERS}}}$"
_PLAIN_TEXT = rf"^[A-Za-z0-9 !-&(-/:-@\[-^{{-~]{{0,{_MAX_CHARACTERS}}}$"
_TO_FOLD = "|".join([*_SPELLINGS, "ie"])


def latin_letters(text: str) -> str:
    """The text casefolded, in Latin letters, one spelling per sound; everything but letters stays as it is.

    Chinese, Arabic and other scripts without a table stay in their script, without combining marks. Of a
    text longer than any name or address the start stands for the whole.
    """
    folded = unicodedata.normalize("NFKC", text[:_MAX_CHARACTERS]).casefold()
    if not _ASCII_LETTERS.fullmatch(folded):
        folded = _latin_from_any(folded)
    return _fold_spellings(folded)


def name_key(text: str) -> str:
    """The Latin key of a name: letters and single spaces only; apostrophes vanish, other signs part words."""
    return " ".join(key for word in text.split() if (key := _word_of_name(word)))


def token_key(text: str) -> str:
    """The Latin key of an address or organisation: letters, digits, '/' within numbers, single spaces."""
    return " ".join(key for word in text.split() if (key := _word_of_text(word)))


def name_keys(values: pa.Array) -> pa.Array:
    """`name_key` of each text; nulls stay null. Plain ASCII is folded as a whole column."""
    return _fold_column(values, _PLAIN_NAME, r"[^a-z]+", name_key)


def token_keys(values: pa.Array) -> pa.Array:
    """`token_key` of each text; nulls stay null. Plain ASCII is folded as a whole column."""
    return _fold_column(values, _PLAIN_TEXT, r"[^a-z0-9/]+", token_key)


def _fold_column(values: pa.Array, plain: str, signs: str, key: Callable[[str], str]) -> pa.Array:
    def convert(texts: pl.Series) -> pl.Series:
        is_plain = texts.str.contains(plain)
        folded = _fold_plain(texts.filter(is_plain), signs)
        others = pl.Series([key(text) for text in texts.filter(~is_plain)], dtype=pl.String)
        places = pl.concat([is_plain.arg_true(), (~is_plain).arg_true()])
        known = pl.concat([folded, others]).gather(places.arg_sort())
        return known if texts.null_count() == 0 else _put_back_nulls(known, texts)

    return as_texts(convert_distinct(values, convert))


def _put_back_nulls(known: pl.Series, texts: pl.Series) -> pl.Series:
    at = texts.is_not_null().cum_sum() - 1
    return known.gather(at).zip_with(texts.is_not_null(), pl.Series([None], dtype=pl.String))


def _fold_plain(texts: pl.Series, signs: str) -> pl.Series:
    words = texts.str.to_lowercase().str.replace_all(signs, " ").str.strip_chars(" ")
    spellings = sorted(_SPELLINGS, key=len, reverse=True)
    found, at = words, words.str.contains(_TO_FOLD).arg_true()
    while len(at):
        before = found.gather(at)
        sounds = before.str.replace_many(spellings, [_SPELLINGS[s] for s in spellings], leftmost=True)
        after = _fold_iotated(sounds)
        found = found.scatter(at, after)
        at = at.filter(before != after)
    return found


def _fold_iotated(texts: pl.Series) -> pl.Series:
    """As _IOTATED_E does; without looking behind, vowels in a row take turns."""
    folded = texts.str.replace_all(r"\bie", "e")
    while (again := folded.str.replace_all("([aeou])ie", "${1}e")).ne(folded).any():
        folded = again
    return folded


# Words repeat far more often than whole names and addresses do.
@lru_cache(maxsize=_N_CACHED_WORDS)
def _word_of_name(word: str) -> str:
    return _plain_words(word, _NOT_IN_A_NAME)


@lru_cache(maxsize=_N_CACHED_WORDS)
def _word_of_text(word: str) -> str:
    return _plain_words(word, _NOT_IN_AN_ADDRESS)


def _plain_words(word: str, unwanted: re.Pattern[str]) -> str:
    letters = latin_letters(word).replace("'", "")
    return _fold_spellings(" ".join(unwanted.sub(" ", letters).split()))


def _latin_from_any(folded: str) -> str:
    text = _APOSTROPHE_LETTERS.sub(lambda m: _APOSTROPHE_SOUNDS[m[1]], folded.translate(_APOSTROPHES))
    text = _SOFT_SIGN_BEFORE_VOWEL.sub("i", text).translate(_LETTERS)
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFD", text)
    bare = "".join(c for c in parts if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", bare).translate(_LETTERS)


def _fold_spellings(text: str) -> str:
    """Digraphs and look-alike letters folded until nothing changes, so that a key's key is itself."""
    while True:
        folded = _IOTATED_E.sub("e", _SPELLING.sub(_spelling_of, text))
        if folded == text:
            return folded
        text = folded


def _spelling_of(match: re.Match[str]) -> str:
    return _SPELLINGS[match[0]]
