"""Many records that say the same: two of them stand for all."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from terag_pipelines.linking.blocking import COPIES, find_candidate_pairs
from terag_pipelines.linking.clusters import resolve_entities
from terag_pipelines.linking.copies import find_copies
from terag_pipelines.linking.decisions import settle_decisions
from terag_pipelines.linking.encoding import encode_records
from terag_pipelines.linking.links import decide_links
from terag_pipelines.linking.model import PAIR_DECISIONS
from terag_pipelines.linking.pipeline import LinkedRecords, link_records
from terag_pipelines.linking.scoring import score_pairs
from tests.unit.linking.records import make_population, make_records

ANNA: dict[str, Any] = {
    "given_key": "anna",
    "family_key": "kimova",
    "birth_date": date(1980, 3, 4),
    "phones": ["+77010000001"],
}
POPULATION, _ = make_population(400, seed=9)


def with_copies(n_copies: int, *others: dict[str, Any], of: dict[str, Any] = ANNA) -> pa.Table:
    """A population, copies of one record (copy:00000 and on), and others (other:0 and on)."""
    copies = [{"record_id": f"copy:{number:05d}", **of} for number in range(n_copies)]
    more = [{"record_id": f"other:{number}", **other} for number, other in enumerate(others)]
    return pa.concat_tables([POPULATION, make_records([*copies, *more])])


def entities_of(linked: LinkedRecords) -> dict[str, str]:
    """The entity of each record."""
    members = linked.members
    return dict(zip(members["record_id"].to_pylist(), members["entity_id"].to_pylist(), strict=True))


@pytest.mark.parametrize("n_copies", [2, 8, 9, 5_000])
def test_copies_are_one_entity_with_what_is_like_them_however_many_they_are(n_copies: int) -> None:
    linked = link_records(with_copies(n_copies, ANNA | {"given_key": "ana"}))
    entity = entities_of(linked)
    assert {entity[f"copy:{number:05d}"] for number in range(n_copies)} == {entity["other:0"]}
    assert list(entity.values()).count(entity["other:0"]) == n_copies + 1
    assert linked.members["link_probability"].to_pylist()[0] > 0.9


def test_copies_change_nothing_about_others() -> None:
    few, many = (entities_of(link_records(with_copies(n))) for n in (2, 3_000))
    assert {name: entity for name, entity in many.items() if name in few} == few


def test_copies_teach_nothing() -> None:
    few, many = (link_records(with_copies(n)) for n in (2, 3_000))
    assert few.scores.model.equals(many.scores.model)


def test_copies_are_compared_with_the_first_alone_and_that_is_told() -> None:
    found = find_candidate_pairs(with_copies(1_000))
    rung = found.report.rungs[-1]
    assert (rung.rule, rung.n_pairs, rung.largest_block) == (COPIES, 999, 1_000)
    rows = [row for row in found.table.to_pylist() if COPIES in row["rules"]]
    assert {row["left_id"] for row in rows} == {"copy:00000"}
    assert found.report.n_pairs == found.table.num_rows


def test_copies_that_say_too_little_stay_apart() -> None:
    linked = link_records(with_copies(500, of={"family_key": "kimova"}))
    assert linked.cluster_report.largest_entity < 500
    assert len(set(entities_of(linked).values())) >= 500


def test_records_that_say_nothing_are_no_copies() -> None:
    assert len(encode_records(make_records([{}] * 20)).copies) == 0


def test_copies_of_two_sources_are_told_apart() -> None:
    """Pairs within one source may not be wanted at all."""
    records = make_records([ANNA | {"dataset": name} for name in "abab"])
    assert len(encode_records(records).copies) == 0


def test_between_two_sources_copies_follow_those_that_were_compared() -> None:
    left = [ANNA | {"record_id": f"a:{number:04d}", "dataset": "a"} for number in range(300)]
    right = [ANNA | {"record_id": "b:0", "dataset": "b"}]
    linked = link_records(pa.concat_tables([POPULATION, make_records(left + right)]), across="b")
    assert len({entity for name, entity in entities_of(linked).items() if name[:2] in ("a:", "b:")}) == 1


def test_between_two_sources_copies_do_not_shift_the_pairs_of_records_behind_them() -> None:
    berik = {"given_key": "berik", "family_key": "omarov", "birth_date": date(1971, 5, 6)}
    ends = [("b:0", "b"), ("c:0", "c")]
    others = [{"record_id": name, "dataset": dataset, **berik} for name, dataset in ends]
    copies = [ANNA | {"record_id": f"a:{number:04d}", "dataset": "b"} for number in range(300)]
    linked = link_records(make_records([*copies, *others]), across="b")
    assert [(row["left_id"], row["right_id"]) for row in linked.pairs.table.to_pylist()] == [("b:0", "c:0")]
    assert linked.pairs.report.n_records == 302


def test_tables_between_the_stages_give_what_one_call_gives() -> None:
    records = with_copies(60, ANNA | {"phones": ["+77010000002"]})
    linked = link_records(records)
    pairs = find_candidate_pairs(records).table
    scores = score_pairs(records, pairs).scores
    links = decide_links(scores)
    assert scores.equals(linked.scores.scores)
    assert resolve_entities(records, links, scores).members.equals(linked.members)


@pytest.mark.parametrize("is_match", [True, False])
@pytest.mark.parametrize("copy", ["copy:00001", "copy:00077"])
def test_what_people_decide_about_a_copy_holds(copy: str, is_match: bool) -> None:
    other = ANNA | ({"given_key": "berik", "phones": ["+77019999999"]} if is_match else {})
    decisions = PAIR_DECISIONS.from_columns(
        **{name: [None] for name in PAIR_DECISIONS.schema.names}
        | {"left_id": [copy], "right_id": ["other:0"], "is_match": [is_match]}
    )
    entity = entities_of(link_records(with_copies(100, other), decisions=decisions))
    assert (entity[copy] == entity["other:0"]) is is_match


@pytest.mark.parametrize("apart", [(0, 1), (0, 50), (1, 50), (60, 50)])
def test_two_copies_that_are_decided_apart_do_not_part_the_others(apart: tuple[int, int]) -> None:
    left, right = (f"copy:{number:05d}" for number in sorted(apart))
    decisions = PAIR_DECISIONS.from_columns(
        **{name: [None] for name in PAIR_DECISIONS.schema.names}
        | {"left_id": [left], "right_id": [right], "is_match": [False]}
    )
    entity = entities_of(link_records(with_copies(100), decisions=decisions))
    assert entity[left] != entity[right]
    assert len({entity[f"copy:{number:05d}"] for number in range(100)}) == 2


def decide(*pairs: tuple[str, str, bool]) -> pa.Table:
    """PAIR_DECISIONS: left, right, and whether they are one."""
    ordered = [(*sorted(pair[:2]), pair[2]) for pair in pairs]
    columns = zip(*ordered, strict=True) if ordered else ((), (), ())
    named = dict(zip(("left_id", "right_id", "is_match"), map(list, columns), strict=True))
    return PAIR_DECISIONS.from_columns(**named, decided_by=["Anna"] * len(ordered))


BERIK = {"given_key": "berik", "family_key": "omarov", "birth_date": date(1971, 5, 6)}
N_COPIES = 20
COPY = [f"a:{number:04d}" for number in range(N_COPIES)]


def two_sources(n_copies: int = N_COPIES) -> pa.Table:
    """Copies of Anna in a; Anna twice and Berik twice in b."""
    left = [ANNA | {"record_id": f"a:{number:04d}", "dataset": "a"} for number in range(n_copies)]
    right = [one | {"record_id": name, "dataset": "b"} for one, name in (
        (ANNA, "b:0"), (ANNA | {"given_key": "ana"}, "b:1"), (BERIK, "b:2"), (BERIK, "b:3"))]  # fmt: skip
    return pa.concat_tables([POPULATION, make_records(left + right)])


@pytest.mark.parametrize("n_copies", [5, 8, 9, 300])
def test_pairs_of_one_source_are_no_evidence_where_two_are_linked(n_copies: int) -> None:
    entity = entities_of(link_records(two_sources(n_copies), across="b"))
    assert {entity[f"a:{number:04d}"] for number in range(n_copies)} == {entity["b:0"]} == {entity["b:1"]}


@pytest.mark.parametrize("across", ["b", None])
@pytest.mark.parametrize(
    "told",
    [
        [(COPY[0], "b:2", False)],
        [(COPY[7], "b:2", False), (COPY[8], "b:3", False)],
        [(COPY[0], "b:0", True)],
        [(COPY[1], "b:1", True), (COPY[9], "b:0", True)],
        [(name, "b:2", False) for name in COPY],
        [(name, "b:0", True) for name in COPY],
    ],
)
def test_a_decision_that_says_what_is_so_anyway_parts_nobody(
    told: list[tuple[str, str, bool]], across: str | None
) -> None:
    records = two_sources()
    plain = entities_of(link_records(records, across=across))
    assert len({plain[name] for name in [*COPY, "b:0", "b:1"]}) == 1
    assert entities_of(link_records(records, decisions=decide(*told), across=across)) == plain


@pytest.mark.parametrize("parted", [[0], [1], [0, 1], [7], list(range(15)), list(range(N_COPIES))])
def test_a_copy_that_is_kept_apart_leaves_the_others_where_they_are(parted: list[int]) -> None:
    decisions = decide(*((COPY[number], name, False) for number in parted for name in ("b:0", "b:1")))
    entity = entities_of(link_records(two_sources(), across="b", decisions=decisions))
    others = {entity[name] for number, name in enumerate(COPY) if number not in parted}
    assert others == ({entity["b:0"]} if len(parted) < N_COPIES else set())
    assert entity["b:0"] == entity["b:1"] or len(parted) == N_COPIES
    assert entity["b:0"] not in {entity[COPY[number]] for number in parted}


decided_copies = st.lists(
    st.tuples(st.sampled_from(COPY), st.sampled_from(["b:0", "b:1", "b:2", "b:3"]), st.booleans()),
    max_size=8,
    unique_by=lambda one: one[:2],
)


@settings(max_examples=25, deadline=None)
@given(decided_copies, st.sampled_from(["b", None]))
@example([("a:0000", "b:0", False)], "b")  # the parted one took half of those that the others belong to
def test_whatever_people_decide_about_copies_holds_and_the_rest_stays_with_most(
    told: list[tuple[str, str, bool]], across: str | None
) -> None:
    held = settle_decisions(
        decide(*told).sort_by([("left_id", "ascending"), ("right_id", "ascending")])
    ).table
    entity = entities_of(link_records(two_sources(), across=across, decisions=held))
    for row in held.to_pylist():
        assert (entity[row["left_id"]] == entity[row["right_id"]]) is row["is_match"]
    decided = {row["left_id"] for row in held.to_pylist()}
    assert len({entity[name] for name in COPY if name not in decided}) == 1


def test_very_many_decisions_about_copies_cost_little() -> None:
    n = 30_000
    left = [ANNA | {"record_id": f"a:{number:05d}", "dataset": "a"} for number in range(n)]
    right = [ANNA | {"record_id": f"b:{number}", "dataset": "b"} for number in range(3)]
    decisions = decide(*((f"a:{number:05d}", "b:0", number % 2 == 0) for number in range(n)))
    entity = entities_of(link_records(make_records(left + right), across="b", decisions=decisions))
    assert all((entity[f"a:{number:05d}"] == entity["b:0"]) is (number % 2 == 0) for number in range(n))


@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2)), max_size=40))
def test_followers_equal_the_two_that_they_follow(rows: list[tuple[int, int]]) -> None:
    codes = np.array(rows, np.int32).reshape(-1, 2)
    found = find_copies([codes[:, :1], codes[:, 1:]], [np.zeros((len(rows), 1), np.int32)], few=2)
    counts: dict[tuple[int, int], list[int]] = {}
    for at, row in enumerate(rows):
        counts.setdefault(row, []).append(at)
    expected = [(at, same[0], same[1]) for row, same in counts.items() if row != (-1, -1) for at in same[2:]]
    told = zip(found.follower.tolist(), found.first.tolist(), found.second.tolist(), strict=True)
    assert list(told) == sorted(expected)
