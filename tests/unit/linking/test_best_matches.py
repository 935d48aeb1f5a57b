"""Links one to one: the best assignment, not a greedy one, and never two of one side in an entity."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.auto_linker import AutoLinked, AutoLinker, AutoLinkParams, GivenPairs
from terag_pipelines.linking.best_matches import EDGES_AT_ONCE, assign_best, keep_best_matches
from terag_pipelines.linking.clusters import Identities
from terag_pipelines.linking.explanation import ExplanationParams, LinkedBatch
from terag_pipelines.linking.explanation_pairs import explain_pair
from terag_pipelines.linking.links import LinkParams
from terag_pipelines.linking.pipeline import LinkingParams, link_records
from terag_pipelines.linking.scored_rows import DecidedRows, ScoredRows
from tests.unit.linking.records import make_records

ONE_TO_ONE = AutoLinker(AutoLinkParams(linking=LinkingParams(links=LinkParams(one_to_one=True))))
NONE = np.zeros(0, np.int64)


def best_total(edges: list[tuple[int, int, float]]) -> float:
    """By trying every set of edges."""
    best = 0.0
    for n in range(len(edges) + 1):
        for chosen in combinations(edges, n):
            if len({edge[0] for edge in chosen}) == len({edge[1] for edge in chosen}) == n:
                best = max(best, sum(edge[2] for edge in chosen))
    return best


def assigned(edges: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    left, right, weights = (np.array(column) for column in zip(*edges, strict=True))
    return [
        edge for edge, is_chosen in zip(edges, assign_best(left, right, weights), strict=True) if is_chosen
    ]


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 4), st.integers(0, 4)),
        st.one_of(st.integers(1, 4).map(float), st.floats(0.001, 60)),
        min_size=1,
        max_size=9,
    )
)
def test_the_total_weight_is_the_greatest_there_is(weights: dict[tuple[int, int], float]) -> None:
    edges = [(left, right, weight) for (left, right), weight in weights.items()]
    chosen = assigned(edges)
    assert max(Counter(edge[0] for edge in chosen).values()) == 1
    assert max(Counter(edge[1] for edge in chosen).values()) == 1
    assert sum(edge[2] for edge in chosen) == pytest.approx(best_total(edges), abs=1e-6)


def test_what_is_greedy_is_not_the_best() -> None:
    edges = [(0, 0, 10.0), (0, 1, 9.0), (1, 0, 9.0)]
    assert assigned(edges) == edges[1:]


def test_many_components_are_each_solved_as_if_alone() -> None:
    n = EDGES_AT_ONCE
    rng = np.random.default_rng(1)
    parts = [
        [(2 * k + i, 2 * k + j, float(rng.random()) + 0.1) for i in (0, 1) for j in (0, 1)] for k in range(n)
    ]
    found = assigned([edge for part in parts for edge in part])
    assert sum(edge[2] for edge in found) == pytest.approx(sum(best_total(part) for part in parts))


def rows_of(*edges: tuple[int, int, float]) -> ScoredRows:
    left, right, weight = (np.array(column) for column in zip(*edges, strict=True))
    yes = np.ones(len(edges), bool)
    return ScoredRows(left, right, weight, weight / 100, yes, ~yes, ~yes)


def test_decisions_take_the_places_of_records() -> None:
    """Rows 0 to 2 are of one side, 3 to 5 of the other."""
    scored = rows_of((0, 3, 9.0), (0, 4, 5.0), (1, 3, 5.0), (2, 5, 1.0))
    side, anybody = np.arange(6) < 3, Identities((), np.zeros(6, bool))

    def links(together: tuple[int, int] | None, apart: tuple[int, int] | None) -> list[int]:
        given = [
            NONE if pair is None else np.array([end]) for pair in (together, apart) for end in pair or (0, 0)
        ]
        decided = DecidedRows((given[0], given[1]), (given[2], given[3]))
        found = keep_best_matches(scored, anybody, side, decided, np.arange(6))
        return np.flatnonzero(found.is_link).tolist()

    assert links(None, None) == [1, 2, 3]
    assert links((0, 5), None) == [2]
    assert links(None, (1, 3)) == [0, 3]
    assert links((0, 1), None) == [0, 3]
    assert links((0, 1), (1, 3)) == [1, 3]


def shop(*names: str) -> pa.Table:
    rows = [name.split() for name in names]
    return pa.table(
        {
            "id": [str(n) for n in range(len(rows))],
            "first_name": [row[0] for row in rows],
            "surname": [row[1] for row in rows],
            "date_of_birth": [row[2] for row in rows],
            "phone": [row[3] if len(row) > 3 else None for row in rows],
        }
    )


def people(seed: int, n: int = 300) -> tuple[pa.Table, pa.Table]:
    """Namesakes on both sides, some of one birth date: by default some would link twice."""
    rng = np.random.default_rng(seed)
    given, family = ("Amina", "Bolat", "Ivan", "Olga"), ("Akhmetova", "Kim", "Petrov", "Sadykov", "Lee")
    born = [f"19{rng.integers(60, 99)}-0{rng.integers(1, 9)}-1{rng.integers(0, 9)}" for _ in range(n // 3)]
    named = [f"{rng.choice(given)} {rng.choice(family)} {rng.choice(born)}" for _ in range(n)]
    phones = [f"+7701{rng.integers(10**7):07d}" for _ in range(n)]
    left = [f"{name} {phone}" for name, phone in zip(named, phones, strict=True)]
    right = [
        f"{name} {phone if rng.random() < 0.6 else ''}" for name, phone in zip(named, phones, strict=True)
    ]
    return shop(*left), shop(*right)


def most_of_one_side(linked: AutoLinked) -> int:
    counted = linked.members.group_by(["entity_id", "dataset"]).aggregate([([], "count_all")])
    return int(pc.max(counted["count_all"]).as_py())


def test_no_entity_has_two_records_of_one_side() -> None:
    left, right = people(1)
    assert most_of_one_side(AutoLinker().link_two(left, right)) > 1
    linked = ONE_TO_ONE.link_two(left, right)
    assert most_of_one_side(linked) == 1
    for side in ("left_id", "right_id"):
        assert len(set(linked.links[side].to_pylist())) == linked.links.num_rows
    assert linked.links.num_rows == sum(n == 2 for n in linked.entities["n_records"].to_pylist())
    assert linked.summary()["one_to_one"] is True
    assert ", one to one" in linked.report()


def test_the_order_of_rows_does_not_matter() -> None:
    left, right = people(2)
    order = pa.array(np.random.default_rng(2).permutation(left.num_rows))
    one, other = ONE_TO_ONE.link_two(left, right), ONE_TO_ONE.link_two(left.take(order), right)
    assert one.members.equals(other.members)


def pairs_of(linked: AutoLinked, swapped: bool) -> set[tuple[str, ...]]:
    """The native ids of linked pairs, those of the first table first."""
    name = dict(
        zip(linked.members["record_id"].to_pylist(), linked.members["native_id"].to_pylist(), strict=True)
    )
    ends = ("right_id", "left_id") if swapped else ("left_id", "right_id")
    return {tuple(name[row[end]] for end in ends) for row in linked.links.to_pylist()}


def tied(seed: int, n: int) -> tuple[pa.Table, pa.Table]:
    """People of whom each side has several who say the same: who is linked with whom is a matter of ties."""
    rng = np.random.default_rng(seed)
    names = [f"{given} Kim 1980-03-{day}" for given in ("Amina", "Bolat", "Olga") for day in range(10, 16)]
    one, other = (rng.choice(names, size) for size in (n, n + 7))
    return shop(*one), shop(*other)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ties_do_not_fall_otherwise_when_the_sides_are_swapped(seed: int, named: bool) -> None:
    one, other = tied(seed, 60)
    if named:
        other = other.set_column(0, "id", pa.array([f"x{n}" for n in range(other.num_rows)]))
    there, back = ONE_TO_ONE.link_two(one, other), ONE_TO_ONE.link_two(other, one)
    assert there.links.num_rows > 30
    assert pairs_of(there, False) == pairs_of(back, True)


def test_copies_that_find_no_place_are_told_with_their_number() -> None:
    left, right = shop(*["Amina Kim 1980-03-04"] * 30), shop("Amina Kim 1980-03-04", "Olga Lee 1971-05-06")
    population = people(5)
    both = [with_more(*tables) for tables in zip((left, right), population, strict=True)]
    linked = ONE_TO_ONE.link_two(*both)
    plain = AutoLinker().link_two(left, right)
    assert most_of_one_side(plain) == 30
    assert plain.summary()["left_over"] == {"n_records": 0, "n_equal": 0}
    left_over = linked.summary()["left_over"]
    assert left_over["n_equal"] >= 29
    [told] = [warning for warning in linked.summary()["warnings"] if warning.startswith("one to one")]
    assert f"{left_over['n_records']:,} records that match one of the other side are linked with none" in told
    assert f"({left_over['n_equal']:,} of them say the same as others of their own file)" in told
    assert "are linked with none" in linked.report()


def with_more(table: pa.Table, others: pa.Table) -> pa.Table:
    """A table, and others under other ids."""
    renamed = others.set_column(0, "id", pa.array([f"p{one}" for one in others["id"].to_pylist()]))
    return pa.concat_tables([table, renamed], promote_options="default")


def test_records_of_three_sources_are_not_linked_one_to_one() -> None:
    records = make_records(
        [{"dataset": name, "record_id": name, "phones": ["+77010000001"]} for name in "abc"]
    )
    with pytest.raises(LinkingError, match="records of 3: a, b, c"):
        link_records(records, params=ONE_TO_ONE.params.linking, across="a")


def test_decisions_hold_and_a_place_is_taken() -> None:
    left, right = people(3)
    links = ONE_TO_ONE.link_two(left, right).links.to_pylist()
    (a, b), (c, d) = ((row["left_id"][5:], row["right_id"][6:]) for row in links[:2])
    crossed = pa.table({"left": [a], "right": [d]})
    linked = ONE_TO_ONE.link_two(
        left, right, GivenPairs(must=crossed, cannot=pa.table({"left": [c], "right": [b]}))
    )
    entity_of = dict(
        zip(linked.members["record_id"].to_pylist(), linked.members["entity_id"].to_pylist(), strict=True)
    )
    assert entity_of[f"left:{a}"] == entity_of[f"right:{d}"]
    assert entity_of[f"left:{c}"] != entity_of[f"right:{b}"]
    assert most_of_one_side(linked) == 1


def test_what_lost_its_place_to_a_better_match_is_told() -> None:
    left, right = people(1)
    linked = ONE_TO_ONE.link_two(left, right)
    kept = set(zip(linked.links["left_id"].to_pylist(), linked.links["right_id"].to_pylist(), strict=True))
    over = linked.scores.scores.filter(pc.greater(linked.scores.scores["match_probability"], 0.7)).to_pylist()
    lost = next(row for row in over if (row["left_id"], row["right_id"]) not in kept)
    batch = LinkedBatch(
        linked.records,
        linked.scores.scores,
        linked.scores.model,
        linked.links,
        linked.members,
        params=ExplanationParams(links=LinkParams(one_to_one=True)),
        across="left",
    )
    explained = explain_pair(batch, lost["left_id"], lost["right_id"])
    assert explained.decision == "better_match"
    assert "links with one of the other side only" in explained.sentence


def test_one_source_cannot_be_linked_one_to_one() -> None:
    with pytest.raises(LinkingError, match="only two sources"):
        ONE_TO_ONE.link(people(1)[0])
