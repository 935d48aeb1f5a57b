"""Blocking rules: combinations of keys, those that may be chosen from and those for few records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from types import MappingProxyType

from terag_pipelines.errors import LinkingError

IDENTIFYING_KEYS = frozenset({"iin", "bin", "identifier", "phone", "email"})
NUMBER_KEYS = frozenset({"iin", "bin"})

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "iin": ("iin",),
        "bin": ("bin",),
        "identifiers": ("identifier",),
        "phone": ("phone",),
        "email": ("email", "email_local"),
        "given": ("given", "given_start", "given_sound", "given_initial"),
        "family": ("family", "family_start", "family_sound", "family_initial"),
        "both_names": ("swappable_names", "swappable_starts", "name"),
        "organisation": (
            "organisation",
            "organisation_start",
            "organisation_sound",
            "organisation_word",
        ),
        "birth_date": ("birth_date", "birth_day", "birth_year"),
        "postcode": ("postcode",),
        "locality": ("locality",),
        "street": ("street",),
        "house": ("house",),
        "address": ("address",),
        "description": (
            "description_word",
            "description_likeness",
            "description_closeness",
            "description_sameness",
        ),
    }
)
"""The keys that are made of the same field: at most one of each group is in a rule."""

EVENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "iin": ("iin",),
        "bin": ("bin",),
        "identifiers": ("identifiers",),
        "phone": ("phone",),
        "email": ("email",),
        "name": ("given", "family", "both_names"),
        "organisation": ("organisation",),
        "birth_date": ("birth_date",),
        "address": ("postcode", "locality", "street", "house", "address"),
        "description": ("description",),
    }
)
"""Groups that go wrong together: names change places, a removal changes every part of an address."""

_PARTS_OF_ADDRESS = tuple(
    tuple(parts.split("+"))
    for parts in ("postcode+house", "postcode+street", "street+house", "locality+house", "locality+street")
)
_TRIPLES = (
    ("name", "birth_date", "address"),
    ("name", "phone", "address"),
    ("organisation", "address", "phone"),
)


@dataclass(frozen=True)
class BlockingRule:
    """Keys that two records must share, as a ladder from loose to tight.

    The first rung whose pairs fit the budget is taken; blocks over the cap go on to the next rung.
    """

    rungs: tuple[tuple[str, ...], ...]

    @property
    def name(self) -> str:
        """The keys of its loosest rung."""
        return "+".join(self.rungs[0])

    @property
    def holds_identifier(self) -> bool:
        """Whether every rung has a key that says who someone is, so that partial records may take part."""
        return all(IDENTIFYING_KEYS & set(rung) for rung in self.rungs)

    @property
    def belongs_to_one(self) -> bool:
        """Whether no two parties share the value, so that large blocks are one party with many records."""
        return len(self.rungs) == 1 and self.rungs[0][0] in NUMBER_KEYS and len(self.rungs[0]) == 1


def parse_rule(*rungs: str) -> BlockingRule:
    """A rule from texts such as "family+birth_date".

    Raises: LinkingError for a key that does not exist; it lists those that do.
    """
    parsed = tuple(tuple(key.strip() for key in rung.split("+")) for rung in rungs)
    known = {key for keys in GROUPS.values() for key in keys}
    if unknown := sorted({key for rung in parsed for key in rung} - known):
        raise LinkingError(f"there is no blocking key {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return BlockingRule(parsed)


def list_rules(present: Iterable[str]) -> list[tuple[str, ...]]:
    """Every combination of the present keys that may be chosen: of one, two or three kinds of fields."""
    there = set(present)
    options = {event: [o for o in _options(event) if set(o) <= there] for event in EVENTS}
    found = [option for listed in options.values() for option in listed]
    found += [
        a + b for one, other in combinations(EVENTS, 2) for a, b in product(options[one], options[other])
    ]
    found += [sum(parts, ()) for events in _TRIPLES for parts in product(*(options[e] for e in events))]
    return found


def _options(event: str) -> list[tuple[str, ...]]:
    """The combinations of keys that stand for one kind of field."""
    single: list[tuple[str, ...]] = [(key,) for group in EVENTS[event] for key in GROUPS[group]]
    if event == "name":
        whole = [option for option in single if not option[0].endswith("initial")]
        return [*whole, *product(GROUPS["given"], GROUPS["family"])]
    return [*single, *_PARTS_OF_ADDRESS] if event == "address" else [*single]


LADDERS = tuple(
    parse_rule(*rungs.split())
    for rungs in (
        "iin",
        "bin",
        "identifier",
        "phone phone+family_initial phone+given_start",
        "email email+family_initial",
        "name+birth_date",
        "family+birth_date",
        "given+birth_date",
        "swappable_names swappable_names+birth_year swappable_names+birth_year+postcode",
        "name name+birth_year name+locality name+postcode",
        "organisation organisation+locality",
        "organisation_start organisation_start+locality",
        "organisation_word organisation_word+locality organisation_word+street",
        "organisation_sound organisation_sound+locality",
        "description_word",
        "description_sameness",
        "description_closeness",
        "description_likeness",
        "postcode+birth_date",
        "street+house street+house+postcode street+house+family",
        "swappable_starts+birth_year",
        "given_start+family_start given_start+family_start+birth_year",
        "given_sound+family_sound given_sound+family_sound+birth_year",
        "family+postcode family+postcode+house family+postcode+street",
        "given+postcode given+postcode+house given+postcode+street",
        "birth_date birth_date+given_initial birth_date+given_start",
        "birth_day+family birth_day+family+given_initial",
        "birth_day+given birth_day+given+family_initial",
        "family+birth_year family+birth_year+given_initial",
        "given+birth_year given+birth_year+family_initial",
        "address",
        "email_local email_local+birth_year",
        "family+locality family+locality+given_initial family+locality+birth_year",
        "given+locality given+locality+family_initial given+locality+birth_year",
        "family",
        "given+street",
        "family+street",
    )
)
"""Rules for records too few to choose from, surest first, each as far as the budget allows."""
