"""Levels of agreement: what a comparison of one field can say, and how much it says by default.

A level is a small integer: 0 where either side is missing (neutral), 1 for the strongest agreement, and so
on down to the disagreement. `FIELDS` states the levels and their default probabilities: m among matches, u
among candidate pairs that do not match. The defaults decide where there are too few pairs to learn from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from terag_pipelines.linking.similarity import Similarity

Levels = npt.NDArray[np.int8]
Compared = Mapping[str, Levels]


@dataclass(frozen=True)
class Level:
    """One level of agreement with its default probabilities among matches (m) and non-matches (u)."""

    name: str
    m: float
    u: float


@dataclass(frozen=True)
class Field:
    """A comparison: its name, its levels from strongest agreement to disagreement, whom it applies to."""

    name: str
    levels: tuple[Level, ...]
    party_types: tuple[str, ...] = ("person", "organisation")


def _field(name: str, *levels: tuple[str, float, float], party: str = "") -> Field:
    return Field(
        name, tuple(Level(*level) for level in levels), (party,) if party else ("person", "organisation")
    )


FIELDS = (
    _field(
        "given_name",
        ("exact", 0.70, 0.08),
        ("close", 0.09, 0.015),
        ("nickname", 0.06, 0.01),
        ("swapped", 0.03, 0.003),
        ("initial", 0.03, 0.015),
        ("similar", 0.03, 0.08),
        ("different", 0.045, 0.297),
        ("other", 0.015, 0.5),
        party="person",
    ),
    _field(
        "family_name",
        ("exact", 0.78, 0.15),
        ("close", 0.10, 0.02),
        ("initial", 0.01, 0.005),
        ("similar", 0.04, 0.05),
        ("different", 0.07, 0.775),
        party="person",
    ),
    _field(
        "patronymic",
        ("exact", 0.80, 0.05),
        ("close", 0.10, 0.01),
        ("initial", 0.05, 0.03),
        ("different", 0.05, 0.91),
        party="person",
    ),
    _field(
        "full_name",
        ("exact", 0.62, 0.02),
        ("close", 0.14, 0.01),
        ("subset", 0.12, 0.02),
        ("similar", 0.06, 0.05),
        ("different", 0.06, 0.90),
        party="person",
    ),
    _field(
        "birth_date",
        ("exact", 0.80, 0.03),
        ("swapped", 0.03, 0.001),
        ("typo", 0.10, 0.012),
        ("near", 0.04, 0.03),
        ("different", 0.03, 0.927),
        party="person",
    ),
    _field("generation", ("same", 0.999, 0.6), ("different", 0.001, 0.4), party="person"),
    _field("sex", ("same", 0.985, 0.55), ("different", 0.015, 0.45), party="person"),
    _field("iin", ("same", 0.995, 0.001), ("typo", 0.003, 0.0005), ("different", 0.002, 0.9985)),
    _field(
        "organisation_name",
        ("exact", 0.66, 0.04),
        ("close", 0.14, 0.02),
        ("subset", 0.10, 0.03),
        ("similar", 0.05, 0.08),
        ("different", 0.05, 0.83),
        party="organisation",
    ),
    _field("bin", ("same", 0.995, 0.001), ("different", 0.005, 0.999), party="organisation"),
    _field("identifiers", ("shared", 0.90, 0.003), ("typo", 0.06, 0.003), ("different", 0.04, 0.992)),
    _field("phone", ("shared", 0.65, 0.03), ("typo", 0.08, 0.004), ("different", 0.27, 0.966)),
    _field(
        "email",
        ("shared", 0.65, 0.01),
        ("same_local", 0.05, 0.01),
        ("similar", 0.12, 0.015),
        ("different", 0.18, 0.97),
    ),
    _field(
        "address",
        ("whole", 0.50, 0.02),
        ("most", 0.20, 0.03),
        ("area", 0.15, 0.10),
        ("part", 0.05, 0.10),
        ("different", 0.10, 0.75),
    ),
    _field(
        "description",
        ("same", 0.25, 0.002),
        ("code", 0.40, 0.003),
        ("close", 0.18, 0.012),
        ("similar", 0.08, 0.05),
        ("vague", 0.05, 0.20),
        ("different", 0.04, 0.733),
    ),
)
FIELD_BY_NAME: Mapping[str, Field] = MappingProxyType({field.name: field for field in FIELDS})
HOME_FIELDS = frozenset({"family_name", "phone", "email", "address"})
"""What the members of one household have in common."""
IDENTIFYING = frozenset({"iin", "bin", "identifiers", "phone", "email"})
AGREED_IDENTIFIER = re.compile("|".join(f"{field}:(?:same|shared)" for field in sorted(IDENTIFYING)))
"""Found in the text of a pattern where an identifier or a contact agrees."""
NAMESAKES = re.compile(
    r"given_name:(?:exact|close|nickname|initial)\|family_name:(?:exact|close)\|.*"
    r"(?:birth_date|generation):different\|.*address:(?:whole|most)"
)
"""Found where generation or birth date tell apart what has one name and one address: parent and child."""


def rank(field: str, level: str) -> int:
    """The number that stands for a level of a field."""
    return 1 + [known.name for known in FIELD_BY_NAME[field].levels].index(level)


def grade(field: str, similarity: Similarity, *cuts: tuple[str, float]) -> Levels:
    """Levels from a similarity: the first cut that it reaches; below all "different", below 0 missing."""
    levels = np.full(len(similarity), rank(field, "different"), np.int8)
    for name, least in reversed(cuts):
        levels[similarity >= least] = rank(field, name)
    levels[similarity < 0] = 0
    return levels
