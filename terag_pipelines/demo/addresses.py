"""Addresses as text: the parts that core banking keeps, and the free lines that clients type."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from terag_pipelines.demo.people import Addresses
from terag_pipelines.demo.places import CITIES, STREETS
from terag_pipelines.demo.randomness import Bools, Ints
from terag_pipelines.demo.spelling import PASSPORT, make_vocabulary
from terag_pipelines.demo.texts import choose, format_digits, glue, join, take

RUSSIAN_LINE, KAZAKH_LINE, LATIN_LINE, SHORT_LINE = range(4)


def plain_numbers(values: Ints) -> pa.Array:
    """Whole numbers as text without leading zeros."""
    return pa.array(values).cast(pa.string())


def city_texts(addresses: Addresses, rows: Ints, kazakh: Bools) -> pa.Array:
    """The city of each address in Russian or in Kazakh."""
    both = pa.array([city.russian for city in CITIES] + [city.kazakh for city in CITIES])
    return take(both, addresses.city[rows] + len(CITIES) * kazakh)


def region_texts(addresses: Addresses, rows: Ints) -> pa.Array:
    """The region of each address, in Russian."""
    return take(pa.array([city.region for city in CITIES]), addresses.city[rows])


def postcode_texts(addresses: Addresses, rows: Ints) -> pa.Array:
    """The six-digit postcode of each address."""
    base = np.array([city.postcode for city in CITIES])[addresses.city[rows]]
    return format_digits(base + addresses.street[rows] % 90, "######")


def street_texts(addresses: Addresses, rows: Ints, kazakh: Bools) -> pa.Array:
    """The street of each address in Russian or in Kazakh."""
    both = pa.array(
        [f"ул. {street}" for street, _ in STREETS] + [f"{street} көшесі" for _, street in STREETS]
    )
    return take(both, addresses.street[rows] + len(STREETS) * kazakh)


def house_texts(addresses: Addresses, rows: Ints) -> pa.Array:
    """House and flat as one field: 12-45."""
    return join("-", plain_numbers(addresses.house[rows]), plain_numbers(addresses.flat[rows]))


def address_lines(addresses: Addresses, rows: Ints, styles: Ints) -> pa.Array:
    """Each address as one line in one of four manners: Russian, Kazakh, Latin, short."""
    house, flat = plain_numbers(addresses.house[rows]), plain_numbers(addresses.flat[rows])
    city, street = addresses.city[rows], addresses.street[rows]
    russian = take(pa.array([town.russian for town in CITIES]), city)
    kazakh = take(pa.array([town.kazakh for town in CITIES]), city)
    latin = take(pa.array([town.latin for town in CITIES]), city)
    russian_street = take(pa.array([name for name, _ in STREETS]), street)
    kazakh_street = take(pa.array([name for _, name in STREETS]), street)
    latin_street = take(pa.array(_latin_streets()), street)
    return choose(
        styles,
        glue("г. ", russian, ", ул. ", russian_street, ", д. ", house, ", кв. ", flat),
        glue(kazakh, " қ., ", kazakh_street, " к-сі, ", house, " үй, ", flat, " пәтер"),
        glue(latin, ", ", latin_street, " st. ", house, ", apt. ", flat),
        glue(russian, " ", russian_street, " ", house, "-", flat),
    )


def _latin_streets() -> list[str]:
    spelled = make_vocabulary([name for name, _ in STREETS]).spell(np.arange(len(STREETS)), PASSPORT)
    return [name.title() for name in spelled.to_pylist()]
