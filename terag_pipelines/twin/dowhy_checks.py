"""DoWhy on the same question: its identification, its estimate, and its attempts to refute it."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np

from terag_pipelines.twin.estimation import Study, TwinParams
from terag_pipelines.twin.spec import Question, TwinSpec

REFUTERS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("placebo_treatment", "placebo_treatment_refuter", {"placebo_type": "permute"}),
    ("random_common_cause", "random_common_cause", {}),
    ("data_subset", "data_subset_refuter", {"subset_fraction": 0.8}),
)


@dataclass(frozen=True)
class Refutation:
    """One attempt to break the estimate: what should have come out, what did, and whether it holds."""

    name: str
    expected: float
    found: float
    tolerance: float
    p_value: float = float("nan")

    @property
    def has_passed(self) -> bool:
        """Whether what came out lies within the tolerance of what should have."""
        return abs(self.found - self.expected) <= self.tolerance

    def told(self) -> dict[str, Any]:
        """The figures as plain values; without a p-value where there is none."""
        figures: dict[str, Any] = {name: getattr(self, name) for name in ("expected", "found", "tolerance")}
        if math.isfinite(self.p_value):
            figures["p_value"] = self.p_value
        return {**figures, "passed": self.has_passed}


@dataclass(frozen=True)
class DoWhyAnswer:
    """DoWhy's estimate with its 95% interval on a sample of rows, and the refutations, if identified."""

    is_identified: bool
    effect: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    n_rows: int = 0
    refutations: tuple[Refutation, ...] = ()


def ask_dowhy(
    spec: TwinSpec, question: Question, adjustment: tuple[str, ...], study: Study, params: TwinParams
) -> DoWhyAnswer:
    """Identifies by DoWhy's bounded search, estimates by linear regression on the adjustment set, refutes.

    The exhaustive search is never used: its time grows exponentially with the graph. Importing DoWhy takes
    seconds, so it is imported here.
    """
    data = _sample_rows(question, adjustment, study, params)
    with _silence():
        from dowhy import CausalModel

        graph = nx.DiGraph(spec.edges)
        model = CausalModel(data, question.treatment, question.outcome, graph=graph)
        estimand = model.identify_effect(method_name="maximal-adjustment")
        if not estimand.estimands.get("backdoor"):
            return DoWhyAnswer(is_identified=False)
        for key in list(estimand.backdoor_variables):  # found in the order of a set, which no seed fixes
            estimand.set_backdoor_variables(list(adjustment), key)
        estimate = model.estimate_effect(
            estimand, method_name="backdoor.linear_regression", effect_modifiers=[], confidence_intervals=True
        )
        return _answer(model, estimand, estimate, len(data), params)


def _answer(model: Any, estimand: Any, estimate: Any, n_rows: int, params: TwinParams) -> DoWhyAnswer:
    effect = float(estimate.value)
    low, high = (float(end) for end in np.asarray(estimate.get_confidence_intervals()).ravel())
    error = (high - low) / 2 / 1.96
    refutations = tuple(
        _refute(model, estimand, estimate, place, error, params) for place in range(len(REFUTERS))
    )
    return DoWhyAnswer(True, effect, low, high, n_rows, refutations)


def _refute(
    model: Any, estimand: Any, estimate: Any, place: int, error: float, params: TwinParams
) -> Refutation:
    """DoWhy's refuter, judged by the size of the change, not by its p-value: a random cause hardly varies."""
    name, method, options = REFUTERS[place]
    found = model.refute_estimate(
        estimand,
        estimate,
        method_name=method,
        num_simulations=params.n_simulations,
        random_state=np.random.RandomState(
            params.seed + place
        ),  # an int would give every subset the same rows
        show_progress_bar=False,
        **options,
    )
    expected = 0.0 if name == "placebo_treatment" else float(estimate.value)
    p_value = float((found.refutation_result or {}).get("p_value", float("nan")))
    return Refutation(name, expected, float(found.new_effect), max(2 * error, 0.05 * abs(expected)), p_value)


def _sample_rows(question: Question, adjustment: tuple[str, ...], study: Study, params: TwinParams) -> Any:
    import pandas as pd

    n = len(study.outcome)
    rows = np.random.default_rng(params.seed).permutation(n)[: params.max_dowhy_rows]
    taken = study.take(np.sort(rows))
    columns = {name: taken.covariates[:, place] for place, name in enumerate(adjustment)}
    return pd.DataFrame({**columns, question.treatment: taken.treatment, question.outcome: taken.outcome})


@contextmanager
def _silence() -> Iterator[None]:
    """No warnings or log lines of DoWhy and those below it; what they say is in the result."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
