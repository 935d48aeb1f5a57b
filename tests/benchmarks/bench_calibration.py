"""How well and how fast scores are calibrated: forecasts, name scores, a million scores; scikit-learn beside.

Run as ``python -m tests.benchmarks.bench_calibration --data DIR`` (public data sets); a JSON line each.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from terag_pipelines.calibration.fit import fit_calibrator, fit_isotonic
from terag_pipelines.calibration.metrics import brier_score, expected_calibration_error

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]
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


def measure_ours(name: str, scores: Floats, outcomes: Floats) -> Row:
    """What our choice of method reaches on labels that its fit did not see."""
    start = time.perf_counter()
    row = fit_calibrator(name, scores, outcomes).row.to_pylist()[0]
    return {
        "subject": name,
        "who": "ours",
        "seconds": time.perf_counter() - start,
        **{f: row[f] for f in FIGURES},
    }


def measure_sklearn(name: str, scores: Floats, outcomes: Floats) -> Row:
    """scikit-learn's isotonic regression, five folds at random, never choosing to leave scores alone."""
    start = time.perf_counter()
    folds = np.random.default_rng(7).permutation(len(scores)) % 5
    said = np.zeros(len(scores))
    for fold in range(5):
        training = folds != fold
        fitted = IsotonicRegression(out_of_bounds="clip").fit(scores[training], outcomes[training])
        said[~training] = fitted.predict(scores[~training])
    figures = {
        "ece_after": expected_calibration_error(said, outcomes),
        "brier_after": brier_score(said, outcomes),
    }
    return {"subject": name, "who": "sklearn isotonic", "seconds": time.perf_counter() - start, **figures}


def measure_isotonic(n: int) -> Iterator[Row]:
    """One isotonic fit of n scores, side by side."""
    scores, outcomes = make_overconfident(n)
    start = time.perf_counter()
    fit_isotonic(scores, outcomes)
    middle = time.perf_counter()
    IsotonicRegression(out_of_bounds="clip").fit(scores, outcomes)
    yield {"subject": f"isotonic fit of {n:,}", "who": "ours", "seconds": middle - start}
    yield {
        "subject": f"isotonic fit of {n:,}",
        "who": "sklearn isotonic",
        "seconds": time.perf_counter() - middle,
    }


def measure(data: Path | None) -> Iterator[Row]:
    """All figures; the public sets only where their folder is given."""
    for name, scores, outcomes in read_sets(data) if data else ():
        yield measure_ours(name, scores, outcomes)
        yield measure_sklearn(name, scores, outcomes)
    scores, outcomes = make_overconfident(1_000_000)
    yield measure_ours("a million overconfident scores", scores, outcomes)
    yield measure_sklearn("a million overconfident scores", scores, outcomes)
    yield from measure_isotonic(1_000_000)


def main() -> None:
    """Prints one JSON line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the public data sets")
    for row in measure(parser.parse_args().data):
        print(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}), flush=True)


if __name__ == "__main__":
    main()
