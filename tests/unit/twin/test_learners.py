"""The regressions: equal to the textbook where there is one, right where the truth is known."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge

from terag_pipelines.twin.learners import (
    BasisRegression,
    BoostedRegression,
    choose_learner,
    fit_basis,
    fit_logistic,
    fit_on_basis,
    fit_ridge,
    predict_in_chunks,
)


def with_one(x: np.ndarray) -> np.ndarray:
    return np.hstack([np.ones((len(x), 1)), x])


def test_logistic_is_the_penalised_maximum() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 3))
    y = (random.random(500) < expit(x @ [1.0, -2.0, 0.0] + 0.3)).astype(float)
    standard = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(x, y)
    ours = fit_logistic(with_one(x), y)
    assert ours[1:] == pytest.approx(standard.coef_[0], abs=1e-4)
    assert ours[0] == pytest.approx(standard.intercept_[0], abs=1e-4)


def test_logistic_stays_finite_where_one_value_decides() -> None:
    x = np.linspace(-1, 1, 200)[:, None]
    coefficients = fit_logistic(with_one(x), (x[:, 0] > 0).astype(float))
    assert np.isfinite(coefficients).all()
    assert coefficients[1] > 3


def test_ridge_is_ridge_of_some_penalty_and_shrinks_noise() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(80, 20))
    noise = fit_ridge(with_one(x), random.normal(size=80))
    assert np.abs(noise[1:]).max() < 0.2
    signal = fit_ridge(with_one(x), x[:, 0] * 2 + 5)
    assert signal[:2] == pytest.approx([5, 2], abs=1e-3)
    standard = Ridge(alpha=1e-6).fit(x, x[:, 0] * 2 + 5)
    assert signal[1:] == pytest.approx(standard.coef_, abs=1e-3)


def test_the_basis_bends_where_the_truth_bends() -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(4_000, 2))
    truth = np.abs(x[:, 0]) + x[:, 0] * x[:, 1]
    model = fit_on_basis(x, truth + 0.1 * random.normal(size=4_000), is_share=False)
    assert np.mean((model.predict(x) - truth) ** 2) < 0.02 * truth.var()


def test_a_small_study_gets_a_plain_basis_and_no_values_beyond_what_was_seen() -> None:
    x = np.random.default_rng(3).normal(size=(60, 5))
    basis = fit_basis(x, 60 / 20)
    assert basis.expand(x).shape == (60, 6)
    assert basis.expand(x * 1e6) == pytest.approx(basis.expand(np.clip(x * 1e6, x.min(0), x.max(0))), abs=0.2)


def test_trees_are_taken_only_where_they_gain() -> None:
    random = np.random.default_rng(4)
    x = random.normal(size=(3_000, 3))
    half = np.arange(3_000) % 2 == 0
    line = x @ [1.0, 2.0, 3.0] + random.normal(size=3_000)
    steps = 3.0 * ((x[:, 0] > 0) ^ (x[:, 1] > 0.5) ^ (x[:, 2] > 0)) + 0.1 * random.normal(size=3_000)
    on_line = choose_learner(x, line, half, is_share=False, seed=1)(x, line)
    on_steps = choose_learner(x, steps, half, is_share=False, seed=1)(x, steps)
    assert isinstance(on_line, BasisRegression)
    assert isinstance(on_steps, BoostedRegression)
    assert np.array_equal(predict_in_chunks(on_steps, x), on_steps.predict(x))
