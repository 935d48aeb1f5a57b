"""What a change would do to one client, or why that cannot be said."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from serving.dependencies import PortsOf, allowed
from terag_pipelines.security.roles import Permission
from terag_pipelines.twin.engine import CausalEngine
from terag_pipelines.twin.model import CLIENT_TWINS, TWIN_EFFECTS

router = APIRouter(tags=["what-if"], dependencies=[Depends(allowed(Permission.ASK_WHAT_IF))])
Name = Annotated[str, Field(min_length=1, max_length=100)]


class WhatIfQuestion(BaseModel):
    """What would the outcome be, were the treatment `value` and not `from_value` (left out: the latest)?"""

    client_id: Name
    treatment: Name
    value: float
    outcome: Name | None = None
    from_value: float | None = None


class WhatIfReply(BaseModel):
    """The change of the outcome, with its 95% interval, and what it rests on."""

    client_id: str
    treatment: str
    outcome: str
    from_value: float
    to_value: float
    change: float
    change_low: float
    change_high: float
    estimand: str
    adjustment_set: list[str]
    note: str


@router.post("/v1/what-if", responses={422: {"description": "refused: the reason says why"}})
def what_if(question: WhatIfQuestion, ports: PortsOf) -> WhatIfReply:
    """The answer from the promoted batch; an effect that cannot be known is refused with the reason."""
    engine = CausalEngine(*ports.tables.tables(TWIN_EFFECTS, CLIENT_TWINS))
    return WhatIfReply.model_validate(asdict(engine.what_if(**question.model_dump())))
