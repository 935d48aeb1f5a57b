"""The promoted batch as the service reads it: each table once into memory, all of one batch."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resources.parquet_lake import ParquetLake
from terag_pipelines.errors import IncompleteBatchError
from terag_pipelines.tables import TableSchema


class PromotedTables:
    """Reads tables of the promoted shelf; when another is promoted, the next reader moves to it.

    Safe to share between threads. Raises: IncompleteBatchError before the first promotion.
    """

    def __init__(self, lake: ParquetLake) -> None:
        self._lake = lake
        self._lock = Lock()
        self._shelf = ""
        self._tables: dict[str, pa.Table] = {}

    def shelf(self) -> str:
        """The promoted shelf."""
        promoted = self._lake.promoted()
        if promoted is None:
            raise IncompleteBatchError("nothing has been promoted yet; run the job first: terag run")
        return promoted.shelf

    def tables(self, *schemas: TableSchema) -> tuple[pa.Table, ...]:
        """All rows of these tables, all of one batch."""
        shelf = self.shelf()
        with self._lock:
            if shelf != self._shelf:
                self._shelf, self._tables = shelf, {}
            for schema in schemas:
                if schema.name not in self._tables:
                    self._tables[schema.name] = self._lake.read(shelf, schema)
            return tuple(self._tables[schema.name] for schema in schemas)

    def rows(self, *schemas: TableSchema, **wanted: str) -> tuple[list[dict[str, Any]], ...]:
        """The rows of each whose columns have the wanted values, in order of the table's key."""
        return tuple(_matching(table, wanted).to_pylist() for table in self.tables(*schemas))


def _matching(table: pa.Table, wanted: Mapping[str, str]) -> pa.Table:
    for column, value in wanted.items():
        table = table.filter(pc.equal(table[column], value))
    return table
