"""What would split an entity, tried: it is resolved anew without a link, without a record, or with two apart.

Only records that links or decisions tie to the entity, directly or through others, are resolved: no other can
have a part in what becomes of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.blocks import Mask, Rows
from terag_pipelines.linking.clusters import ClusterParams, resolve_entities
from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.explanation import LinkedBatch, Pair, order_pair
from terag_pipelines.linking.explanation_words import count
from terag_pipelines.linking.model import PAIR_DECISIONS

Parts = tuple[tuple[str, ...], ...]
"""Records of one entity by the entities that they would be in: the largest first."""
MAX_NAMED = 2  # records in a sentence
NO_ONE_YET = datetime(1970, 1, 1, tzinfo=UTC)  # of a decision that is only supposed


@dataclass(frozen=True)
class Neighbourhood:
    """Records tied to an entity, with links, scores and decisions among them; `members` are the entity's.

    `stand_ins` are compared on behalf of many copies: without one of them another copy would be.
    """

    members: tuple[str, ...]
    records: pa.Table
    links: pa.Table
    scores: pa.Table
    decisions: pa.Table
    params: ClusterParams
    stand_ins: frozenset[str]

    def parts(self) -> Parts:
        """What becomes of the members. Raises: LinkingError where decisions contradict each other."""
        found = resolve_entities(self.records, self.links, self.scores, self.params, self.decisions).members
        by_entity: dict[str, list[str]] = defaultdict(list)
        for record_id, entity_id in zip(
            found["record_id"].to_pylist(), found["entity_id"].to_pylist(), strict=True
        ):
            if record_id in self.members:
                by_entity[entity_id].append(record_id)
        return tuple(
            sorted((tuple(sorted(ids)) for ids in by_entity.values()), key=lambda ids: (-len(ids), ids))
        )

    def without_link(self, pair: Pair) -> Neighbourhood:
        """The same, had the two never been compared."""
        kept = {name: table.filter(~_is_pair(table, pair)) for name, table in self._pairs().items()}
        return replace(self, **kept)

    def without_record(self, record_id: str) -> Neighbourhood:
        """The same, had there been no such record."""
        tables = self._pairs() | {"decisions": self.decisions}
        kept = {
            name: table.filter(
                pc.and_(pc.not_equal(table["left_id"], record_id), pc.not_equal(table["right_id"], record_id))
            )
            for name, table in tables.items()
        }
        records = self.records.filter(pc.not_equal(self.records["record_id"], record_id))
        members = tuple(name for name in self.members if name != record_id)
        return replace(self, members=members, records=records, **kept)

    def apart(self, pair: Pair) -> Neighbourhood:
        """The same, had a person decided that the two are not the same."""
        decision = PAIR_DECISIONS.from_columns(
            left_id=[pair[0]],
            right_id=[pair[1]],
            is_match=[False],
            decided_by=["supposed"],
            decided_at=[NO_ONE_YET],
        )
        others = self.decisions.filter(~_is_pair(self.decisions, pair))
        return replace(self, decisions=pa.concat_tables([others, decision]))

    def _pairs(self) -> dict[str, pa.Table]:
        return {"links": self.links, "scores": self.scores}


def _is_pair(table: pa.Table, pair: Pair) -> Mask:
    found = pc.and_(pc.equal(table["left_id"], pair[0]), pc.equal(table["right_id"], pair[1]))
    return np.asarray(found.to_numpy(), bool)


def find_neighbourhood(batch: LinkedBatch, members: Sequence[str]) -> Neighbourhood | None:
    """The neighbourhood of an entity; None where it has more records than `max_cut_members`, or where
    resolving it anew does not give the entity, as where it holds by what is no longer in the batch."""
    rows = _rows_tied_to(batch, members)
    if len(rows) > batch.params.max_cut_members:
        return None
    ids = batch.encoded.record_ids.take(pa.array(rows))
    decisions = PAIR_DECISIONS.empty() if batch.decisions is None else batch.decisions
    links, scores, decided = (_among(table, ids) for table in (batch.links, batch.scores, decisions))
    found = Neighbourhood(
        tuple(sorted(members)),
        batch.ordered.take(pa.array(rows)),
        links,
        scores,
        decided.select(PAIR_DECISIONS.schema.names),
        batch.params.clusters,
        frozenset(batch.encoded.record_ids.take(pa.array(_stand_ins(batch, rows))).to_pylist()),
    )
    return found if split_into(found) == (found.members,) else None


def _rows_tied_to(batch: LinkedBatch, members: Sequence[str]) -> Rows:
    ties = [batch.links]
    if batch.decisions is not None:
        ties.append(batch.decisions.filter(batch.decisions["is_match"]))
    left, right = (
        np.concatenate([batch.encoded.positions(table[side]) for table in ties])
        for side in ("left_id", "right_id")
    )
    known = (left >= 0) & (right >= 0)
    labels = label_components(left[known], right[known], len(batch.encoded))
    return np.flatnonzero(np.isin(labels, labels[batch.rows_of(members)]))


def _stand_ins(batch: LinkedBatch, rows: Rows) -> Rows:
    copies = batch.encoded.copies
    return np.intersect1d(rows, np.concatenate([copies.first, copies.second]))


def _among(table: pa.Table, ids: pa.Array) -> pa.Table:
    inside = (pc.is_in(table[side], value_set=ids) for side in ("left_id", "right_id"))
    return table.filter(pc.and_(*inside))


def split_into(neighbourhood: Neighbourhood) -> Parts | None:
    """What becomes of the members; None where decisions forbid what is supposed."""
    try:
        return neighbourhood.parts()
    except LinkingError:
        return None


def find_pillars(neighbourhood: Neighbourhood) -> tuple[tuple[str, Parts], ...]:
    """The records without which the others would not be one entity, and what these would be then.

    By the weights that the others have; a record of which there are many copies is none.
    """
    names = (name for name in neighbourhood.members if name not in neighbourhood.stand_ins)
    tried = ((name, split_into(neighbourhood.without_record(name))) for name in names)
    return tuple((name, parts) for name, parts in tried if parts is not None and len(parts) > 1)


def say_parts(parts: Parts) -> str:
    """What becomes of the records, as the end of a sentence."""
    if len(parts) == 1:
        return "all would stay one"
    if len(parts) == 2:
        return f"{name_records(parts[1])} would part from the rest"
    largest = count(len(parts[0]), "record")
    return f"they would fall into {len(parts)} parts, the largest of {largest}"


def name_records(ids: Sequence[str]) -> str:
    """The records by name where they are few, else how many."""
    return " and ".join(ids) if len(ids) <= MAX_NAMED else count(len(ids), "record")


def suppose(neighbourhood: Neighbourhood, one: str, other: str) -> tuple[Parts | None, Parts | None]:
    """What becomes of the members without the link of two records, and with the two decided to be apart."""
    pair = order_pair(one, other)
    return split_into(neighbourhood.without_link(pair)), split_into(neighbourhood.apart(pair))
