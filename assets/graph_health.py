"""How the servers of the graph are, once a run, and what was done about what runs too long."""

from datetime import timedelta

import dagster as dg
import pyarrow as pa

from assets.groups import GRAPH
from assets.metadata import described, picture
from assets.tuning import index_trials
from resources.bindings import GraphResource
from resources.query_recorder import utc_now
from terag_pipelines.tuning.health import PerformanceMonitor, told_health
from terag_pipelines.tuning.health_pictures import draw_trend
from terag_pipelines.tuning.model import QUERY_WINDOWS


class HealthConfig(dg.Config):
    """`end_after_s`: transactions that run longer are ended; none are without it."""

    end_after_s: float | None = None
    trend_days: int = 30


@dg.asset(**GRAPH, deps=[index_trials])
def graph_health(config: HealthConfig, graph: GraphResource) -> dg.Output[pa.Table]:
    """Sizes, memory, indexes, transactions and latency of the graph's servers, with their trend."""
    monitor, now = PerformanceMonitor(end_after_s=config.end_after_s), utc_now()
    windows = graph.past_queries() or QUERY_WINDOWS.empty()
    with graph.open() as store, graph.health_history() as history:
        readings = monitor.read(store, windows, now)
        ended = monitor.end_long_transactions(store)
        history.append(readings)
        trend = history.readings(now - timedelta(days=config.trend_days))
    queries = dict(zip(windows["shape_id"].to_pylist(), windows["query"].to_pylist(), strict=True))
    drawn = picture(draw_trend(trend, queries))
    metadata = described(note=told_health(readings, ended), picture=drawn)
    return dg.Output(readings, metadata=metadata)
