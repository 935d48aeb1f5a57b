"""The entities and rings of each source's last batch: the next batch of that source takes over their ids.

What a batch takes over is part of what it is made of, so it is settled when a refresh begins and changes only
when the source or what people decided has changed: the same refreshed again takes over the same and gives the
same batch.

They lie on a shelf that is named by their content and never written again; notes say, each in one step,
which shelf is the latest and which is taken over. A writer that is killed leaves what was noted before.
"""

from __future__ import annotations

import hashlib

import pyarrow as pa

from resources.parquet_lake import ParquetLake
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.linking.known_pairs import EarlierEntities
from terag_pipelines.linking.model import ENTITY_MEMBERS
from terag_pipelines.rings.lineage import EarlierRings
from terag_pipelines.rings.model import RING_COMMUNITIES, RING_HISTORY, RING_TRACES
from terag_pipelines.tables import digest

TABLES = (ENTITY_RECORDS, ENTITY_MEMBERS)
RING_TABLES = (RING_COMMUNITIES, RING_TRACES, RING_HISTORY)


class EntityRegistry:
    """The latest entities of a source, and those that its batch takes over.

    A settled digest stands for a source's content and the decisions on it. Two notes have one each, and a
    shelf: what the latest entities are of, and whose batch takes over the earlier ones.
    """

    def __init__(self, lake: ParquetLake, source: str) -> None:
        self._lake = lake
        self._name = f"entities-{hashlib.sha256(source.encode()).hexdigest()[:16]}"
        self._latest, self._earlier = f"{self._name}-latest", f"{self._name}-earlier"

    def begin(self, settled_digest: str) -> None:
        """Settles what the batch takes over: the latest entities of any other."""
        latest, earlier = self._lake.noted(self._latest), self._lake.noted(self._earlier)
        if latest and settled_digest not in (latest["settled"], earlier.get("settled")):
            self._lake.note(self._earlier, latest | {"settled": settled_digest})

    def note(
        self, settled_digest: str, records: pa.Table, members: pa.Table, rings: EarlierRings | None = None
    ) -> None:
        """Keeps the entities of a batch that is served, and its rings, for the next one."""
        given = [*zip(TABLES, (records, members), strict=True)]
        if rings is not None:
            given += zip(RING_TABLES, (rings.communities, rings.traces, rings.history), strict=True)
        tables = [schema.conform(table) for schema, table in given]
        shelf = self._shelf_of(settled_digest, *map(digest, tables))
        for (schema, _), table in zip(given, tables, strict=True):
            self._lake.write(shelf, schema, table)
        known = [self._lake.noted(name) for name in (self._latest, self._earlier)]
        self._lake.note(self._latest, {"settled": settled_digest, "shelf": shelf})
        read = {one["shelf"] for one in known if one}  # may be read now
        self._lake.remove_shelves(f"{self._name}-", {shelf} | read)

    def earlier(self) -> EarlierEntities | None:
        """What the batch takes over; None for a source's first batch."""
        shelf = self._lake.noted(self._earlier).get("shelf")
        return None if shelf is None else EarlierEntities(*(self._lake.read(shelf, one) for one in TABLES))

    def earlier_rings(self) -> EarlierRings | None:
        """The rings that the batch follows; None where the batch before has left none."""
        shelf = self._lake.noted(self._earlier).get("shelf")
        if shelf is None or any(self._lake.stored(shelf, one.name) is None for one in RING_TABLES):
            return None
        return EarlierRings(*(self._lake.read(shelf, one) for one in RING_TABLES))

    def digest(self) -> str:
        """Of what the batch takes over; "" where that is nothing."""
        shelf = self._lake.noted(self._earlier).get("shelf")
        if shelf is None:
            return ""
        rings = [self._lake.stored(shelf, one.name) for one in RING_TABLES]
        members = self._lake.describe(shelf, ENTITY_MEMBERS.name)
        return ":".join(one.digest for one in (members, *rings) if one)

    def _shelf_of(self, *parts: str) -> str:
        return f"{self._name}-{hashlib.sha256(':'.join(parts).encode()).hexdigest()[:16]}"
