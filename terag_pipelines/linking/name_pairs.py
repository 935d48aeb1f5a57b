"""Pairs of full names compared word by word: which words stand for each other, and what is left over.

Words are compared once for each distinct pair of words; then, name pair by name pair, the most telling word
pairs are taken first, each word once (greedy assignment). Initials, nicknames, patronymics in Kazakh and
Russian form, words written together and any order of words are seen. Nothing here is learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA, JaroWinkler

from terag_pipelines.entities.distinct import as_series, one_array
from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.name_words import (
    INITIAL,
    LIGHT,
    MAN,
    N_KINDS,
    NUMBER,
    ORGANISATION,
    PATRONYMIC,
    PERSON,
    PLAIN,
    WOMAN,
    NameWords,
    Texts,
    Words,
    read_words,
)
from terag_pipelines.linking.variants import GIVEN_NAMES, land_groups, nickname_groups, share_group

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# How two words can stand for each other, most telling first.
AGREEMENTS = ("exact", "sound", "close", "variant", "near", "initial", "bare_patronymic", "far")
LIGHT_AGREEMENT = "light"
FEATURES = (
    *AGREEMENTS,  # counts of word pairs
    LIGHT_AGREEMENT,  # particles, titles, generic words that agree
    "conflict",  # words left over on both sides, counted in pairs
    "beyond_two",  # whole words that agree after the second: families share more than one
    "light_conflict",
    "extra",  # words left over on one side
    "extra_patronymic",
    "extra_light",
    "number_conflict",
    "number_extra",
    "sex_conflict",
    "form_same",  # legal forms
    "form_different",
    "acronym",
    "complete",  # nothing is left over, no word pair is doubtful
    "turned",  # word pairs that stand in another order
    "spelling",  # similarity of all letters in order, 0 to 1
    "sorted_spelling",  # the same with the words in alphabetical order
    "start_alike",  # Jaro-Winkler similarity of all letters, 0 to 1
    "edits",  # of the letters of the sorted words
    "words_in_common",  # similarity of the sets of words, 0 to 1
    "rest_spelling",  # similarity of the letters of words left over, 0 to 1; 1 where there are none
    "least_similarity",  # of the word pairs taken, 0 to 1
    "n_words",  # of the shorter name
    "not_comparable",  # scripts that no table connects
)
CLOSE, NEAR, FAR = 1 / 6, 0.26, 0.40  # most edits per letter
_AGREEMENT_ORDER = {name: order for order, name in enumerate(AGREEMENTS)}
_SHORTEST_ACRONYM = 3
MAX_WORD_PAIRS = 4_000_000  # held at once
_TELLING = [PLAIN, PATRONYMIC, INITIAL]
_WHOLE_WORDS = ("exact", "sound", "close", "variant")
_WORD_BY_WORD = (
    *AGREEMENTS,
    "beyond_two",
    "conflict",
    "light_conflict",
    "extra",
    "extra_patronymic",
    "extra_light",
)


@dataclass(frozen=True)
class ComparedNames:
    """Features (n_pairs, n_features) of name pairs, in the order of FEATURES.

    Where `not_comparable` is 1 nothing else is known: all other features are 0.
    """

    features: Floats

    def column(self, feature: str) -> Floats:
        """One feature of all pairs."""
        return self.features[:, FEATURES.index(feature)]


def compare_name_pairs(left: pa.Array, right: pa.Array, kind: str) -> ComparedNames:
    """Features of pairs of full names, of persons or of organisations; missing ones are not comparable.

    Symmetric, and of each pair alone: no other pair changes them.

    Raises: LinkingError where the arrays differ in length or the kind is neither.
    """
    if len(left) != len(right) or kind not in (PERSON, ORGANISATION):
        raise LinkingError(f"{len(left)} and {len(right)} names of kind {kind!r} are no pairs to compare")
    texts = pa.concat_arrays([_plain(left), _plain(right)]).dictionary_encode()
    codes = texts.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    one, other = codes[: len(left)], codes[len(left) :]
    n_names = len(texts.dictionary)
    keys, which = np.unique(np.minimum(one, other) * n_names + np.maximum(one, other), return_inverse=True)
    names = read_words(texts.dictionary, kind)
    first, second = _in_order(texts.dictionary, keys // n_names, keys % n_names)
    parts = [_compare_distinct(names, first[at], second[at], kind) for at in _portions(names, first, second)]
    found = np.concatenate([np.zeros((0, len(FEATURES))), *parts])
    return ComparedNames(found[which])


def _portions(names: NameWords, left: Ints, right: Ints) -> list[slice]:
    """Runs of pairs that have few enough pairs of words to be held at once."""
    n_spans = np.bincount(names.frame["name"].to_numpy(), minlength=len(names.keys))
    portion = np.cumsum(n_spans[left] * n_spans[right] + 1) // MAX_WORD_PAIRS
    starts = np.flatnonzero(np.diff(portion, prepend=-1))
    return [slice(int(a), int(b)) for a, b in pairwise([*starts, len(left)])]


def _plain(names: pa.Array) -> pa.Array:
    return pa.array(as_series(one_array(names)).cast(pl.String).fill_null("").to_arrow().cast(pa.string()))


def _in_order(texts: pa.Array, one: Ints, other: Ints) -> tuple[Ints, Ints]:
    """Each pair with the name first that comes first in the order of texts, so that sides do not matter."""
    ranks = np.empty(len(texts), np.int64)
    ranks[as_series(texts).arg_sort().to_numpy()] = np.arange(len(texts))
    turned = ranks[one] > ranks[other]
    return np.where(turned, other, one), np.where(turned, one, other)


def _compare_distinct(names: NameWords, left: Ints, right: Ints, kind: str) -> Floats:
    sides = left, right
    assigned = _assign(_word_pairs(names, left, right, kind), len(left))
    features = {name: np.zeros(len(left)) for name in FEATURES}
    _count_agreements(features, assigned)
    _count_rest(features, names, assigned, sides)
    _compare_wholes(features, names, sides, kind)
    unknown = (names.scripts[left] & names.scripts[right]) == 0
    table = np.column_stack([features[name] for name in FEATURES])
    table[unknown] = 0.0
    table[:, FEATURES.index("not_comparable")] = unknown
    return table


def _word_pairs(names: NameWords, left: Ints, right: Ints, kind: str) -> pl.DataFrame:
    """Every word of one name beside every word of the other that could stand for it."""
    pairs = pl.DataFrame({"left": left.astype(np.int32), "right": right.astype(np.int32)}).with_row_index(
        "pair"
    )
    one = names.frame.select(left="name", left_place="place", left_span="span", left_word="word")
    other = names.frame.select(right="name", right_place="place", right_span="span", right_word="word")
    crossed = pairs.join(one, on="left").join(other, on="right")
    crossed = crossed.filter(~(_is_joined("left") & _is_joined("right")))
    distinct = crossed.select("left_word", "right_word").unique().sort("left_word", "right_word")
    one_word, other_word = (distinct[name].to_numpy() for name in distinct.columns)
    levels, similarity, light = _compare_words(names.words, one_word, other_word, kind)
    judged = distinct.with_columns(
        level=pl.Series(levels), similarity=pl.Series(similarity), light=pl.Series(light)
    )
    joined = _is_joined("left") | _is_joined("right")
    return crossed.join(judged.filter(pl.col("level") >= 0), on=["left_word", "right_word"]).filter(
        ~joined | (pl.col("level") <= _AGREEMENT_ORDER["sound"])
    )


def _is_joined(side: str) -> pl.Expr:
    return _is_joined_span(pl.col(f"{side}_span"))


def _is_joined_span(span: pl.Expr) -> pl.Expr:
    return span % 3 == 0  # two bits side by side; one bit is a power of two


def _compare_words(words: Words, left: Ints, right: Ints, kind: str) -> tuple[Ints, Floats, Flags]:
    """Of word pairs the number of the agreement (-1 none), the similarity, whether one weighs little."""
    one, other = words.letters[left], words.letters[right]
    kinds = words.kinds[left], words.kinds[right]
    edits = _edits(one, other) + _edits(words.sounds[left], words.sounds[right])
    longest = np.maximum(_lengths(one), _lengths(other))
    share = edits / 2 / np.maximum(longest, 1)
    far = _AGREEMENT_ORDER["far"]
    levels = np.select([share == 0, share <= CLOSE, share <= NEAR, share <= FAR], [0, 2, 4, far], -1)
    same_sound = (words.sounds[left] == words.sounds[right]) & (longest > 2) & (levels > 1)
    levels[same_sound] = _AGREEMENT_ORDER["sound"]
    if kind == PERSON:
        _see_given_names(levels, one, other)
    patronymics = (kinds[0] == PATRONYMIC).astype(np.int8) + (kinds[1] == PATRONYMIC)
    bare = (patronymics == 1) & (levels >= 0) & (levels <= 2)
    levels[patronymics == 1] = -1
    levels[bare] = _AGREEMENT_ORDER["bare_patronymic"]
    initial = (
        ((kinds[0] == INITIAL) | (kinds[1] == INITIAL)) & (_firsts(one) == _firsts(other)) & (longest > 1)
    )
    levels[initial] = _AGREEMENT_ORDER["initial"]
    number = (kinds[0] == NUMBER) | (kinds[1] == NUMBER)
    levels[number & (share > 0)] = -1
    light = (kinds[0] == LIGHT) | (kinds[1] == LIGHT)
    levels[light & (levels > 2)] = -1
    return levels, 1 - np.minimum(share, 1.0), light


def _see_given_names(levels: Ints, one: Texts, other: Texts) -> None:
    """Nicknames agree; two given names known to be different people's do not, however close their letters."""
    known = np.array([pair <= GIVEN_NAMES for pair in map(set, zip(one, other, strict=True))], bool)
    variant = np.zeros(len(levels), bool)
    for groups_of in (nickname_groups, land_groups):
        variant |= share_group(groups_of(one)[:-1], groups_of(other)[:-1])
    variant &= levels != 0
    levels[known & ~variant & (levels > 1)] = -1
    levels[variant] = _AGREEMENT_ORDER["variant"]


def _edits(one: Texts, other: Texts) -> Floats:
    return process.cpdist(one.tolist(), other.tolist(), scorer=OSA.distance, dtype=np.float64)


def _lengths(words: Texts) -> Ints:
    return np.fromiter(map(len, words), np.int64, len(words))


def _firsts(words: Texts) -> Texts:
    return np.array([*(word[:1] for word in words), None], object)[:-1]


@dataclass(frozen=True)
class _Assigned:
    """The word pairs taken, and by pair the places (bits) of either name that they cover."""

    taken: pl.DataFrame
    covered: tuple[Ints, Ints]

    def count(self, which: pl.Expr) -> Floats:
        held = self.taken.filter(which)["pair"].to_numpy()
        return np.bincount(held, minlength=len(self.covered[0])).astype(np.float64)


def _assign(candidates: pl.DataFrame, n_pairs: int) -> _Assigned:
    """Of each pair's word pairs those that are taken: the most telling first, each word once."""
    ordered = candidates.sort(
        "pair",
        "light",
        "level",
        -pl.col("similarity"),
        "left_place",
        "right_place",
        "left_span",
        "right_span",
    )
    pair, left, right = (ordered[name].to_numpy() for name in ("pair", "left_span", "right_span"))
    covered_left, covered_right = np.zeros(n_pairs, np.int64), np.zeros(n_pairs, np.int64)
    chosen = np.zeros(len(ordered), bool)
    alive = np.arange(len(ordered))
    while len(alive):
        first = alive[np.append(True, np.diff(pair[alive].astype(np.int64)) > 0)]
        chosen[first] = True
        covered_left[pair[first]] |= left[first]
        covered_right[pair[first]] |= right[first]
        taken = (covered_left[pair[alive]] & left[alive]) | (covered_right[pair[alive]] & right[alive])
        alive = alive[taken == 0]
    return _Assigned(ordered.filter(pl.Series(chosen, dtype=pl.Boolean)), (covered_left, covered_right))


def _count_agreements(features: dict[str, Floats], assigned: _Assigned) -> None:
    for level, agreement in enumerate(AGREEMENTS):
        features[agreement] = assigned.count((pl.col("level") == level) & ~pl.col("light"))
    features[LIGHT_AGREEMENT] = assigned.count(pl.col("light"))
    agreed = np.sum([features[agreement] for agreement in _WHOLE_WORDS], axis=0)
    features["beyond_two"] = np.maximum(agreed - 2, 0.0)
    telling = assigned.taken.filter(~pl.col("light"))
    least = telling.group_by("pair").agg(pl.col("similarity").min())
    features["least_similarity"][least["pair"].to_numpy()] = least["similarity"].to_numpy()
    ahead = pl.col("right_place").diff().over("pair") < 0
    turns = telling.sort("pair", "left_place").filter(ahead)["pair"].to_numpy()
    features["turned"] = np.bincount(turns, minlength=len(features["turned"])).astype(np.float64)


def _count_rest(
    features: dict[str, Floats], names: NameWords, assigned: _Assigned, sides: tuple[Ints, Ints]
) -> None:
    """Words that stand for none of the other name: against each other, or on one side only."""
    rests = [_left_over(names, side, covered) for side, covered in zip(sides, assigned.covered, strict=True)]
    left, right = (_count_kinds(rest, names.words, len(sides[0])) for rest in rests)
    letters = [_letters_of(rest, names.words, len(sides[0])) for rest in rests]
    features["rest_spelling"] = _similarity(letters[0], letters[1], fuzz.ratio)
    n_left, n_right = left[:, _TELLING].sum(axis=1), right[:, _TELLING].sum(axis=1)
    features["conflict"] = np.minimum(n_left, n_right)
    more, both = np.where((n_left > n_right)[:, None], left - right, right - left), np.minimum(left, right)
    surplus = np.abs(n_left - n_right)
    features["extra_patronymic"] = np.clip(more[:, PATRONYMIC], 0, surplus)
    initials = np.clip(more[:, INITIAL], 0, surplus - features["extra_patronymic"])
    features["extra"] = surplus - features["extra_patronymic"] - initials
    features["light_conflict"] = both[:, LIGHT]
    features["extra_light"] = np.abs(left - right)[:, LIGHT] + initials
    more = np.abs(left - right)
    features["number_conflict"], features["number_extra"] = both[:, NUMBER], more[:, NUMBER]
    doubtful = sum(features[agreement] for agreement in ("near", "bare_patronymic", "far"))
    n_left_over = left.sum(axis=1) + right.sum(axis=1) + doubtful
    features["complete"] = (n_left_over == 0).astype(np.float64)


def _left_over(names: NameWords, side: Ints, covered: Ints) -> pl.DataFrame:
    """Words that are not covered, as pair and word, in the order of pairs and places."""
    places = pl.DataFrame({"name": side.astype(np.int32), "covered": covered}).with_row_index("pair")
    words = names.frame.filter(~_is_joined_span(pl.col("span")))
    free = places.join(words, on="name").filter((pl.col("covered") & pl.col("span")) == 0)
    return free.sort("pair", "place").select("pair", "word")


def _count_kinds(rest: pl.DataFrame, words: Words, n_pairs: int) -> Floats:
    """Words counted by kind: (n_pairs, n_kinds)."""
    cells = rest["pair"].to_numpy().astype(np.int64) * N_KINDS + words.kinds[rest["word"].to_numpy()]
    return np.bincount(cells, minlength=n_pairs * N_KINDS).reshape(-1, N_KINDS).astype(np.float64)


def _letters_of(rest: pl.DataFrame, words: Words, n_pairs: int) -> Texts:
    letters = rest.with_columns(text=pl.Series(words.texts, dtype=pl.String).gather(rest["word"]))
    joined = letters.group_by("pair", maintain_order=True).agg(pl.col("text").str.join(""))
    texts = np.full(n_pairs, "", object)
    texts[joined["pair"].to_numpy()] = joined["text"].to_list()
    return texts


def _compare_wholes(
    features: dict[str, Floats], names: NameWords, sides: tuple[Ints, Ints], kind: str
) -> None:
    """What shows in whole names only: sex, legal form, acronyms, words written together, all letters."""
    left, right = sides
    features["n_words"] = np.minimum(names.n_words[left], names.n_words[right]).astype(np.float64)
    features["sex_conflict"] = (names.sexes[left] * names.sexes[right] == MAN * WOMAN).astype(np.float64)
    one, other = names.forms[left], names.forms[right]
    stated = (one != "") & (other != "")
    features["form_same"] = (stated & (one == other)).astype(np.float64)
    features["form_different"] = (stated & (one != other)).astype(np.float64)
    keys, wholes = names.keys, names.wholes
    features["spelling"] = _similarity(wholes[left], wholes[right], fuzz.ratio)
    features["sorted_spelling"] = _similarity(keys[left], keys[right], fuzz.token_sort_ratio)
    features["start_alike"] = 100 * _similarity(wholes[left], wholes[right], JaroWinkler.similarity)
    in_order = names.sorted_letters
    features["edits"] = _edits(in_order[left], in_order[right])
    features["words_in_common"] = _similarity(keys[left], keys[right], fuzz.token_set_ratio)
    if kind == ORGANISATION:
        _see_acronyms(features, names, sides)
    n_alike = features["exact"] + features[LIGHT_AGREEMENT]
    together = (wholes[left] == wholes[right]) & (wholes[left] != "")
    together &= (features["complete"] == 0) | (n_alike < features["n_words"])
    _settle(features, together, "exact", np.maximum(features["n_words"], 1.0))


def _see_acronyms(features: dict[str, Floats], names: NameWords, sides: tuple[Ints, Ints]) -> None:
    acronym = np.zeros(len(sides[0]), bool)
    for one, other in (sides, sides[::-1]):
        acronym |= (names.keys[one] == names.initials[other]) & (
            _lengths(names.keys[one]) >= _SHORTEST_ACRONYM
        )
    _settle(features, acronym, "acronym", np.ones(len(acronym)))


def _settle(features: dict[str, Floats], where: Flags, feature: str, counts: Floats) -> None:
    """Where a name is seen whole in the other, nothing of it is left over."""
    for name in _WORD_BY_WORD:
        features[name][where] = 0.0
    features[feature] = np.where(where, counts, features[feature])
    features["complete"] = np.where(where, 1.0, features["complete"])


def _similarity(one: Texts, other: Texts, scorer: Any) -> Floats:
    scores: Floats = process.cpdist(one.tolist(), other.tolist(), scorer=scorer, dtype=np.float64)
    return 0.01 * scores
