"""The batch as a graph in Neo4j, loaded unseen by those who read the one before."""

import dagster as dg
import pyarrow as pa

from assets.groups import GRAPH
from resources.bindings import GraphResource, LakeResource, SourceResource
from terag_pipelines.graph.load_plan import LoadPlan, build_load_plan
from terag_pipelines.graph.loading import LoadedBatch, load_batch
from terag_pipelines.graph.model import GRAPH_LOAD
from terag_pipelines.graph.ports import GraphStore, LoadReport

INPUTS = ("entities", "entity_members", "entity_records", "links", "accounts", "transfers", "relationships")


@dg.asset(**GRAPH, deps=INPUTS)
def graph_load(source: SourceResource, lake: LakeResource, graph: GraphResource) -> dg.Output[pa.Table]:
    """Entities, records, accounts and what ties them: what changed is loaded, unseen yet, and verified."""
    with graph.open() as store:
        loaded = load_from_lake(store, source.batch_id(), lake, graph)
    report = loaded.report
    return dg.Output(loaded.summary, metadata={"note": _told(report), "retries": report.n_retries})


def load_from_lake(store: GraphStore, batch_id: str, lake: LakeResource, graph: GraphResource) -> LoadedBatch:
    """Loads a batch from the lake's tables where the graph does not hold it; else nothing is read.

    Raises: IncompleteBatchError, TornTableError, StoreError.
    """
    shelf = f"batch-{batch_id}"

    def make_plan() -> LoadPlan:
        return build_load_plan(batch_id, lake.tables(shelf, INPUTS), graph.load_plan_params())

    return load_batch(store, batch_id, lake.find(shelf, GRAPH_LOAD), make_plan)


def _told(report: LoadReport) -> str:
    if report.was_complete:
        return f"the batch was loaded already, as load {report.load}: no new nodes"
    return (
        f"load {report.load}: {report.n_nodes_created:,} nodes and {report.n_relationships_created:,} "
        f"relationships created, {report.n_updated:,} of the load before updated, {report.n_ended:,} ended"
    )
