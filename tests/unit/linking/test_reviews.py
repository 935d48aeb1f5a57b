"""The queue asks about what is uncertain and matters, once, and not about what is decided."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.links import decide_links
from terag_pipelines.linking.model import ENTITY_MEMBERS, LINK_MODEL, PAIR_SCORES
from terag_pipelines.linking.pipeline import link_records
from terag_pipelines.linking.reviews import (
    LinkedTables,
    ReviewParams,
    ReviewQueue,
    Stake,
    queue_reviews,
    separated_pairs,
)
from terag_pipelines.tables import digest
from tests.unit.linking.records import make_population, make_records, make_scores
from tests.unit.linking.test_decisions import decisions

MODEL = LINK_MODEL.from_columns(
    party_type=["person"] * 2,
    field=["iin"] * 2,
    level=["same", "different"],
    level_rank=[1, 3],
    match_weight=[10.0, -9.0],
)
NUMBERS = "given_name:exact|birth_date:exact|iin:different"


def batch(entities: dict[str, str], *scores: pa.Table, partial: str = "") -> LinkedTables:
    """Tables of a batch in which each record (a letter) lies in the entity it is given."""
    records = make_records({"record_id": name, "is_partial": name in partial} for name in entities)
    all_scores = PAIR_SCORES.conform(pa.concat_tables([PAIR_SCORES.empty(), *scores]))
    members = ENTITY_MEMBERS.from_columns(record_id=list(entities), entity_id=list(entities.values()))
    return LinkedTables(records, all_scores, MODEL, decide_links(all_scores), members)


def asked(queue: ReviewQueue) -> list[tuple[str, str, int]]:
    rows = sorted(queue.table.to_pylist(), key=lambda row: row["rank"])
    return [(row["left_id"] + row["right_id"], row["question"], row["impact"]) for row in rows]


def test_an_unlinked_pair_is_worth_what_the_two_entities_would_gain() -> None:
    linked = batch(
        dict(zip("abcdefg", "1122233", strict=True)),
        make_scores(("a", "b", 9.0), ("c", "d", 9.0), ("d", "e", 9.0), ("f", "g", 9.0)),
        make_scores(("a", "c", 0.0), ("b", "d", -2.0), ("a", "f", -0.5), ("e", "g", -8.0)),
    )
    queue = queue_reviews(linked)
    assert asked(queue) == [("ac", "join", 6), ("af", "join", 4)]  # b and d ask what a and c do
    first = next(row for row in queue.table.to_pylist() if row["rank"] == 1)
    assert (first["uncertainty_bits"], first["priority"]) == (1.0, 6.0)
    assert (first["left_entity_id"], first["right_entity_id"]) == ("1", "2")
    assert first["reason"] == "50% likely to match; entities of 2 and 3 records would become one"


def test_a_bridge_is_worth_its_two_halves_and_a_link_in_a_circle_only_itself() -> None:
    circle = [("a", "b", 9.0), ("b", "c", 9.0), ("a", "c", 1.5)]
    linked = batch(
        dict(zip("abcde", "11111", strict=True)),
        make_scores(*circle, ("c", "d", 2.0), ("d", "e", 9.0)),
        make_scores(("b", "d", -1.0)),
    )
    queue = queue_reviews(linked)
    assert asked(queue) == [("cd", "bridge", 6), ("bd", "unlike_inside", 4)]
    alone = queue_reviews(batch(dict.fromkeys("abc", "1"), make_scores(*circle)))
    assert asked(alone) == [("ac", "spare_link", 1)]
    assert alone.table["reason"].to_pylist() == [
        "74% likely to match; the entity of 3 records holds without this link"
    ]


def test_two_valid_numbers_in_an_otherwise_strong_pair_are_for_a_person() -> None:
    linked = batch(
        dict(zip("abcd", "1234", strict=True)),
        make_scores(("a", "b", -3.0), ("c", "d", -6.5), pattern=NUMBERS),
    )
    queue = queue_reviews(linked)  # without the IIN they weigh 6 bits (98%) and 2.5 bits (85%)
    assert asked(queue) == [("ab", "two_numbers", 1)]
    why = "two different valid numbers (IIN or BIN), else 98% likely; entities of 1 and 1 records"
    assert queue.table["reason"].to_pylist() == [why]
    assert queue.table["link_probability"][0].as_py() < 0.2


@pytest.mark.parametrize("field", ["given_name:different|birth_date:exact", "birth_date:different"])
def test_relatives_with_numbers_of_their_own_are_no_question(field: str) -> None:
    pattern = f"{field}|family_name:exact|iin:different|phone:shared|address:whole"
    linked = batch({"a": "1", "b": "2"}, make_scores(("a", "b", -3.0), pattern=pattern))
    assert asked(queue_reviews(linked, params=ReviewParams(least_uncertainty_bits=0.6))) == []


def test_a_link_that_clustering_did_not_follow_is_asked_about_but_not_for_a_name_alone() -> None:
    scores = make_scores(("a", "b", 9.0), ("c", "d", 9.0), pattern="full_name:exact")
    queue = queue_reviews(batch(dict(zip("abcd", "1234", strict=True)), scores, partial="d"))
    assert asked(queue) == [("ab", "kept_apart", 1)]


def test_what_is_decided_and_what_follows_from_it_is_not_asked() -> None:
    doubtful = [(a, b, 0.0) for a, b in combinations("abcd", 2)]
    linked = batch(dict(zip("abcd", "1234", strict=True)), make_scores(*doubtful))
    assert {name for name, _, _ in asked(queue_reviews(linked))} == {"ab", "ac", "ad", "bc", "bd", "cd"}
    some = decisions(("a", "b", True), ("b", "c", False))
    assert {name for name, _, _ in asked(queue_reviews(linked, some))} == {"ad", "bd", "cd"}


def test_entities_that_a_decision_keeps_apart_are_no_question_any_more() -> None:
    linked = batch(
        dict(zip("abcd", "1122", strict=True)),
        make_scores(("a", "b", 9.0), ("c", "d", 9.0), ("a", "c", 0.0), ("b", "d", 0.0)),
    )
    assert asked(queue_reviews(linked)) == [("ac", "join", 4)]
    assert asked(queue_reviews(linked, decisions(("a", "c", False)))) == []


def test_decisions_on_records_that_are_gone_change_nothing() -> None:
    linked = batch({"a": "1", "b": "2"}, make_scores(("a", "b", 0.0)))
    gone = decisions(("x", "y", True), ("a", "z", False))
    assert digest(queue_reviews(linked, gone).table) == digest(queue_reviews(linked).table)


def test_the_calibrator_says_what_is_uncertain() -> None:
    class Halved:
        def apply(self, scores: Any) -> Any:
            return scores / 2

    linked = batch({"a": "1", "b": "2"}, make_scores(("a", "b", -9.0)))
    sure = batch({"a": "1", "b": "1"}, make_scores(("a", "b", 20.0)))
    assert asked(queue_reviews(linked, calibrator=Halved())) == []
    assert asked(queue_reviews(sure)) == []
    [row] = queue_reviews(sure, calibrator=Halved()).table.to_pylist()
    assert (row["question"], row["is_calibrated"]) == ("bridge", True)
    assert row["link_probability"] == pytest.approx(0.5, abs=1e-5)


def test_a_calibrator_of_few_labels_does_not_silence_the_queue() -> None:
    class Sure:
        def apply(self, scores: Any) -> Any:
            return np.zeros(len(scores))

    linked = batch({"a": "1", "b": "2"}, make_scores(("a", "b", 0.0)))
    [row] = queue_reviews(linked, calibrator=Sure()).table.to_pylist()
    assert (row["uncertainty_bits"], row["link_probability"]) == (1.0, 0.0)
    assert row["reason"].startswith("0% likely to match (50% before calibration)")


def test_what_the_queue_has_no_room_for_is_counted() -> None:
    doubtful = [(a, b, 0.0) for a, b in combinations("abcd", 2)]
    linked = batch(dict(zip("abcd", "1234", strict=True)), make_scores(*doubtful))
    queue = queue_reviews(linked, params=ReviewParams(max_pairs=2))
    assert asked(queue) == [("ab", "join", 1), ("ac", "join", 1)]
    assert [(c.question, c.n_worth_a_look, c.n_in_queue) for c in queue.counts] == [("join", 6, 2)]


def test_no_kind_of_question_takes_all_the_room_while_others_wait() -> None:
    strong = [("a", "b", 9.0), ("a", "c", 9.0), ("b", "c", 9.0)]
    linked = batch(dict(zip("abcdef", "123456", strict=True)), make_scores(*strong, ("d", "e", -1.0)))
    for room, expected in ((2, ["kept_apart", "join"]), (3, ["kept_apart", "kept_apart", "join"])):
        queue = queue_reviews(linked, params=ReviewParams(max_pairs=room))
        assert [question for _, question, _ in asked(queue)] == expected


def test_a_pair_of_a_record_without_an_entity_is_told() -> None:
    with pytest.raises(LinkingError, match="entity_members"):
        queue_reviews(batch({"a": "1"}, make_scores(("a", "b", 0.0))))


def test_nothing_scored_is_an_empty_queue() -> None:
    assert queue_reviews(batch({})).table.num_rows == 0
    assert queue_reviews(batch({"a": "1"}), decisions(("a", "b", True))).table.num_rows == 0


def test_the_order_of_rows_is_without_effect_and_no_name_is_in_the_queue() -> None:
    records, _ = make_population(400, seed=3)
    linked = link_records(records)
    tables = LinkedTables(
        records, linked.scores.scores, linked.scores.model, linked.links, linked.resolved.members
    )
    queue = queue_reviews(tables).table
    turned = LinkedTables(
        *(
            table.take(np.arange(table.num_rows)[::-1])
            for table in (tables.records, tables.scores, tables.model, tables.links, tables.members)
        )
    )
    assert queue.num_rows > 5
    assert digest(queue_reviews(turned).table) == digest(queue)
    assert not [name for name in records["family_key"].to_pylist() if name in str(queue.to_pylist())]


Edges = st.sets(st.sampled_from(list(combinations(range(9), 2))), max_size=14)


@given(Edges)
def test_what_a_bridge_separates_is_what_its_removal_separates(edges: set[tuple[int, int]]) -> None:
    ordered = sorted(edges)
    left, right = (np.array([edge[k] for edge in ordered], np.int64) for k in (0, 1))
    graph = nx.Graph(ordered)
    expected = []
    for one, other in ordered:
        graph.remove_edge(one, other)
        beyond = nx.node_connected_component(graph, one)
        near = nx.node_connected_component(graph, other)
        expected.append(0 if other in beyond else len(beyond) * len(near))
        graph.add_edge(one, other)
    assert separated_pairs(9, left, right).tolist() == expected


def test_a_pair_at_stake_comes_first_however_sure_and_says_what_hangs_on_it() -> None:
    linked = batch(
        dict(zip("abcdefg", "1122233", strict=True)),
        make_scores(("a", "b", 9.0), ("c", "d", 9.0), ("d", "e", 9.0), ("f", "g", 9.0)),
        make_scores(("a", "c", 0.0), ("a", "f", -0.5)),
    )
    assert "fg" not in [pair for pair, *_ in asked(queue_reviews(linked))]
    stakes = [
        Stake("f", "g", "ring_2 falls apart without it"),
        Stake("a", "b", "ring_1 falls apart without it"),
    ]
    queue = queue_reviews(linked, stakes=stakes)
    assert asked(queue) == [("fg", "bridge", 1), ("ab", "bridge", 1), ("ac", "join", 6), ("af", "join", 4)]
    first = min(queue.table.to_pylist(), key=lambda row: int(row["rank"]))
    assert first["reason"].startswith(
        "ring_2 falls apart without it; 100% likely to match; without this link"
    )


def test_a_stake_that_is_decided_or_gone_is_not_asked_about() -> None:
    linked = batch(dict(zip("ab", "11", strict=True)), make_scores(("a", "b", 2.0)))
    stakes = [Stake("a", "b", "it falls apart"), Stake("x", "y", "it is gone")]
    assert [pair for pair, *_ in asked(queue_reviews(linked, stakes=stakes))] == ["ab"]
    assert asked(queue_reviews(linked, decisions(("a", "b", True)), stakes=stakes)) == []
