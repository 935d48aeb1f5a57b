"""Every table of the lake, by the name of the asset that makes it."""

from __future__ import annotations

from dataclasses import replace

from terag_pipelines.billing import model as billing
from terag_pipelines.calibration import model as calibration
from terag_pipelines.entities import model as entities
from terag_pipelines.graph import model as graph
from terag_pipelines.linking import model as linking
from terag_pipelines.rings import model as rings
from terag_pipelines.tables import TableSchema
from terag_pipelines.tuning import model as tuning
from terag_pipelines.twin import model as twin

ROOMS = (entities, linking, calibration, graph, tuning, rings, twin, billing)

ALIASES = (
    replace(calibration.CALIBRATORS, name="link_calibrators"),
    replace(calibration.CALIBRATORS, name="ring_calibrators"),
)

TABLES: dict[str, TableSchema] = {
    schema.name: schema
    for schema in (
        *ALIASES,
        *(value for room in ROOMS for value in vars(room).values() if isinstance(value, TableSchema)),
    )
}
"""Schemas by table name; the declared ones of every room, and two that share the schema of calibrators."""
