"""How well and how fast scores are calibrated: forecasts, name scores, a million scores; scikit-learn beside.

Run as ``python -m tests.benchmarks.bench_calibration --data DIR`` (public data sets); a JSON line each.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from terag_pipelines.calibration.fit import fit_calibrator, fit_isotonic
from terag_pipelines.calibration.metrics import brier_score, expected_calibration_error
from tests.benchmarks.measuring import cost_of, measured, tell

Floats = npt.NDArray[np.float64]
PACKAGES = ("numpy", "scikit-learn", "scipy")
FIGURES = ("method", "n_labels", "ece_before", "ece_after", "brier_before", "brier_after")


def read_sets(data: Path) -> Iterator[tuple[str, Floats, Floats]]:
    """Name, scores and outcomes of each public set."""
    for name in ("mlb", "nba"):
        games = pl.read_csv(data / f"fivethirtyeight/{name}_games.csv.gz", infer_schema_length=None)
        decided = games.filter(pl.col("prob1_outcome") != 0.5)
        yield name, decided["prob1"].to_numpy(), decided["prob1_outcome"].cast(pl.Float64).to_numpy()
    pairs = pl.read_csv(data / "name_bench/logicv2-frozen.csv")
    yield "name_bench", pairs["score"].to_numpy(), pairs["is_match"].cast(pl.Float64).to_numpy()


def make_overconfident(n: int) -> tuple[Floats, Floats]:
    """Scores three times too sure on the log-odds, with their outcomes."""
    random = np.random.default_rng(7)
    odds = random.normal(0, 1, n)
    return expit(3 * odds - 1), (random.random(n) < expit(odds)).astype(np.float64)


def measure_ours(name: str, scores: Floats, outcomes: Floats) -> None:
    """What our choice of method reaches on labels that its fit did not see."""
    fitted, cost = measured(lambda: fit_calibrator(name, scores, outcomes))
    row = fitted.row.to_pylist()[0]
    tell("calibration", name, cost, PACKAGES, **{figure: row[figure] for figure in FIGURES})


def measure_sklearn(name: str, scores: Floats, outcomes: Floats) -> None:
    """scikit-learn's isotonic regression, five folds at random, never choosing to leave scores alone."""
    said, cost = measured(lambda: _held_out_by_sklearn(scores, outcomes))
    figures = {
        "method": "isotonic",
        "n_labels": len(scores),
        "ece_before": expected_calibration_error(scores, outcomes),
        "ece_after": expected_calibration_error(said, outcomes),
        "brier_before": brier_score(scores, outcomes),
        "brier_after": brier_score(said, outcomes),
    }
    tell("calibration", name, cost, PACKAGES, "scikit-learn, isotonic", **figures)


def _held_out_by_sklearn(scores: Floats, outcomes: Floats) -> Floats:
    folds = np.random.default_rng(7).permutation(len(scores)) % 5
    said = np.zeros(len(scores))
    for fold in range(5):
        training = folds != fold
        fitted = IsotonicRegression(out_of_bounds="clip").fit(scores[training], outcomes[training])
        said[~training] = fitted.predict(scores[~training])
    return said


def measure_isotonic(n: int) -> None:
    """One isotonic fit of n scores, side by side."""
    scores, outcomes = make_overconfident(n)
    ours = cost_of(lambda: fit_isotonic(scores, outcomes))
    theirs = cost_of(lambda: IsotonicRegression(out_of_bounds="clip").fit(scores, outcomes))
    tell("calibration", "one isotonic fit", ours, PACKAGES, n_labels=n)
    tell("calibration", "one isotonic fit", theirs, PACKAGES, "scikit-learn, isotonic", n_labels=n)


def main() -> None:
    """Prints one JSON line for each figure; the public sets only where their folder is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the public data sets")
    data = parser.parse_args().data
    million = ("a million overconfident scores", *make_overconfident(1_000_000))
    for name, scores, outcomes in [*(read_sets(data) if data else ()), million]:
        measure_ours(name, scores, outcomes)
        measure_sklearn(name, scores, outcomes)
    measure_isotonic(1_000_000)


if __name__ == "__main__":
    main()
