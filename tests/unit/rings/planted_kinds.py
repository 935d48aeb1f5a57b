"""How much of each planted kind of ring is found at a precision, in a demo bank made for the purpose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from sklearn.metrics import average_precision_score, precision_recall_curve

from resources.demo_files import write_demo_bank
from resources.source_files import SourceFolder
from terag_pipelines.demo.bank import DemoParams, make_bank
from terag_pipelines.linking.pipeline import link_records
from terag_pipelines.rings.detection import RingDetection
from terag_pipelines.rings.nodes import NodeIndex
from terag_pipelines.rings.risk import read_outcomes

FLOORS = {"cycle": 0.8, "fan_in": 0.8, "fan_out": 0.8, "shared_identity": 0.8}
"""Recall of each kind at PRECISION; written down before it was first measured."""
PRECISION = 0.95


@dataclass(frozen=True)
class KindRecall:
    """`recall` by kind at the lowest score whose precision over all people is PRECISION or more."""

    recall: dict[str, float]
    n_members: dict[str, int]
    threshold: float
    average_precision: float


def make_linked_bank(people: int, seed: int, folder: Path) -> dict[str, pa.Table]:
    """The tables of a demo bank, taken in and linked as any source is."""
    write_demo_bank(make_bank(DemoParams(people, seed)), folder)
    tables = dict(SourceFolder(folder).ingest().tables)
    linking = link_records(tables["entity_records"])
    return {**tables, "entities": linking.resolved.entities, "entity_members": linking.members}


def measure_kinds(detection: RingDetection, tables: dict[str, pa.Table]) -> KindRecall:
    """Recall of each kind among people with a true label."""
    outcomes = read_outcomes(tables, detection.index, "truth")
    known, scores = outcomes >= 0, detection.scores["score"].to_numpy()
    precision, _, cuts = precision_recall_curve(outcomes[known], scores[known])
    enough = np.flatnonzero(precision[:-1] >= PRECISION)
    threshold = float(cuts[enough[0]]) if len(enough) else float("inf")
    members = _members(tables["labels"], detection.index)
    found = members.with_columns(is_found=pl.Series(scores[members["node"].to_numpy()] >= threshold))
    by_kind = found.group_by("kind").agg(pl.len(), pl.col("is_found").mean()).sort("kind")
    return KindRecall(
        dict(by_kind.select("kind", "is_found").iter_rows()),
        dict(by_kind.select("kind", "len").iter_rows()),
        threshold,
        float(average_precision_score(outcomes[known], scores[known])),
    )


def _members(labels: pa.Table, index: NodeIndex) -> pl.DataFrame:
    rows = pl.DataFrame(pl.from_arrow(labels.select(["label_kind", "use", "subject_id", "value"])))
    rings = rows.filter((pl.col("label_kind") == "ring") & (pl.col("use") == "truth"))
    nodes = pl.DataFrame(
        {"kind": rings["value"].str.split("-").list.get(1), "node": index.find_subjects(rings["subject_id"])}
    )
    return nodes.drop_nulls().unique()
