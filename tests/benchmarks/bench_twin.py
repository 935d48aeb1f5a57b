"""How right and how fast effects are: IHDP, LaLonde and the demo bank's panel, DoWhy alone beside ours.

Run as ``python -m tests.benchmarks.bench_twin --data DIR --clients 5000 200000``; one JSON line a figure. DIR
holds the public data sets; without it those are left out.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from threadpoolctl import threadpool_limits

from terag_pipelines.demo.calendar import Calendar
from terag_pipelines.demo.panel import EDGES, QUESTIONS, observe_clients
from terag_pipelines.entities.model import LABELS
from terag_pipelines.twin.client_effects import fit_effect_model
from terag_pipelines.twin.estimation import Study, TwinParams, estimate_average, score_rows
from terag_pipelines.twin.fit import fit_twins
from terag_pipelines.twin.quality import effect_quality
from terag_pipelines.twin.spec import TwinSpec

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]
EXPERIMENT = 1794.3  # of the LaLonde experiment
BACKGROUND = ["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75"]


def ask_dowhy_alone(treatment: Floats, outcome: Floats, covariates: Floats) -> tuple[float, float]:
    """DoWhy's backdoor.linear_regression and the seconds it took."""
    from dowhy import CausalModel

    names = [f"x{j}" for j in range(covariates.shape[1])]
    data = pd.DataFrame(covariates, columns=names).assign(t=treatment, y=outcome)
    graph = nx.DiGraph([(name, end) for name in names for end in "ty"] + [("t", "y")])
    start = time.perf_counter()
    model = CausalModel(data, "t", "y", graph=graph)
    estimand = model.identify_effect(method_name="maximal-adjustment")
    estimate = model.estimate_effect(estimand, method_name="backdoor.linear_regression", effect_modifiers=[])
    return float(estimate.value), time.perf_counter() - start


def measure_ihdp(data: Path) -> Iterator[Row]:
    """Mean error of the average effect and of each child's, over the replications; truth is simulated."""
    rows: dict[str, list[tuple[float, float, float, float]]] = {"ours": [], "dowhy linear": []}
    for path in sorted((data / "ihdp").glob("ihdp_npci_*.csv")):
        table = pd.read_csv(path, header=None).to_numpy()
        treatment, outcome, covariates = table[:, 0], table[:, 1], table[:, 5:]
        truth = table[:, 4] - table[:, 3]
        start = time.perf_counter()
        study = Study(treatment, outcome, covariates, np.arange(len(table)))
        scores = score_rows(study, TwinParams())
        average = estimate_average(study, scores, 0.95)
        model = fit_effect_model(tuple(f"x{j}" for j in range(covariates.shape[1])), study, scores)
        each, _ = model.predict(model.features(covariates))
        seconds = time.perf_counter() - start
        covered = float(average.low <= truth[scores.has_overlap].mean() <= average.high)
        rows["ours"].append((abs(average.effect - truth.mean()), root_mean(each - truth), covered, seconds))
        linear, seconds = ask_dowhy_alone(treatment, outcome, covariates)
        rows["dowhy linear"].append((abs(linear - truth.mean()), root_mean(linear - truth), np.nan, seconds))
    for who, figures in rows.items():
        error, each_error, share, seconds = np.mean(figures, axis=0)
        yield {
            "subject": f"IHDP, {len(figures)} replications",
            "who": who,
            "effect_error": error,
            "sqrt_pehe": each_error,
            "covered_share": None if np.isnan(share) else share,
            "seconds": seconds,
        }


def measure_lalonde(data: Path) -> Iterator[Row]:
    """The effect of training on earnings: in the experiment, and from its treated beside survey controls."""
    experiment = pd.read_stata(data / "lalonde/nsw_mixtape.dta")
    survey = pd.concat([experiment[experiment.treat == 1], pd.read_stata(data / "lalonde/cps_mixtape.dta")])
    for name, table in (("LaLonde experiment", experiment), ("LaLonde treated + CPS", survey)):
        covariates = table[BACKGROUND].assign(u74=table.re74 == 0, u75=table.re75 == 0).to_numpy(np.float64)
        treatment, outcome = (table[column].to_numpy(np.float64) for column in ("treat", "re78"))
        study = Study(treatment, outcome, covariates, np.arange(len(table)))
        for target, params in (
            ("all", TwinParams()),
            ("treated", replace(TwinParams(), is_on_treated=True)),
        ):
            yield {"subject": name, "who": f"ours, {target}", **_estimate(study, params)}
        linear, seconds = ask_dowhy_alone(treatment, outcome, covariates)
        yield {
            "subject": name,
            "who": "dowhy linear",
            "effect": linear,
            "error": abs(linear - EXPERIMENT),
            "seconds": seconds,
        }


def _estimate(study: Study, params: TwinParams) -> Row:
    start = time.perf_counter()
    scores = score_rows(study, params)
    counted = scores.has_overlap[study.treatment == 1] if params.is_on_treated else scores.has_overlap
    average = estimate_average(study, scores, 0.95)
    return {
        "effect": average.effect,
        "low": average.low,
        "high": average.high,
        "error": abs(average.effect - EXPERIMENT),
        "is_refused_for_overlap": bool(counted.mean() < params.min_overlap_share),
        "seconds": time.perf_counter() - start,
    }


def measure_panel(n_clients: int) -> Iterator[Row]:
    """The demo bank's panel of so many clients: seconds, memory, and the answers against their truth."""
    random = np.random.default_rng(7)
    ids = pa.array(np.char.mod("people:%07d", np.arange(n_clients)))
    panel = observe_clients(ids, np.exp(random.normal(5.4, 0.45, n_clients)), Calendar("2026-10"), random)
    table = panel.table
    for place, name in enumerate(("client_id", "month")):
        table = table.set_column(place, name, table[name].cast(pa.string()))
    spec = TwinSpec.from_manifest(
        {
            "questions": [{"treatment": t, "outcome": y} for t, y in QUESTIONS],
            "edges": [list(e) for e in EDGES],
        }
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start, start_cpu = time.perf_counter(), time.process_time()
    fit = fit_twins(table, spec)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    quality = effect_quality(fit.effects, fit.twins, _label(panel.effects, ids))
    yield {
        "subject": f"panel of {n_clients:,} clients x 12 months, {len(QUESTIONS)} questions",
        "who": "ours, DoWhy's import and refutations included",
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "rss_mb_before": before,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **quality.__dict__,
    }
    names = ["income", "tenure", "distress", "risk_appetite", "digital_share", "credit_limit_raise"]
    columns = {name: table[name].to_numpy() for name in (*names, "fee_waiver", "balance_next")}
    covariates = np.stack([columns[name] for name in names], axis=1)
    linear, seconds = ask_dowhy_alone(columns["fee_waiver"], columns["balance_next"], covariates)
    truth = panel.effects["fee_waiver", "balance_next"].mean()
    yield {
        "subject": f"panel of {n_clients:,} clients, fee_waiver -> balance_next on all rows",
        "who": "dowhy linear, no refutations",
        "seconds": seconds,
        "relative_error": abs(linear - truth) / abs(truth),
    }


def _label(effects: dict[tuple[str, str], Floats], ids: pa.Array) -> pa.Table:
    """Truth labels of every client and of the averages."""
    tables = []
    for (treatment, outcome), each in effects.items():
        subject = pa.concat_arrays([ids, pa.array([treatment])])
        asked = pa.array([f"{treatment}->{outcome}"] * len(ids) + [outcome])
        value = pa.array([*map(repr, each.tolist()), repr(float(each.mean()))])
        rows = [pa.repeat("effect", len(value)), subject, asked, value, pa.repeat("truth", len(value))]
        tables.append(pa.table(rows, names=["label_kind", "subject_id", "object_id", "value", "use"]))
    return LABELS.conform(pa.concat_tables(tables))


def root_mean(errors: Floats) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(errors**2)))


def main() -> None:
    """Prints one JSON line for each figure; panels first: DoWhy's import is in the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the public data sets")
    parser.add_argument("--clients", type=int, nargs="*", default=[5_000])
    given = parser.parse_args()
    measured = [measure_panel(n) for n in given.clients]
    if given.data:
        measured += [measure_ihdp(given.data), measure_lalonde(given.data)]
    with threadpool_limits(1):
        for rows in measured:
            for row in rows:
                told = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
                print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
