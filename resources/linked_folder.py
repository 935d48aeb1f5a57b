"""What `terag link` wrote: a folder of Parquet tables, read back to be explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from resources.result_folders import MARK as SUMMARY
from terag_pipelines.calibration.fit import load_calibrator
from terag_pipelines.calibration.model import CALIBRATORS
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.errors import IncompleteBatchError, SchemaMismatchError, UnreadableFileError
from terag_pipelines.linking.explanation import ExplanationParams, LinkedBatch, infer_threshold
from terag_pipelines.linking.known_pairs import EarlierRun
from terag_pipelines.linking.links import LinkParams
from terag_pipelines.linking.model import (
    CANDIDATE_PAIRS,
    ENTITY_MEMBERS,
    LINK_MODEL,
    PAIR_DECISIONS,
    PAIR_SCORES,
)
from terag_pipelines.tables import TableSchema

LINK_COLUMNS = {
    "left": "left_id",
    "right": "right_id",
    "probability": "link_probability",
    "calibrated": "is_calibrated",
}
"""Short names of links.parquet, and what the platform's own tables call the same."""


def read_linked_folder(folder: Path) -> LinkedBatch:
    """What one `terag link` wrote; candidate pairs, decisions, the calibrator only where they are there.

    Raises: IncompleteBatchError where a file is missing, UnreadableFileError where one is no Parquet,
    SchemaMismatchError where one lacks a column.
    """
    links = _read(folder, "links")
    links = links.rename_columns([LINK_COLUMNS.get(name, name) for name in links.column_names])
    _require(links, "links", "left_id", "right_id", "match_weight", "link_probability", "is_calibrated")
    members = _read(folder, "entities")
    _require(members, "entities", "record_id", "entity_id")
    scores = PAIR_SCORES.conform(_read(folder, "pair_scores"))
    summary = _read_summary(folder)
    calibrators, decisions = (_read_if_there(folder, schema) for schema in (CALIBRATORS, PAIR_DECISIONS))
    threshold = summary.get("threshold_probability", infer_threshold(scores, links, None))
    return LinkedBatch(
        records=ENTITY_RECORDS.conform(_read(folder, "records")),
        scores=scores,
        model=LINK_MODEL.conform(_read(folder, "link_model")),
        links=links,
        members=members,
        candidates=_read_if_there(folder, CANDIDATE_PAIRS),
        decisions=decisions,
        calibrator=None if calibrators is None else load_calibrator(calibrators, "links"),
        params=ExplanationParams(links=LinkParams(threshold, summary.get("one_to_one", False))),
        applied=_tried_rules(summary["blocking"]) if summary else None,
        across=summary.get("linked_across"),
    )


def read_earlier_run(folder: Path) -> EarlierRun:
    """What a later `terag link` takes over from this one. Raises: as read_linked_folder."""
    members = _read(folder, "entities")
    _require(members, "entities", *ENTITY_MEMBERS.schema.names)
    return EarlierRun(
        records=ENTITY_RECORDS.conform(_read(folder, "records")),
        members=members.select(ENTITY_MEMBERS.schema.names),
        pair_scores=PAIR_SCORES.conform(_read(folder, "pair_scores")),
    )


def _read_summary(folder: Path) -> dict[str, Any]:
    """What the summary says; empty where there is none. Raises: UnreadableFileError."""
    path = folder / SUMMARY
    if not path.is_file():
        return {}
    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnreadableFileError(f"{path} is no readable JSON") from error
    return summary


def _tried_rules(blocking: dict[str, Any]) -> tuple[str, ...]:
    """The rules that found pairs, and those left out because too many records share their keys."""
    names = [rung["rule"] for rung in blocking["rungs"]] + [rule for rule, _ in blocking["skipped"]]
    return tuple(sorted(set(names)))


def _read_if_there(folder: Path, schema: TableSchema) -> pa.Table | None:
    is_there = (folder / f"{schema.name}.parquet").is_file()
    return schema.conform(_read(folder, schema.name)) if is_there else None


def _read(folder: Path, table: str) -> pa.Table:
    path = folder / f"{table}.parquet"
    if not path.is_file():
        raise IncompleteBatchError(f"{folder} has no {path.name}: it is no folder that `terag link` wrote")
    try:
        return pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise UnreadableFileError(f"{path} is no readable Parquet file") from error


def _require(table: pa.Table, name: str, *columns: str) -> None:
    if missing := sorted(set(columns) - set(table.column_names)):
        raise SchemaMismatchError(f"{name}.parquet lacks {missing}")
