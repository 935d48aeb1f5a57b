"""Public sets with known truth, through the real ingestion, with the same parameters for all, no labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.source_files import SourceFolder
from terag_pipelines.linking.pipeline import link_records

SOURCES = Path(__file__).parents[2] / "sources"


@pytest.mark.parametrize(
    ("source", "f1", "precision"),
    [("febrl3", 0.995, 0.995), ("splink_fake_1000", 0.94, 0.98), ("senzing_truthset", 0.975, 0.97)],
)
def test_public_set(source: str, f1: float, precision: float, shared_data: Path) -> None:
    tables = SourceFolder(SOURCES / source, shared_data).ingest().tables
    quality = link_records(tables["entity_records"], tables["labels"]).quality
    assert quality is not None
    assert quality.f1 >= f1
    assert quality.precision >= precision


def test_people_who_borrowed_a_document_are_not_merged(shared_data: Path) -> None:
    tables = SourceFolder(SOURCES / "paysim_fpf", shared_data).ingest().tables
    records = tables["entity_records"]
    assert link_records(records).resolved.entities.num_rows >= 0.99 * records.num_rows
