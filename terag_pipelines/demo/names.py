"""The name book: which given names, family names and patronymics exist, how frequent, and how spelled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from terag_pipelines.demo import pools
from terag_pipelines.demo.randomness import Bools, Floats, Ints, Rng, pick, zipf_weights
from terag_pipelines.demo.spelling import Vocabulary, make_vocabulary

MALE, FEMALE = 0, 1
KAZAKH, RUSSIAN, UKRAINIAN, GERMAN, KOREAN, TURKIC = range(6)
GROUP_WEIGHTS = (70.0, 15.5, 2.0, 1.3, 0.7, 10.5)
"""Shares of the peoples of Kazakhstan, roughly as in the census of 2021; TURKIC stands for Uzbeks, Uyghurs,
Tatars, Azeris, Dungans, Chechens and others."""
OVICH, ULY = 0, 1
_VOWELS = "аәеёиоөуұүыіэюя"

_MEN = (pools.KAZAKH_MEN, *[pools.RUSSIAN_MEN] * 4, pools.TURKIC_MEN)
_WOMEN = (pools.KAZAKH_WOMEN, *[pools.RUSSIAN_WOMEN] * 4, pools.TURKIC_WOMEN)


@dataclass(frozen=True)
class Choice:
    """What one group of people draws a name from: word ids and their weights."""

    ids: Ints
    weights: Floats

    def draw(self, rng: Rng, n: int) -> Ints:
        """`n` word ids."""
        return self.ids[pick(rng, self.weights, n)]


@dataclass(frozen=True)
class NameBook:
    """Three vocabularies and what each group draws from.

    A family name f is written with id f for a man, n_families + f for a woman; a patronymic of father g
    with id (2 * style + sex) * n_given + g.
    """

    given: Vocabulary
    family: Vocabulary
    patronymic: Vocabulary
    given_choices: tuple[tuple[Choice, ...], ...]  # by sex, by group
    family_choices: tuple[Choice, ...]  # by group
    n_families: int

    def draw_given(self, sex: Ints, group: Ints, rng: Rng) -> Ints:
        """A given name for each person."""
        drawn = np.empty(len(sex), dtype=np.int64)
        for s in (MALE, FEMALE):
            for g in range(len(GROUP_WEIGHTS)):
                rows = np.flatnonzero((sex == s) & (group == g))
                drawn[rows] = self.given_choices[s][g].draw(rng, len(rows))
        return drawn

    def draw_family(self, group: Ints, rng: Rng) -> Ints:
        """A family name for each person or household."""
        drawn = np.empty(len(group), dtype=np.int64)
        for g in range(len(GROUP_WEIGHTS)):
            rows = np.flatnonzero(group == g)
            drawn[rows] = self.family_choices[g].draw(rng, len(rows))
        return drawn

    def patronymic_id(self, father_given: Ints, style: Ints, sex: Ints, has_one: Bools) -> Ints:
        """The patronymic of each person as a word id, negative where there is none."""
        return np.where(has_one, (2 * style + sex) * self.given.n_words + father_given, -1)


def open_name_book() -> NameBook:
    """The name book, made once."""
    return _name_book()


@lru_cache(maxsize=1)
def _name_book() -> NameBook:
    given = sorted({name for names in (*_MEN, *_WOMEN) for name in names})
    position = {name: i for i, name in enumerate(given)}
    families, family_choices = _families()
    return NameBook(
        given=make_vocabulary(given),
        family=make_vocabulary([*(man for man, _ in families), *(woman for _, woman in families)]),
        patronymic=make_vocabulary(_patronymics(given)),
        given_choices=tuple(
            tuple(_given_choice(names, position) for names in by_sex) for by_sex in (_MEN, _WOMEN)
        ),
        family_choices=family_choices,
        n_families=len(families),
    )


def _given_choice(names: tuple[str, ...], position: dict[str, int]) -> Choice:
    ids = np.array([position[name] for name in names], dtype=np.int64)
    return Choice(ids, zipf_weights(len(ids), offset=12.0))


def _patronymics(given: list[str]) -> list[str]:
    makers = (_ovich, _ovna, lambda name: name + "ұлы", lambda name: name + "қызы")
    return [make(name) for make in makers for name in given]


def _ovich(name: str) -> str:
    if name in pools.MASCULINE_PATRONYMICS:
        return pools.MASCULINE_PATRONYMICS[name]
    if name.endswith("ий"):
        return name[:-2] + "ьевич"
    if name[-1] in "йь":
        return name[:-1] + "евич"
    if name[-1] in "іи":
        return name[:-1] + "иевич"
    return name + ("евич" if name[-1] in _VOWELS else "ович")


def _ovna(name: str) -> str:
    man = _ovich(name)
    if man.endswith("льич"):
        return man[:-2] + "инична"
    return man[:-2] + ("ична" if man.endswith("тич") else "на")


def _families() -> tuple[list[tuple[str, str]], tuple[Choice, ...]]:
    """All family names as (man's form, woman's form) and, by group, what is drawn from them."""
    by_group = (
        _kazakh_families(),
        _listed(pools.RUSSIAN_FAMILIES),
        _listed(pools.UKRAINIAN_FAMILIES),
        _listed(pools.GERMAN_FAMILIES),
        _listed(pools.KOREAN_FAMILIES),
        _listed(pools.TURKIC_FAMILY_STEMS),
    )
    forms = sorted({man for weights in by_group for man in weights})
    position = {man: i for i, man in enumerate(forms)}
    choices = tuple(
        Choice(np.array([position[man] for man in weights], dtype=np.int64), np.array(list(weights.values())))
        for weights in by_group
    )
    return [(man, _womans_form(man)) for man in forms], choices


def _listed(names: tuple[str, ...]) -> dict[str, float]:
    return dict(zip(names, zipf_weights(len(names), offset=6.0).tolist(), strict=True))


def _kazakh_families() -> dict[str, float]:
    """Stems times endings: a short head of very common names and a tail of thousands of rare ones."""
    weights: dict[str, float] = {}
    stem_weights = zipf_weights(len(pools.KAZAKH_MEN), offset=5.0)
    for j, suffix in enumerate(pools.FAMILY_SUFFIXES):
        for name, weight in zip(pools.KAZAKH_MEN, stem_weights.tolist(), strict=True):
            stem = name + suffix if not name.endswith(suffix) or not suffix else name
            for man, share in ((_with_ov(stem), 1.0), (stem, 0.12), (stem + "ұлы", 0.10)):
                weights[man] = weights.get(man, 0.0) + share * weight / (1.0 + 2.0 * j)
    for name, weight in zip(
        pools.KAZAKH_TOP_FAMILIES, zipf_weights(len(pools.KAZAKH_TOP_FAMILIES), 8.0).tolist(), strict=True
    ):
        weights[name] = weights.get(name, 0.0) + 1.5 * weight
    return weights


def _with_ov(stem: str) -> str:
    last = stem[-1]
    if last == "а":
        return stem[:-1] + "ин"
    if last in "іи":
        return stem[:-1] + "иев"
    if last in "йь":
        return stem[:-1] + "ев"
    return stem + ("ев" if last in _VOWELS + "жшчщц" else "ов")


def _womans_form(man: str) -> str:
    if man.endswith(("ов", "ев", "ёв", "ин", "ын")):
        return man + "а"
    return man[:-3] + "қызы" if man.endswith("ұлы") else man
