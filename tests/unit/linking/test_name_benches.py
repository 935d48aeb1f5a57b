"""The benches of names measure what they say; without labels the scores reach what is promised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.bench_names import (
    judge,
    read_name_bench,
    recall_at_precision,
    score_pairs,
    weights_at_prevalence,
)
from tests.benchmarks.kz_names import (
    KINDS,
    make_pairs,
    russian_patronymic,
    spell_in_alphabet,
    spell_in_passport,
)


@pytest.mark.parametrize(
    ("script", "spelling"),
    [
        ("latin_2017", "S'yn'g'ys A'i'gu'l Jumabai' Qay'iply"),
        ("latin_2018", "Shyńǵys Áıgúl Jumabaı Qaýiply"),
        ("latin_2021", "Şyñğys Äigül Jūmabai Qauıply"),
    ],
)
def test_the_alphabets_are_those_of_the_decrees(script: str, spelling: str) -> None:
    names = ("Шыңғыс", "Әйгүл", "Жұмабай", "Қауіплы")
    written = " ".join(spell_in_alphabet(name, script) for name in names)
    assert written == spelling


def test_passports_and_patronymics_follow_their_rules() -> None:
    assert spell_in_passport("Еркебұлан", False) == "YERKEBULAN"
    assert spell_in_passport("Мұсаев", False) == "MUSAYEV"
    assert spell_in_passport("Қайрат", True) == "KAYRAT"
    assert [russian_patronymic(father, False) for father in ("Илья", "Юрий", "Болат", "Сергей")] == [
        "Ильич", "Юрьевич", "Болатович", "Сергеевич"
    ]  # fmt: skip


def test_the_bench_of_kazakhstan_is_the_same_each_time_and_has_all_kinds() -> None:
    pairs = make_pairs(2_000)
    assert pairs.equals(make_pairs(2_000))
    assert set(pairs["kind"]) == set(KINDS)
    assert pairs.filter(pairs["is_match"])["kind"].unique().to_list() == ["same"]


def test_kazakh_names_are_found_across_scripts_and_relatives_are_not_taken_for_them() -> None:
    pairs = make_pairs()
    truth = pairs["is_match"].to_numpy()
    scores = score_pairs(
        pairs["left"].to_list(), pairs["right"].to_list(), np.full(len(pairs), "person", object)
    )
    assert recall_at_precision(scores, truth) >= 0.97
    found = judge(scores, truth)
    assert found["recall"] >= 0.97
    assert found["precision"] >= 0.98


def test_names_of_many_lands_without_labels(shared_data: Path) -> None:
    left, right, kinds, truth, _ = read_name_bench(shared_data)
    assert judge(score_pairs(left, right, kinds), truth)["f1"] >= 0.85


def test_recall_at_a_precision_keeps_ties_together() -> None:
    truth = np.array([True, True, False, True, False])
    assert recall_at_precision(np.array([0.9, 0.8, 0.7, 0.6, 0.1]), truth, 0.9) == pytest.approx(2 / 3)
    assert recall_at_precision(np.array([0.9, 0.8, 0.8, 0.6, 0.1]), truth, 0.9) == pytest.approx(1 / 3)
    assert recall_at_precision(np.array([0.1, 0.1, 0.9, 0.1, 0.1]), truth, 0.9) == 0


def test_weights_make_the_prevalence_that_is_asked_for() -> None:
    truth = np.array([True, True, False, False, False])
    weights = weights_at_prevalence(truth, 0.01)
    assert weights[truth].sum() / weights.sum() == pytest.approx(0.01)
    perfect = judge(truth * 1.0, truth, weights)
    assert (perfect["f1"], perfect["share_of_matches"]) == pytest.approx((1, 0.01))
    assert judge(np.full(5, 0.4), truth)["brier_skill"] == pytest.approx(0)
