"""The batch as a graph in Neo4j, loaded unseen by those who read the one before."""

import dagster as dg
import pyarrow as pa

from assets.groups import GRAPH, tables_in
from resources.bindings import GraphResource, SourceResource
from terag_pipelines.graph.load_plan import build_load_plan
from terag_pipelines.graph.ports import LoadReport

INPUTS = ("entities", "entity_members", "entity_records", "links", "accounts", "transfers", "relationships")


@dg.asset(**GRAPH, ins=tables_in(*INPUTS))
def graph_load(source: SourceResource, graph: GraphResource, **tables: pa.Table) -> dg.Output[pa.Table]:
    """Entities, records, accounts and what ties them: what changed is loaded, unseen yet, and verified."""
    plan = build_load_plan(source.batch_id(), tables, graph.load_plan_params())
    with graph.open() as store:
        report = store.load(plan)
    return dg.Output(plan.summary(), metadata={"note": _told(report), "retries": report.n_retries})


def _told(report: LoadReport) -> str:
    if report.was_complete:
        return f"the batch was loaded already, as load {report.load}: no new nodes"
    return (
        f"load {report.load}: {report.n_nodes_created:,} nodes and {report.n_relationships_created:,} "
        f"relationships created, {report.n_ended:,} of the load before ended"
    )
