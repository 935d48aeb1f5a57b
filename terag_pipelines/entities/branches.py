"""Names of branches and representative offices: where one says so, and in which town, in three languages."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache

from terag_pipelines.entities.places import LONGEST_TOWN_NAME, TOWN_OF

_SINGLE = re.compile(r"filial(i|a|u|e|om|inin|dar|dari)?|okildi(k|gi|ginin)|predstavitelstv(o|a|u|e|om)")
_DOUBLE = re.compile(
    r"(branch|rep|representative|representation) office"
    r"|(obosoblenno|strukturno)(e|go|mu) podrazdeleni(e|a|ia|u|iu)"
)
_BRANCH = "branch"  # also a word of names such as Olive Branch
_OF_A_BRANCH = "of"
_GENITIVES = ("nin", "din", "tin")  # of Kazakh, set apart: ЖШС-нің
_WORDS_BESIDE = "v vo po g gor gorod gorode goroda k kala kalasi kalasindagi kalasinin of in the"
_FILLERS = frozenset((*_WORDS_BESIDE.split(), *_GENITIVES))
_WORDS_OF_REGIONS = "oblast oblasti oblis oblisi oblisindagi region regionu raion raionu"
_REGIONS = frozenset(_WORDS_OF_REGIONS.split())
_ENDINGS = re.compile(r"[aeiou]?((in)?sk[a-z]{1,4}|[dt][ae](gi)?|nin|m)?|ii?|om|oi")
_SHORTEST_STEM = 4  # letters; shorter ones begin other words


def part_at_branch(tokens: Sequence[str], forms: Collection[str]) -> tuple[list[str], list[str]] | None:
    """The tokens of an organisation's name (token_key) before and behind what says that it is a branch.

    None where nothing does. The English word alone does where a legal form or a town stands with it.
    """
    for at, token in enumerate(tokens):
        if _DOUBLE.fullmatch(" ".join(tokens[at : at + 2])):
            return list(tokens[:at]), list(tokens[at + 2 :])
        if _SINGLE.fullmatch(token) or (token == _BRANCH and _is_office(tokens, at, forms)):
            return list(tokens[:at]), list(tokens[at + 1 :])
    return None


def _is_office(tokens: Sequence[str], at: int, forms: Collection[str]) -> bool:
    if tokens[at + 1 : at + 2] == [_OF_A_BRANCH]:
        return True
    return any(token in forms for token in tokens[:at]) or place_town(tokens)[1] is not None


def name_branch(tokens: Sequence[str]) -> str:
    """The key of a branch out of what is left of its name: the company's words, the town's one name last."""
    words, town = place_town(tokens)
    kept = [word for word in words if word not in _FILLERS]
    return " ".join([*kept, town] if town and kept else kept or tokens)


def is_owner(tokens: Sequence[str], at: int) -> bool:
    """Whether the token stands in the Kazakh genitive, its ending set apart."""
    return at + 1 < len(tokens) and tokens[at + 1] in _GENITIVES


def place_town(tokens: Sequence[str]) -> tuple[list[str], str | None]:
    """The tokens without the last town of Kazakhstan among them, and the town; None where there is none.

    A town may be in any case, or an adjective. A region that is called after a town is none.
    """
    for at in range(len(tokens) - 1, -1, -1):
        if _REGIONS & set(tokens[at : at + 2]):
            continue
        for length in range(min(LONGEST_TOWN_NAME, at + 1), 0, -1):
            start = at + 1 - length
            if town := _town_of(" ".join(tokens[start : at + 1])):
                return [*tokens[:start], *tokens[at + 1 :]], town
    return list(tokens), None


@lru_cache(maxsize=2**14)
def _town_of(phrase: str) -> str | None:
    if phrase in TOWN_OF:
        return TOWN_OF[phrase]
    for name, town in TOWN_OF.items():
        stem = name[:-1] if name[-1] in "aeiou" else name
        if (
            len(stem) >= _SHORTEST_STEM
            and phrase.startswith(stem)
            and _ENDINGS.fullmatch(phrase[len(stem) :])
        ):
            return town
    return None


def town_of_branch(key: str, locality: str | None) -> str | None:
    """The town that the key of a branch ends with; else the locality, where it is a known town."""
    tokens = key.split()
    for length in range(min(LONGEST_TOWN_NAME, len(tokens)), 0, -1):
        if (town := TOWN_OF.get(" ".join(tokens[-length:]))) is not None:
            return town
    return TOWN_OF.get(locality or "")
