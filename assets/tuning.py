"""Indexes that the graph's own slow queries ask for."""

from collections.abc import Mapping

import dagster as dg
import pyarrow as pa

from assets.groups import GRAPH
from assets.metadata import described, picture
from assets.promotion import promoted_batch
from resources.bindings import GraphResource
from terag_pipelines.tuning.pictures import draw_trials
from terag_pipelines.tuning.trials import tune_indexes
from terag_pipelines.tuning.workload import analyst_workload


@dg.asset(**GRAPH, deps=[promoted_batch])
def index_trials(
    graph: GraphResource, entities: pa.Table, accounts: pa.Table, transfers: pa.Table
) -> dg.Output[pa.Table]:
    """Indexes advised by slow queries, each tried and kept only where measurement says that it pays."""
    workload = analyst_workload({"entities": entities, "accounts": accounts, "transfers": transfers})
    with graph.open() as store:
        tuned = tune_indexes(store, workload, past=graph.past_queries())
    metadata = described(note=_told_trials(tuned.trials), picture=picture(draw_trials(tuned.trials)))
    return dg.Output(tuned.trials, metadata=metadata)


def _told_trials(trials: pa.Table) -> str:
    return "; ".join(map(_told_trial, trials.to_pylist()))


def _told_trial(row: Mapping[str, str]) -> str:
    index = f"index on {row['label']}.{row['property']} " if row["label"] else ""
    return f"{index}{row['decision'].replace('_', ' ')}: {row['reason']}"
