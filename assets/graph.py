"""The batch as a graph in Neo4j, loaded beside the one that readers see."""

import dagster as dg
import pyarrow as pa

from assets.groups import GRAPH
from resources.bindings import GraphResource, SourceResource
from terag_pipelines.graph.load_plan import build_load_plan
from terag_pipelines.graph.ports import LoadReport


@dg.asset(**GRAPH)
def graph_load(
    source: SourceResource,
    graph: GraphResource,
    entities: pa.Table,
    entity_members: pa.Table,
    entity_records: pa.Table,
    links: pa.Table,
    accounts: pa.Table,
    transfers: pa.Table,
    relationships: pa.Table,
) -> dg.Output[pa.Table]:
    """Entities, records, accounts and what ties them, loaded beside the promoted batch and verified."""
    named = {name: table for name, table in locals().items() if isinstance(table, pa.Table)}
    plan = build_load_plan(source.batch_id(), named, graph.load_plan_params())
    with graph.open() as store:
        report = store.load(plan)
    return dg.Output(plan.summary(), metadata={"note": _told(report), "retries": report.n_retries})


def _told(report: LoadReport) -> str:
    if report.was_complete:
        return "the batch was loaded already: no new nodes"
    return f"{report.n_nodes_created:,} nodes and {report.n_relationships_created:,} relationships created"
