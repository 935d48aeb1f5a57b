from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from terag_pipelines.demo.names import FEMALE, MALE, OVICH, ULY, open_name_book
from terag_pipelines.demo.spelling import (
    BGN,
    CAPITALS,
    HOME,
    LATIN_2021,
    PASSPORT,
    RUSSIFIED,
    make_vocabulary,
    write_in,
)
from terag_pipelines.demo.texts import format_digits, format_mixed, misspell


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (HOME, "Нұрсұлтан Әбілқайыр"),
        (RUSSIFIED, "Нурсултан Абилкайыр"),
        (PASSPORT, "NURSULTAN ABILKAIYR"),
        (BGN, "Nursultan Abilqayyr"),
        (LATIN_2021, "Nūrsūltan Äbilqaiyr"),
        (CAPITALS, "НУРСУЛТАН АБИЛКАЙЫР"),
    ],
)
def test_kazakh_in_each_script(script: int, expected: str) -> None:
    assert write_in(script, "Нұрсұлтан Әбілқайыр") == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [(PASSPORT, "IULIIA ERMAKOVA"), (BGN, "Yuliya Yermakova"), (LATIN_2021, "Iuliia Ermakova")],
)
def test_russian_in_each_script(script: int, expected: str) -> None:
    assert write_in(script, "Юлия Ермакова") == expected


def test_a_vocabulary_spells_each_word_as_alone() -> None:
    words = ["Еркін", "Ермек", "Юлия"]
    vocabulary = make_vocabulary(words)
    for script in range(6):
        spelled = vocabulary.spell(np.array([2, 0, 1, -1]), script).to_pylist()
        assert spelled == [write_in(script, words[i]) for i in (2, 0, 1)] + [None]


@pytest.mark.parametrize(
    ("father", "style", "sex", "expected"),
    [
        ("Сергей", OVICH, MALE, "Сергеевич"),
        ("Юрий", OVICH, FEMALE, "Юрьевна"),
        ("Илья", OVICH, FEMALE, "Ильинична"),
        ("Никита", OVICH, FEMALE, "Никитична"),
        ("Дмитрий", OVICH, MALE, "Дмитриевич"),
        ("Нұрлан", OVICH, MALE, "Нұрланович"),
        ("Али", ULY, MALE, "Алиұлы"),
        ("Нұрлан", ULY, FEMALE, "Нұрланқызы"),
        ("Мұса", OVICH, MALE, "Мұсаевич"),
    ],
)
def test_patronymics_follow_the_father(father: str, style: int, sex: int, expected: str) -> None:
    names = open_name_book()
    given = names.given.spelled.to_pylist()[: names.given.n_words]
    ids = names.patronymic_id(
        np.array([given.index(father)]), np.array([style]), np.array([sex]), np.array([True])
    )
    assert names.patronymic.spell(ids, HOME).to_pylist() == [expected]


def test_family_names_agree_with_sex() -> None:
    names = open_name_book()
    spelled = names.family.spelled.to_pylist()
    men, women = spelled[: names.n_families], spelled[names.n_families : 2 * names.n_families]
    pairs = dict(zip(men, women, strict=True))
    assert pairs["Ахметов"] == "Ахметова"
    assert pairs["Мұсин"] == "Мұсина"
    assert pairs["Шевченко"] == "Шевченко"
    assert pairs["Серікұлы"] == "Серікқызы"


def test_a_slip_changes_one_text_by_one_mistake_and_leaves_the_others() -> None:
    texts = pa.array(["Ахметов", "Nazarbayev", None, "Ли", "12345"] * 200)
    where = np.arange(1000) % 2 == 0
    wrong = misspell(texts, where, np.random.default_rng(5)).to_pylist()
    changed = 0
    for before, after, hit in zip(texts.to_pylist(), wrong, where, strict=True):
        if not hit or before is None:
            assert after == before
        else:
            changed += after != before
            assert abs(len(after) - len(before)) <= 1
            assert after[0] == before[0] or len(before) < 3 or after[:2] == before[1::-1]
    assert changed > 300


def test_digits_go_into_templates() -> None:
    values, styles = np.array([7011234567, 42, -1]), np.array([0, 1, 0])
    assert format_mixed(values, styles, ("+7 ### ### ## ##", "8##########")).to_pylist() == [
        "+7 701 123 45 67",
        "80000000042",
        None,
    ]
    assert format_digits(np.array([5]), "C###").to_pylist() == ["C005"]
    assert format_digits(np.array([], dtype=np.int64), "C###").to_pylist() == []
