"""ECE, Brier score and reliability say what the definitions say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.calibration.metrics import (
    brier_score,
    expected_calibration_error,
    reliability_curve,
    wilson_interval,
)
from terag_pipelines.errors import CalibrationError

labelled_scores = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=60)


def test_ece_by_hand() -> None:
    scores, outcomes = [0.1, 0.15, 0.9, 0.95], [0, 1, 1, 1]
    assert expected_calibration_error(scores, outcomes) == pytest.approx((0.75 + 0.15) / 4)


def test_ece_of_equal_mass_keeps_ties_together() -> None:
    scores, outcomes = [0.3] * 8 + [0.9, 0.9], [1, 0, 0, 1, 0, 0, 0, 0, 1, 1]
    assert expected_calibration_error(scores, outcomes, 5, "mass") == pytest.approx((8 * 0.05 + 0.2) / 10)


def test_brier_by_hand() -> None:
    assert brier_score([1.0, 0.0, 0.5], [1, 1, 0]) == pytest.approx((0 + 1 + 0.25) / 3)


def test_of_nothing_is_nan() -> None:
    assert np.isnan(expected_calibration_error([], []))
    assert np.isnan(brier_score([], []))


def test_wilson_interval_against_published_values() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3
    low, high = wilson_interval([81, 15, 0, 1], [263, 148, 20, 29])
    assert low.round(4).tolist() == [0.2553, 0.0624, 0.0, 0.0061]
    assert high.round(4).tolist() == [0.3662, 0.1605, 0.1611, 0.1718]


def test_reliability_intervals_cover_a_calibrated_source() -> None:
    random = np.random.default_rng(3)
    inside = []
    for _ in range(20):
        p = random.random(5_000)
        curve = reliability_curve(p, random.random(5_000) < p)
        inside += list(
            (curve.observed_low <= curve.mean_probability) & (curve.mean_probability <= curve.observed_high)
        )
        assert curve.n.sum() == 5_000
    assert 0.90 < np.mean(inside) < 0.99


@pytest.mark.parametrize(
    ("scores", "outcomes"), [([1.2], [1]), ([float("nan")], [0]), ([0.5], [2]), ([0.5, 0.6], [1])]
)
def test_what_is_no_score_or_outcome_is_refused(scores: list[float], outcomes: list[float]) -> None:
    with pytest.raises(CalibrationError):
        brier_score(scores, outcomes)


@given(labelled_scores)
def test_bounds_and_order_do_not_matter(rows: list[tuple[float, int]]) -> None:
    p, y = np.array(rows).T
    for binning in ("width", "mass"):
        ece = expected_calibration_error(p, y, 7, binning)  # type: ignore[arg-type]
        assert 0 <= ece <= 1
        assert ece == pytest.approx(expected_calibration_error(p[::-1], y[::-1], 7, binning))  # type: ignore[arg-type]
    assert ece >= abs(p.mean() - y.mean()) - 1e-9


@given(labelled_scores)
def test_every_observed_share_lies_in_its_interval(rows: list[tuple[float, int]]) -> None:
    p, y = np.array(rows).T
    curve = reliability_curve(p, y)
    assert np.all(curve.observed_low <= curve.observed_share + 1e-12)
    assert np.all(curve.observed_share <= curve.observed_high + 1e-12)
    assert curve.n.sum() == len(rows)
