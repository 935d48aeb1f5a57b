"""How well two full names are told to be one's, without labels and with them: a JSON line for each result.

    python -m tests.benchmarks.bench_names [--data DIR]

DIR holds name_bench, wd_russian and everypolitician_names. The unsupervised scorer is measured at its
default threshold, stated beforehand; the supervised one on folds that share no name with what it learned
from. Weights are stated, not fitted, but errors on name_bench and on the 5,000 pairs of Kazakhstan were
looked at and F1 was seen while rules and weights were written: take these two as development sets, and
the 60,000 pairs of another seed, wd_russian and everypolitician as the test.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from rapidfuzz import fuzz, process
from rapidfuzz.distance import JaroWinkler, Levenshtein
from sklearn.ensemble import HistGradientBoostingClassifier

from terag_pipelines.calibration.metrics import brier_score, expected_calibration_error, log_losses
from terag_pipelines.entities.transliteration import name_key
from terag_pipelines.linking.name_scores import (
    DEFAULT_THRESHOLD,
    NameScorerParams,
    fit_name_scorer,
    group_folds,
    move_prior,
    score_names,
)
from tests.benchmarks.kz_names import make_pairs
from tests.benchmarks.measuring import Cost, measured, tell

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]
PACKAGES = ("numpy", "polars", "rapidfuzz", "scikit-learn")
PRECISION = 0.99
SEED = 5
N_PAIRS_FOR_SCRIPTS = 60_000
UNKNOWN_SCORE = 0.0  # "not comparable" counts as no match here
KINDS = {"Person": "person"}


def judge(scores: Floats, truth: Flags, weights: Floats | None = None) -> dict[str, float]:
    """Precision, recall and F1 at the default threshold; ECE-10, Brier score, log loss, their skill.

    With weights, as if each pair stood there so many times.
    """
    w = np.ones(len(truth)) if weights is None else weights
    said = scores >= DEFAULT_THRESHOLD
    hits, called, true = float(w[said & truth].sum()), float(w[said].sum()), float(w[truth].sum())
    base = true / w.sum()
    y = truth.astype(np.float64)
    brier, base_brier = _mean((scores - y) ** 2, w), base * (1 - base)
    loss, base_loss = _mean(log_losses(scores, y), w), -(base * np.log(base) + (1 - base) * np.log(1 - base))
    return {
        "n_pairs": len(truth),
        "share_of_matches": base,
        "precision": hits / called if called else 0.0,
        "recall": hits / true,
        "f1": 2 * hits / (called + true),
        "ece_10": _weighted_ece(scores, y, w),
        "brier": brier,
        "brier_skill": 1 - brier / base_brier,
        "log_loss": loss,
        "log_loss_skill": 1 - loss / base_loss,
    }


def _mean(values: Floats, weights: Floats) -> float:
    return float(values @ weights / weights.sum())


def _weighted_ece(scores: Floats, outcomes: Floats, weights: Floats) -> float:
    bins = np.minimum((scores * 10).astype(np.int64), 9)
    gaps = np.bincount(bins, scores * weights, 10) - np.bincount(bins, outcomes * weights, 10)
    return float(np.abs(gaps).sum() / weights.sum())


def recall_at_precision(scores: Floats, truth: Flags, precision: float = PRECISION) -> float:
    """The greatest recall of any threshold at which precision is at least this; ties stand together."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    last_of_tie = np.append(ranked[1:] != ranked[:-1], True)
    reached = last_of_tie & (hits / np.arange(1, len(order) + 1) >= precision)
    return float(hits[reached].max(initial=0) / max(truth.sum(), 1))


def weights_at_prevalence(truth: Flags, share: float) -> Floats:
    """How often each pair counts so that matches are this share of all."""
    base = truth.mean()
    return np.where(truth, share / base, (1 - share) / (1 - base))


def score_pairs(left: list[str], right: list[str], kinds: Texts) -> Floats:
    """Scores without labels of pairs of either kind."""
    scores = np.zeros(len(left))
    for kind in np.unique(kinds.astype(str)):
        at = np.flatnonzero(kinds == kind)
        scores[at] = score_names(pa.array([left[i] for i in at]), pa.array([right[i] for i in at]), str(kind))
    return np.nan_to_num(scores, nan=UNKNOWN_SCORE)


def read_name_bench(data: Path) -> tuple[list[str], list[str], Texts, Flags, pl.DataFrame]:
    """Names on both sides, their kinds, the truth, and the table with the scores shipped with them."""
    pairs = pl.read_csv(data / "name_bench/logicv2-frozen.csv")
    left, right = pairs["name1"].fill_null("").to_list(), pairs["name2"].fill_null("").to_list()
    kinds = np.array([KINDS.get(schema, "organisation") for schema in pairs["schema"]], object)
    return left, right, kinds, pairs["is_match"].to_numpy(), pairs


def measure_name_bench(data: Path) -> None:
    """name_bench: the scores shipped with it, ours without labels, a plain booster, ours with labels."""
    left, right, kinds, truth, pairs = read_name_bench(data)
    shipped, called = pairs["score"].to_numpy(), pairs["predicted_match"].to_numpy()
    figures = judge(np.where(called, np.maximum(shipped, 0.5), np.minimum(shipped, 0.4999)), truth)
    figures |= {
        "ece_10": expected_calibration_error(shipped, truth),
        "brier": brier_score(shipped, truth),
    }
    tell("names", "name_bench, scores shipped with it", None, PACKAGES, "nomenklatura logic-v2", **figures)
    ours, cost = measured(lambda: score_pairs(left, right, kinds))
    tell("names", "name_bench, no labels", cost, PACKAGES, **judge(ours, truth))
    folds = group_folds(pa.array(left), pa.array(right), NameScorerParams(n_folds=10))
    table = plain_features(left, right)
    tell("names", "name_bench, six features in a booster", None, PACKAGES, "scikit-learn",
         **judge(held_out(folds, lambda seen, rest: _boost(table, truth, seen, rest)), truth))  # fmt: skip
    said, cost = measured(lambda: held_out(folds, _supervised(left, right, kinds, truth)))
    _tell_supervised(said, truth, cost)


def _tell_supervised(said: Floats, truth: Flags, cost: Cost) -> None:
    tell("names", "name_bench, with labels, out of fold", cost, PACKAGES, **judge(said, truth))
    rare = move_prior(said, float(truth.mean()), 0.01)
    figures = judge(rare, truth, weights_at_prevalence(truth, 0.01))
    tell("names", "name_bench, with labels, as if 1 in 100 matched", None, PACKAGES, **figures)


def held_out(folds: npt.NDArray[np.int64], predict: Callable[[Flags, Flags], Floats]) -> Floats:
    """What is said of each fold by what the others taught."""
    said = np.zeros(len(folds))
    for fold in np.unique(folds):
        said[folds == fold] = predict(folds != fold, folds == fold)
    return said


def _supervised(
    left: list[str], right: list[str], kinds: Texts, truth: Flags
) -> Callable[[Flags, Flags], Floats]:
    one, other = pa.array(left), pa.array(right)

    def predict(seen: Flags, rest: Flags) -> Floats:
        known, asked = pa.array(np.flatnonzero(seen)), pa.array(np.flatnonzero(rest))
        fitted = fit_name_scorer(one.take(known), other.take(known), kinds[seen], truth[seen])
        return fitted.score(one.take(asked), other.take(asked), kinds[rest])

    return predict


def plain_features(left: list[str], right: list[str]) -> Floats:
    """Six plain similarities of the Latin keys, as anyone would take."""
    one, other = [name_key(name) for name in left], [name_key(name) for name in right]
    scorers = (JaroWinkler.normalized_similarity, Levenshtein.normalized_similarity, fuzz.token_sort_ratio,
               fuzz.token_set_ratio, fuzz.partial_ratio, fuzz.ratio)  # fmt: skip
    return np.column_stack([process.cpdist(one, other, scorer=scorer) for scorer in scorers])


def _boost(table: Floats, truth: Flags, seen: Flags, rest: Flags) -> Floats:
    model = HistGradientBoostingClassifier(random_state=0).fit(table[seen], truth[seen])
    said: Floats = model.predict_proba(table[rest])[:, 1]
    return said


def measure_russian(data: Path) -> None:
    """wd_russian: 10,000 words drawn, each with its pair, a random other, and the nearest other of 2,000."""
    path, columns = data / "wd_russian/wd_russian_80.gz", ["latin", "cyrillic", "count"]
    lines = pl.read_csv(path, separator="\t", has_header=False, quote_char=None, new_columns=columns)
    drawn = lines.sample(10_000, seed=SEED)
    latin = drawn["latin"].to_list()
    cyrillic = drawn["cyrillic"].str.replace_all(" ", "").to_list()
    wrong = cyrillic[1:] + cyrillic[:1]
    for what, other in (("random", wrong), ("nearest", _nearest(latin[:2_000], cyrillic[:2_000]))):
        n = len(other)
        left, right = latin[:n] + latin[:n], cyrillic[:n] + other
        _tell_pairs(f"wd_russian, negatives {what}", left, right, np.arange(2 * n) < n)


def _nearest(latin: list[str], cyrillic: list[str]) -> list[str]:
    """For each Latin name the other Cyrillic one whose ISO 9 spelling is nearest."""
    plain = [word.translate(_ISO_9) for word in cyrillic]
    near = process.cdist(latin, plain, scorer=Levenshtein.normalized_similarity)
    same = np.array(latin)[:, None] == np.array(latin)[None, :]
    near[same | np.eye(len(latin), dtype=bool)] = -1
    return [cyrillic[i] for i in near.argmax(axis=1)]


_ISO_9 = str.maketrans("абвгдеёжзийклмнопрстуфхцчшщыэюя", "abvgdeežzijklmnoprstufhcčšŝyeûâ", "ъь")


def measure_politicians(data: Path) -> None:
    """Kyrgyzstan and Mongolia: every pair of names of one person, every pair of two people's."""
    for country in ("Kyrgyzstan", "Mongolia"):
        names = pl.read_csv(data / f"everypolitician_names/{country}.csv").unique().sort("id", "name")
        pairs = list(combinations(names.iter_rows(), 2))
        left, right = [one[0] for one, _ in pairs], [other[0] for _, other in pairs]
        _tell_pairs(f"everypolitician {country}", left, right, np.array([a[1] == b[1] for a, b in pairs]))


def _tell_pairs(what: str, left: list[str], right: list[str], truth: Flags) -> None:
    kinds = np.full(len(left), "person", object)
    scores, cost = measured(lambda: score_pairs(left, right, kinds))
    shown = ("n_pairs", "share_of_matches", "precision", "recall", "f1")
    figures = {name: value for name, value in judge(scores, truth).items() if name in shown}
    figures["recall_at_precision_99"] = recall_at_precision(scores, truth)
    tell("names", what, cost, PACKAGES, **figures)


def measure_kazakhstan() -> None:
    """The KZ bench as a whole, by pair of scripts, and who is taken for whom."""
    pairs = make_pairs()
    left, right, truth = pairs["left"].to_list(), pairs["right"].to_list(), pairs["is_match"].to_numpy()
    _tell_pairs("5,000 pairs of Kazakhstan", left, right, truth)
    scores = score_pairs(left, right, np.full(len(left), "person", object))
    judged = pairs.with_columns(said=pl.Series(scores >= DEFAULT_THRESHOLD), score=pl.Series(scores))
    wrong = judged.filter(~pl.col("is_match")).group_by("kind").agg(pl.col("said").mean()).sort("kind")
    tell("names", "Kazakhstan: negatives called matches", None, PACKAGES, **dict(wrong.iter_rows()))
    reached = [cut for cut in np.unique(scores) if truth[scores >= cut].mean() >= PRECISION]
    cut = min(reached, default=1.0)
    by_scripts = judged.group_by("left_script", "right_script").agg(
        recall=(pl.col("score") >= cut).filter(pl.col("is_match")).mean(),
        precision=pl.col("is_match").filter(pl.col("score") >= cut).mean(),
    )
    for figure in ("recall", "precision"):
        rows = by_scripts.select("left_script", "right_script", figure).sort("left_script", "right_script")
        told = {f"{one} / {other}": value for one, other, value in rows.iter_rows()}
        what = f"Kazakhstan: {figure} by scripts where precision of all is 99%"
        tell("names", what, None, PACKAGES, **told)


def measure_scripts() -> None:
    """Many more such pairs, so that each pair of scripts can have a threshold of its own."""
    pairs = make_pairs(N_PAIRS_FOR_SCRIPTS, seed=SEED)
    left, right = pairs["left"].to_list(), pairs["right"].to_list()
    scored = pairs.with_columns(
        score=pl.Series(score_pairs(left, right, np.full(len(left), "person", object)))
    )
    recalls = {
        f"{one} / {other}": recall_at_precision(part["score"].to_numpy(), part["is_match"].to_numpy())
        for (one, other), part in sorted(scored.group_by("left_script", "right_script"), key=lambda x: x[0])
    }
    what = "Kazakhstan: recall at 99% precision of each pair of scripts"
    tell("names", what, None, PACKAGES, n_pairs=len(pairs), **recalls)


def main() -> None:
    """Prints one JSON line for each figure; the public sets only where their folder is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the public data sets")
    data = parser.parse_args().data
    if data:
        measure_name_bench(data)
        measure_russian(data)
        measure_politicians(data)
    measure_kazakhstan()
    measure_scripts()


if __name__ == "__main__":
    main()
