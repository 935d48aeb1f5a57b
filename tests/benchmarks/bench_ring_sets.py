"""Ring risk on public sets with known fraud, beside the methods of `ring_baselines`.

    python -m tests.benchmarks.bench_ring_sets --data DIR [--only NAME]

amlsim_20k, an account's label being isFraud (fraudStep is never read): features of the steps up to 75 to
learn from, of those after 75 to be scored, labels in five folds of accounts; average precision and precision
at 100 over all accounts. Twice: as it is, and with amounts permuted over all transfers and repeated pairs
collapsed to their first transfer, so that neither amounts nor repeats tell. `bounded_by` is the share of
frauds that take part in any transfer after step 75.

amlsim_100_rings: accounts without their columns (prior_sar_count and others leak), all labels left aside;
each planted ring's best Jaccard overlap with a ring that was named, and the precision of all members named.

paysim_fpf: payments as events; the threshold is .5; folds are of whole components of shared identifiers, the
same for ring risk and the booster.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from resources.source_files import SourceFolder
from terag_pipelines.rings.detection import MeasuredEntities, measure_entities, score_rings
from terag_pipelines.rings.naming import name_rings
from terag_pipelines.rings.quality import judge_rings, judge_scores
from terag_pipelines.rings.risk import RiskParams, cross_fit, gather_inputs, read_outcomes
from tests.benchmarks.measuring import measured, tell
from tests.benchmarks.ring_baselines import (
    Floats,
    Ints,
    boost_aggregates,
    boost_own_fields,
    find_sharers,
    judge_ranking,
    margin_over_best,
    rank_simply,
)

PACKAGES = ("numpy", "numba", "polars", "scikit-learn")
SOURCES = Path(__file__).parents[1] / "sources"
LAST_TRAINING_STEP = 75
ORIGIN = pl.datetime(2024, 1, 1, time_zone="UTC")  # of the steps, as in the manifest
MOST_RINGS = 10
SEED = 7

Tables = dict[str, pa.Table]


def read_set(name: str, data: Path) -> Tables:
    """The tables of a public set, taken in as its manifest says."""
    return dict(SourceFolder(SOURCES / name, data).ingest().tables)


def permute_and_collapse(transfers: pa.Table) -> pa.Table:
    """Amounts dealt out anew over all transfers, then only the first transfer of each ordered pair."""
    frame = pl.DataFrame(pl.from_arrow(transfers)).sort("transfer_id")
    dealt = np.random.default_rng(SEED).permutation(frame["amount_minor"].to_numpy())
    first = (
        frame.with_columns(amount_minor=pl.Series(dealt))
        .sort("occurred_at", "transfer_id")
        .unique(["source_account", "target_account"], keep="first", maintain_order=True)
    )
    return first.to_arrow().cast(transfers.schema)


def split_by_step(tables: Tables) -> tuple[Tables, Tables]:
    """The same accounts with the transfers up to the last training step, and with those after it."""
    frame = pl.DataFrame(pl.from_arrow(tables["transfers"]))
    is_early = pl.col("occurred_at") <= ORIGIN + pl.duration(days=LAST_TRAINING_STEP)
    schema = tables["transfers"].schema
    early, late = (frame.filter(rows).to_arrow().cast(schema) for rows in (is_early, ~is_early))
    return {**tables, "transfers": early}, {**tables, "transfers": late}


def rank_over_time(early: MeasuredEntities, late: MeasuredEntities, outcomes: Ints) -> Floats:
    """Ring risk after the last training step, learned before it from other accounts."""
    params = RiskParams()
    before, after = (gather_inputs(half.features, half.projection.edges, params) for half in (early, late))
    return cross_fit(before.matrix, outcomes, np.arange(len(outcomes)), params, after.matrix)


def bench_amlsim(data: Path) -> None:
    """Both versions of amlsim_20k."""
    tables = read_set("amlsim_20k", data)
    bench_halves("amlsim_20k as it is", tables)
    blind = {**tables, "transfers": permute_and_collapse(tables["transfers"])}
    bench_halves("amlsim_20k, amounts permuted, pairs collapsed", blind)


def bench_halves(what: str, tables: Tables) -> None:
    """Ring risk and each method beside it, learned from the first half of the steps, judged on the second."""
    parts = split_by_step(tables)
    early, late = (measure_entities(part) for part in parts)
    outcomes = read_outcomes(tables, late.projection.index, "truth")
    scores, cost = measured(lambda: rank_over_time(early, late, outcomes))
    ours = judge_ranking(scores, outcomes)
    others = rank_simply(late, parts[1]["transfers"])
    others["boosted_trees"] = boost_aggregates(
        early.features, outcomes, np.arange(len(outcomes)), RiskParams(), late.features
    )
    beside = {name: judge_ranking(other, outcomes) for name, other in others.items()}
    moves = (late.features["n_in"] + late.features["n_out"]).to_numpy() > 0
    sizes = {"n_accounts": len(outcomes), "n_fraud": int(outcomes.sum())}
    sizes |= {"n_train": parts[0]["transfers"].num_rows, "n_test": parts[1]["transfers"].num_rows}
    margin = margin_over_best(ours["average_precision"], beside, "average_precision")
    bound = float(moves[outcomes == 1].mean())
    tell("rings", what, cost, PACKAGES, **sizes, **ours, **margin, bounded_by=bound)
    for name, figures in beside.items():
        tell("rings", what, None, (), name, **figures)


def bench_hundred(data: Path) -> None:
    """The three fan-in rings among 100 accounts, found without any label."""
    tables = read_set("amlsim_100_rings", data)
    unlabelled = {**tables, "labels": tables["labels"].slice(0, 0)}
    detection, cost = measured(lambda: score_rings(unlabelled))
    named = name_rings(detection.scores, unlabelled)
    first = named.rings.sort_by([("risk_score", "descending")]).slice(0, MOST_RINGS)["ring_id"]
    emitted = pl.DataFrame(pl.from_arrow(named.members)).filter(
        pl.col("ring_id").is_in(pl.Series(first.to_pylist(), dtype=pl.String).implode())
    )
    recovery = judge_rings(emitted.to_arrow().cast(named.members.schema), tables, detection.index)
    assert recovery is not None
    truth = {row["subject_id"] for row in tables["labels"].to_pylist() if row["label_kind"] == "ring"}
    hits = emitted["entity_id"].is_in(sorted(truth)).sum()
    tell(
        "rings",
        "amlsim_100_rings",
        cost,
        PACKAGES,
        n_accounts=len(detection.index),
        n_transfers=tables["transfers"].num_rows,
        n_rings_named=named.rings.num_rows,
        n_rings_emitted=emitted["ring_id"].n_unique(),
        overlaps=recovery.table["overlap"].to_list(),
        member_precision=hits / max(emitted.height, 1),
        base_rate=len(truth) / len(detection.index),
    )


def bench_paysim(data: Path) -> None:
    """Clients of PaySim with payments as events, folds by components of shared identifiers."""
    tables = read_set("paysim_fpf", data)
    clients, params = measure_entities(tables), RiskParams()
    outcomes = read_outcomes(tables, clients.projection.index, "truth")
    shares, component = find_sharers(clients)
    inputs = gather_inputs(clients.features, clients.projection.edges, params)
    scores, cost = measured(lambda: cross_fit(inputs.matrix, outcomes, component, params))
    others = {
        "tabular_booster": boost_own_fields(clients.features, outcomes, component, params),
        "shared_identifiers": shares,
    }
    known = outcomes >= 0
    judged = {name: vars(judge_scores(other[known], outcomes[known])) for name, other in others.items()}
    ours = vars(judge_scores(scores[known], outcomes[known]))
    tell("rings", "paysim_fpf", cost, PACKAGES, **ours, **margin_over_best(ours["f1"], judged, "f1"))
    for name, figures in judged.items():
        tell("rings", "paysim_fpf", None, (), name, **figures)


BENCHES: dict[str, Callable[[Path], None]] = {
    "amlsim_20k": bench_amlsim,
    "amlsim_100_rings": bench_hundred,
    "paysim_fpf": bench_paysim,
}


def main() -> None:
    """All sets, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=sorted(BENCHES))
    chosen = parser.parse_args()
    for name, bench in BENCHES.items():
        if chosen.only in (None, name):
            bench(chosen.data)


if __name__ == "__main__":
    main()
