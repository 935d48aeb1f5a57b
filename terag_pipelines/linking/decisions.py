"""Decisions of people on pairs: the log they are derived from, what contradicts, and their use as labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order

from terag_pipelines.entities.label_conflicts import FACT, find_contradictions
from terag_pipelines.entities.model import LABELS
from terag_pipelines.errors import DecisionClashError, DecisionError, NotFoundError
from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.model import PAIR_DECISIONS, REVIEW_ENTRIES
from terag_pipelines.linking.ports import Pair, ReviewEntry, ReviewLog
from terag_pipelines.tables import as_frame

MAX_ID_LENGTH, MAX_NAME_LENGTH, MAX_NOTE_LENGTH = 500, 100, 1_000
PAIR_COLUMNS = ["left_id", "right_id"]
TWO_NUMBERS = r"(?:^|\|)(?:iin|bin):(?:different|typo)(?:\||$)"
"""In a pattern: two different valid IINs or BINs."""


@dataclass(frozen=True)
class Clash:
    """A pair decided different that `chain`, pairs decided the same, ties together."""

    left_id: str
    right_id: str
    chain: tuple[Pair, ...]

    def __str__(self) -> str:
        chain = ", ".join(f"{left} = {right}" for left, right in self.chain)
        return f"{self.left_id} and {self.right_id} are decided different, but the same by {chain}"


@dataclass(frozen=True)
class SettledDecisions:
    """PAIR_DECISIONS that do not contradict each other, and the clashes of those that did."""

    table: pa.Table
    clashes: tuple[Clash, ...]


@dataclass(frozen=True)
class HeldDecisions:
    """PAIR_DECISIONS that hold, the clashes of those set aside, and those of which a record is gone."""

    table: pa.Table
    clashes: tuple[Clash, ...]
    gone: pa.Table

    def __str__(self) -> str:
        n_aside = sum(len(clash.chain) for clash in self.clashes)
        told = f"{self.table.num_rows:,} hold, {self.gone.num_rows:,} name records that are gone"
        return f"{told}, {n_aside:,} are set aside because others contradict them"


def order_pair(one: str, other: str) -> Pair:
    """The pair as all tables have it. Raises: DecisionError where it is none."""
    if one == other:
        raise DecisionError("a pair has two different records")
    if not all(0 < len(record_id) <= MAX_ID_LENGTH for record_id in (one, other)):
        raise DecisionError(f"a record id has 1 to {MAX_ID_LENGTH} characters")
    return (one, other) if one < other else (other, one)


def entities_of_pair(members: pa.Table, pair: Pair) -> Pair:
    """The entity ids of both records in ENTITY_MEMBERS. Raises: NotFoundError that names one not there."""
    found = members.filter(pc.is_in(members["record_id"], value_set=pa.array(pair))).to_pylist()
    entity_of = {row["record_id"]: row["entity_id"] for row in found}
    if absent := [record_id for record_id in pair if record_id not in entity_of]:
        raise NotFoundError(f"there is no record {absent[0][:100]} in the promoted batch")
    return entity_of[pair[0]], entity_of[pair[1]]


def row_of_pair(table: pa.Table, pair: Pair) -> dict[str, Any] | None:
    """The row of a pair in a table of pairs; None where it has none."""
    is_pair = pc.and_(pc.equal(table["left_id"], pair[0]), pc.equal(table["right_id"], pair[1]))
    rows: list[dict[str, Any]] = table.filter(is_pair).to_pylist()
    return rows[0] if rows else None


def write_decision(
    decision_id: str, pair: Pair, is_match: bool, by: str, at: datetime, note: str | None = None
) -> ReviewEntry:
    """A decision that is not stored yet; `at` is an instant with a time zone.

    Raises: DecisionError where the pair, the name or the note cannot be.
    """
    left_id, right_id = order_pair(*pair)
    _require_text("who decides", by, MAX_NAME_LENGTH)
    if note is not None:
        _require_text("a note", note, MAX_NOTE_LENGTH)
    return ReviewEntry(decision_id, left_id, right_id, is_match, by, at, note)


def decide_pair(log: ReviewLog, decision: ReviewEntry) -> ReviewEntry:
    """Stores a decision, after which it is the one that stands; gives it as it is stored.

    Raises: DecisionClashError where decisions that stand say otherwise; DecisionReusedError.
    """
    return log.append(decision, lambda entries: _refuse_clash(entries, decision))


def undo_decision(log: ReviewLog, decision_id: str, by: str, at: datetime) -> ReviewEntry:
    """Takes a decision back: the one before it, if any, stands again. A second undo changes nothing.

    Raises: NotFoundError where there is no such decision; DecisionError where it is an undo itself;
    DecisionClashError where decisions that stand contradict the one that would stand again.
    """
    _require_text("who decides", by, MAX_NAME_LENGTH)
    decision = log.find(decision_id)
    if decision.undoes is not None:
        raise DecisionError("an undo cannot be undone: decide again")
    undo = ReviewEntry(
        f"{decision_id}-undo", decision.left_id, decision.right_id, None, by, at, undoes=decision_id
    )
    return log.append(undo, lambda entries: _refuse_clash(entries, undo))


def standing_entry(log: ReviewLog, pair: Pair) -> ReviewEntry | None:
    """The decision that stands on a pair; None where none does."""
    rows = _standing(log.entries([pair]))
    return None if rows.is_empty() else read_entry(rows.row(0, named=True))


def read_entry(row: dict[str, object]) -> ReviewEntry:
    """The entry of a row of REVIEW_ENTRIES."""
    return ReviewEntry(**row)  # type: ignore[arg-type]  # the columns are the fields


def tabulate_entries(entries: Sequence[ReviewEntry]) -> pa.Table:
    """REVIEW_ENTRIES of some entries."""
    columns = {name: [getattr(entry, name) for entry in entries] for name in REVIEW_ENTRIES.schema.names}
    return REVIEW_ENTRIES.from_columns(**columns)


def standing_decisions(entries: pa.Table) -> pa.Table:
    """PAIR_DECISIONS out of REVIEW_ENTRIES: of each pair the last decision that was not taken back."""
    return PAIR_DECISIONS.conform(_standing(entries).select(PAIR_DECISIONS.schema.names).to_arrow())


def _standing(entries: pa.Table) -> pl.DataFrame:
    log = as_frame(entries)
    taken_back = log.filter(pl.col("undoes").is_not_null()).select(decision_id="undoes")
    decisions = log.filter(pl.col("undoes").is_null()).join(taken_back, on="decision_id", how="anti")
    return decisions.sort(*PAIR_COLUMNS, "position").unique(PAIR_COLUMNS, keep="last", maintain_order=True)


def find_clashes(decisions: pa.Table) -> tuple[Clash, ...]:
    """Pairs of PAIR_DECISIONS held to be different that a chain of others holds to be the same.

    The chain is a shortest one. Records far from any contradiction are not looked at.
    """
    must = decisions.filter(decisions["is_match"])
    cannot = decisions.filter(pc.invert(decisions["is_match"]))
    ids = decided_records(must)
    one, other = (_positions(must, side, ids) for side in PAIR_COLUMNS)
    graph = coo_matrix((np.ones(must.num_rows, np.int8), (one, other)), shape=(len(ids), len(ids))).tocsr()
    groups = np.append(label_components(one, other, len(ids)), -1)
    left, right = (_positions(cannot, side, ids) for side in PAIR_COLUMNS)
    tied = np.flatnonzero((left >= 0) & (right >= 0) & (groups[left] == groups[right])).tolist()
    chains = [_chain(graph, ids, int(left[i]), int(right[i])) for i in tied]
    return tuple(
        Clash(cannot["left_id"][i].as_py(), cannot["right_id"][i].as_py(), chain)
        for i, chain in zip(tied, chains, strict=True)
    )


def _chain(graph: csr_matrix, ids: Sequence[str], start: int, end: int) -> tuple[Pair, ...]:
    """The pairs along a shortest path."""
    before = breadth_first_order(graph, start, directed=False, return_predecessors=True)[1]
    path = [end]
    while path[-1] != start:
        path.append(int(before[path[-1]]))
    return tuple(order_pair(ids[one], ids[other]) for one, other in pairwise(path[::-1]))


def decided_records(decisions: pa.Table) -> list[str]:
    """The records of PAIR_DECISIONS, each once, in order."""
    return sorted({*decisions["left_id"].to_pylist(), *decisions["right_id"].to_pylist()})


def settle_decisions(decisions: pa.Table) -> SettledDecisions:
    """PAIR_DECISIONS without contradictions: where some clash, what keeps apart holds.

    To keep two people apart that are one costs a look; to merge two that are not can cost an account. So the
    decisions of a chain that leads to a pair decided different are set aside, until people settle it.
    """
    clashes: tuple[Clash, ...] = ()
    while found := find_clashes(decisions):
        clashes += found
        aside = {pair for clash in found for pair in clash.chain}
        pairs = zip(decisions["left_id"].to_pylist(), decisions["right_id"].to_pylist(), strict=True)
        decisions = decisions.filter(pa.array([pair not in aside for pair in pairs], pa.bool_()))
    return SettledDecisions(decisions, clashes)


def hold_decisions(decisions: pa.Table, records: pa.Table) -> HeldDecisions:
    """What of PAIR_DECISIONS can hold over these ENTITY_RECORDS: both records there, no contradiction."""
    there = pa.array(np.ones(decisions.num_rows, bool))
    for side in PAIR_COLUMNS:
        there = pc.and_(there, pc.is_in(decisions[side], value_set=records["record_id"].combine_chunks()))
    settled = settle_decisions(decisions.filter(there))
    return HeldDecisions(settled.table, settled.clashes, decisions.filter(pc.invert(there)))


def add_decided_labels(labels: pa.Table, decisions: pa.Table, pair_scores: pa.Table) -> pa.Table:
    """LABELS with the decisions as labels of kind "pair" and use "training"; they replace the source's own.

    They are no random sample of the pairs. People are asked where a pair is uncertain and much hangs on it:
    ECE measured on these labels is that of the doubtful middle, not of all pairs, and the share of matches
    among them says nothing of the share among all. Choosing by the score alone leaves the share of matches
    at each score as it is, which is what a calibrator learns; choosing by impact does not quite.

    Pairs of two different valid numbers are asked about although the score is high, and mostly do not match:
    they would teach the calibrator to doubt good scores. An identity rule keeps such pairs apart whatever
    their probability, so they are left out here; as constraints these decisions hold all the same.
    """
    scores = as_frame(pair_scores, [*PAIR_COLUMNS, "pattern"])
    ruled = scores.filter(pl.col("pattern").str.contains(TWO_NUMBERS))
    decided = as_frame(decisions).join(ruled, on=PAIR_COLUMNS, how="anti")
    own = label_decisions(decided)
    return LABELS.conform(
        pa.concat_tables([_without_decided(labels, decisions), own.to_arrow().cast(LABELS.schema)])
    )


def tell_overruled(labels: pa.Table, decisions: pa.Table) -> str | None:
    """How many pairs of LABELS of use "training" say what PAIR_DECISIONS deny; None where none does.

    Labels of entities count as well: they say of two records whether they are one.
    """
    known = as_frame(labels).filter(pl.col("use") == "training").select(FACT)
    decided = label_decisions(as_frame(decisions)).select(FACT).cast(known.schema)
    found = find_contradictions(pl.concat([known, decided]).with_row_index("row"))
    overruled = found.filter(pl.col("row") >= len(known))["row"].to_list()
    if not overruled:
        return None
    first = decided.row(overruled[0] - len(known), named=True)
    told = f"of {len(overruled):,} pairs labels say otherwise than reviews, which count"
    return f"{told}; first {first['subject_id']} and {first['object_id']}"


def label_decisions(decided: pl.DataFrame) -> pl.DataFrame:
    """Decided pairs (left_id, right_id, is_match) as labels of use "training"."""
    return decided.select(
        label_kind=pl.lit("pair"),
        subject_id="left_id",
        object_id="right_id",
        value=pl.when("is_match").then(pl.lit("1")).otherwise(pl.lit("0")),
        use=pl.lit("training"),
    )


def _without_decided(labels: pa.Table, decisions: pa.Table) -> pa.Table:
    """Labels without those of training on pairs that were decided in review."""
    frame = as_frame(labels).with_columns(
        left_id=pl.min_horizontal("subject_id", "object_id"),
        right_id=pl.max_horizontal("subject_id", "object_id"),
    )
    decided = as_frame(decisions.select(PAIR_COLUMNS))
    is_own = (pl.col("label_kind") == "pair") & (pl.col("use") == "training")
    kept = pl.concat([frame.filter(~is_own), frame.filter(is_own).join(decided, on=PAIR_COLUMNS, how="anti")])
    return kept.select(LABELS.schema.names).to_arrow().cast(LABELS.schema)


def _refuse_clash(entries: pa.Table, entry: ReviewEntry) -> None:
    """Raises: DecisionClashError where what would stand on the entry's pair contradicts what else stands."""
    last = replace(entry, position=entries.num_rows + 1)
    standing = standing_decisions(pa.concat_tables([entries, tabulate_entries([last])]))
    for clash in find_clashes(standing):
        if entry.pair in (*clash.chain, (clash.left_id, clash.right_id)):
            raise DecisionClashError(f"{clash}; undo one of them first")


def _positions(
    decisions: pa.Table, side: str, ids: Sequence[str]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    found = pc.index_in(decisions[side], value_set=pa.array(ids, pa.string())).fill_null(-1)
    return np.asarray(found.to_numpy(), dtype=np.int64)


def _require_text(what: str, text: str, longest: int) -> None:
    if not 0 < len(text.strip()) <= len(text) <= longest or not text.replace("\n", " ").isprintable():
        raise DecisionError(f"{what} is text of 1 to {longest} characters, without control characters")
