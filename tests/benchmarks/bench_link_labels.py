"""What labels are worth: public sets linked without labels, and with labels of entities that are not judged.

    python -m tests.benchmarks.bench_link_labels --data DIR [--only NAME]

The true entities are dealt to folds. For each fold the labels of all other entities are handed in as a person
would, and the fold's own entities are judged: pairs of their records, as links and as members of one entity.
Three ways: without labels; with a calibrator that labels gave, and the weights of before; and as the linker
does it, with weights learned from labels where that wins its own cross-validation. Counts of all folds are
added up.
"""

from __future__ import annotations

import argparse
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from terag_pipelines.calibration.fit import fit_calibrator
from terag_pipelines.linking.auto_linker import AutoLinked, GivenPairs, SourceRecords
from terag_pipelines.linking.given_pairs import KnownRecords, read_labels
from terag_pipelines.linking.links import labelled_scores
from terag_pipelines.linking.pipeline import LinkedRecords, calibrate_links
from terag_pipelines.linking.quality import PairwiseQuality, pair_quality, pairwise_quality
from tests.benchmarks.bench_link_sets import SETS, PublicSet, linker_of, read_raws, sides_of
from tests.benchmarks.linking_quality import labels_of
from tests.benchmarks.measuring import measured, tell, total
from tests.unit.linking.records import make_population

PACKAGES = ("numpy", "polars", "pyarrow", "scikit-learn", "scipy")
MADE = "made population"
JUDGED = ("febrl dataset 3", "fake_1000", "restaurants", "Abt-Buy", MADE)
N_FOLDS, SEED, N_PEOPLE = 3, 11, 1_000
WAYS = ("without labels", "labels calibrate", "labels calibrate and teach")


def measure(name: str, data: Path) -> None:
    """Judges one set in each way and tells the figures."""
    source, sides, truth = read_set(name, data)
    linker = linker_of(SETS.get(name, PublicSet((), lambda _: truth)))
    plain, base = measured(lambda: linker.link_records(source, across=sides))
    found: dict[str, list[tuple[PairwiseQuality, PairwiseQuality]]] = {way: [] for way in WAYS}
    chosen, costs = Counter[str](), []
    for fold in range(N_FOLDS):
        inside = deal_entities(truth) == fold
        labels = truth.filter(pl.Series(~inside)).to_arrow()
        taught, cost = measured(partial(linker.link_records, source, GivenPairs(labels), sides))
        costs.append(cost)
        ways = (plain.linked, calibrated(plain, labels), taught.linked)
        for way, linked in zip(WAYS, ways, strict=True):
            found[way].append(judge(linked, truth.filter(pl.Series(inside))))
        chosen.update(choice.scorer for choice in (taught.supervision.choices if taught.supervision else ()))
    for way in WAYS:
        cost = {WAYS[0]: base, WAYS[2]: total(costs)}.get(way)
        figures = {**added_up(found[way])} | ({"chosen": str(dict(chosen))} if way == WAYS[2] else {})
        n = source.records.num_rows
        tell("link labels", f"{name}, {way}", cost, PACKAGES, n_records=n, **figures)


def read_set(name: str, data: Path) -> tuple[SourceRecords, tuple[str, str] | None, pl.DataFrame]:
    """Records, the two sides where files are linked to each other, and record_id with its true entity."""
    if name == MADE:
        records, labels = make_population(N_PEOPLE, SEED)
        frame = pl.DataFrame(labels).select(record_id="subject_id", entity="value")
        return SourceRecords(records, pa.table({}), {}), None, frame
    public = SETS[name]
    raws = read_raws(public, data)
    source = linker_of(public).read_sources(raws)
    known = pl.DataFrame({"record_id": source.records["record_id"].to_pylist()})
    truth = public.truth(data).select("record_id", pl.col("entity").cast(pl.String))
    return source, sides_of(public, raws), truth.join(known, on="record_id")


def deal_entities(truth: pl.DataFrame) -> np.ndarray:
    """The fold of the entity of each record."""
    entities = sorted(set(truth["entity"].to_list()))
    folds = np.random.default_rng(SEED).permutation(len(entities)) % N_FOLDS
    fold_of = dict(zip(entities, folds, strict=True))
    return np.array([fold_of[entity] for entity in truth["entity"].to_list()])


def calibrated(plain: AutoLinked, labels: pa.Table) -> LinkedRecords:
    """The same weights with a calibrator that labels gave."""
    known = read_labels(labels, KnownRecords(plain.source.records)).table
    fitted = fit_calibrator("links", *labelled_scores(plain.scores.scores, known, "training")).fitted
    return plain.linked if fitted is None else calibrate_links(plain.linked, fitted)


def judge(linked: LinkedRecords, truth: pl.DataFrame) -> tuple[PairwiseQuality, PairwiseQuality]:
    """Links and entities among the records of some entities."""
    labels, ids = labels_of(truth), truth["record_id"].implode()
    links = pl.DataFrame(linked.links).filter(pl.col("left_id").is_in(ids), pl.col("right_id").is_in(ids))
    return pair_quality(links.to_arrow(), labels), pairwise_quality(linked.members, labels)


def added_up(folds: list[tuple[PairwiseQuality, PairwiseQuality]]) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 over the counts of all folds."""
    figures = {}
    for name, parts in zip(("pairs", "entities"), zip(*folds, strict=True), strict=True):
        n_right = sum(part.precision * part.n_found_pairs for part in parts)
        n_found, n_true = (
            sum(getattr(part, of) for part in parts) for of in ("n_found_pairs", "n_true_pairs")
        )
        figures[name] = {
            "precision": n_right / max(n_found, 1),
            "recall": n_right / max(n_true, 1),
            "f1": 2 * n_right / max(n_found + n_true, 1),
        }
    return figures


def main() -> None:
    """Measures each set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--only", choices=JUDGED)
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else JUDGED:
        measure(name, arguments.data)


if __name__ == "__main__":
    main()
