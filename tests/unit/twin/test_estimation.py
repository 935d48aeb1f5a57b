"""Cross-fitted effects cover the truth, with errors that know that months of one client go together."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from threadpoolctl import threadpool_limits

from terag_pipelines.twin.client_effects import FittedTwin, fit_effect_model
from terag_pipelines.twin.estimation import (
    AverageEffect,
    Study,
    TwinParams,
    assign_folds,
    estimate_average,
    score_rows,
)
from terag_pipelines.twin.spec import Question

PARAMS = TwinParams()


def make_study(
    seed: int, n_clients: int = 250, n_months: int = 6, is_binary: bool = True
) -> tuple[Study, float]:
    """A study with a curved confounder, a treatment that whole clients lean to, and an effect that varies."""
    random = np.random.default_rng(seed)
    client = np.repeat(np.arange(n_clients), n_months)
    lean = random.normal(0, 1, n_clients)[client]
    x = np.stack(
        [lean + random.normal(0, 1, len(client)), np.exp(0.5 * random.normal(0, 1, len(client)))], axis=1
    )
    push = 0.6 * x[:, 0] - 0.5 * x[:, 1]
    treatment = (random.random(len(client)) < expit(push)) * 1.0
    if not is_binary:
        treatment = push + np.sin(x[:, 0]) + random.normal(0, 1, len(client)) * (0.7 + 0.4 * (x[:, 1] > 1))
    effect = 1 + 0.5 * x[:, 0]
    outcome = x[:, 0] ** 2 + 2 * x[:, 1] + effect * treatment + random.normal(0, 1, len(client))
    outcome += random.normal(0, 1, n_clients)[client]
    return Study(treatment, outcome, x, client), float(effect.mean())


def estimate(study: Study, params: TwinParams = PARAMS) -> AverageEffect:
    with threadpool_limits(1):
        return estimate_average(study, score_rows(study, params), params.level)


@pytest.mark.parametrize("is_binary", [True, False])
def test_intervals_cover_the_truth_about_as_often_as_they_say(is_binary: bool) -> None:
    covered, errors = [], []
    for seed in range(16):
        study, truth = make_study(seed, is_binary=is_binary)
        found = estimate(study)
        covered.append(found.low <= truth <= found.high)
        errors.append((found.effect - truth) / found.standard_error)
    assert sum(covered) >= 13
    assert abs(np.mean(errors)) < 0.75  # no bias of the size of the interval
    assert 0.5 < np.std(errors) < 1.6


def test_a_treatment_given_to_whole_clients_has_an_honest_interval() -> None:
    random = np.random.default_rng(3)
    client = np.repeat(np.arange(120), 10)
    treatment = (random.random(120) < 0.5)[client] * 1.0
    outcome = 3 * random.normal(0, 1, 120)[client] + random.normal(0, 1, 1200)
    study = Study(treatment, outcome, np.zeros((1200, 0)), client)
    clustered = estimate(study).standard_error
    alone = estimate(replace(study, client=np.arange(1200))).standard_error
    assert clustered > 2 * alone
    assert clustered == pytest.approx(3 * 2 / np.sqrt(120), rel=0.25)


def test_the_effect_on_the_treated_is_theirs() -> None:
    study, _ = make_study(5, n_clients=800)
    treated = study.treatment == 1
    truth = float(np.mean(1 + 0.5 * study.covariates[treated, 0]))
    found = estimate(study, replace(PARAMS, is_on_treated=True))
    assert found.low <= truth <= found.high
    assert truth - 1 > 0.15  # otherwise this says nothing


def test_all_months_of_a_client_are_in_one_fold() -> None:
    study, _ = make_study(6)
    folds = assign_folds(study, 5, seed=1)
    assert all(len(set(folds[study.client == code])) == 1 for code in range(20))
    assert np.bincount(folds).min() > 0.15 * len(folds)


@pytest.mark.parametrize(("shape", "least"), [("line", 0.85), ("square", 0.8), ("step", 0.55)])
def test_intervals_of_clients_hold_whatever_the_shape_of_the_effect(shape: str, least: float) -> None:
    assert np.mean([covered_clients(shape, seed) for seed in range(3)]) > least


def covered_clients(shape: str, seed: int) -> float:
    random = np.random.default_rng(seed)
    client = np.repeat(np.arange(1_000), 8)
    lean, size = random.normal(size=(2, 1_000))
    truth = {"line": 1 + lean, "square": 1 + 0.5 * lean**2, "step": 1.0 + (lean > 0)}[shape]
    covariates = np.stack([lean, size], axis=1)[client]
    treatment = (random.random(len(client)) < expit(0.6 * covariates[:, 0])).astype(float)
    outcome = covariates.sum(axis=1) + truth[client] * treatment + random.normal(size=len(client))
    study = Study(treatment, outcome, covariates, client)
    with threadpool_limits(1):
        model = fit_effect_model(("lean", "size"), study, score_rows(study, PARAMS), PARAMS.seed)
    effect, error = model.predict(model.features_by_client(client, covariates))
    return float((np.abs(effect - truth) <= 1.96 * error).mean())


def test_client_effects_follow_the_covariate_that_moves_them() -> None:
    study, _ = make_study(7, n_clients=1_500)
    with threadpool_limits(1):
        model = fit_effect_model(("lean", "size"), study, score_rows(study, PARAMS), PARAMS.seed)
    points = np.array([[-1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    effect, error = model.predict(model.features(points))
    assert np.all(np.abs(effect - (1 + 0.5 * points[:, 0])) < 3 * error)
    assert np.all(error < 0.1)
    twin = FittedTwin({Question("t", "y"): model})
    again = FittedTwin.from_json(twin.to_json())
    assert again.to_json() == twin.to_json()
    told, _ = again.predict(Question("t", "y"), np.array([[0.0, 1.0], [50.0, 1.0]]))
    assert told[0] == effect[1]
    assert np.isnan(told[1])  # nobody like that was seen
