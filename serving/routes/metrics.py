"""How the graph is, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Annotated

import pyarrow as pa
from fastapi import APIRouter, Depends, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from serving.dependencies import PortsOf, allowed
from terag_pipelines.security.api_keys import Caller
from terag_pipelines.security.roles import Permission

router = APIRouter(tags=["health"])
PREFIX = "terag_graph_"


class Readings(Collector):
    """GRAPH_READINGS as gauges: a metric for each figure, labelled by server and what it is about."""

    def __init__(self, readings: pa.Table) -> None:
        self._rows = sorted(
            readings.to_pylist(), key=lambda row: (row["figure"], row["server"], row["about"])
        )

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Each figure with all its values."""
        for figure, rows in groupby(self._rows, key=lambda row: row["figure"]):
            text = f"{figure.replace('_', ' ')} of the graph"
            family = GaugeMetricFamily(PREFIX + figure, text, labels=("server", "about"))
            for row in rows:
                family.add_metric((row["server"], row["about"]), row["value"])
            yield family


@router.get("/metrics", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
def metrics(
    ports: PortsOf, _caller: Annotated[Caller, Depends(allowed(Permission.READ_METRICS))]
) -> Response:
    """Sizes, memory, indexes, transactions and latency by query shape, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(Readings(ports.read_figures()))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)
