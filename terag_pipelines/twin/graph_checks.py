"""Does the panel contradict the graph? What the graph holds independent must not correlate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from terag_pipelines.twin.identification import find_independences
from terag_pipelines.twin.learners import Floats
from terag_pipelines.twin.spec import Question, TwinSpec

MAX_ROWS = 50_000
MIN_ROWS = 30


@dataclass(frozen=True)
class GraphTest:
    """The strongest partial correlation among the pairs that the graph holds independent."""

    n_claims: int
    worst: float
    worst_claim: str
    passed: bool

    def told(self) -> dict[str, Any]:
        """The figures as plain values."""
        return asdict(self)


def check_graph(
    spec: TwinSpec, question: Question, variables: Mapping[str, Floats], limit: float, seed: int
) -> GraphTest:
    """Tests what the graph says of the treatment and the outcome, on a seeded sample of rows.

    A graph that passes is not proven; one that fails answers another bank's question. `limit` is the largest
    partial correlation that passes: with many rows, significance alone would refuse every graph.
    """
    n = len(next(iter(variables.values()))) if variables else 0
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:MAX_ROWS])
    worst, told = 0.0, ""
    claims = find_independences(spec, question, frozenset(variables))
    for one, other, given in claims:
        found = partial_correlation([variables[name][rows] for name in (one, other, *given)])
        if abs(found) > abs(worst):
            worst, told = found, f"{one} and {other} given {list(given)} correlate by {found:.2f}"
    return GraphTest(len(claims), worst, told, passed=abs(worst) <= limit)


def partial_correlation(columns: list[Floats]) -> float:
    """The correlation of the first two columns once the others and their squares are taken out; 0 if none."""
    table = np.stack(columns, axis=1)
    table = table[np.isfinite(table).all(axis=1)]
    if len(table) < MIN_ROWS:
        return 0.0
    given = (table[:, 2:] - table[:, 2:].mean(axis=0)) / np.maximum(table[:, 2:].std(axis=0), 1e-12)
    features = np.hstack([np.ones((len(given), 1)), given, given**2])
    left = table[:, :2] - features @ np.linalg.lstsq(features, table[:, :2], rcond=None)[0]
    size = np.sqrt(np.mean(left**2, axis=0))
    if not np.all(size > 1e-9 * np.maximum(table[:, :2].std(axis=0), 1e-12)):
        return 0.0
    return float(np.mean(left[:, 0] * left[:, 1]) / size.prod())
