"""Why a record did not link: the records that come nearest to it, and what stood between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.linking.explanation import LinkedBatch, Pair, compare_anew, order_pair
from terag_pipelines.linking.explanation_entities import Member, tell_member
from terag_pipelines.linking.explanation_pairs import PairExplanation, explain_pairs
from terag_pipelines.linking.explanation_words import count

CHUNK = 250_000  # rows compared at a time


@dataclass(frozen=True)
class RecordExplanation:
    """A record, the links that it has, and the records that it was not joined with though nearest to it.

    `nearest` are outside its entity and agree with it in something, by match weight, best first; those never
    compared were compared now, against every record of the batch.
    """

    record: Member
    entity_id: str
    n_entity_records: int
    n_compared: int
    linked: tuple[PairExplanation, ...]
    nearest: tuple[PairExplanation, ...]

    @property
    def sentence(self) -> str:
        """What became of the record."""
        with_others = f"in one entity with {count(self.n_entity_records - 1, 'other record')}"
        told = with_others if self.n_entity_records > 1 else "alone: it was joined with no other record"
        compared = f"blocking compared it with {count(self.n_compared, 'record')}"
        if not self.nearest:
            none = "no other record agrees with it in anything that tells one from another"
            return f"The record is {told}; {compared}; {none}."
        best = self.nearest[0]
        return f"The record is {told}; {compared}. Nearest outside: {self.other_id(best)}. {best.sentence}"

    def other_id(self, pair: PairExplanation) -> str:
        """The record of a pair that is not this one."""
        weighed = pair.weighed
        return weighed.right_id if weighed.left_id == self.record.record_id else weighed.left_id

    def as_json(self) -> dict[str, Any]:
        """The explanation for machines; its keys are stable."""
        return {
            "record_id": self.record.record_id,
            "entity_id": self.entity_id,
            "n_entity_records": self.n_entity_records,
            "n_compared": self.n_compared,
            "sentence": self.sentence,
            "linked": [pair.as_json() for pair in self.linked],
            "nearest": [pair.as_json() for pair in self.nearest],
        }


def explain_record(batch: LinkedBatch, record_id: str) -> RecordExplanation:
    """Why a record joined what it joined and nothing more.

    Time grows with the records of the batch: it is compared with each. Raises: NotFoundError.
    """
    row = int(batch.rows_of([record_id])[0])
    entity_id = batch.entities_of([record_id])[record_id]
    own = batch.members.filter(pc.equal(batch.members["entity_id"], entity_id))["record_id"]
    record = batch.records_of([record_id])[record_id]
    linked = [pair for pair in _pairs_with(batch.links, record_id) if set(pair) <= set(own.to_pylist())]
    return RecordExplanation(
        record=tell_member(record, len(linked)),
        entity_id=entity_id,
        n_entity_records=len(own),
        n_compared=len(_pairs_with(batch.scores, record_id)),
        linked=tuple(_strongest_first(explain_pairs(batch, linked))),
        nearest=tuple(_explain_nearest(batch, row, record_id, own)),
    )


def _pairs_with(pairs: pa.Table, record_id: str) -> list[Pair]:
    mask = pc.or_(pc.equal(pairs["left_id"], record_id), pc.equal(pairs["right_id"], record_id))
    found = pairs.filter(mask)
    return list(zip(found["left_id"].to_pylist(), found["right_id"].to_pylist(), strict=True))


def _explain_nearest(
    batch: LinkedBatch, row: int, record_id: str, own: pa.ChunkedArray
) -> list[PairExplanation]:
    """The nearest records of other entities that agree in something, whether blocking found them or not."""
    outside = np.ones(len(batch.encoded), bool)
    outside[batch.encoded.positions(own)] = False
    outside &= batch.encoded.party_types + batch.encoded.party_types[row] != 1  # a person and an organisation
    rows = np.flatnonzero(outside).astype(np.int32)
    best = _nearest_rows(batch, row, rows)
    ids = batch.encoded.record_ids.take(pa.array(best)).to_pylist()
    return _strongest_first(explain_pairs(batch, [order_pair(record_id, other) for other in ids]))


def _nearest_rows(batch: LinkedBatch, row: int, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    weights, agreement = np.zeros(len(rows)), np.zeros(len(rows))
    for start in range(0, len(rows), CHUNK):
        some = rows[start : start + CHUNK]
        same = np.full(len(some), row, np.int32)
        for compared in compare_anew(batch, np.minimum(same, some), np.maximum(same, some)):
            weights[start + compared.places] = compared.weights()
            agreement[start + compared.places] = compared.agreement()
    order = np.lexsort((rows, -weights))
    return rows[order[agreement[order] > batch.params.least_agreement][: batch.params.n_candidates]]


def _strongest_first(pairs: Sequence[PairExplanation]) -> list[PairExplanation]:
    return sorted(
        pairs, key=lambda pair: (-pair.weighed.match_weight, pair.weighed.left_id, pair.weighed.right_id)
    )
