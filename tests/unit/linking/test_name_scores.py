"""Scores of name pairs with labels: folds share no name, the choice is honest, the prior can be moved."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.calibration.metrics import brier_score
from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.name_scores import (
    METHODS,
    STATED,
    FittedNameScorer,
    NameScorerParams,
    fit_name_scorer,
    group_folds,
    move_prior,
    score_names,
)

GIVEN = (
    "anna",
    "bolat",
    "darina",
    "erlan",
    "fatima",
    "gulnar",
    "ivan",
    "kanat",
    "leila",
    "madi",
    "nurlan",
    "olga",
)
FAMILY = (
    "ahmetov",
    "baizhanov",
    "chernov",
    "dosov",
    "ermekov",
    "fomin",
    "garipov",
    "ibraev",
    "kim",
    "litvinov",
)


def make_labelled(
    n: int, seed: int
) -> tuple[pa.Array, pa.Array, npt.NDArray[np.object_], npt.NDArray[np.bool_]]:
    """Pairs of which those with one given name match, whatever the family name: no stated weight says so."""
    rng = np.random.default_rng(seed)
    given, family = rng.choice(GIVEN, (n, 2)), rng.choice(FAMILY, (n, 2))
    given[: n // 2, 1] = given[: n // 2, 0]
    names = [[f"{a} {b}{i}" for i, (a, b) in enumerate(zip(g, f, strict=True))] for g, f in
             ((given[:, 0], family[:, 0]), (given[:, 1], family[:, 1]))]  # fmt: skip
    left, right = (pa.array([name.translate(str.maketrans("0123456789", "abcdefghij")) for name in side])
                   for side in names)  # fmt: skip
    return left, right, np.full(n, "person", object), given[:, 0] == given[:, 1]


@pytest.fixture(scope="module")
def fitted() -> FittedNameScorer:
    return fit_name_scorer(*make_labelled(240, seed=1))


def test_a_learner_that_wins_is_chosen_and_is_better_on_new_pairs(fitted: FittedNameScorer) -> None:
    left, right, kinds, truth = make_labelled(200, seed=2)
    assert fitted.method != STATED
    assert set(fitted.held_out_log_loss) == set(METHODS)
    learned = brier_score(fitted.score(left, right, kinds), truth)
    assert learned < 0.5 * brier_score(score_names(left, right, "person"), truth)


def test_the_order_of_labels_does_not_matter(fitted: FittedNameScorer) -> None:
    left, right, kinds, truth = make_labelled(240, seed=1)
    shuffled = np.random.default_rng(3).permutation(240)
    again = fit_name_scorer(
        left.take(pa.array(shuffled)), right.take(pa.array(shuffled)), kinds, truth[shuffled]
    )
    assert (again.score(left, right, kinds) == fitted.score(left, right, kinds)).all()


def test_few_labels_leave_the_stated_weights() -> None:
    left, right, kinds, truth = make_labelled(20, seed=1)
    scorer = fit_name_scorer(left, right, kinds, truth)
    assert scorer.method == STATED
    assert scorer.score(left, right, kinds) == pytest.approx(score_names(left, right, "person"))


def test_names_that_cannot_be_compared_get_a_probability(fitted: FittedNameScorer) -> None:
    said = fitted.score(pa.array(["张伟"]), pa.array(["Zhang Wei"]), np.array(["person"], object))
    assert 0 <= said[0] <= 1


def test_rarer_matches_make_every_probability_smaller(fitted: FittedNameScorer) -> None:
    left, right, kinds, _ = make_labelled(50, seed=4)
    usual, rare = fitted.score(left, right, kinds), fitted.score(left, right, kinds, match_share=0.01)
    assert (rare < usual).all()


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_a_moved_prior_moves_back(probability: float, old: float, new: float) -> None:
    there = move_prior(np.array([probability]), old, new)
    assert move_prior(there, new, old)[0] == pytest.approx(probability)
    assert (there[0] > probability) == (new > old) or old == pytest.approx(new)


@given(st.lists(st.tuples(st.sampled_from("abcdefghijklm"), st.sampled_from("abcdefghijklm")), min_size=1))
def test_no_name_stands_in_two_folds(pairs: list[tuple[str, str]]) -> None:
    left, right = (pa.array(list(side)) for side in zip(*pairs, strict=True))
    folds = group_folds(left, right, NameScorerParams())
    held: dict[str, set[int]] = {}
    for pair, fold in zip(pairs, folds.tolist(), strict=True):
        for name in pair:
            held.setdefault(name, set()).add(fold)
    assert all(len(found) == 1 for found in held.values())


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(LinkingError):
        fit_name_scorer(pa.array(["a"]), pa.array(["b"]), np.array(["vessel"], object), [1])
