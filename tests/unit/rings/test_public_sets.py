"""Floors on public data with known fraud, taken in through the real ingestion. Figures are printed by
`pytest -s`.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from resources.source_files import SourceFolder
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.model import RING_MEMBERS
from terag_pipelines.rings.naming import name_rings
from terag_pipelines.rings.quality import RingQuality, judge_detection, judge_rings

SOURCES = Path(__file__).parents[2] / "sources"


def judge(name: str, shared_data: Path) -> RingQuality:
    """Protocol: every entity has a training label; its score comes from the four folds of communities
    without its own.
    """
    tables: dict[str, pa.Table] = dict(SourceFolder(SOURCES / name, shared_data).ingest().tables)
    detection = score_rings(tables)
    assert detection.report.is_supervised
    quality = judge_detection(detection.scores, RING_MEMBERS.empty(), tables)
    figures = {"ring score": quality.scores, **quality.baselines}
    print(pl.DataFrame([{"method": method, **vars(found)} for method, found in figures.items()]))  # noqa: T201
    return quality


def test_paysim_clients(shared_data: Path) -> None:
    quality = judge("paysim_fpf", shared_data)
    assert quality.scores is not None
    assert quality.baselines["shared_identifiers"].f1 == pytest.approx(0.64, abs=0.01)
    assert quality.scores.f1 > 0.8
    assert quality.scores.average_precision > 0.89
    assert quality.scores.average_precision > quality.baselines["tabular_booster"].average_precision


def test_amlsim_accounts(shared_data: Path) -> None:
    quality = judge("amlsim_20k", shared_data)
    assert quality.scores is not None
    ours = quality.scores.average_precision
    assert ours > 0.88
    for baseline in quality.baselines.values():
        assert ours > 1.1 * baseline.average_precision


def test_levied_rings_are_named_whole(shared_data: Path) -> None:
    tables: dict[str, pa.Table] = dict(
        SourceFolder(SOURCES / "amlsim_100_rings", shared_data).ingest().tables
    )
    named = name_rings(score_rings(tables).scores, tables)
    recovery = judge_rings(named.members, tables)
    assert recovery is not None
    assert recovery.n_planted == 3
    assert recovery.table["overlap"].to_numpy().min() >= 0.8
    assert named.rings.num_rows <= 10
