"""The entities of each source's last batch: the next batch of that source takes over their ids.

What a batch takes over is part of what it is made of, so it is settled when a refresh begins and changes only
when the source has changed: the same source refreshed again takes over the same and gives the same batch.
"""

from __future__ import annotations

import hashlib

import pyarrow as pa

from resources.parquet_lake import ParquetLake
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.linking.known_pairs import EarlierEntities
from terag_pipelines.linking.model import ENTITY_MEMBERS
from terag_pipelines.tables import TableSchema

SOURCE_CONTENT = TableSchema(
    name="source_content",
    schema=pa.schema([("content_digest", pa.string())]),
    key=("content_digest",),
)
TABLES = (ENTITY_RECORDS, ENTITY_MEMBERS, SOURCE_CONTENT)  # the last says that the others are whole


class EntityRegistry:
    """Two shelves of the lake for each source: its latest entities, and those that its batch takes over."""

    def __init__(self, lake: ParquetLake, source: str) -> None:
        name = hashlib.sha256(source.encode()).hexdigest()[:16]
        self._lake = lake
        self._latest, self._earlier = f"entities-latest-{name}", f"entities-earlier-{name}"

    def begin(self, content_digest: str) -> None:
        """Settles what a batch of this content takes over: the latest entities of any other content."""
        latest = self._content_of(self._latest)
        if latest is None or content_digest in (latest, self._content_of(self._earlier)):
            return
        records, members = (self._lake.read(self._latest, schema) for schema in TABLES[:2])
        self._write(self._earlier, content_digest, records, members)

    def note(self, content_digest: str, records: pa.Table, members: pa.Table) -> None:
        """Keeps the entities of a batch that is served, for the next one."""
        self._write(self._latest, content_digest, records, members)

    def earlier(self) -> EarlierEntities | None:
        """What the batch takes over; None for a source's first batch."""
        if self._content_of(self._earlier) is None:
            return None
        records, members = (self._lake.read(self._earlier, schema) for schema in TABLES[:2])
        return EarlierEntities(records, members)

    def digest(self) -> str:
        """Of what the batch takes over; "" where that is nothing."""
        if self._content_of(self._earlier) is None:
            return ""
        return self._lake.describe(self._earlier, ENTITY_MEMBERS.name).digest

    def _content_of(self, shelf: str) -> str | None:
        if self._lake.stored(shelf, SOURCE_CONTENT.name) is None:
            return None
        return str(self._lake.read(shelf, SOURCE_CONTENT)["content_digest"][0])

    def _write(self, shelf: str, content_digest: str, *tables: pa.Table) -> None:
        content = SOURCE_CONTENT.from_columns(content_digest=[content_digest])
        for schema, table in zip(TABLES, (*tables, content), strict=True):
            self._lake.write(shelf, schema, table)
