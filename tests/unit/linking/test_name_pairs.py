"""Name pairs: what is seen between two names, and what a person would say of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.name_pairs import FEATURES, compare_name_pairs
from terag_pipelines.linking.name_scores import (
    DEFAULT_THRESHOLD,
    PRIOR_WEIGHTS,
    describe_score,
    score_names,
    weigh_names,
)
from terag_pipelines.linking.name_words import MAX_WORDS

NAMES = st.text(st.sampled_from("abeiklrsuzh АБаейлмрұқы-'.张"), max_size=24)


def seen(left: str, right: str, kind: str = "person") -> dict[str, float]:
    """The features that say something."""
    row = compare_name_pairs(pa.array([left]), pa.array([right]), kind).features[0]
    return {name: float(value) for name, value in zip(FEATURES, row, strict=True) if value}


def is_match(left: str, right: str, kind: str = "person") -> bool:
    return bool(score_names(pa.array([left]), pa.array([right]), kind)[0] >= DEFAULT_THRESHOLD)


SAME_PERSON = [
    ("Серікова Әйгерім Болат қызы", "SERIKOVA AIGERIM BOLATKYZY"),
    ("Серікова Әйгерім Болатқызы", "Айгерим Болатовна Серикова"),
    ("Жүнісов Қайрат Әміреұлы", "Zhunusov Kairat"),
    ("Jumabaev Maǵjan Bekenuly", "ZHUMABAYEV MAGZHAN"),
    ("Иванов И.И.", "Иванов Иван Иванович"),
    ("Bob Smith", "Robert J. Smith"),
    ("Володимир Шевченко", "Vladimir Shevchenko"),
    ("Mohammad Hasni Khan", "KHAN MOHAMMADHASNI"),
    ("Mr John Smith", "Smith, John"),
    ("Şyñğys Ermekov", "Чингиз Ермеков"),
    ("Fi'odor Semi'onov", "Фёдор Семёнов"),
    ("Νίκος Παπανδρέου", "Nikos Papandreou"),
    ("გიორგი ბერიძე", "Giorgi Beridze"),
]
OTHER_PERSON = [
    ("Ахметов Хасен Болатұлы", "Ахметов Үсен Болатұлы"),  # twins
    ("Марат Серікұлы Ахметов", "Ахметов Мурат Серикович"),
    ("Ахметов Болат Серікұлы", "Ахметов Серік Болатұлы"),  # father and son
    ("Ахметов Болат", "Ахметов Ерлан Болатович"),
    ("Серіков Нұрлан Болатұлы", "Серікова Нұрлан Болатқызы"),  # brother and sister
    ("Серіков Нұрлан Болатұлы", "Серіков Нұрлан Ерланұлы"),  # namesakes
    ("Salman bin Ahmad Rawi", "Ahmad bin Salman Rawi"),
    ("John Smith", "Jane Smith"),
    ("Ivan Petrov", "Petrov"),
]


@pytest.mark.parametrize(("left", "right"), SAME_PERSON)
def test_one_person_is_one(left: str, right: str) -> None:
    assert is_match(left, right)


@pytest.mark.parametrize(("left", "right"), OTHER_PERSON)
def test_relatives_and_namesakes_are_others(left: str, right: str) -> None:
    assert not is_match(left, right)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("International Business Machines Corp", "IBM", True),
        ("ТОО «Алтын Бидай»", "Altyn Biday LLP", True),
        ("SiemensAG", "Siemens AG", True),
        ("Open Society Foundations", "The Open Society Foundation", True),
        ("Kaz Minerals Intl", "Kaz Minerals International", True),
        ("ТОО Ромашка 5", "Romashka 7 LLP", False),
        ("Kaz Oil Trading", "Kaz Gas Trading", False),
        ("Altyn Dala", "Altyn Biday", False),
        ("World Bank", "World Bank", True),
    ],
)
def test_organisations(left: str, right: str, expected: bool) -> None:
    assert is_match(left, right, "organisation") is expected


@pytest.mark.parametrize(
    ("left", "right", "feature"),
    [
        ("anna kim", "anna kim", "exact"),
        ("Гүлнар Ким", "Gulnaar Kim", "sound"),
        ("Aleksandr Kim", "Sasha Kim", "variant"),
        ("A Kim", "Anna Kim", "initial"),
        ("Ахметов Ерлан Болат", "Ахметов Ерлан Болатұлы", "bare_patronymic"),
        ("Anna Kim", "Bella Kim", "conflict"),
        ("Anna Kim", "Anna Li Kim", "extra"),
        ("Anna Kim", "Anna Ivanovna Kim", "extra_patronymic"),
        ("Mr Kim", "Kim", "extra_light"),
        ("Петров Саша", "Петрова Саша", "sex_conflict"),
        ("Anna Kim", "Kim Anna", "turned"),
        ("张伟", "Zhang Wei", "not_comparable"),
    ],
)
def test_each_feature_is_seen(left: str, right: str, feature: str) -> None:
    assert feature in seen(left, right)


def test_scripts_that_no_table_connects_are_unknown_not_different() -> None:
    assert seen("张伟", "Zhang Wei") == {"not_comparable": 1.0}
    assert np.isnan(
        score_names(pa.array(["张伟", "محمد"]), pa.array(["Zhang Wei", "Mohammed"]), "person")
    ).all()
    assert score_names(pa.array(["张伟"]), pa.array(["张伟"]), "person")[0] > DEFAULT_THRESHOLD


def test_a_missing_name_is_unknown() -> None:
    left, right = pa.array([None, "", "Anna"], pa.string()), pa.array(["Anna", "", "12"])
    assert np.isnan(score_names(left, right, "person")).all()


def test_no_pairs_have_no_features() -> None:
    empty = pa.array([], pa.string())
    assert compare_name_pairs(empty, empty, "person").features.shape == (0, len(FEATURES))


def test_pairs_taken_in_portions_are_compared_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = (pa.array(list(side)) for side in zip(*SAME_PERSON, *OTHER_PERSON, strict=True))
    whole = compare_name_pairs(left, right, "person").features
    monkeypatch.setattr("terag_pipelines.linking.name_pairs.MAX_WORD_PAIRS", 40)
    assert (compare_name_pairs(left, right, "person").features == whole).all()


def test_what_is_told_adds_up_to_the_weight() -> None:
    left, right = "Серікова Әйгерім Болат қызы", "Serikova Aigerim J"
    compared = compare_name_pairs(pa.array([left]), pa.array([right]), "person")
    told = sum(bits for _, _, bits in describe_score(left, right, "person"))
    assert weigh_names(compared, "person")[0] == pytest.approx(PRIOR_WEIGHTS["person"] + told)


@pytest.mark.parametrize(("right", "kind"), [(["a", "b"], "person"), (["a"], "vessel")])
def test_what_is_no_pair_is_refused(right: list[str], kind: str) -> None:
    with pytest.raises(LinkingError):
        compare_name_pairs(pa.array(["a"]), pa.array(right), kind)


def test_a_huge_name_takes_part_by_its_first_words() -> None:
    huge = " ".join(f"w{'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10 % 10]}" for i in range(5_000))
    assert seen(huge, huge)["exact"] <= MAX_WORDS


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=6), st.sampled_from(["person", "organisation"]))
def test_sides_and_company_do_not_matter(pairs: list[tuple[str, str]], kind: str) -> None:
    left, right = (pa.array(list(side)) for side in zip(*pairs, strict=True))
    together = compare_name_pairs(left, right, kind).features
    assert (compare_name_pairs(right, left, kind).features == together).all()
    for at in range(len(pairs)):
        alone = compare_name_pairs(left.slice(at, 1), right.slice(at, 1), kind).features
        assert (alone[0] == together[at]).all()


@settings(deadline=None, max_examples=40)
@given(NAMES.filter(lambda name: any(c.isalpha() for c in name)))
def test_a_name_has_no_conflict_with_itself(name: str) -> None:
    found = seen(name, name)
    assert "conflict" not in found
    assert "extra" not in found
