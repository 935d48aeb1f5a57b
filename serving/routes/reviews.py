"""Review: the pairs most worth a person's look, what people decided on them, and how to take it back.

A decision is stored at once and takes effect with the next run. Who decided is the API key, never the body.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, status
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serving.dependencies import PortsOf, allowed
from terag_pipelines.linking.decisions import (
    MAX_ID_LENGTH,
    MAX_NOTE_LENGTH,
    decide_pair,
    entities_of_pair,
    order_pair,
    row_of_pair,
    standing_decisions,
    standing_entry,
    undo_decision,
    write_decision,
)
from terag_pipelines.linking.model import ENTITY_MEMBERS, PAIR_SCORES, REVIEW_QUEUE
from terag_pipelines.linking.ports import ReviewEntry
from terag_pipelines.linking.reviews import list_pairs, open_questions
from terag_pipelines.security.api_keys import Caller
from terag_pipelines.security.roles import Permission

router = APIRouter(
    prefix="/v1/reviews", tags=["reviews"], dependencies=[Depends(allowed(Permission.READ_ENTITIES))]
)
Decider = Annotated[Caller, Depends(allowed(Permission.DECIDE_PAIRS))]
LeftId = Annotated[str, Query(min_length=1, max_length=MAX_ID_LENGTH, description="a record id of the pair")]
RightId = Annotated[str, Query(min_length=1, max_length=MAX_ID_LENGTH, description="the other record id")]
DecisionId = Annotated[str, Path(min_length=1, max_length=64)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        description="the same key with the same decision is stored once, however often it is sent",
    ),
]


class DecisionAnswer(BaseModel):
    """An entry of the log; `is_match` is null in an undo, which names what it `undoes`."""

    decision_id: str
    left_id: str
    right_id: str
    is_match: bool | None
    decided_by: Annotated[str, Field(description="`key:` and the id of the API key, or a name given on site")]
    decided_at: AwareDatetime
    note: str | None
    undoes: str | None
    position: Annotated[int, Field(description="1 is the pair's first entry")]

    model_config = ConfigDict(from_attributes=True)


class ReviewAnswer(BaseModel):
    """A pair in the queue and why it is there; priority is uncertainty (bits) times impact (record pairs)."""

    rank: int
    left_id: str
    right_id: str
    left_entity_id: str
    right_entity_id: str
    link_probability: float
    is_calibrated: bool
    match_weight: float
    pattern: str
    question: str
    uncertainty_bits: float
    impact: int
    priority: float
    reason: str


class ReviewList(BaseModel):
    """Open questions, the most worth a look first; `next_offset` is null on the last page."""

    reviews: list[ReviewAnswer]
    n_reviews: int
    next_offset: int | None


class PairAnswer(BaseModel):
    """A pair of records: its entities, how it compares, whether it is asked about, and what stands on it.

    `pattern` and `match_weight` are null where the two were never compared, `review` where the queue of the
    promoted batch does not have the pair, `decision` where none stands.
    """

    left_id: str
    right_id: str
    left_entity_id: str
    right_entity_id: str
    pattern: str | None
    match_weight: float | None
    review: ReviewAnswer | None
    decision: DecisionAnswer | None


class DecisionRequest(BaseModel):
    """What a person decided on a pair; the order of the two ids is of no matter."""

    model_config = ConfigDict(extra="forbid")

    left_id: Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
    right_id: Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
    is_match: Annotated[bool, Field(strict=True, description="true: the same; false: two different")]
    note: Annotated[str | None, Field(max_length=MAX_NOTE_LENGTH, description="why; no names, please")] = None


class HistoryAnswer(BaseModel):
    """Every decision and undo on a pair, the first one first."""

    entries: list[DecisionAnswer]


@router.get("")
def reviews(
    ports: PortsOf,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> ReviewList:
    """Pairs worth a look in the promoted batch, without those decided since it was made."""
    (queue,) = ports.tables.tables(REVIEW_QUEUE)
    found = open_questions(queue, standing_decisions(ports.reviews.entries(list_pairs(queue))))
    page = found.slice(offset, limit).to_pylist()
    return ReviewList(
        reviews=[ReviewAnswer.model_validate(row) for row in page],
        n_reviews=found.num_rows,
        next_offset=offset + limit if offset + limit < found.num_rows else None,
    )


@router.get("/pair")
def pair(left_id: LeftId, right_id: RightId, ports: PortsOf) -> PairAnswer:
    """One pair of the promoted batch, whether it is in the queue or not."""
    ids = order_pair(left_id, right_id)
    members, scores, queue = ports.tables.tables(ENTITY_MEMBERS, PAIR_SCORES, REVIEW_QUEUE)
    left_entity_id, right_entity_id = entities_of_pair(members, ids)
    score, review = row_of_pair(scores, ids) or {}, row_of_pair(queue, ids)
    decision = standing_entry(ports.reviews, ids)
    return PairAnswer(
        left_id=ids[0],
        right_id=ids[1],
        left_entity_id=left_entity_id,
        right_entity_id=right_entity_id,
        pattern=score.get("pattern"),
        match_weight=score.get("match_weight"),
        review=ReviewAnswer.model_validate(review) if review else None,
        decision=_answer(decision) if decision else None,
    )


@router.get("/history")
def history(left_id: LeftId, right_id: RightId, ports: PortsOf) -> HistoryAnswer:
    """What was ever decided on a pair, by whom and when; nothing is ever removed from it."""
    rows = ports.reviews.entries([order_pair(left_id, right_id)]).to_pylist()
    return HistoryAnswer(entries=[DecisionAnswer.model_validate(row) for row in rows])


@router.post("/decisions", status_code=status.HTTP_201_CREATED)
def decide(
    request: DecisionRequest, ports: PortsOf, caller: Decider, idempotency_key: IdempotencyKey = None
) -> DecisionAnswer:
    """Stores a decision on a pair of the promoted batch; the last decision on a pair is the one that stands.

    409 where it contradicts others that stand: the answer names them.
    """
    by = f"key:{caller.key_id}"
    ids = (request.left_id, request.right_id)
    decision = write_decision(
        _decision_id(by, idempotency_key), ids, request.is_match, by, datetime.now(UTC), request.note
    )
    (members,) = ports.tables.tables(ENTITY_MEMBERS)
    entities_of_pair(members, decision.pair)
    return _answer(decide_pair(ports.reviews, decision))


@router.delete("/decisions/{decision_id}")
def undo(decision_id: DecisionId, ports: PortsOf, caller: Decider) -> DecisionAnswer:
    """Takes a decision back, whoever made it: the pair's decision before it, if any, stands again.

    The log keeps both; a second undo of the same decision changes nothing and gives the first.
    """
    return _answer(undo_decision(ports.reviews, decision_id, f"key:{caller.key_id}", datetime.now(UTC)))


def _decision_id(by: str, idempotency_key: str | None) -> str:
    """Of a caller's own key, so that no caller can meet the decision of another."""
    if idempotency_key is None:
        return uuid.uuid4().hex
    return blake2b(f"{by}:{idempotency_key}".encode(), digest_size=16).hexdigest()


def _answer(entry: ReviewEntry) -> DecisionAnswer:
    return DecisionAnswer.model_validate(entry)
