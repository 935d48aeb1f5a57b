"""Pictures of the graph's health: how latency and size went over time."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
from matplotlib.axes import Axes

from terag_pipelines.graph.model import POINTER_LABEL
from terag_pipelines.pictures import ACCENT, INK, MUTED, SECOND, new_picture, png

SHOWN_SHAPES = 3
_POINTER = re.compile(rf"MATCH \(\w+:{POINTER_LABEL}[^)]*\) WITH \S+ AS \w+ ")
"""With which every question of the promoted load begins."""
COLOURS = (ACCENT, SECOND, MUTED)

Series = Mapping[str, list[tuple[datetime, float]]]


def draw_trend(readings: pa.Table, queries: Mapping[str, str]) -> bytes:
    """The slowest shapes' 95th percentile over time (GRAPH_READINGS), PNG; `queries`: texts by shape_id."""
    series = _slowest(readings)
    figure, axes = new_picture("95th percentile of the slowest queries, ms", height_inches=3.4)
    if not series:
        axes.set_axis_off()
        axes.text(0, 0.5, "no query was recorded yet", color=INK, fontsize=9)
        return png(figure)
    for colour, (shape, points) in zip(COLOURS, series.items(), strict=False):
        _draw_line(axes, points, colour, queries.get(shape, shape))
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", labelrotation=20, labelsize=7)
    figure.legend(loc="outside lower left", fontsize=7, frameon=False)
    return png(figure)


def _draw_line(axes: Axes, points: list[tuple[datetime, float]], colour: str, query: str) -> None:
    told = _POINTER.sub("", query)
    label = told if len(told) <= 100 else told[:97] + "..."
    axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, linewidth=1.2, label=label)


def _slowest(readings: pa.Table) -> Series:
    """By shape, its 95th percentiles in order of time; the shapes that are slowest at their last reading."""
    found: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    for row in readings.to_pylist():
        if row["figure"] == "query_p95_ms":
            found[_shape(row)].append((row["measured_at"], row["value"]))
    ordered = sorted(found, key=lambda shape: (-found[shape][-1][1], shape))
    return {shape: found[shape] for shape in ordered[:SHOWN_SHAPES]}


def _shape(row: Mapping[str, Any]) -> str:
    return str(row["about"])
