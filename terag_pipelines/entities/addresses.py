"""Addresses: street, house and one Latin key; Kazakh, Russian and English words for streets made one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from terag_pipelines.entities.transliteration import latin_letters, name_key, token_key

_KINDS = {
    "": "ul ulitsa ulitsasi koshesi koshe koshes st str street strase strasse",
    "ave": "pr prt prkt prospekt prospekti dangili dangil ave av avenue",
    "lane": "per pereulok tuik tuigi ln lane",
    "blvd": "bul bulvar bulvari blvd boulevard",
    "mkr": "mkr mkrn mkrn mikroraion mikroraioni shaginaudan shaginaudani",
    "sq": "pl ploshad alani sq square",
    "rd": "rd road shosse tas",
    "dr": "dr drive",
    "ct": "ct court",
    "pl": "place",
    "cres": "cres crescent",
    "tce": "tce terrace ter",
    "cct": "cct circuit",
    "hwy": "hwy highway",
}  # fmt: skip
_KIND_OF = {token_key(word): kind for kind, words in _KINDS.items() for word in words.split()}
_MARKER_WORDS = """
дом үй үйі house bld bldg building кв квартира пәтер пәтері apt appt apartment unit suite ste flat no
город қаласы қала обл область облысы oblast oblisi район ауданы село ауылы ауыл посёлок поселок пос г д к с
"""
_MARKERS = frozenset(map(token_key, _MARKER_WORDS.split()))
_COMPASS = frozenset("nsew")
_SINGLE_LETTER_MARKERS = frozenset("gdks")
_TOKEN = re.compile(r"\w+(?:/\w+)*\.?")
_DISTRICT_WORDS = re.compile(r"\bshagin audani?\b")
_HOUSE_LETTER = re.compile(r"\bd[ .-]+(?=\d)")
_NUMBERED_NAME = re.compile(r"\b([^\W\d]+)-(\d+)")
_POSTCODE = re.compile(r"\d{5,6}")


@dataclass(frozen=True)
class Address:
    """The parts of an address as Latin keys; a part that cannot be told is None."""

    street: str | None
    house: str | None
    key: str | None


def split_address(text: str) -> Address:
    """Street, house number and key of one line of address, its parts set apart by commas.

    The key holds all tokens in order; words for street, house, flat, city and region are left out, other
    kinds of street are canonical and stand behind the street's name.
    """
    segments = [segment for part in re.split(r"[,;\n]", text) if (segment := _read_segment(part)).tokens]
    key = " ".join(token for segment in segments for token in segment.tokens)
    street, house = _street_and_house(segments)
    return Address(street, house, key or None)


def place_key(text: str) -> str | None:
    """The Latin key of a town or region without words such as 'город', 'қаласы', 'область', 'облысы'."""
    tokens = name_key(text).split()
    return " ".join([token for token in tokens if token not in _MARKERS] or tokens) or None


def plain_postcode(text: str) -> str | None:
    """A postcode in upper case, letters and digits only."""
    return re.sub(r"[\W_]+", "", text).upper() or None


@dataclass(frozen=True)
class _Segment:
    tokens: tuple[str, ...]
    has_street_word: bool


# Towns, streets, house and flat numbers repeat far more often than whole addresses do.
@lru_cache(maxsize=2**17)
def _read_segment(text: str) -> _Segment:
    letters = _DISTRICT_WORDS.sub("shaginaudan", latin_letters(text).replace("'", "").replace("_", " "))
    joined = _NUMBERED_NAME.sub(_without_hyphen, _HOUSE_LETTER.sub("", letters))
    tokens = _joined_house_letters([t for t in _TOKEN.findall(joined) if not _is_marker(t)])
    kinds = [kind for token in tokens if (kind := _kind_of(token)) is not None]
    named = _kinds_behind_names([(token.removesuffix("."), _kind_of(token)) for token in tokens])
    return _Segment(tuple(named), bool(kinds))


def _without_hyphen(name: re.Match[str]) -> str:
    """'samal-2', a district, as one word; the number behind a word such as 'кв' is no part of it."""
    is_name = _kind_of(name[1]) is None and name[1] not in _MARKERS
    return name[1] + name[2] if is_name else name[0]


def _is_marker(token: str) -> bool:
    plain = token.removesuffix(".")
    return plain in _MARKERS and (plain not in _SINGLE_LETTER_MARKERS or token.endswith("."))


def _kind_of(token: str) -> str | None:
    return _KIND_OF.get(token.removesuffix("."))


def _joined_house_letters(tokens: list[str]) -> list[str]:
    """'12 a' as '12a'; N, S, E and W behind a number are points of the compass."""
    joined: list[str] = []
    for token in tokens:
        if joined and token.isalpha() and len(token) == 1 and token not in _COMPASS and joined[-1].isdigit():
            joined[-1] += token
        else:
            joined.append(token)
    return joined


def _kinds_behind_names(tokens: list[tuple[str, str | None]]) -> list[str]:
    """Canonical kinds of street, moved behind the name where they stand in front of it.

    Plain streets have none.
    """
    placed: list[str] = []
    waiting: str | None = None
    for token, kind in tokens:
        if kind is not None:
            in_front = not any(word.isalpha() for word in placed)
            waiting = kind if in_front else waiting
            placed += [] if in_front or not kind else [kind]
        else:
            if waiting and token[0].isdigit() and placed:
                placed.append(waiting)
                waiting = None
            placed.append(token)
    return placed + ([waiting] if waiting else [])


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
    return " ".join(token for token in segment.tokens if not token[0].isdigit()) or None


def _house_in(segment: _Segment) -> str | None:
    """The first number that is no postcode: six digits, or five that do not open the segment."""
    for place, token in enumerate(segment.tokens):
        if token[0].isdigit() and not (_POSTCODE.fullmatch(token) and (place or len(token) == 6)):
            return token
    return None
