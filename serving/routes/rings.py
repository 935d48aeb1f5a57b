"""Fraud rings of the promoted batch."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime, BaseModel

from serving.dependencies import PortsOf, allowed
from terag_pipelines.errors import NotFoundError
from terag_pipelines.rings.model import FRAUD_RINGS, RING_MEMBERS
from terag_pipelines.security.roles import Permission

router = APIRouter(prefix="/v1/rings", tags=["rings"], dependencies=[Depends(allowed(Permission.READ_RINGS))])
RingId = Annotated[str, Path(min_length=1, max_length=100)]


class RingSummary(BaseModel):
    """A ring in a list; `risk_probability` is null where no labels allowed calibration."""

    ring_id: str
    kind: str
    n_members: int
    severity: str
    risk_score: float
    risk_probability: float | None
    is_calibrated: bool
    amount_minor: int | None
    currency: str | None


class RingList(BaseModel):
    """Rings, the riskiest first; `next_offset` is null on the last page."""

    rings: list[RingSummary]
    n_rings: int
    next_offset: int | None


class RingMember(BaseModel):
    """An entity in a ring, what it does there, and what it moved inside the ring."""

    entity_id: str
    role: str
    score: float
    in_amount_minor: int | None
    out_amount_minor: int | None


class RingAnswer(RingSummary):
    """A ring with its members and the reasons."""

    n_transfers: int | None
    n_shared_identifiers: int | None
    n_watchlist: int | None
    first_at: AwareDatetime | None
    last_at: AwareDatetime | None
    reasons: list[str]
    members: list[RingMember]


@router.get("")
def rings(
    ports: PortsOf,
    min_risk: Annotated[float, Query(ge=0, le=1, description="least risk score")] = 0.0,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> RingList:
    """Rings of at least this risk, the riskiest first."""
    (all_rings,) = ports.tables.tables(FRAUD_RINGS)
    found = _by_risk(all_rings, min_risk)
    page = found.slice(offset, limit).to_pylist()
    next_offset = offset + limit if offset + limit < found.num_rows else None
    return RingList(
        rings=[RingSummary.model_validate(row) for row in page],
        n_rings=found.num_rows,
        next_offset=next_offset,
    )


@router.get("/{ring_id}")
def ring(ring_id: RingId, ports: PortsOf) -> RingAnswer:
    """The ring of this id, with its members and reasons."""
    found, members = ports.tables.rows(FRAUD_RINGS, RING_MEMBERS, ring_id=ring_id)
    if not found:
        raise NotFoundError(f"there is no ring {ring_id[:40]} in the promoted batch")
    return RingAnswer.model_validate(found[0] | {"members": members})


def _by_risk(table: pa.Table, min_risk: float) -> pa.Table:
    risky = table.filter(pc.greater_equal(table["risk_score"], min_risk))
    return risky.sort_by([("risk_score", "descending"), ("ring_id", "ascending")])
