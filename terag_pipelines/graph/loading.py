"""A batch on its way into the graph: nothing is read or compared where the graph holds it already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from terag_pipelines.graph.load_plan import LoadPlan
from terag_pipelines.graph.model import GRAPH_LOAD, ContentSum, digest_of
from terag_pipelines.graph.ports import GraphStore, LoadReport


@dataclass(frozen=True)
class LoadedBatch:
    """GRAPH_LOAD of a batch, and what its load did."""

    summary: pa.Table
    report: LoadReport


def load_batch(
    store: GraphStore, batch_id: str, earlier: pa.Table | None, make_plan: Callable[[], LoadPlan]
) -> LoadedBatch:
    """Loads a batch, unseen by readers; `make_plan` is asked only where that is needed.

    `earlier`: GRAPH_LOAD that an earlier load of the batch gave. Where the store has a whole load of that
    content it is taken at its word: whether the rows are still there is asked after each promotion, and a
    load that has drifted is not whole any more. Raises: StoreUnavailableError, StoreError.
    """
    held = store.held(batch_id)
    if held is not None and earlier is not None:
        sums = sums_of(earlier)
        if digest_of(sums) == held.digest:
            counts = {name: total.n_rows for name, total in sums.items()}
            return LoadedBatch(earlier, LoadReport(batch_id, held.load, held.digest, counts, True))
    plan = make_plan()
    return LoadedBatch(plan.summary(), store.load(plan))


def sums_of(summary: pa.Table) -> dict[str, ContentSum]:
    """What GRAPH_LOAD says of each label and relationship type."""
    rows = GRAPH_LOAD.conform(summary).to_pylist()
    return {
        row["name"]: ContentSum(row["n_rows"], int(row["row_hash_sum"]))
        for row in rows
        if row["element"] != "left_out"
    }
