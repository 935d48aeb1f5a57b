"""From the client panel to effects that survived every check, and to a twin of each client."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from terag_pipelines.twin.client_effects import (
    EffectModel,
    FittedTwin,
    fit_effect_model,
    mean_by_client,
)
from terag_pipelines.twin.dowhy_checks import DoWhyAnswer, Refutation, ask_dowhy
from terag_pipelines.twin.effect_lines import client_starts
from terag_pipelines.twin.estimation import (
    AverageEffect,
    Ints,
    Scores,
    Study,
    TwinParams,
    estimate_average,
    score_rows,
)
from terag_pipelines.twin.graph_checks import GraphTest, check_graph
from terag_pipelines.twin.identification import find_adjustment
from terag_pipelines.twin.learners import Floats
from terag_pipelines.twin.model import CLIENT_TWINS, TWIN_EFFECTS
from terag_pipelines.twin.spec import Question, TwinSpec


@dataclass(frozen=True)
class TwinFit:
    """TWIN_EFFECTS, CLIENT_TWINS and the fitted models; `reason` says why there are none."""

    effects: pa.Table
    twins: pa.Table
    model: FittedTwin
    reason: str = ""


@dataclass(frozen=True)
class _Panel:
    """The panel by client and month, as numbers."""

    client_ids: pa.Array
    client: Ints
    variables: dict[str, Floats]


@dataclass(frozen=True)
class _Finding:
    """All that is known about one question; without a model it is refused for the reason."""

    question: Question
    row: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    study: Study | None = None
    scores: Scores | None = None
    model: EffectModel | None = None


def fit_twins(panel: pa.Table, spec: TwinSpec, params: TwinParams | None = None) -> TwinFit:
    """Answers or refuses every question of the spec over a CLIENT_PANEL, on average and for each client.

    A question is refused where its effect is not identified from the graph, where rows lack comparable
    others, where a refutation breaks it, or where the panel contradicts the graph. The same panel gives the
    same tables whatever the order of its rows.
    """
    params = params or TwinParams()
    if not spec.questions or not panel.num_rows:
        reason = "the manifest asks no causal question" if not spec.questions else "the panel is empty"
        return TwinFit(TWIN_EFFECTS.empty(), CLIENT_TWINS.empty(), FittedTwin({}), reason)
    data = _read_panel(panel, spec)
    with threadpool_limits(1):  # sums in one order, and no threads that wait for each other on busy cores
        told = [_tell(_examine(data, spec, question, params), data, params) for question in spec.questions]
    effects = pa.Table.from_pylist([row for row, _, _ in told], TWIN_EFFECTS.schema)
    twins = CLIENT_TWINS.conform(pa.concat_tables([clients for _, clients, _ in told]))
    models = dict(zip(spec.questions, (model for _, _, model in told), strict=True))
    fitted = FittedTwin({question: model for question, model in models.items() if model is not None})
    return TwinFit(TWIN_EFFECTS.conform(effects), twins, fitted)


def _tell(
    finding: _Finding, data: _Panel, params: TwinParams
) -> tuple[dict[str, Any], pa.Table, EffectModel | None]:
    """What is kept of a finding: its row, its clients' rows, its model; its millions of scores are let go."""
    return _effect_row(finding), _client_rows(data, finding, params), finding.model


def _read_panel(panel: pa.Table, spec: TwinSpec) -> _Panel:
    frame = pl.DataFrame(panel).sort("client_id", "month")
    ids = frame["client_id"]
    starts = np.append(True, (ids[1:] != ids[:-1]).to_numpy()) if len(ids) else np.zeros(0, bool)
    names = sorted(spec.variables & set(frame.columns) - {"client_id", "month"})
    variables = {name: frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in names}
    client_ids = ids.filter(pl.Series(starts)).to_arrow().cast(pa.string())
    return _Panel(client_ids, np.cumsum(starts) - 1, variables)


def _examine(data: _Panel, spec: TwinSpec, question: Question, params: TwinParams) -> _Finding:
    """Every gate in order, the cheap ones first; the first that fails gives the reason."""
    adjustment = find_adjustment(spec, question, frozenset(data.variables))
    finding = _Finding(question, {"adjustment_set": list(adjustment.variables or ())}, adjustment.reason)
    if adjustment.variables is None:
        return finding
    study = _complete_rows(data, question, adjustment.variables)
    finding = _describe(finding, study, params)
    if reason := _why_unfit(study, question, params):
        return replace(finding, reason=reason)
    scores = score_rows(study, params)
    finding.row["overlap_share"] = _overlap_share(study, scores, params)
    if reason := _why_no_overlap(study, scores, finding.row["overlap_share"], params):
        return replace(finding, reason=reason)
    average = estimate_average(study, scores, params.level)
    graph_test = check_graph(spec, question, data.variables, params.max_broken_independence, params.seed)
    answer = ask_dowhy(spec, question, adjustment.variables, study, params)
    finding = _weigh(finding, average, answer, graph_test)
    if finding.reason:
        return finding
    finding.row.update(
        effect=average.effect, effect_low=average.low, effect_high=average.high, is_answerable=True
    )
    model = fit_effect_model(adjustment.variables, study, scores, params.seed)
    return replace(finding, study=study, scores=scores, model=model)


def _complete_rows(data: _Panel, question: Question, adjustment: tuple[str, ...]) -> Study:
    treatment, outcome = data.variables[question.treatment], data.variables[question.outcome]
    covariates = [data.variables[name] for name in adjustment]
    complete = np.isfinite(treatment) & np.isfinite(outcome)
    for values in covariates:
        complete &= np.isfinite(values)
    columns = [values[complete] for values in covariates]
    wide = np.stack(columns, axis=1) if columns else np.zeros((int(complete.sum()), 0))
    return Study(treatment[complete], outcome[complete], wide, data.client[complete])


def _describe(finding: _Finding, study: Study, params: TwinParams) -> _Finding:
    """The row so far: what kind of effect, from how many rows, and what would be said without adjustment."""
    treatment, n = finding.question.treatment, len(study.outcome)
    change = f"{treatment} from 0 to 1" if study.is_binary else f"one unit more of {treatment}"
    over = "the treated" if params.is_on_treated and study.is_binary else "all client months with overlap"
    finding.row.update(
        treatment_kind="binary" if study.is_binary else "continuous",
        estimand=f"average effect on {finding.question.outcome} of {change}, over {over}",
        n_rows=n,
        n_clients=len(client_starts(study.client)),
    )
    spread = np.var(study.treatment) if n else 0.0
    if spread > 0:
        centred = study.treatment - study.treatment.mean()
        finding.row["naive_difference"] = float(np.mean(centred * study.outcome) / spread)
    return finding


def _why_unfit(study: Study, question: Question, params: TwinParams) -> str:
    n_clients = len(client_starts(study.client))
    if n_clients < params.min_clients:
        return f"{n_clients} clients have complete rows, at least {params.min_clients} are needed"
    if np.ptp(study.treatment) == 0:
        return f"{question.treatment} never changes"
    if np.ptp(study.outcome) == 0:
        return f"{question.outcome} never changes"
    if study.is_binary:
        sides = [study.client[study.treatment == value] for value in (0, 1)]
        if (n_rows := min(len(side) for side in sides)) < params.min_arm_rows:
            return f"{n_rows} rows on one side of {question.treatment}, {params.min_arm_rows} are needed"
        if (n_few := min(len(client_starts(side)) for side in sides)) < params.min_arm_clients:
            least = params.min_arm_clients
            return f"{n_few} clients on one side of {question.treatment}, {least} are needed"
    return ""


def _overlap_share(study: Study, scores: Scores, params: TwinParams) -> float:
    """The share of rows (of the treated, where only they count) that have comparable others."""
    counted = scores.has_overlap
    if params.is_on_treated and study.is_binary:
        counted = counted[study.treatment == 1]
    return float(counted.mean())


def _why_no_overlap(study: Study, scores: Scores, share: float, params: TwinParams) -> str:
    if not study.is_binary:
        free = float(np.mean((study.treatment - scores.expected_treatment) ** 2) / np.var(study.treatment))
        if free < params.min_free_variance:
            return f"no overlap: the covariates fix the treatment but for {free:.1%} of its variance"
    if share < params.min_overlap_share:
        return (
            f"no overlap: {share:.1%} of rows have comparable rows with another treatment, "
            f"at least {params.min_overlap_share:.0%} are needed"
        )
    return ""


def _weigh(finding: _Finding, average: AverageEffect, answer: DoWhyAnswer, graph_test: GraphTest) -> _Finding:
    """The row with DoWhy's figures, and the reason to refuse where a check failed."""
    if not answer.is_identified:
        return replace(finding, reason="not identified by DoWhy from the graph and these covariates")
    room = (average.high - average.low + answer.high - answer.low) / 2 + 0.05 * abs(answer.effect)
    agreement = Refutation("dowhy_agreement", average.effect, answer.effect, room)
    told = {test.name: test.told() for test in (*answer.refutations, agreement)}
    finding.row.update(
        dowhy_effect=answer.effect,
        dowhy_low=answer.low,
        dowhy_high=answer.high,
        n_rows_used=answer.n_rows,
        robustness=_robustness(answer, len(finding.row["adjustment_set"])),
        refutations=json.dumps({**told, "graph_independences": graph_test.told()}, sort_keys=True),
    )
    if failed := sorted(test.name for test in answer.refutations if not test.has_passed):
        return replace(finding, reason=f"refuted: {', '.join(failed)} changed the estimate")
    if not graph_test.passed:
        return replace(finding, reason=f"the panel contradicts the graph: {graph_test.worst_claim}")
    finding.row["reason"] = (
        "" if agreement.has_passed else "DoWhy's linear estimate lies outside the interval"
    )
    return finding


def _robustness(answer: DoWhyAnswer, n_covariates: int) -> float:
    """The share of the rest of both that a hidden cause must explain to undo the effect.

    Source: Cinelli, Hazlett, "Making sense of sensitivity" (JRSS B 2020), on DoWhy's linear estimate.
    """
    error = (answer.high - answer.low) / 2 / 1.96
    f2 = (answer.effect / error) ** 2 / max(answer.n_rows - n_covariates - 2, 1) if error > 0 else 0.0
    return float((np.sqrt(f2**2 + 4 * f2) - f2) / 2)


def _effect_row(finding: _Finding) -> dict[str, Any]:
    question = {"treatment": finding.question.treatment, "outcome": finding.question.outcome}
    blank = {"treatment_kind": "", "refutations": "{}", "is_answerable": False, "estimand": ""}
    reason = {"reason": finding.reason} if finding.reason else {}
    return {**blank, **question, **finding.row, **reason}


def _client_rows(data: _Panel, finding: _Finding, params: TwinParams) -> pa.Table:
    """One row of CLIENT_TWINS for every client of the panel."""
    n = len(data.client_ids)
    columns = {
        name: np.full(n, np.nan)
        for name in (
            "effect",
            "effect_low",
            "effect_high",
            "treatment_now",
            "treatment_low",
            "treatment_high",
        )
    }
    reasons = np.full(n, finding.reason or "no month of this client is complete", object)
    if finding.study is not None and finding.scores is not None and finding.model is not None:
        known, values, why = _answer_clients(finding.study, finding.scores, finding.model, params)
        reasons[known] = why
        for name, column in values.items():
            columns[name][known] = np.where(why == "", column, np.nan)
    arrays = {name: pa.array(column, from_pandas=True) for name, column in columns.items()}
    fixed = {
        "client_id": data.client_ids,
        "treatment": pa.repeat(finding.question.treatment, n),
        "outcome": pa.repeat(finding.question.outcome, n),
        "is_answerable": pa.array(reasons == ""),
        "reason": pa.array(reasons, pa.string()),
    }
    return pa.table({name: {**fixed, **arrays}[name] for name in CLIENT_TWINS.schema.names})


def _answer_clients(
    study: Study, scores: Scores, model: EffectModel, params: TwinParams
) -> tuple[Ints, dict[str, Floats], npt.NDArray[np.object_]]:
    """Clients with complete months: codes, figures, and why one is not answered ("" where it is)."""
    starts = client_starts(study.client)
    features = model.features_by_client(study.client, study.covariates)
    effect, error = model.predict(features)
    half = float(ndtri(0.5 + params.level / 2)) * error
    low, high = _treatment_range(study, scores)
    values = {
        "effect": effect,
        "effect_low": effect - half,
        "effect_high": effect + half,
        "treatment_now": study.treatment[np.append(starts[1:], len(study.client)) - 1],
        "treatment_low": low,
        "treatment_high": high,
    }
    is_far = model.distance(mean_by_client(study.client, study.covariates)) > model.max_distance
    is_alone = mean_by_client(study.client, scores.has_overlap.astype(np.float64)) < 0.5
    is_other = np.where(is_alone, "no comparable clients with another treatment", np.array("", object))
    return study.client[starts], values, np.where(is_far, "too unlike the other clients", is_other)


def _treatment_range(study: Study, scores: Scores) -> tuple[Floats, Floats]:
    """Values of the treatment that clients like this one have: both sides, or three deviations around."""
    n = len(client_starts(study.client))
    if study.is_binary:
        return np.zeros(n), np.ones(n)
    middle = mean_by_client(study.client, scores.expected_treatment)
    reach = 3 * np.sqrt(mean_by_client(study.client, scores.treatment_variance))
    lowest, highest = study.treatment.min(), study.treatment.max()
    return np.clip(middle - reach, lowest, highest), np.clip(middle + reach, lowest, highest)
