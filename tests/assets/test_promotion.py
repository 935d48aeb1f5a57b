"""Readers move to a new batch in both stores, or in neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assets.promotion import promote_both
from resources.parquet_lake import ParquetLake
from terag_pipelines.errors import IncompleteBatchError


class Graph:
    """Notes what it is asked to promote."""

    def __init__(self) -> None:
        self.promoted: list[str] = []

    def promote(self, batch_id: str) -> None:
        self.promoted.append(batch_id)


def test_the_graph_stays_where_it_is_when_the_lake_lacks_a_table(tmp_path: Path) -> None:
    graph: Any = Graph()
    lake = ParquetLake(tmp_path)
    with pytest.raises(IncompleteBatchError):
        promote_both(graph, lake, "new", "batch-new")
    assert (graph.promoted, lake.promoted()) == ([], None)
