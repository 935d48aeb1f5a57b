"""Readers move to a new batch in both stores, or in neither."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets.graph import load_from_lake
from assets.promotion import promote_both
from resources.parquet_lake import ParquetLake
from terag_pipelines.errors import IncompleteBatchError
from terag_pipelines.graph.load_plan import LoadPlan, LoadPlanParams
from terag_pipelines.graph.ports import LoadReport, LoadState
from terag_pipelines.tables import TableSchema
from tests.contract.graphs import plan_of, tables_of


class Graph:
    """Notes what it is asked to promote."""

    def __init__(self) -> None:
        self.promoted: list[str] = []
        self.loaded: dict[str, LoadPlan] = {}

    def promote(self, batch_id: str) -> None:
        self.promoted.append(batch_id)

    def held(self, batch_id: str) -> LoadState | None:
        plan = self.loaded.get(batch_id)
        return plan and LoadState(1, batch_id, plan.digest(), True, False, False, None)

    def load(self, plan: LoadPlan) -> LoadReport:
        self.loaded[plan.batch_id] = plan
        return LoadReport(plan.batch_id, 1, plan.digest(), plan.counts(), False)

    def load_plan_params(self) -> LoadPlanParams:
        return LoadPlanParams()


class Lake:
    """The tables of one batch, which are asked for as often as `n_read` says."""

    def __init__(self) -> None:
        self.summary: pa.Table | None = None
        self.n_read = 0

    def find(self, _shelf: str, _schema: TableSchema) -> pa.Table | None:
        return self.summary

    def tables(self, shelf: str, _names: Iterable[str]) -> dict[str, pa.Table]:
        assert shelf == "batch-one"
        self.n_read += 1
        return tables_of(20)


def test_the_graph_stays_where_it_is_when_the_lake_lacks_a_table(tmp_path: Path) -> None:
    graph: Any = Graph()
    lake = ParquetLake(tmp_path)
    with pytest.raises(IncompleteBatchError):
        promote_both(graph, lake, "new", "batch-new")
    assert (graph.promoted, lake.promoted()) == ([], None)


def test_a_batch_that_was_replaced_in_the_graph_is_loaded_again_and_else_not_read() -> None:
    graph: Any = Graph()
    lake: Any = Lake()
    lake.summary = load_from_lake(graph, "one", lake, graph).summary
    assert load_from_lake(graph, "one", lake, graph).report.was_complete
    assert lake.n_read == 1
    graph.loaded.clear()
    assert not load_from_lake(graph, "one", lake, graph).report.was_complete
    assert graph.loaded["one"].digest() == plan_of("one", 20).digest()
