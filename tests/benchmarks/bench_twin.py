"""How right and how fast effects are: IHDP, LaLonde and the demo bank's panel, DoWhy alone beside ours.

Run as ``python -m tests.benchmarks.bench_twin --data DIR --clients 5000 200000``; one JSON line a figure. DIR
holds the public data sets; without it those are left out.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
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
from tests.benchmarks.measuring import measured, tell

Floats = npt.NDArray[np.float64]
Effects = dict[tuple[str, str], Floats]
Row = dict[str, Any]
LINEAR = "dowhy, linear regression"
PACKAGES = ("dowhy", "numpy", "scikit-learn")
EXPERIMENT = 1794.3  # of the LaLonde experiment
BACKGROUND = ["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75"]


def ask_dowhy_alone(treatment: Floats, outcome: Floats, covariates: Floats) -> float:
    """DoWhy's backdoor.linear_regression."""
    from dowhy import CausalModel

    names = [f"x{j}" for j in range(covariates.shape[1])]
    data = pd.DataFrame(covariates, columns=names).assign(t=treatment, y=outcome)
    graph = nx.DiGraph([(name, end) for name in names for end in "ty"] + [("t", "y")])
    model = CausalModel(data, "t", "y", graph=graph)
    estimand = model.identify_effect(method_name="maximal-adjustment")
    estimate = model.estimate_effect(estimand, method_name="backdoor.linear_regression", effect_modifiers=[])
    return float(estimate.value)


def measure_ihdp(data: Path) -> None:
    """Mean error of the average effect and of each child's, over the replications; truth is simulated."""
    tables = [
        pd.read_csv(path, header=None).to_numpy() for path in sorted((data / "ihdp").glob("ihdp_npci_*.csv"))
    ]
    for peer, answer in (("terag", _answer_replication), (LINEAR, _answer_linearly)):
        figures, cost = measured(lambda answer=answer: np.mean([answer(table) for table in tables], axis=0))
        error, each_error, share = figures.tolist()
        scores = {"effect_error": error, "sqrt_pehe": each_error}
        scores |= {} if np.isnan(share) else {"covered_share": share}
        tell("twin", "IHDP, all replications", cost, PACKAGES, peer, n_replications=len(tables), **scores)


def _answer_replication(table: Floats) -> tuple[float, float, float]:
    """Error of the average, root mean square error of each child's effect, and whether the interval held."""
    study = Study(table[:, 0], table[:, 1], table[:, 5:], np.arange(len(table)))
    truth = table[:, 4] - table[:, 3]
    scores = score_rows(study, TwinParams())
    average = estimate_average(study, scores, 0.95)
    model = fit_effect_model(
        tuple(f"x{j}" for j in range(table.shape[1] - 5)), study, scores, TwinParams().seed
    )
    each, _ = model.predict(model.features(table[:, 5:]))
    covered = float(average.low <= truth[scores.has_overlap].mean() <= average.high)
    return abs(average.effect - truth.mean()), root_mean(each - truth), covered


def _answer_linearly(table: Floats) -> tuple[float, float, float]:
    linear, truth = ask_dowhy_alone(table[:, 0], table[:, 1], table[:, 5:]), table[:, 4] - table[:, 3]
    return abs(linear - truth.mean()), root_mean(linear - truth), np.nan


def measure_lalonde(data: Path) -> None:
    """The effect of training on earnings: in the experiment, and from its treated beside survey controls."""
    experiment = pd.read_stata(data / "lalonde/nsw_mixtape.dta")
    survey = pd.concat([experiment[experiment.treat == 1], pd.read_stata(data / "lalonde/cps_mixtape.dta")])
    on_treated = replace(TwinParams(), is_on_treated=True)
    for name, table in (("LaLonde experiment", experiment), ("LaLonde treated + CPS", survey)):
        covariates = table[BACKGROUND].assign(u74=table.re74 == 0, u75=table.re75 == 0).to_numpy(np.float64)
        treatment, outcome = (table[column].to_numpy(np.float64) for column in ("treat", "re78"))
        study = Study(treatment, outcome, covariates, np.arange(len(table)))
        for peer, params in (("terag, on all", TwinParams()), ("terag, on the treated", on_treated)):
            figures, cost = measured(lambda s=study, p=params: _estimate(s, p))
            tell("twin", name, cost, PACKAGES, peer, n_rows=len(table), **figures)
        linear, cost = measured(lambda a=(treatment, outcome, covariates): ask_dowhy_alone(*a))
        figures = {"effect": linear, "error": abs(linear - EXPERIMENT)}
        tell("twin", name, cost, PACKAGES, LINEAR, n_rows=len(table), **figures)


def _estimate(study: Study, params: TwinParams) -> Row:
    scores = score_rows(study, params)
    counted = scores.has_overlap[study.treatment == 1] if params.is_on_treated else scores.has_overlap
    average = estimate_average(study, scores, 0.95)
    return {
        "effect": average.effect,
        "error": abs(average.effect - EXPERIMENT),
        "low": average.low,
        "high": average.high,
        "is_refused_for_overlap": bool(counted.mean() < params.min_overlap_share),
    }


def make_panel(n_clients: int) -> tuple[pa.Table, pa.Table, Effects]:
    """The demo bank's panel of so many clients over 12 months, its truth as labels and as arrays."""
    random = np.random.default_rng(7)
    ids = pa.array(np.char.mod("people:%07d", np.arange(n_clients)))
    panel = observe_clients(ids, np.exp(random.normal(5.4, 0.45, n_clients)), Calendar("2026-10"), random)
    table = panel.table
    for place, name in enumerate(("client_id", "month")):
        table = table.set_column(place, name, table[name].cast(pa.string()))
    return table, _label(panel.effects, ids), panel.effects


def measure_panel(n_clients: int) -> None:
    """All questions to the panel, with DoWhy's import and refutations; then DoWhy alone on one of them."""
    table, truth, effects = make_panel(n_clients)
    questions = [{"treatment": t, "outcome": y} for t, y in QUESTIONS]
    spec = TwinSpec.from_manifest({"questions": questions, "edges": [list(e) for e in EDGES]})
    fit, cost = measured(lambda: fit_twins(table, spec))
    quality = effect_quality(fit.effects, fit.twins, truth)
    sizes = {"n_clients": n_clients, "n_months": 12}
    judged = {"against_truth": asdict(quality)}
    tell("twin", f"panel, {len(QUESTIONS)} questions", cost, PACKAGES, **sizes, **judged)
    names = ["income", "tenure", "distress", "risk_appetite", "digital_share", "credit_limit_raise"]
    columns = {name: table[name].to_numpy() for name in (*names, "fee_waiver", "balance_next")}
    covariates = np.stack([columns[name] for name in names], axis=1)
    linear, cost = measured(
        lambda: ask_dowhy_alone(columns["fee_waiver"], columns["balance_next"], covariates)
    )
    mean = effects["fee_waiver", "balance_next"].mean()
    error = {"relative_error": abs(linear - mean) / abs(mean)}
    tell(
        "twin", "panel, fee_waiver -> balance_next, no refutations", cost, PACKAGES, LINEAR, **sizes, **error
    )


def _label(effects: Effects, ids: pa.Array) -> pa.Table:
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
    with threadpool_limits(1):
        for n_clients in given.clients:
            measure_panel(n_clients)
        if given.data:
            measure_ihdp(given.data)
            measure_lalonde(given.data)


if __name__ == "__main__":
    main()
