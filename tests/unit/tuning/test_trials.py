"""Trials decide by measurement: kept, reverted, not needed; what others made is never touched."""

from __future__ import annotations

import pytest

from terag_pipelines.tuning.advice import auto_index
from terag_pipelines.tuning.ports import SampledCall
from terag_pipelines.tuning.trials import QueryOptimizer, TuningParams
from tests.unit.tuning.fake_lab import FOREIGN, KEY, FakeLab, scan_plan

NAME = auto_index("Entity", "display_name", "range")
BANK = auto_index("Account", "bank", "range")
BY_NAME, BY_BANK, OTHER = "by name", "by bank", "other"
SAMPLES = {query: [SampledCall(query, {"a": n}) for n in range(2)] for query in (BY_NAME, BY_BANK, OTHER)}
SCAN = scan_plan("x.display_name = $a")


def lab(helper=NAME, **rest):
    plans = {
        BY_NAME: (SCAN, helper),
        BY_BANK: (scan_plan("x.bank = $a", label="Account"), BANK),
        OTHER: (scan_plan("x.party_type = $a", n_found=950), None),
    }
    return FakeLab(plans, **rest)


def test_a_useful_index_is_kept_with_its_figures():
    made = lab()
    (trial,) = QueryOptimizer(made).tune([BY_NAME], SAMPLES)
    assert (trial.index, trial.decision) == (NAME, "kept")
    assert (trial.before.db_hits, trial.after.db_hits) == (2 * 2_001, 2 * 11)
    assert made.indexes == [KEY, FOREIGN, NAME]


def test_a_useless_index_is_reverted():
    made = lab(helper=None)
    (trial,) = QueryOptimizer(made).tune([BY_NAME], SAMPLES)
    assert trial.decision == "reverted"
    assert made.indexes == [KEY, FOREIGN]


def test_an_index_that_slows_another_shape_is_reverted():
    made = lab(slows_down=frozenset({OTHER}))
    (trial,) = QueryOptimizer(made).tune([BY_NAME], SAMPLES)
    assert (trial.decision, trial.reason) == ("reverted", "1 sampled query shapes became slower")
    assert made.indexes == [KEY, FOREIGN]


def test_latency_counts_only_where_the_plan_changed():
    (trial,) = QueryOptimizer(lab(noise=frozenset({OTHER}))).tune([BY_NAME], SAMPLES)
    assert trial.decision == "kept"
    (trial,) = QueryOptimizer(lab(noise=frozenset({BY_NAME}))).tune([BY_NAME], SAMPLES)
    assert trial.decision == "reverted"


def test_a_trial_that_fails_leaves_no_index():
    made = lab(fails_online=True)
    with pytest.raises(TimeoutError):
        QueryOptimizer(made).tune([BY_NAME], SAMPLES)
    assert made.indexes == [KEY, FOREIGN]


def test_an_index_whose_trial_was_killed_is_tried_anew():
    made = lab()
    made.create_index(NAME)
    (trial,) = QueryOptimizer(made).tune([BY_NAME], SAMPLES)
    assert (trial.decision, trial.before.db_hits) == ("kept", 2 * 2_001)
    assert (made.indexes, made.unfinished) == ([KEY, FOREIGN, NAME], [])


def test_a_second_run_makes_nothing():
    made = lab()
    QueryOptimizer(made).tune([BY_NAME], SAMPLES)
    made.log.clear()
    (trial,) = QueryOptimizer(made).tune([BY_NAME], SAMPLES)
    assert (trial.index, trial.decision, made.log) == (NAME, "not_needed", [])


def test_an_index_that_cannot_save_enough_is_not_tried():
    made = lab()
    (trial,) = QueryOptimizer(made).tune([OTHER], SAMPLES)
    assert (trial.decision, made.log) == ("not_needed", [])


def test_an_index_that_exists_and_is_not_used_is_not_made_again():
    made = lab(helper=None)
    made.indexes.append(NAME)
    (trial,) = QueryOptimizer(made).tune([BY_NAME], SAMPLES)
    assert (trial.decision, made.log) == ("not_needed", [])


def test_trials_of_one_run_are_bounded():
    made = lab()
    trials = QueryOptimizer(made, TuningParams(max_trials=1)).tune([BY_NAME, BY_BANK], SAMPLES)
    assert sorted(trial.decision for trial in trials) == ["kept", "not_needed"]
    assert len(made.log) == 1


@pytest.mark.parametrize("samples", [{}, SAMPLES])
def test_no_slow_shape_is_one_row_that_says_so(samples):
    (trial,) = QueryOptimizer(lab()).tune([], samples)
    assert (trial.index, trial.decision) == (None, "not_needed")
