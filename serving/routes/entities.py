"""Who is who: an entity with its records, the links that tie them, accounts and relations."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel

from serving.dependencies import PortsOf, allowed
from terag_pipelines.errors import NotFoundError
from terag_pipelines.security.roles import Permission

router = APIRouter(
    prefix="/v1/entities", tags=["entities"], dependencies=[Depends(allowed(Permission.READ_ENTITIES))]
)
EntityId = Annotated[str, Path(min_length=1, max_length=100)]


class RecordAnswer(BaseModel):
    """A record of the entity; `link_probability` is of the strongest link that ties it in."""

    record_id: str
    dataset: str | None
    display_name: str | None
    party_type: str | None
    link_probability: float | None


class LinkAnswer(BaseModel):
    """A link between two records; the weight is log2 of the odds."""

    left_id: str
    right_id: str
    match_weight: float | None
    link_probability: float | None


class SharedIdentifierAnswer(BaseModel):
    """An identifier (hashed) that other entities have too."""

    identifier_id: str
    kind: str
    entity_ids: list[str]


class AccountAnswer(BaseModel):
    """An account that the entity holds."""

    account_id: str
    bank: str | None
    currency: str | None
    is_outside: bool | None


class RelatedAnswer(BaseModel):
    """An entity that this one is related to."""

    entity_id: str
    display_name: str | None
    kind: str
    share: float | None
    is_outgoing: bool


class EntityAnswer(BaseModel):
    """A person or organisation and what hangs on it."""

    entity_id: str
    party_type: str | None
    display_name: str | None
    is_partial: bool | None
    is_watchlist: bool | None
    n_records: int | None
    records: list[RecordAnswer]
    links: list[LinkAnswer]
    identifiers: list[SharedIdentifierAnswer]
    accounts: list[AccountAnswer]
    related: list[RelatedAnswer]


@router.get("/{entity_id}")
def entity(entity_id: EntityId, ports: PortsOf) -> EntityAnswer:
    """The entity of this id in the promoted batch."""
    found = ports.graph.find_entity(entity_id)
    if found is None:
        raise NotFoundError(f"there is no entity {entity_id[:40]} in the promoted batch")
    return EntityAnswer.model_validate(asdict(found))
