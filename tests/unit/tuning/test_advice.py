"""What indexes executed plans ask for."""

from __future__ import annotations

import pytest

from terag_pipelines.tuning.advice import (
    ShapePlans,
    advise,
    auto_index,
    full_text_advice,
    used_indexes,
)
from terag_pipelines.tuning.plans import conjuncts
from terag_pipelines.tuning.ports import RELATIONSHIP, PlanOperator, PlanProfile, find_index
from tests.unit.tuning.fake_lab import FOREIGN, KEY, scan_plan, seek_plan

NAME = auto_index("Entity", "display_name")


def advised(*profiles, n_calls=10, distinct=None, written=0.0):
    of_property = distinct or {}
    shapes = {f"s{n}": ShapePlans(n_calls, (profile,)) for n, profile in enumerate(profiles)}
    return advise(shapes, lambda index: of_property.get(index.properties[0], 100), written)


def plan(*operators):
    made = tuple(PlanOperator(*operator) for operator in operators)
    return PlanProfile(made, sum(o.db_hits for o in made), made[0].n_rows)


def indexes(candidates):
    return [(c.index.label, c.index.properties, c.index.kind) for c in candidates]


@pytest.mark.parametrize(
    ("predicate", "kind"),
    [
        ("x.display_name STARTS WITH $prefix", "range"),
        ("x.display_name = $name", "range"),
        ("cache[x.display_name] = $name", "range"),
        ("cacheNFromStore[x.display_name] = $name", "range"),
        ("x.display_name >= $low", "range"),
        ("x.display_name IN $names", "range"),
        ("x.display_name = $names[0]", "range"),
        ("(x.display_name < $m AND x.display_name >= $n)", "range"),
        ("x.display_name CONTAINS $part", "text"),
        ("x.display_name ENDS WITH $end", "text"),
        ("point.distance(x.display_name, point({latitude: $a, longitude: $b})) < $d", "point"),
        ("point.withinBBox(cache[x.display_name], $a, $b)", "point"),
        ("(cache[x.display_name] STARTS WITH $prefix AND x.batch_id = promoted)", "range"),
        ("(((x.display_name = $name)))", "range"),
    ],
)
def test_a_filtered_scan_asks_for_an_index(predicate, kind):
    (candidate,) = advised(scan_plan(predicate))
    assert candidate.index == auto_index("Entity", "display_name", kind)
    assert candidate.most_share == pytest.approx(0.99, abs=0.01)
    assert (candidate.n_entries, candidate.shapes) == (1_000, ("s0",))


@pytest.mark.parametrize(
    "predicate",
    [
        "toLower(x.display_name) = $name",
        "(toLower(x.display_name) = $name AND x.batch_id = promoted)",
        "x.display_name =~ $pattern",
        "NOT (x.display_name = $name)",
        "NOT x.display_name = $name",
        "(x.display_name = $name OR x.party_type = $type)",
        "x.display_name = $name OR x.party_type = $type",
        "x.display_name = x.party_type",
        "x.n_records + $one = $three",
        "size(x.display_name) = $three",
        "x.`display name` = $name",
        "y.display_name = $name",
        "x.key = $key",
        "x.row_hash = $hash",
        "true",
        "",
        "((",
    ],
)
def test_nothing_is_advised_that_no_index_would_serve(predicate):
    assert advised(scan_plan(predicate)) == ()


@pytest.mark.parametrize("predicate", ["toLower(x.display_name) CONTAINS $a", "x.display_name =~ $a"])
def test_what_is_asked_through_a_function_wants_a_full_text_index(predicate):
    assert full_text_advice([scan_plan(predicate)]) == (auto_index("Entity", "display_name", "full-text"),)


def test_conditions_are_taken_apart_where_they_stand_in_no_parentheses():
    assert conjuncts("(a.x = $b AND f(a.y, (1 AND 2)))") == ["a.x = $b", "f(a.y, (1 AND 2))"]
    assert conjuncts("(a AND (b OR c AND d))") == ["a", "b OR c AND d"]
    assert conjuncts("(a) AND (b)") == ["a", "b"]


def test_a_filter_that_lets_rows_through_saves_little():
    (candidate,) = advised(scan_plan("x.party_type = $type", n_scanned=1_000, n_found=900))
    assert candidate.most_share == pytest.approx(0.1, abs=0.01)


def test_a_scan_of_all_nodes_takes_its_label_from_the_filter():
    (candidate,) = advised(
        plan(("Filter", "x:Account AND x.bank = $bank", 100, 1), ("AllNodesScan", "x", 101, 100))
    )
    assert indexes([candidate]) == [("Account", ("bank",), "range")]
    assert advised(plan(("Filter", "x.bank = $bank", 100, 1), ("AllNodesScan", "x", 101, 100))) == ()


@pytest.mark.parametrize(
    ("operator", "details", "variable"),
    [
        ("DirectedRelationshipTypeScan", "()-[t:PAID]->()", "t"),
        ("DirectedRelationshipTypeScan", "(anon_0)-[anon_1:PAID]->(b)", "anon_1"),
        ("UndirectedRelationshipTypeScan", "(x)-[t:PAID]-()", "t"),
        ("Expand(All)", "(a)-[t:PAID]->(b)", "t"),
        ("Expand(All)", "(a)<-[t:PAID]-(b)", "t"),
    ],
)
def test_filtered_relationships_ask_for_an_index_of_their_type(operator, details, variable):
    (candidate,) = advised(
        plan(("Filter", f"{variable}.sum >= $sum AND b:Account", 100, 1), (operator, details, 101, 100))
    )
    assert (candidate.index.element, *indexes([candidate])[0]) == (RELATIONSHIP, "PAID", ("sum",), "range")


def test_paths_of_any_length_ask_for_nothing():
    details = "(a)-[t:PAID*1..2]->(b)"
    assert advised(plan(("Filter", "t.sum >= $s", 100, 1), ("VarLengthExpand(All)", details, 9, 100))) == ()


def test_two_properties_ask_for_one_index_of_both_where_neither_alone_tells_enough():
    both = scan_plan("x.bank = $b AND x.currency = $c", n_found=1)
    first, *_ = advised(both, distinct={"bank": 3, "currency": 4})
    assert first.index.properties == ("bank", "currency")
    first, *rest = advised(both, distinct={"bank": 1_000, "currency": 4})
    assert first.index.properties == ("bank",)  # narrower, and it serves more queries
    assert ("bank", "currency") in [candidate.index.properties for candidate in rest]


def test_an_interval_comes_last_in_an_index():
    first, *_ = advised(
        scan_plan("x.amount > $a AND x.bank = $b", n_found=1), distinct={"bank": 2, "amount": 9}
    )
    assert first.index.properties == ("bank", "amount")


def test_what_an_index_finds_and_a_filter_drops_asks_for_both_properties():
    bank = auto_index("Account", "bank")
    found = advised(seek_plan(bank, 500, "x.currency = $c", 5))
    assert indexes(found) == [("Account", ("bank", "currency"), "range")]
    assert found[0].most_share > 0.9


def test_a_range_that_is_sought_is_not_followed_by_another():
    operators = (
        ("Filter", "x.amount > $a", 500, 5),
        ("NodeIndexSeekByRange", "RANGE INDEX x:Account(n) WHERE n >= $n", 501, 500),
    )
    assert advised(plan(*operators)) == ()


def test_a_plan_with_a_seek_asks_for_nothing_and_names_the_index():
    sought = seek_plan(NAME)
    assert advised(sought) == ()
    assert used_indexes([sought], [KEY, FOREIGN, NAME]) == (NAME,)
    text = auto_index("Entity", "display_name", "text")
    assert used_indexes([sought], [text]) == ()  # of another kind


def test_the_index_that_may_save_most_comes_first():
    small, large = scan_plan("x.bank = $b", 100, 1, "Account"), scan_plan("x.display_name = $n", 1_000, 1)
    assert [c.index.label for c in advised(small, large)] == ["Entity", "Account"]


def test_shapes_that_want_the_same_index_want_it_together():
    (candidate,) = advised(*[scan_plan("x.display_name = $n", 1_000, 1)] * 3)
    assert candidate.shapes == ("s0", "s1", "s2")
    assert candidate.saved_hits == pytest.approx(3 * 10 * 2_001, rel=0.01)


def test_what_is_written_more_than_it_is_asked_is_not_worth_it():
    (asked,) = advised(scan_plan("x.display_name = $n"), n_calls=1)
    assert asked.worth(written_share=0.01) > 0 > asked.worth(written_share=2.0)


def test_an_index_is_the_same_by_what_it_covers_not_by_name():
    twin = type(FOREIGN)("other_name", "range", "Account", ("iban",))
    assert find_index([KEY, FOREIGN], twin) == FOREIGN
    assert find_index([KEY, FOREIGN], auto_index("Account", "iban", "text")) is None
    assert find_index([KEY, FOREIGN], auto_index("Account", "iban", element=RELATIONSHIP)) is None


def test_only_indexes_made_here_are_ours():
    assert NAME.is_ours
    assert not KEY.is_ours
    assert not FOREIGN.is_ours
