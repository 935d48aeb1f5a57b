"""What those around an entity are like: features of its payers and of its payees, in aggregate.

A member whose own payments look ordinary stands among others whose do not: aggregates over neighbours carry
what is known one hop away (Hamilton, Ying, Leskovec, Inductive representation learning on large graphs, 2017,
without the learned weights).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from terag_pipelines.rings.motifs import Ints, PaymentGraph

Floats = npt.NDArray[np.float64]


def average_around(features: pl.DataFrame, graph: PaymentGraph, names: Sequence[str]) -> pl.DataFrame:
    """For each named feature the mean and the largest value among payers, and among payees; 0 without any.

    `features` has a row for each node of `graph`, in order.
    """
    sides = {"payers": (graph.in_starts, graph.payers), "payees": (graph.out_starts, graph.payees)}
    columns: dict[str, Floats] = {}
    for side, (starts, ends) in sides.items():
        for name in names:
            near = features[name].to_numpy().astype(np.float64)[ends]
            columns[f"{side}_mean_{name}"] = reduce_rows(np.add, near, starts) / _sizes(starts)
            columns[f"{side}_max_{name}"] = reduce_rows(np.maximum, near, starts)
    return pl.DataFrame({"node": np.arange(graph.n_nodes), **columns})


def reduce_rows(function: np.ufunc, values: Floats, starts: Ints) -> Floats:
    """The reduction of each run values[starts[i]:starts[i + 1]]; 0 for an empty one."""
    reduced = np.zeros(len(starts) - 1)
    filled = np.diff(starts) > 0
    if filled.any():
        reduced[filled] = function.reduceat(values, starts[:-1][filled])
    return reduced


def _sizes(starts: Ints) -> Floats:
    return np.maximum(np.diff(starts), 1).astype(np.float64)
