"""What indexes executed plans ask for."""

from __future__ import annotations

import pytest

from terag_pipelines.tuning.advice import advise, auto_index, used_indexes
from terag_pipelines.tuning.ports import PlanOperator, PlanProfile, find_index
from tests.unit.tuning.fake_lab import FOREIGN, KEY, scan_plan, seek_plan

NAME = auto_index("Entity", "display_name", "range")


@pytest.mark.parametrize(
    ("predicate", "kind"),
    [
        ("x.display_name STARTS WITH $prefix", "range"),
        ("x.display_name = $name", "range"),
        ("cache[x.display_name] = $name", "range"),
        ("x.display_name >= $low", "range"),
        ("x.display_name IN $names", "range"),
        ("x.display_name CONTAINS $part", "text"),
        ("x.display_name ENDS WITH $end", "text"),
        ("(cache[x.display_name] STARTS WITH $prefix AND x.batch_id = promoted)", "range"),
    ],
)
def test_a_filtered_scan_asks_for_an_index(predicate, kind):
    (candidate,) = advise([scan_plan(predicate)])
    assert candidate.index == auto_index("Entity", "display_name", kind)
    assert candidate.saving_share == pytest.approx(0.99, abs=0.01)


@pytest.mark.parametrize(
    "predicate",
    [
        "toLower(x.display_name) = $name",
        "(toLower(x.display_name) = $name AND x.batch_id = promoted)",
        "NOT (x.display_name = $name)",
        "y.display_name = $name",
        "x.key = $key",
        "x.row_hash = $hash",
        "true",
    ],
)
def test_nothing_is_advised_that_no_index_would_serve(predicate):
    assert advise([scan_plan(predicate)]) == ()


def test_a_filter_that_lets_rows_through_saves_little():
    (candidate,) = advise([scan_plan("x.party_type = $type", n_scanned=1_000, n_found=900)])
    assert candidate.saving_share == pytest.approx(0.1, abs=0.01)


def test_a_scan_of_all_nodes_takes_its_label_from_the_filter():
    operators = (
        PlanOperator("Filter", "x:Account AND x.bank = $bank", 100, 1),
        PlanOperator("AllNodesScan", "x", 101, 100),
    )
    (candidate,) = advise([PlanProfile(operators, 201, 1)])
    assert (candidate.index.label, candidate.index.properties) == ("Account", ("bank",))


def test_a_plan_with_a_seek_asks_for_nothing_and_names_the_index():
    plan = seek_plan(NAME)
    assert advise([plan]) == ()
    assert used_indexes([plan], [KEY, FOREIGN, NAME]) == (NAME,)


def test_the_index_that_may_save_most_comes_first():
    plans = [scan_plan("x.bank = $b", 100, 1, "Account"), scan_plan("x.display_name = $n", 1_000, 1)]
    assert [candidate.index.label for candidate in advise(plans)] == ["Entity", "Account"]


def test_an_index_is_the_same_by_what_it_covers_not_by_name():
    twin = type(FOREIGN)("other_name", "range", "Account", ("iban",))
    assert find_index([KEY, FOREIGN], twin) == FOREIGN
    assert find_index([KEY, FOREIGN], auto_index("Account", "iban", "text")) is None


def test_only_indexes_made_here_are_ours():
    assert NAME.is_ours
    assert not KEY.is_ours
    assert not FOREIGN.is_ours
