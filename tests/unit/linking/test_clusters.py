"""Clusters follow the evidence and hold the constraints."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.agglomeration import Edges, Marks, Sizes, agglomerate
from terag_pipelines.linking.clusters import ClusterParams, ResolvedEntities, resolve_entities
from terag_pipelines.linking.entity_tables import name_entity
from terag_pipelines.linking.model import LINKS, PAIR_DECISIONS, PAIR_SCORES
from tests.unit.linking.records import make_links, make_records, make_scores

Pair = tuple[str, str, float]
A, B, C, D = (f"r:{i:06d}" for i in range(4))
IIN_A, IIN_B = "800304300015", "800304400016"


def resolve(
    rows: list[dict[str, Any]], links: list[Pair], others: list[Pair] = (), **how: str
) -> ResolvedEntities:  # type: ignore[assignment]
    return resolve_entities(
        make_records(rows), make_links(*links, **how), make_scores(*links, *others, **how)
    )


def groups(resolved: ResolvedEntities) -> set[frozenset[str]]:
    by_entity: dict[str, set[str]] = {}
    members = resolved.members
    for record, entity in zip(
        members["record_id"].to_pylist(), members["entity_id"].to_pylist(), strict=True
    ):
        by_entity.setdefault(entity, set()).add(record)
    return {frozenset(held) for held in by_entity.values()}


def test_records_without_links_are_entities_of_their_own() -> None:
    resolved = resolve_entities(make_records([{}, {}]), LINKS.empty(), PAIR_SCORES.empty())
    assert groups(resolved) == {frozenset({A}), frozenset({B})}
    assert resolved.members["link_probability"].null_count == 2


def test_nothing_gives_nothing() -> None:
    resolved = resolve_entities(make_records([]), LINKS.empty(), PAIR_SCORES.empty())
    assert resolved.entities.num_rows == resolved.members.num_rows == 0


def test_links_chain_where_nothing_speaks_against_it() -> None:
    assert groups(resolve([{}] * 3, [(A, B, 8.0), (B, C, 8.0), (A, C, 8.0)])) == {frozenset({A, B, C})}


def test_a_weak_bridge_between_two_persons_does_not_join_them() -> None:
    strong = [(A, B, 12.0), (C, D, 12.0), (B, C, 3.0)]
    against = [(A, C, -9.0), (A, D, -9.0), (B, D, -9.0)]
    assert groups(resolve([{}] * 4, strong, against)) == {frozenset({A, B}), frozenset({C, D})}


@pytest.mark.parametrize(
    ("days", "across", "n_entities"), [((4, 4, 4), "a", 1), ((4, 5, 6), "a", 3), ((4, 4, 4), None, 3)]
)
def test_that_equal_records_of_one_side_were_not_compared_speaks_against_nothing(
    days: tuple[int, ...], across: str | None, n_entities: int
) -> None:
    rows = [{"dataset": "a", "birth_date": date(1980, 3, day)} for day in days] + [{"dataset": "b"}]
    links, params = [(one, D, 2.5) for one in (A, B, C)], ClusterParams(across=across)
    found = resolve_entities(make_records(rows), make_links(*links), make_scores(*links), params)
    assert len(groups(found)) == n_entities


def test_to_confirm_a_link_changes_nothing_and_to_part_two_looks_at_all() -> None:
    links, records = [(A, B, 2.5), (B, C, 2.5)], make_records([{}] * 3)
    for right, is_match, expected in (
        (B, True, {frozenset({A, B, C})}),
        (C, True, {frozenset({A, B, C})}),
        (C, False, {frozenset({A, B}), frozenset({C})}),
    ):
        decisions = PAIR_DECISIONS.from_columns(
            left_id=[A], right_id=[right], is_match=[is_match], decided_by=["Anna"]
        )
        found = resolve_entities(records, make_links(*links), make_scores(*links), decisions=decisions)
        assert groups(found) == expected


def test_two_different_iins_never_share_an_entity_not_even_over_a_third_record() -> None:
    rows = [{"iin": IIN_A}, {}, {"iin": IIN_B}]
    found = groups(resolve(rows, [(A, B, 20.0), (B, C, 15.0), (A, C, 20.0)]))
    assert found == {frozenset({A, B}), frozenset({C})}


def test_father_and_son_of_one_name_are_not_joined_by_a_record_without_birth_date() -> None:
    pattern = "given_name:exact|family_name:exact|birth_date:different|address:whole"
    links = make_links((A, B, 6.0), (B, C, 5.0))
    for told, expected in ((pattern, {frozenset({A, B}), frozenset({C})}), ("", {frozenset({A, B, C})})):
        linked = make_scores((A, B, 6.0), (B, C, 5.0))
        scores = pa.concat_tables([linked, make_scores((A, C, -0.5), pattern=told)])
        assert groups(resolve_entities(make_records([{}] * 3), links, scores)) == expected


def test_a_person_and_an_organisation_do_not_meet_over_an_unknown_party() -> None:
    rows = [{"party_type": kind} for kind in ("person", "unknown", "organisation")]
    assert len(groups(resolve(rows, [(A, B, 20.0), (B, C, 15.0)]))) == 2


@pytest.mark.parametrize(
    ("pattern", "n_entities"), [("full_name:exact", 2), ("full_name:exact|phone:shared", 1)]
)
def test_a_partial_record_joins_by_an_identifier_only(pattern: str, n_entities: int) -> None:
    rows: list[dict[str, Any]] = [{}, {"is_partial": True}]
    assert len(groups(resolve(rows, [(A, B, 20.0)], pattern=pattern))) == n_entities


def test_an_entity_is_named_after_its_earliest_member() -> None:
    seen = [None, datetime(2024, 1, 2, tzinfo=UTC), datetime(2023, 1, 2, tzinfo=UTC)]
    rows = [{"first_seen": instant} for instant in seen]
    resolved = resolve(rows, [(A, B, 9.0), (B, C, 9.0), (A, C, 9.0)])
    assert resolved.entities["entity_id"].to_pylist() == [name_entity(C)]
    assert name_entity(C).startswith("ent_")
    assert len(name_entity(C)) == 20


def test_an_entity_shows_its_most_complete_record() -> None:
    born = date(1980, 3, 4)
    rows = [
        {"display_name": "A. Kim", "is_watchlist": True},
        {"display_name": "Anna Kim", "birth_date": born, "sex": "female", "iin": IIN_A},
    ]
    entity = resolve(rows, [(A, B, 9.0)]).entities.to_pylist()[0]
    assert (entity["display_name"], entity["birth_date"], entity["iin"]) == ("Anna Kim", born, IIN_A)
    assert (entity["n_records"], entity["is_watchlist"], entity["is_partial"]) == (2, True, False)


def test_a_member_shows_the_strongest_link_that_ties_it_in() -> None:
    resolved = resolve([{}] * 3, [(A, B, 9.0), (B, C, 3.0), (A, C, 4.0)])
    shown = resolved.members["link_probability"].to_pylist()
    assert shown == pytest.approx([1 / (1 + 2.0**-w) for w in (9.0, 9.0, 4.0)])


def test_a_link_of_an_unknown_record_is_refused() -> None:
    with pytest.raises(LinkingError):
        resolve([{}], [(A, "zzz", 9.0)])


weighted = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 11), st.floats(-15, 25)),
    max_size=40,
    unique_by=lambda e: frozenset(e[:2]),
)


@settings(max_examples=60, deadline=None)
@given(weighted, st.lists(st.sampled_from([None, IIN_A, IIN_B]), min_size=12, max_size=12))
def test_constraints_always_hold_and_the_order_of_input_never_matters(
    edges: list[tuple[int, int, float]], iins: list[str | None]
) -> None:
    ids = [f"r:{i:06d}" for i in range(12)]
    pairs = [(ids[min(i, j)], ids[max(i, j)], w) for i, j, w in edges if i != j]
    links = [pair for pair in pairs if pair[2] > 1]
    records = make_records([{"iin": iin} for iin in iins])
    resolved = resolve_entities(records, make_links(*links), make_scores(*pairs))
    iin_of = dict(zip(ids, iins, strict=True))
    assert all(len({iin_of[r] for r in group} - {None}) <= 1 for group in groups(resolved))
    assert set().union(*groups(resolved)) == set(ids)
    turned = records.take(np.arange(12)[::-1])
    again = resolve_entities(turned, make_links(*links[::-1]), make_scores(*pairs[::-1]))
    assert again.members.equals(resolved.members)
    assert again.entities.equals(resolved.entities)


class CountingMarks(Marks):
    """Counts how often clusters are merged."""

    n_merges = 0

    def merge(self, kept: Any, gone: Any) -> None:
        self.n_merges += 1
        assert not len({*kept.tolist()} & {*gone.tolist()})
        super().merge(kept, gone)


NO_EDGES = Edges(*np.zeros((4, 0), np.int64), *np.zeros((2, 0), bool))  # type: ignore[arg-type]
Tied = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30)


@given(Tied, st.lists(st.integers(-1, 3), min_size=20, max_size=20))
def test_members_decided_to_be_one_are_one_and_hold_all_identities(
    tied: list[tuple[int, int]], codes: list[int]
) -> None:
    marks = CountingMarks(np.array(codes))
    one, other = (np.array([pair[side] for pair in tied], np.int64) for side in (0, 1))
    labels = agglomerate(Sizes(20), NO_EDGES, [marks], (one, other), -3.0)
    expected = list(range(20))
    for a, b in tied:
        low, high = sorted((expected[a], expected[b]))
        expected = [low if label == high else label for label in expected]
    assert labels.tolist() == expected
    held = {label: {codes[i] for i in range(20) if expected[i] == label} - {-1} for label in expected}
    firsts = np.array(sorted(held))
    for at in firsts.tolist():
        differ = [bool(held[at] and held[to] and not held[at] & held[to]) for to in firsts.tolist()]
        assert marks.conflict(np.full(len(firsts), at), firsts).tolist() == differ


def test_very_many_decisions_are_merged_in_few_rounds() -> None:
    n = 20_000
    marks = CountingMarks(np.arange(2 * n))  # everybody has a number of their own
    chain, others = np.arange(n - 1), n + np.arange(n)
    apart = Edges(
        np.arange(n), others, np.zeros(n), np.zeros(n, np.int64), np.zeros(n, bool), np.ones(n, bool)
    )
    labels = agglomerate(Sizes(2 * n), apart, [marks], (chain, chain + 1), -3.0)
    assert not labels[:n].any()
    assert labels[n:].tolist() == others.tolist()
    assert marks.n_merges <= 15
