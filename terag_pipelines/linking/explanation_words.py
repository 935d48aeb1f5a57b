"""The words of explanations: fields, levels and shares as a person reads them. No personal values in any."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

FIELD_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "iin": "IIN",
        "bin": "BIN",
        "email": "e-mail",
        "phone": "telephone",
        "identifiers": "documents",
        "names": "both names",
        "family": "one family",
        "nameless": "no name compared",
        "names_alone": "names alone",
        "one_word": "one word",
        "namesakes": "namesakes",
        "chance": "shared by chance",
        "organisation_name": "organisation",
    }
)

TRANSLITERATED = "exact, transliterated"  # no level of its own: what "exact" is across scripts
TIDIED = "exact, tidied"  # likewise, for values of one script that do not look the same
BY_IIN = "exact, by the IIN"  # likewise, for a birth date that agrees with the one in an IIN only
_SAME_OR_NOT = {"same": "the same", "different": "different"}
_NAME = {
    "exact": "the same",
    "close": "spelled nearly the same",
    "nickname": "known forms of one name",
    "swapped": "changed places with the family name",
    "initial": "one is an initial, which agrees",
    TRANSLITERATED: "the same once transliterated",
    TIDIED: "the same but for marks and additions",
    "subset": "all words of one are among those of the other",
    "similar": "somewhat alike",
    "different": "different",
    "other": "two names, each well known or frequent",
}
LEVEL_PHRASES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "given_name": _NAME,
        "family_name": _NAME,
        "patronymic": _NAME,
        "full_name": _NAME,
        "organisation_name": _NAME,
        "birth_date": {
            "exact": "the same day",
            BY_IIN: "the day that an IIN carries, though its record states another",
            "swapped": "day and month in the other order",
            "typo": "one slip of the keyboard apart",
            "near": "two slips of the keyboard apart",
            "different": "different",
        },
        "generation": {
            "same": "both junior or both senior",
            "different": "one is junior, the other senior",
        },
        "sex": _SAME_OR_NOT,
        "bin": _SAME_OR_NOT,
        "iin": _SAME_OR_NOT | {"typo": "one slip of the keyboard apart"},
        "identifiers": {
            "shared": "one in common",
            "typo": "the same but for a slip or two",
            "different": "of one kind, but with different numbers",
        },
        "phone": {
            "shared": "a number in common",
            "typo": "the same but for a slip or two",
            "different": "no number in common",
        },
        "email": {
            "shared": "an address in common",
            "same_local": "the same name at another host",
            "similar": "nearly the same",
            "different": "no address in common",
        },
        "description": {
            "same": "nearly the same words",
            "code": "a rare code, such as a model number, in common",
            "close": "much the same",
            "similar": "much in common",
            "vague": "something in common",
            "different": "nothing in common",
        },
        "address": {
            "whole": "the same, as far as both are known",
            "most": "the same in most parts",
            "area": "the one part known of both is the same",
            "part": "the same in one part only",
            "different": "different",
        },
    }
)
ACROSS_SCRIPTS = "not comparable across these scripts"
NOT_COMPARABLE: Mapping[str, str] = MappingProxyType(
    {
        "identifiers": "documents of different kinds",
        "email": "a mailbox of a role, such as info@, is no one's own",
        "address": "no part of it is known of both",
    }
)
AT_OTHER_TIMES: Mapping[str, str] = MappingProxyType(
    {
        "phone": "the numbers were theirs at other times",
        "address": "the addresses were theirs at other times",
        "identifiers": "the card was theirs at other times",
    }
)
"""Why a field says nothing whose intervals do not meet."""


class Silence(StrEnum):
    """Why a field says nothing of a pair, neither for nor against."""

    NOT_KNOWN = "not_known"
    KNOWN_OF_ONE = "known_of_one"
    OTHER_TIMES = "other_times"  # both had it, but at different times
    TOLD_ELSEWHERE = "told_elsewhere"  # another name field speaks for this one
    ACROSS_SCRIPTS = "across_scripts"
    NOT_COMPARABLE = "not_comparable"


JOINT_PHRASES: Mapping[str, str] = MappingProxyType(
    {
        "names": "both differ; two slips at once are rare",
        "family": "relatives share surname, address and contacts",
        "nameless": "those who live at one address share it, and often contacts",
        "names_alone": "they agree in part, and nothing else is known",
        "one_word": "a name of one word is all that is known of both",
        "namesakes": "several of this name live at this address, and no birth date tells which",
        "chance": "nothing else agrees, and chance gives as many records one name or birth date",
    }
)
"""What fields tell together, by the parts of adjustments.JOINT; and chance.CHANCE."""
NAMES = ("given_name", "family_name", "patronymic", "full_name", "organisation_name")
FORBIDDEN: Mapping[str, str] = MappingProxyType(
    {
        "iin": "they have two different valid IINs",
        "bin": "they have two different valid BINs",
        "party_type": "one is a person, the other an organisation",
        "unit": "one is a head office, the other a branch",
        "named_unit": "one is named as a branch, the other as the company itself",
        "branch_town": "they are branches in two different towns",
        "partial": "one is a partial record (a name and an account), joined by identifiers and contacts only",
    }
)
"""Why two records must not share an entity, by the identity in which they differ."""
KEY_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "iin": "IIN",
        "bin": "BIN",
        "identifier": "document",
        "phone": "telephone",
        "email": "e-mail",
        "email_local": "e-mail name",
        "name": "full name",
        "given": "given name",
        "family": "family name",
        "given_initial": "first letter of the given name",
        "given_sound": "sound of the given name",
        "family_sound": "sound of the family name",
        "organisation_sound": "sound of the organisation name",
        "description_word": "a rare word of the description",
        "description_likeness": "two words that begin the description",
        "description_closeness": "three words that begin the description",
        "description_sameness": "four words that begin the description",
        "given_start": "start of the given name",
        "family_initial": "first letter of the family name",
        "family_start": "start of the family name",
        "swappable_names": "given and family name in either order",
        "swappable_starts": "starts of both names in either order",
        "name_start": "start of the full name",
        "birth_year": "year of birth",
        "birth_day": "day and month of birth",
        "organisation": "organisation name",
        "organisation_start": "start of the organisation name",
        "organisation_word": "a word of the organisation name",
    }
)


def title_field(field: str) -> str:
    """What a person calls a compared field."""
    return FIELD_TITLES.get(field, field.replace("_", " "))


def title_rule(rule: str) -> str:
    """What a person calls a blocking rule such as "family+birth_year"."""
    return " + ".join(KEY_TITLES.get(key, key.replace("_", " ")) for key in rule.split("+"))


def find_silence(field: str, is_known: tuple[bool, bool], stand_in: str, is_apart: bool) -> Silence:
    """Why a field says nothing; `stand_in` is the name field that speaks for it.

    `is_apart`: the intervals in which both had it do not meet.
    """
    if not all(is_known):
        return Silence.KNOWN_OF_ONE if any(is_known) else Silence.NOT_KNOWN
    if is_apart:
        return Silence.OTHER_TIMES
    if field in ("given_name", "family_name", "full_name") and stand_in not in ("", field):
        return Silence.TOLD_ELSEWHERE
    return Silence.ACROSS_SCRIPTS if field in NAMES else Silence.NOT_COMPARABLE


def say_silence(field: str, silence: Silence, stand_in: str) -> str:
    """Why a field says nothing, in words."""
    if silence is Silence.TOLD_ELSEWHERE:
        whole = field == "full_name"
        return "compared part by part" if whole else f"counted with the {title_field(stand_in)}"
    if silence is Silence.OTHER_TIMES:
        return AT_OTHER_TIMES[field]
    if silence is Silence.NOT_COMPARABLE:
        return NOT_COMPARABLE.get(field, "not comparable")
    return {
        Silence.NOT_KNOWN: "not known",
        Silence.KNOWN_OF_ONE: "known of one only",
        Silence.ACROSS_SCRIPTS: ACROSS_SCRIPTS,
    }[silence]


def say_level(field: str, level: str) -> str:
    """What a level of agreement says."""
    return LEVEL_PHRASES.get(field, {}).get(level, level.replace("_", " "))


def say_share(probability: float) -> str:
    """A share as people say it: "83%" where it is large, "1 in 30" where it is small."""
    if probability >= 0.995:
        return f"{min(probability, 0.9999):.2%}"
    if probability >= 0.1:
        return f"{probability:.0%}"
    n = 1 / max(probability, 1e-9)
    digits = len(str(int(n)))
    return f"1 in {round(n, -max(digits - 2, 0)):,.0f}"


def say_bits(bits: float) -> str:
    """A weight, signed; nothing is ever "-0.0"."""
    return f"{round(bits, 1) + 0.0:+.1f}"


def say_weight(bits: float) -> str:
    """A weight with its unit."""
    return f"{say_bits(bits)} bits"


def say_probability(probability: float) -> str:
    """A probability that never reads as certain: .9999 and .0001 are the ends."""
    if probability > 0.9999:
        return "over 0.9999"
    return f"{probability:.4f}" if probability >= 0.0001 else "under 0.0001"


def say_interval(start: object, end: object) -> str:
    """From when to when something was someone's; "" where neither end is known."""
    ends = (f"from {start}" if start else "", f"to {end}" if end else "")
    return " ".join(end for end in ends if end)


def say_adjustment(field: str, bits: float) -> str:
    """Why a weight was adjusted, and by how much; "" where it was not."""
    if abs(bits) < 0.05:
        return ""
    if field in ("phone", "email", "identifiers"):
        reason = "many records share it"
    else:
        reason = "the value is rare" if bits > 0 else "the value is common"
    return f"{reason}: {say_weight(bits)}"


def count(n: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 link", "2 links"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
