"""Whether the servers of the graph hold what was loaded into them."""

import dagster as dg

from assets.metadata import rows_as_markdown
from resources.bindings import GraphResource


@dg.asset_check(
    asset="promoted_batch",
    description="Each server of the graph holds what the manifest of the load that it shows says.",
)
def graph_has_not_drifted(graph: GraphResource) -> dg.AssetCheckResult:
    """By counts and sums of row hashes, added up in the servers; age alone is no drift."""
    with graph.open() as store:
        servers = store.servers()
    drifted = [f"{server.role}: {', '.join(server.drift)}" for server in servers if server.drift]
    return dg.AssetCheckResult(
        passed=not drifted,
        description="; ".join(drifted) or f"servers as they were loaded: {len(servers)}",
        metadata={"servers": rows_as_markdown(servers)},
    )
