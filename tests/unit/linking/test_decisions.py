"""What people decided: derived from the log, refused where it contradicts, learned from with care."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.entities.model import LABELS
from terag_pipelines.errors import DecisionClashError, DecisionError, DecisionReusedError, NotFoundError
from terag_pipelines.linking.decisions import (
    add_decided_labels,
    decide_pair,
    find_clashes,
    hold_decisions,
    settle_decisions,
    standing_decisions,
    standing_entry,
    tell_overruled,
    undo_decision,
    write_decision,
)
from terag_pipelines.linking.links import labelled_scores
from terag_pipelines.linking.model import PAIR_DECISIONS, PAIR_SCORES
from terag_pipelines.linking.ports import ReviewEntry
from tests.unit.linking.memory_reviews import MemoryReviews
from tests.unit.linking.records import make_labels, make_records, make_scores

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def decision(number: str, one: str, other: str, is_match: bool, by: str = "Anna") -> ReviewEntry:
    return write_decision(number, (one, other), is_match, by, NOON)


def decisions(*rows: tuple[str, str, bool]) -> pa.Table:
    """PAIR_DECISIONS of these lefts, rights and outcomes."""
    return PAIR_DECISIONS.from_columns(
        left_id=[row[0] for row in rows],
        right_id=[row[1] for row in rows],
        is_match=[row[2] for row in rows],
        decided_by=["Anna"] * len(rows),
        decided_at=[NOON] * len(rows),
    )


def standing(log: MemoryReviews) -> dict[tuple[str, str], tuple[bool, str]]:
    return {
        (row["left_id"], row["right_id"]): (row["is_match"], row["decided_by"])
        for row in standing_decisions(log.entries()).to_pylist()
    }


def test_the_later_of_two_people_stands_and_both_are_in_the_log() -> None:
    log = MemoryReviews()
    decide_pair(log, decision("1", "b", "a", is_match=True))
    decide_pair(log, decision("2", "a", "b", is_match=False, by="Bolat"))
    assert standing(log) == {("a", "b"): (False, "Bolat")}
    assert log.entries()["decided_by"].to_pylist() == ["Anna", "Bolat"]


def test_the_later_is_by_the_logs_own_count_not_by_a_clock() -> None:
    log = MemoryReviews()
    log.append(decision("1", "a", "b", is_match=True))
    early = write_decision("2", ("a", "b"), False, "Bolat", NOON - timedelta(days=1))
    log.append(early)
    assert standing(log) == {("a", "b"): (False, "Bolat")}


def test_an_undo_brings_back_what_stood_before_and_twice_is_once() -> None:
    log = MemoryReviews()
    decide_pair(log, decision("1", "a", "b", is_match=True))
    decide_pair(log, decision("2", "a", "b", is_match=False, by="Bolat"))
    first = undo_decision(log, "2", "Bolat", NOON)
    assert undo_decision(log, "2", "Anna", NOON) == first
    assert standing(log) == {("a", "b"): (True, "Anna")}
    before = standing_entry(log, ("a", "b"))
    assert before
    undo_decision(log, before.decision_id, "Anna", NOON)
    assert standing(log) == {}
    assert log.entries().num_rows == 4
    assert standing_entry(log, ("a", "b")) is None


def test_an_undo_is_not_undone_and_what_is_not_there_is_not_found() -> None:
    log = MemoryReviews()
    decide_pair(log, decision("1", "a", "b", is_match=True))
    undo = undo_decision(log, "1", "Anna", NOON)
    with pytest.raises(DecisionError):
        undo_decision(log, undo.decision_id, "Anna", NOON)
    with pytest.raises(NotFoundError):
        undo_decision(log, "9", "Anna", NOON)


def test_a_repeated_decision_is_one_and_a_reused_id_is_told() -> None:
    log = MemoryReviews()
    stored = decide_pair(log, decision("1", "a", "b", is_match=True))
    again = write_decision("1", ("a", "b"), True, "Anna", NOON + timedelta(seconds=3))
    assert decide_pair(log, again) == stored
    with pytest.raises(DecisionReusedError):
        decide_pair(log, decision("1", "a", "b", is_match=False))


@pytest.mark.parametrize(
    ("pair", "by", "note"),
    [
        (("a", "a"), "Anna", None),
        (("a", ""), "Anna", None),
        (("a", "b"), " ", None),
        (("a", "b"), "An\x1bna", None),
        (("a", "b"), "A" * 101, None),
        (("a", "b"), "Anna", "n" * 1001),
    ],
)
def test_what_is_no_decision_is_refused(pair: tuple[str, str], by: str, note: str | None) -> None:
    with pytest.raises(DecisionError):
        write_decision("1", pair, True, by, NOON, note)


def test_a_contradiction_is_refused_and_names_the_decisions() -> None:
    log = MemoryReviews()
    decide_pair(log, decision("1", "a", "b", is_match=True))
    decide_pair(log, decision("2", "b", "c", is_match=True))
    with pytest.raises(DecisionClashError, match=r"a and c .* a = b, b = c"):
        decide_pair(log, decision("3", "a", "c", is_match=False))
    undo_decision(log, "2", "Anna", NOON)
    decide_pair(log, decision("4", "a", "c", is_match=False))
    with pytest.raises(DecisionClashError, match="a and c are decided different"):
        decide_pair(log, decision("5", "b", "c", is_match=True))
    assert standing(log).keys() == {("a", "b"), ("a", "c")}


def test_a_clash_of_others_does_not_keep_anybody_from_deciding() -> None:
    log = MemoryReviews()
    for entry in (
        decision("1", "a", "b", True),
        decision("2", "b", "c", True),
        decision("3", "a", "c", False),
    ):
        log.append(entry)  # a race that went past the check
    decide_pair(log, decision("4", "x", "y", is_match=True))
    assert len(find_clashes(standing_decisions(log.entries()))) == 1


def test_where_decisions_clash_what_keeps_apart_holds() -> None:
    given_ = decisions(("a", "b", True), ("a", "c", False), ("b", "c", True), ("c", "d", True))
    settled = settle_decisions(given_)
    assert [str(clash) for clash in settled.clashes] == [
        "a and c are decided different, but the same by a = b, b = c"
    ]
    kept = [(row["left_id"], row["right_id"]) for row in settled.table.to_pylist()]
    assert kept == [("a", "c"), ("c", "d")]


@given(st.dictionaries(st.sampled_from([(a, b) for a in "abcdef" for b in "abcdef" if a < b]), st.booleans()))
def test_what_is_settled_never_contradicts_itself(outcomes: dict[tuple[str, str], bool]) -> None:
    table = decisions(*((a, b, same) for (a, b), same in outcomes.items()))
    settled = settle_decisions(table)
    assert find_clashes(settled.table) == ()
    n_apart = sum(not same for same in outcomes.values())
    assert settled.table["is_match"].to_pylist().count(False) == n_apart
    assert bool(settled.clashes) == bool(find_clashes(table)) == (settled.table.num_rows < len(outcomes))


def test_decisions_on_records_that_are_gone_are_told_apart() -> None:
    records = make_records([{"record_id": name} for name in "abc"])
    rows = [("a", "b", True), ("a", "c", False), ("a", "z", False), ("b", "c", True)]
    held = hold_decisions(decisions(*rows), records)
    assert [(row["left_id"], row["right_id"]) for row in held.table.to_pylist()] == [("a", "c")]
    assert held.gone["right_id"].to_pylist() == ["z"]
    told = "1 hold, 1 name records that are gone, 2 are set aside because others contradict them"
    assert str(held) == told


def test_decisions_are_labels_and_replace_the_sources_own() -> None:
    scores = make_scores(("a", "b", 2.0), ("b", "c", -2.0), ("c", "d", 1.0))
    source = make_labels({"c": "1", "d": "1"}, use="training")
    source = pa.concat_tables(
        [source, add_decided_labels(source.slice(0, 0), decisions(("a", "b", True)), scores)]
    )
    labels = add_decided_labels(source, decisions(("a", "b", False), ("b", "c", False)), scores)
    probabilities, outcomes = labelled_scores(scores, labels, "training")
    assert outcomes.tolist() == [0, 0, 1]
    assert probabilities.tolist() == scores["match_probability"].to_pylist()
    assert labelled_scores(scores, labels, "truth")[1].tolist() == []


def test_a_pair_of_two_numbers_teaches_the_calibrator_nothing() -> None:
    strong = make_scores(("a", "b", 5.0), pattern="full_name:exact|iin:different")
    doubtful = make_scores(("c", "d", 0.0), pattern="full_name:close|iin:same")
    scores = PAIR_SCORES.conform(pa.concat_tables([strong, doubtful]))
    labels = add_decided_labels(
        make_labels({}), decisions(("a", "b", False), ("c", "d", True), ("e", "f", True)), scores
    )
    assert labels["subject_id"].to_pylist() == ["c", "e"]


def test_labels_that_reviews_contradict_are_told() -> None:
    decided = PAIR_DECISIONS.from_columns(
        left_id=["a", "a", "c"],
        right_id=["b", "c", "d"],
        is_match=[True, False, True],
        decided_by=["Anna"] * 3,
    )
    pairs = LABELS.from_columns(
        label_kind=["pair"] * 2,
        subject_id=["b", "d"],
        object_id=["a", "c"],
        value=["0", "1"],
        use=["training"] * 2,
    )
    assert (
        tell_overruled(pairs, decided)
        == "of 1 pairs labels say otherwise than reviews, which count; first a and b"
    )
    assert tell_overruled(pairs.slice(1), decided) is None
    entities = make_labels({"a": "x", "c": "x", "b": "x"}, use="training")
    assert str(tell_overruled(entities, decided)).endswith("first a and c")
    assert tell_overruled(make_labels({"a": "x", "c": "x"}), decided) is None
