"""The batch as a graph in Neo4j, loaded beside the one that readers see."""

import dagster as dg
import pyarrow as pa

from assets.groups import GRAPH, tables_in
from resources.bindings import GraphResource, SourceResource
from terag_pipelines.graph.load_plan import build_load_plan
from terag_pipelines.graph.ports import LoadReport

INPUTS = ("entities", "entity_members", "entity_records", "links", "accounts", "transfers", "relationships")


@dg.asset(**GRAPH, ins=tables_in(*INPUTS))
def graph_load(source: SourceResource, graph: GraphResource, **tables: pa.Table) -> dg.Output[pa.Table]:
    """Entities, records, accounts and what ties them, loaded beside the promoted batch and verified."""
    plan = build_load_plan(source.batch_id(), tables, graph.load_plan_params())
    with graph.open() as store:
        report = store.load(plan)
    return dg.Output(plan.summary(), metadata={"note": _told(report), "retries": report.n_retries})


def _told(report: LoadReport) -> str:
    if report.was_complete:
        return "the batch was loaded already: no new nodes"
    return f"{report.n_nodes_created:,} nodes and {report.n_relationships_created:,} relationships created"
