"""What people ask of the graph on Neo4j: answers of the promoted load only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from resources import neo4j_cypher as cypher
from resources.neo4j_indexes import Neo4jIndexLab
from resources.neo4j_sessions import GraphSessions
from terag_pipelines.graph.ports import (
    AccountView,
    EntityHit,
    EntityView,
    LinkView,
    RecordView,
    RelatedEntity,
    SharedIdentifier,
    TransferView,
)

VIEW_LIMIT = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Neo4jQueries:
    """The reading half of GraphStore, and TunableStore, on the server that the sessions lead to."""

    def __init__(self, sessions: GraphSessions) -> None:
        self._sessions = sessions
        self.observed = sessions.observer
        self.index_lab = Neo4jIndexLab(sessions)

    def promoted_batch(self) -> str | None:
        """The batch that readers see."""
        rows = self._sessions.read(cypher.PROMOTED, is_sampled=False)
        return str(rows[0]["batch_id"]) if rows else None

    def find_entity(self, entity_id: str) -> EntityView | None:
        """An entity of the promoted batch with all that hangs on it, in one query: one batch, never two."""
        rows = self._sessions.read(cypher.FIND_ENTITY, entity_id=entity_id, limit=VIEW_LIMIT)
        return _entity_view(rows[0].data()) if rows else None

    def find_by_name(self, prefix: str, limit: int = 50) -> tuple[EntityHit, ...]:
        """Entities whose display name starts with `prefix` (case counts), by name."""
        rows = self._sessions.read(cypher.FIND_BY_NAME, prefix=prefix, limit=limit)
        return tuple(EntityHit(*row.values()) for row in rows)

    def accounts_at(self, bank: str, limit: int = 50) -> tuple[AccountView, ...]:
        """Accounts held at a bank, by id."""
        rows = self._sessions.read(cypher.ACCOUNTS_AT, bank=bank, limit=limit)
        return tuple(AccountView(*row.values()) for row in rows)

    def transfers_above(self, bank: str, amount_minor: int, limit: int = 50) -> tuple[TransferView, ...]:
        """Flows out of a bank's accounts that sum to `amount_minor` or more, largest first."""
        rows = self._sessions.read(cypher.TRANSFERS_ABOVE, bank=bank, amount_minor=amount_minor, limit=limit)
        return tuple(_transfer_view(*row.values()) for row in rows)

    def entities_near(self, entity_id: str, limit: int = 200) -> tuple[EntityHit, ...]:
        """Entities up to two shared identifiers away, by id."""
        rows = self._sessions.read(cypher.ENTITIES_NEAR, entity_id=entity_id, limit=limit)
        return tuple(EntityHit(*row.values()) for row in rows)


# --- how rows become views


def _entity_view(row: dict[str, Any]) -> EntityView:
    identifiers = [SharedIdentifier(name, kind, tuple(others)) for name, kind, others in row["identifiers"]]
    return EntityView(
        **row["entity"],
        records=tuple(RecordView(*values) for values in row["records"]),
        links=tuple(LinkView(*values) for values in row["links"]),
        identifiers=tuple(identifiers),
        accounts=tuple(AccountView(*values) for values in row["accounts"]),
        related=tuple(RelatedEntity(*values) for values in row["related"]),
    )


def _transfer_view(*values: Any) -> TransferView:
    return TransferView(*values[:-2], *map(_instant, values[-2:]))


def _instant(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else EPOCH + timedelta(milliseconds=epoch_ms)
