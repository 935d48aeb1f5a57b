"""Calibrators recover a known miscalibration, stay monotone, and come back from their row bit for bit."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from terag_pipelines.calibration.fit import (
    Calibration,
    CalibrationParams,
    fit_calibrator,
    fit_calibrators,
    fit_isotonic,
    load_calibrator,
)
from terag_pipelines.calibration.metrics import brier_score, expected_calibration_error
from terag_pipelines.calibration.model import CALIBRATORS
from terag_pipelines.calibration.pictures import draw_reliability
from terag_pipelines.errors import CalibrationError
from terag_pipelines.tables import digest

Floats = npt.NDArray[np.float64]


def draw(n: int, seed: int, distort: str) -> tuple[Floats, Floats, Floats]:
    """Scores, outcomes and the true probabilities behind them."""
    random = np.random.default_rng(seed)
    truth = expit(random.normal(0, 1.5, n))
    outcomes = (random.random(n) < truth).astype(float)
    scores = {
        "none": truth,
        "overconfident": expit(2.5 * logit(truth) + 1.0),
        "stepped": truth**4 * 0.5 + 0.5 * (truth > 0.6),
    }[distort]
    return scores, outcomes, truth


def row_of(calibration: Calibration) -> dict[str, object]:
    row: dict[str, object] = calibration.row.to_pylist()[0]
    return row


@pytest.mark.parametrize(
    ("distort", "method"), [("none", "identity"), ("overconfident", "sigmoid"), ("stepped", "isotonic")]
)
def test_the_method_that_fits_the_distortion_is_chosen(distort: str, method: str) -> None:
    scores, outcomes, _ = draw(6_000, 1, distort)
    assert row_of(fit_calibrator("links", scores, outcomes))["method"] == method


def test_sigmoid_recovers_the_known_distortion() -> None:
    scores, outcomes, _ = draw(40_000, 2, "overconfident")
    fitted = fit_calibrator("links", scores, outcomes).fitted
    assert fitted is not None
    assert fitted.parameters["slope"][0] == pytest.approx(1 / 2.5, abs=0.02)
    assert fitted.parameters["intercept"][0] == pytest.approx(-1 / 2.5, abs=0.04)


@pytest.mark.parametrize("distort", ["overconfident", "stepped"])
def test_error_falls_on_labels_nobody_saw(distort: str) -> None:
    calibration = fit_calibrator("links", *draw(6_000, 3, distort)[:2])
    row = row_of(calibration)
    fresh, outcomes, truth = draw(20_000, 4, distort)
    assert calibration.fitted is not None
    calibrated = calibration.fitted.apply(fresh)
    assert expected_calibration_error(calibrated, outcomes) < 0.02
    assert np.abs(calibrated - truth).mean() < 0.02
    assert row["ece_after"] < 0.25 * row["ece_before"]  # type: ignore[operator]
    assert row["brier_after"] < row["brier_before"]  # type: ignore[operator]


def test_reported_error_is_held_out_not_refitted() -> None:
    scores, outcomes, _ = draw(300, 5, "stepped")
    calibration = fit_calibrator("links", scores, outcomes)
    assert calibration.fitted is not None
    assert calibration.fitted.method == "isotonic"
    seen = calibration.fitted.apply(scores)  # a fit judged on its own labels looks better than it is
    assert row_of(calibration)["ece_after"] > expected_calibration_error(seen, outcomes)  # type: ignore[operator]
    assert row_of(calibration)["brier_after"] > brier_score(seen, outcomes)  # type: ignore[operator]


def test_reported_error_is_that_of_fresh_labels_with_the_choice_of_the_method_in_it() -> None:
    reported, fresh = [], []
    for seed in range(25):
        random = np.random.default_rng(seed)
        scores = random.beta(0.3, 0.3, 120)
        calibration = fit_calibrator("links", scores, random.random(120) < scores**2)
        assert calibration.fitted is not None
        others = random.beta(0.3, 0.3, 5_000)
        truth = others**2
        error = (calibration.fitted.apply(others) - truth) ** 2 + truth * (1 - truth)
        fresh.append(error.mean())
        reported.append(row_of(calibration)["brier_after"])
    gap = np.array(reported) - np.array(fresh)
    assert abs(gap.mean()) < 2 * gap.std() / np.sqrt(len(gap))


def test_isotonic_is_the_standard_fit_but_for_the_shrink() -> None:
    scores, outcomes, _ = draw(3_000, 6, "stepped")
    standard = IsotonicRegression().fit(scores, outcomes)
    ours = np.interp(scores, *fit_isotonic(scores, outcomes).values())
    assert np.abs(ours - standard.predict(scores)).mean() < 0.01


def test_isotonic_never_says_never() -> None:
    scores = np.linspace(0, 1, 400)
    values = fit_isotonic(scores, (scores > 0.5).astype(float))["values"]
    assert 0 < min(values) < 0.01
    assert 0.99 < max(values) < 1


def test_scores_that_rank_backwards_become_the_base_rate_not_reversed() -> None:
    scores, outcomes, _ = draw(2_000, 7, "none")
    fitted = fit_calibrator("rings", 1 - scores, outcomes).fitted
    assert fitted is not None
    assert np.ptp(fitted.apply(np.linspace(0.05, 0.95, 20))) < 0.3
    assert np.all(np.diff(fitted.apply(np.linspace(0, 1, 50))) >= 0)


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ([0, 1] * 10, "20 labels, at least 50"),
        ([1] * 80, "80 positive and 0 negative"),
        ([0] * 97 + [1] * 3, "3 positive and 97"),
        ([], "0 labels"),
    ],
)
def test_too_few_labels_give_a_reason_and_no_calibrator(outcomes: list[int], reason: str) -> None:
    calibration = fit_calibrator("rings", np.full(len(outcomes), 0.4), outcomes)
    row = row_of(calibration)
    assert calibration.fitted is None
    assert row["method"] == "none"
    assert reason in str(row["reason"])
    assert row["ece_after"] is None
    assert load_calibrator(calibration.row, "rings") is None
    assert draw_reliability(calibration).startswith(b"\x89PNG")


def test_a_score_outside_its_range_is_an_error() -> None:
    with pytest.raises(CalibrationError, match=r"outside \[0, 1\]"):
        fit_calibrator("links", [1.5] * 60, [0, 1] * 30)


@pytest.mark.parametrize("distort", ["none", "overconfident", "stepped"])
def test_the_row_gives_the_calibrator_back_exactly(distort: str) -> None:
    scores, outcomes, _ = draw(4_000, 8, distort)
    calibration = fit_calibrator("links", scores, outcomes)
    loaded = load_calibrator(calibration.row, "links")
    assert loaded == calibration.fitted
    assert loaded is not None
    assert calibration.fitted is not None
    assert loaded.apply(scores).tobytes() == calibration.fitted.apply(scores).tobytes()
    assert load_calibrator(calibration.row, "rings") is None


def test_an_unknown_method_in_a_row_is_an_error() -> None:
    row = CALIBRATORS.from_columns(calibrator_id=["links"], method=["magic"], parameters=["{}"])
    with pytest.raises(CalibrationError, match="unknown method 'magic'"):
        load_calibrator(row, "links")


def test_row_order_does_not_reach_the_result() -> None:
    scores, outcomes, _ = draw(3_000, 9, "stepped")
    scores = scores.round(2)
    order = np.random.default_rng(1).permutation(3_000)
    one, other = (
        fit_calibrator("links", scores, outcomes),
        fit_calibrator("links", scores[order], outcomes[order]),
    )
    assert digest(one.row) == digest(other.row)
    assert draw_reliability(one) == draw_reliability(other)


def test_all_calibrators_of_a_batch_in_one_table() -> None:
    good = draw(500, 10, "overconfident")[:2]
    fits = fit_calibrators({"rings": ([], []), "links": good}, CalibrationParams(min_labels=100))
    assert fits.table["calibrator_id"].to_pylist() == ["links", "rings"]
    assert fits.by_id["rings"].fitted is None
    assert load_calibrator(fits.table, "links") == fits.by_id["links"].fitted
    assert fit_calibrators({}).table.schema.equals(CALIBRATORS.schema)


def test_a_missing_score_stays_missing() -> None:
    fitted = fit_calibrator("links", *draw(4_000, 11, "stepped")[:2]).fitted
    assert fitted is not None
    assert np.isnan(fitted.apply([0.3, np.nan])).tolist() == [False, True]


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.float64, st.integers(50, 120), elements=st.floats(0, 1)),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["sharp", "noise"]),
)
def test_any_fit_is_monotone_within_bounds_and_round_trips(scores: Floats, seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    chance = scores if kind == "sharp" else np.full(len(scores), 0.3)
    calibration = fit_calibrator("links", scores, (random.random(len(scores)) < chance).astype(float))
    if calibration.fitted is None:
        return
    grid = np.union1d(np.linspace(0, 1, 101), scores)
    values = calibration.fitted.apply(grid)
    assert np.all(np.diff(values) >= -1e-15)
    assert np.all((values >= 0) & (values <= 1))
    assert load_calibrator(calibration.row, "links") == calibration.fitted


def read_forecasts(path: Path) -> tuple[Floats, Floats]:
    games = pl.read_csv(path, infer_schema_length=None).filter(pl.col("prob1_outcome") != 0.5)
    return games["prob1"].to_numpy(), games["prob1_outcome"].cast(pl.Float64).to_numpy()


def test_forecasts_with_known_error(shared_data: Path) -> None:
    mlb = row_of(fit_calibrator("mlb", *read_forecasts(shared_data / "fivethirtyeight/mlb_games.csv.gz")))
    nba = row_of(fit_calibrator("nba", *read_forecasts(shared_data / "fivethirtyeight/nba_games.csv.gz")))
    print(mlb, nba)  # noqa: T201 - figures, shown by pytest -s
    assert mlb["ece_before"] == pytest.approx(0.007, abs=5e-4)
    assert mlb["method"] == "identity"  # already good: nothing to mend
    assert nba["ece_before"] == pytest.approx(0.048, abs=5e-4)
    assert nba["ece_after"] < 0.012  # type: ignore[operator]


def test_name_scores_with_known_error(shared_data: Path) -> None:
    pairs = pl.read_csv(shared_data / "name_bench/logicv2-frozen.csv")
    row = row_of(
        fit_calibrator("names", pairs["score"].to_numpy(), pairs["is_match"].cast(pl.Float64).to_numpy())
    )
    print(row)  # noqa: T201 - figures, shown by pytest -s
    assert row["ece_before"] == pytest.approx(0.199, abs=5e-4)
    assert row["ece_after"] < 0.04  # type: ignore[operator]
    assert row["brier_after"] < row["brier_before"]  # type: ignore[operator]


def test_the_table_is_of_its_schema() -> None:
    row = fit_calibrator("links", *draw(300, 12, "none")[:2]).row
    assert isinstance(row, pa.Table)
    assert row.schema.equals(CALIBRATORS.schema)
