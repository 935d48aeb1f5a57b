"""Addresses: street, house and one Latin key; Kazakh, Russian and English words for streets made one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import polars as pl
import pyarrow as pa

from terag_pipelines.entities.distinct import as_coded, as_series, as_texts, convert_coded, recode
from terag_pipelines.entities.places import LONGEST_TOWN_NAME, TOWN_OF
from terag_pipelines.entities.transliteration import latin_letters, name_key, name_keys, token_key, token_keys

_KINDS = {
    "": "ул улица улицасы көшесі көше к-сі көш st str street strasse",
    "ave": "пр пр-т пр-кт проспект проспекті даңғылы даңғыл д-лы ave av avenue",
    "lane": "пер переулок тұйық тұйығы ln lane",
    "blvd": "бул б-р бульвар бульвары blvd boulevard",
    "mkr": "мкр мкрн м-н микрорайон микрорайоны shaginaudan shaginaudani",
    "sq": "пл площадь алаңы sq square",
    "rd": "rd road шоссе тас",
    "dr": "dr drive",
    "ct": "ct court",
    "pl": "place",
    "cres": "cres crescent",
    "tce": "tce terrace ter",
    "cct": "cct circuit",
    "hwy": "hwy highway",
}
_PREFIX_WORDS = (
    "ул улица пр пр-т пр-кт проспект пер переулок бул б-р бульвар мкр мкрн м-н микрорайон пл площадь шоссе"
)
_MARKER_WORDS = """
дом үй үйі house bld bldg building кв квартира пәтер пәтері apt appt apartment unit suite ste flat no
обл область облысы oblast oblisi район ауданы село ауылы ауыл посёлок поселок пос д с
"""
_TOWN_WORDS = "г город қ қаласы қала"
_COMPASS = frozenset("nsew")
_SINGLE_LETTERS = frozenset("gdks")
_TOKEN = re.compile(r"\w+(?:/\w+)*\.?")
_DISTRICT_WORDS = re.compile(r"\bshagin audani?\b")
_HOUSE_LETTER = re.compile(r"\bd[ .-]+(?=\d)")
_NUMBERED_NAME = re.compile(r"\b([^\W\d]+)-(\d+)")
_POSTCODE = re.compile(r"\d{5,6}")


def _key_of(word: str) -> str:
    return token_key(word.replace("-", ""))


_KIND_OF = {_key_of(word): kind for kind, words in _KINDS.items() for word in words.split()}
_PREFIXES = frozenset(map(_key_of, _PREFIX_WORDS.split()))
_MARKERS = frozenset(map(_key_of, (_MARKER_WORDS + _TOWN_WORDS).split()))
_TOWN_MARKERS = frozenset(map(_key_of, _TOWN_WORDS.split()))
_HYPHENATED = [word for words in _KINDS.values() for word in words.split() if "-" in word]
_HYPHENATED_KEYS = [token_key(word).replace(" ", "-") for word in _HYPHENATED]
_HYPHENATED_WORD = re.compile(rf"\b({'|'.join(_HYPHENATED_KEYS)})(?!\w)")
_PLAIN_STREET = r"^[A-Za-z]{2,}(?: [A-Za-z]{2,})+$"
_ANY_MARKER = "|".join(sorted(_MARKERS))
_HAS_MARKER = rf"\b(?:{_ANY_MARKER})\b"
_TOWN_STARTS = "|".join(sorted({town.split()[0] for town in TOWN_OF}))
# A marker or a district anywhere, a kind of street that is not last, a town in front.
_SAYS_MORE = rf"\b(?:{_ANY_MARKER}|shagin\w*)\b|\b(?:{'|'.join(sorted(_KIND_OF))}) |^(?:{_TOWN_STARTS})\b"


@dataclass(frozen=True)
class Address:
    """The parts of an address as Latin keys; a part that cannot be told is None."""

    street: str | None = None
    house: str | None = None
    locality: str | None = None
    key: str | None = None


def split_address(text: str) -> Address:
    """Street, house number, town and key of one line of address, its parts set apart by commas.

    The key holds all tokens in order; words for street, house, flat, town and region are left out, other
    kinds of street are canonical and stand behind the street's name, towns have one name.
    """
    parts = (_read_segment(part) for part in re.split(r"[,;\n]", text))
    segments = [segment for segment in parts if segment.town or segment.tokens]
    tokens = [token for segment in segments for token in (*segment.town, *segment.tokens)]
    street, house = _street_and_house([segment for segment in segments if segment.tokens])
    town = next((" ".join(segment.town) for segment in segments if segment.town), None)
    return Address(street, house, town, " ".join(tokens) or None)


def split_addresses(texts: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array, pa.Array]:
    """Street, house, town and key of each text as `split_address` gives them, as dictionary arrays.

    Plain names of streets, such as 'giblin street', are split as a column.
    """
    encoded = as_coded(texts)
    distinct = as_series(encoded.dictionary)
    streets = _plain_streets(distinct)
    rest = streets.is_null().arg_true()
    slow = [split_address(text) for text in distinct.gather(rest)]
    nothing = pl.repeat(None, len(distinct), dtype=pl.String, eager=True)
    parts = (
        (streets, [address.street for address in slow]),
        (nothing, [address.house for address in slow]),
        (nothing, [address.locality for address in slow]),
        (streets, [address.key for address in slow]),
    )
    filled = (known.scatter(rest, pl.Series(found, dtype=pl.String)) for known, found in parts)
    street, house, locality, key = (recode(as_texts(column), encoded.indices) for column in filled)
    return street, house, locality, key


def _plain_streets(texts: pl.Series) -> pl.Series:
    """The key of texts of two or more words in ASCII letters, the last of which may be a kind of street.

    Null for all others, and where a word says more: a town, a house, a kind that stands in front.
    """
    is_plain = (texts.str.contains(_PLAIN_STREET)).fill_null(False)
    keys = as_series(token_keys(as_texts(texts.filter(is_plain))))
    says_more = keys.str.contains(_SAYS_MORE) | ~keys.str.contains(" ", literal=True)
    last = keys.str.extract(r"(\S+)$")
    kind = last.replace_strict(list(_KIND_OF), list(_KIND_OF.values()), default=None, return_dtype=pl.String)
    named = keys.str.strip_suffix(" " + last)
    placed = pl.select(
        pl.when(kind.is_null()).then(keys).when(kind == "").then(named).otherwise(named + " " + kind)
    ).to_series()
    found = placed.set(says_more, None)
    return pl.repeat(None, len(texts), dtype=pl.String, eager=True).scatter(is_plain.arg_true(), found)


def place_keys(texts: pa.Array) -> pa.Array:
    """`place_key` of each text, as a dictionary array."""
    return convert_coded(texts, lambda distinct: as_texts(_distinct_place_keys(as_series(distinct))))


def _distinct_place_keys(texts: pl.Series) -> pl.Series:
    keys = as_series(name_keys(as_texts(texts)))
    plain = keys.replace_strict(list(TOWN_OF), list(TOWN_OF.values()), default=keys, return_dtype=pl.String)
    marked = (keys.str.contains(_HAS_MARKER) | (keys == "")).fill_null(False).arg_true()
    return plain.scatter(
        marked, pl.Series([place_key(text) for text in texts.gather(marked)], dtype=pl.String)
    )


def house_numbers(texts: pa.Array) -> pa.Array:
    """`house_number` of each text, as a dictionary array."""
    return convert_coded(texts, lambda distinct: as_texts(_distinct_house_numbers(as_series(distinct))))


def _distinct_house_numbers(texts: pl.Series) -> pl.Series:
    rest = (~texts.str.contains(r"^[0-9]{1,4}$")).fill_null(False).arg_true()
    return texts.scatter(
        rest, pl.Series([house_number(text) for text in texts.gather(rest)], dtype=pl.String)
    )


def place_key(text: str) -> str | None:
    """The Latin key of a town or region without 'город', 'қаласы', 'область'; one key for all its names."""
    tokens = name_key(text).split()
    key = " ".join([token for token in tokens if token not in _MARKERS] or tokens)
    return TOWN_OF.get(key, key) or None


def house_number(text: str) -> str | None:
    """The number of a house without the flat behind it (155 of '155-25'); else the text's key."""
    address = split_address(text)
    return address.house or address.key


def plain_postcode(text: str) -> str | None:
    """A postcode in upper case, letters and digits only."""
    return re.sub(r"[\W_]+", "", text).upper() or None


@dataclass(frozen=True)
class _Segment:
    """What stands between two commas: a town's name, other tokens, those of them that name the street."""

    town: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    street: tuple[str, ...] = ()
    has_street_word: bool = False


# Towns, streets, house and flat numbers repeat far more often than whole addresses do.
@lru_cache(maxsize=2**17)
def _read_segment(text: str) -> _Segment:
    words = _TOKEN.findall(_spaced_letters(text))
    says_town = any(_is_marker(word) and word.removesuffix(".") in _TOWN_MARKERS for word in words)
    tokens = _joined_house_letters([word.removesuffix(".") for word in words if not _is_marker(word)])
    if says_town and tokens and all(token.isalpha() and token not in _KIND_OF for token in tokens):
        return _Segment(town=(_town_name(tokens),))
    n_town = _n_town_tokens(tokens)
    rest = tokens[n_town:]
    placed = _kinds_behind_names(rest)
    town = (_town_name(tokens[:n_town]),) if n_town else ()
    return _Segment(
        town, tuple(placed), _street_tokens(rest, placed), any(token in _KIND_OF for token in rest)
    )


def _spaced_letters(text: str) -> str:
    """The text in Latin letters, abbreviations with hyphens joined, a numbered district as one word."""
    letters = latin_letters(text).replace("'", "").replace("_", " ")
    joined = _HYPHENATED_WORD.sub(lambda word: word[0].replace("-", ""), letters)
    whole = _HOUSE_LETTER.sub("", _DISTRICT_WORDS.sub("shaginaudan", joined))
    return _NUMBERED_NAME.sub(_without_hyphen, whole)


def _without_hyphen(name: re.Match[str]) -> str:
    """'samal-2', a district, as one word; the number behind a word such as 'кв' is no part of it."""
    is_name = name[1] not in _KIND_OF and name[1] not in _MARKERS
    return name[1] + name[2] if is_name else name[0]


def _is_marker(word: str) -> bool:
    plain = word.removesuffix(".")
    return plain in _MARKERS and (plain not in _SINGLE_LETTERS or word.endswith("."))


def _town_name(tokens: list[str]) -> str:
    name = " ".join(tokens)
    return TOWN_OF.get(name, name)


def _n_town_tokens(tokens: list[str]) -> int:
    """How many tokens in front are the name of a known town; 'Тараз көшесі' is a street."""
    for length in range(min(LONGEST_TOWN_NAME, len(tokens)), 0, -1):
        follows = tokens[length] if length < len(tokens) else ""
        if " ".join(tokens[:length]) in TOWN_OF and (follows not in _KIND_OF or follows in _PREFIXES):
            return length
    return 0


def _joined_house_letters(tokens: list[str]) -> list[str]:
    """'12 a' as '12a'; N, S, E and W behind a number are points of the compass."""
    joined: list[str] = []
    for token in tokens:
        if joined and token.isalpha() and len(token) == 1 and token not in _COMPASS and joined[-1].isdigit():
            joined[-1] += token
        else:
            joined.append(token)
    return joined


def _kinds_behind_names(tokens: list[str]) -> list[str]:
    """Tokens with canonical kinds of street, moved behind the name they stand in front of."""
    placed: list[str] = []
    waiting: str | None = None
    for place, token in enumerate(tokens):
        kind = _KIND_OF.get(token)
        if kind is None:
            if waiting and token[0].isdigit():
                placed.append(waiting)
                waiting = None
            placed.append(token)
        elif _stands_in_front(tokens, place):
            waiting = kind
        elif kind:
            placed.append(kind)
    return placed + ([waiting] if waiting else [])


def _stands_in_front(tokens: list[str], place: int) -> bool:
    """Whether a kind of street precedes the name: nothing is before it, or it is a word that always does."""
    names_behind = place + 1 < len(tokens) and not tokens[place + 1][0].isdigit()
    names_before = any(token.isalpha() for token in tokens[:place])
    return names_behind and (tokens[place] in _PREFIXES or not names_before)


def _street_tokens(tokens: list[str], placed: list[str]) -> tuple[str, ...]:
    """The tokens that name the street: all but numbers, from a word such as 'ул.' on if there is one."""
    start = next((i for i, t in enumerate(tokens) if t in _PREFIXES and _stands_in_front(tokens, i)), 0)
    before = sum(token not in _KIND_OF for token in tokens[:start])
    return tuple(token for token in placed[before:] if not token[0].isdigit())


def _street_and_house(segments: list[_Segment]) -> tuple[str | None, str | None]:
    if not segments:
        return None, None
    place = _street_place(segments)
    street, house = _street_in(segments[place]), _house_in(segments[place])
    if street is None and place:
        street = _street_in(segments[place - 1])
    if house is None and place + 1 < len(segments) and segments[place + 1].tokens[0][0].isdigit():
        house = _house_in(segments[place + 1])
    return street, house


def _street_place(segments: list[_Segment]) -> int:
    """The segment with a word for a street, else a number and a name, else a number, else the first."""
    wanted: tuple[Callable[[_Segment], bool], ...] = (
        lambda segment: segment.has_street_word,
        lambda segment: bool(_house_in(segment) and _street_in(segment)),
        lambda segment: _house_in(segment) is not None,
    )
    for fits in wanted:
        for place, segment in enumerate(segments):
            if fits(segment):
                return place
    return 0


def _street_in(segment: _Segment) -> str | None:
    return " ".join(segment.street) or None


def _house_in(segment: _Segment) -> str | None:
    """The first number that is no postcode: six digits, or five that do not open the segment."""
    for place, token in enumerate(segment.tokens):
        if token[0].isdigit() and not (_POSTCODE.fullmatch(token) and (place or len(token) == 6)):
            return token
    return None
