"""Trials decide by measurement: kept, reverted, not needed; what others made is never touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from resources.query_observer import QueryObserver
from resources.query_recorder import QueryRecorder
from terag_pipelines.errors import StoreUnavailableError
from terag_pipelines.tuning.advice import auto_index
from terag_pipelines.tuning.autopilot import Autopilot
from terag_pipelines.tuning.history import past_of, trials_table
from terag_pipelines.tuning.model import INDEX_DECISIONS, QUERY_SHAPES
from terag_pipelines.tuning.optimizer import QueryOptimizer
from terag_pipelines.tuning.policy import TuningParams, TuningPolicy
from terag_pipelines.tuning.ports import IndexSpec, IndexUse, PlanProfile, SampledCall
from terag_pipelines.tuning.trials import AutoIndexCreator
from terag_pipelines.tuning.upkeep import Past, PastTrial
from tests.unit.tuning.fake_lab import FOREIGN, KEY, FakeLab, scan_plan, seek_plan
from tests.unit.tuning.memory_history import MemoryCallHistory, MemoryQueryHistory, MemoryTuningLog

NOW = datetime(2026, 11, 24, 22, 30, tzinfo=UTC)  # half past three in Almaty
NAME = auto_index("Entity", "display_name")
BANK = auto_index("Account", "bank")
BOTH = auto_index("Account", ("bank", "currency"))
BY_NAME, BY_BANK, BY_BOTH, OTHER = "by name", "by bank", "by both", "other"
QUERIES = (BY_NAME, BY_BANK, BY_BOTH, OTHER)
SAMPLES = {query: [SampledCall(query, {"a": n}) for n in range(2)] for query in QUERIES}


def lab(is_served=True, **rest):
    seek_both = seek_plan(BANK, 500, "x.currency = $c", 5)
    plans = {
        BY_NAME: (scan_plan("x.display_name = $a"), ((NAME, seek_plan(NAME)),) if is_served else ()),
        BY_BANK: (scan_plan("x.bank = $a", label="Account"), ((BANK, seek_plan(BANK)),)),
        BY_BOTH: (
            scan_plan("x.bank = $a AND x.currency = $c", n_found=5, label="Account"),
            ((BANK, seek_both), (BOTH, seek_plan(BOTH, 5))),
        ),
        OTHER: (scan_plan("x.party_type = $a", n_found=950), ()),
    }
    return FakeLab(plans, **rest)


def tuned(made, *slow, past=None, now=NOW, samples=SAMPLES, **policy):
    params = TuningParams(max_trials=policy.pop("max_trials", 4))
    optimizer = QueryOptimizer(made, params, TuningPolicy(**policy))
    return optimizer.tune(dict.fromkeys(slow, 10), samples, now, past and (lambda: past))


def decisions(trials):
    return [(trial.index, trial.decision) for trial in trials]


def test_a_useful_index_is_kept_with_its_figures():
    made = lab()
    (trial,) = tuned(made, BY_NAME)
    assert (trial.index, trial.decision, trial.shapes) == (NAME, "kept", (BY_NAME,))
    assert (trial.before.db_hits, trial.after.db_hits) == (2 * 2_001, 2 * 11)
    assert trial.hits.ratio == pytest.approx(11 / 2_001, rel=0.01)
    assert trial.latency.high < 1
    assert made.indexes == [KEY, FOREIGN, NAME]
    assert made.unfinished == []


def test_a_useless_index_is_reverted():
    made = lab(is_served=False)
    (trial,) = tuned(made, BY_NAME)
    assert trial.decision == "reverted"
    assert made.indexes == [KEY, FOREIGN]


def test_an_index_that_slows_another_shape_is_reverted():
    made = lab(slows_down=frozenset({OTHER}))
    (trial,) = tuned(made, BY_NAME)
    assert (trial.decision, trial.reason) == ("reverted", "1 sampled query shape became slower")
    assert made.indexes == [KEY, FOREIGN]


def test_latency_counts_only_where_the_plan_changed():
    (trial,) = tuned(lab(noise=frozenset({OTHER})), BY_NAME)
    assert trial.decision == "kept"
    (trial,) = tuned(lab(noise=frozenset({BY_NAME})), BY_NAME)
    assert trial.decision == "reverted"


def test_a_trial_that_fails_leaves_no_index_and_lets_others_try():
    made = lab(fails_online=True)
    with pytest.raises(TimeoutError):
        tuned(made, BY_NAME)
    assert made.indexes == [KEY, FOREIGN]
    assert made.n_alone == 0


def test_an_index_that_the_store_does_not_make_is_said_and_the_others_are_tried():
    made = lab(refuses=True)
    trials = tuned(made, BY_NAME, BY_BANK)
    assert {trial.decision for trial in trials} == {"failed"}
    assert "the store does not make it" in trials[0].reason
    assert (made.indexes, made.unfinished) == ([KEY, FOREIGN], [])


def test_an_index_whose_trial_was_killed_is_tried_anew():
    made = lab()
    made.indexes.append(NAME)
    made.unfinished.append(NAME.name)
    (trial,) = tuned(made, BY_NAME)
    assert (trial.decision, trial.before.db_hits) == ("kept", 2 * 2_001)
    assert (made.indexes, made.unfinished) == ([KEY, FOREIGN, NAME], [])


def test_a_second_run_makes_nothing():
    made = lab()
    tuned(made, BY_NAME)
    made.log.clear()
    (trial,) = tuned(made, BY_NAME)
    assert (trial.index, trial.decision, made.log) == (NAME, "in_use", [])


def test_an_index_that_cannot_save_enough_is_not_tried():
    made = lab()
    (trial,) = tuned(made, OTHER)
    assert (trial.decision, made.log) == ("not_needed", [])


def test_an_index_that_exists_and_is_not_used_is_not_made_again():
    made = lab(is_served=False)
    made.indexes.append(NAME)
    (trial,) = tuned(made, BY_NAME)
    assert (trial.decision, made.log) == ("not_needed", [])


def test_trials_of_one_run_are_bounded():
    made = lab()
    trials = tuned(made, BY_NAME, BY_BANK, max_trials=1)
    assert sorted(trial.decision for trial in trials) == ["kept", "not_needed"]
    assert len(made.log) == 1


def test_indexes_of_a_label_are_bounded_and_constraints_do_not_count():
    made = lab()
    trials = tuned(made, BY_NAME, BY_BANK, max_indexes=1)  # Account has one by hand, Entity a constraint
    assert sorted(decisions(trials), key=str) == sorted([(NAME, "kept"), (BANK, "not_needed")], key=str)


def test_one_index_for_two_shapes_and_a_wider_one_only_for_what_is_left():
    made = lab(distinct=1_000)
    trials = tuned(made, BY_BANK, BY_BOTH)
    assert decisions(trials) == [(BANK, "kept"), (BOTH, "kept")]
    assert trials[0].shapes == (BY_BANK, BY_BOTH)


def test_an_index_that_a_later_one_replaces_goes_at_once():
    made = lab(distinct=1_000)
    trials = tuned(made, BY_BOTH, samples={BY_BOTH: SAMPLES[BY_BOTH]})
    assert decisions(trials) == [(BANK, "superseded"), (BOTH, "kept")]
    assert made.indexes == [KEY, FOREIGN, BOTH]


def test_without_leave_it_only_says_what_it_would_do():
    made = lab()
    made.unfinished.append("terag_auto_of_another")
    (trial,) = tuned(made, BY_NAME, may_change=False)
    assert (trial.index, trial.decision) == (NAME, "advised")
    assert "99% of 20,010 db hits" in trial.reason
    assert (made.log, made.indexes) == ([], [KEY, FOREIGN])


@pytest.mark.parametrize(
    ("hours", "decision"), [((2, 5), "kept"), ((23, 4), "kept"), ((4, 5), "postponed"), ((3, 3), "postponed")]
)
def test_changes_are_made_in_hours_of_low_load_only(hours, decision):
    (trial,) = tuned(lab(), BY_NAME, low_load_hours=hours)
    assert trial.decision == decision


def test_hours_that_no_day_has_are_refused():
    with pytest.raises(ValueError, match="0 to 24"):
        TuningPolicy(low_load_hours=(1, 25))


@pytest.mark.parametrize(
    ("days", "n_entries", "decision"),
    [(29, 1_000, "not_needed"), (30, 1_000, "reverted"), (1, 500, "reverted"), (1, 501, "not_needed")],
)
def test_what_did_not_pay_is_tried_again_after_a_while_or_with_twice_the_rows(days, n_entries, decision):
    last = PastTrial("reverted", NOW - timedelta(days=days), "of no use", n_entries)
    (trial,) = tuned(lab(is_served=False), BY_NAME, past=Past({NAME.name: last}))
    assert trial.decision == decision


def test_an_unused_index_of_ours_is_dropped_after_its_window_and_not_before():
    made = lab()
    made.indexes.append(BANK)
    kept = Past({BANK.name: PastTrial("kept", NOW - timedelta(days=100), "", 9)})
    used = Past(kept.trials, {BANK.name: NOW - timedelta(days=89)})
    samples = {BY_NAME: SAMPLES[BY_NAME]}
    assert "dropped" not in [t.decision for t in tuned(made, past=used, samples=samples)]
    made.uses = {BANK.name: IndexUse(5, NOW - timedelta(days=80), None)}
    assert "dropped" not in [t.decision for t in tuned(made, past=kept, samples=samples)]
    made.uses = {}
    assert decisions(tuned(made, past=kept, samples=samples, may_change=False)) == [(BANK, "advised")]
    (trial,) = tuned(made, past=kept, samples=samples)
    assert (trial.index, trial.decision) == (BANK, "dropped")
    assert trial.reason == "it served no query since 2026-08-16"
    assert made.indexes == [KEY, FOREIGN]


def test_an_unused_index_that_serves_a_sampled_query_stays():
    made = lab()
    made.indexes.append(BANK)
    old = Past({BANK.name: PastTrial("kept", NOW - timedelta(days=100), "", 9)})
    assert decisions(tuned(made, past=old)) == [(BANK, "in_use")]


def test_indexes_of_others_are_advised_on_and_those_of_nobody_knows_when_left_alone():
    made = lab()
    assert decisions(tuned(made)) == [(None, "not_needed")]
    made.uses = {
        FOREIGN.name: IndexUse(0, None, NOW - timedelta(days=91)),
        KEY.name: IndexUse(0, None, NOW - timedelta(days=91)),
    }
    (trial,) = tuned(made)
    assert (trial.index, trial.decision) == (FOREIGN, "advised")
    assert made.indexes == [KEY, FOREIGN]


def test_of_two_indexes_of_the_same_properties_ours_goes():
    made = lab()
    theirs = IndexSpec("z_by_hand", "range", "Account", ("currency", "bank"))
    made.indexes += [BOTH, theirs]
    (trial,) = tuned(made, samples={})
    assert (trial.index, trial.decision) == (BOTH, "dropped")
    assert made.indexes == [KEY, FOREIGN, theirs]


def test_a_call_that_the_store_refuses_today_is_not_replayed_and_the_others_are():
    made, gone = lab(), SampledCall("of an index that is no more", {})
    made.refused = frozenset({gone.query})
    samples = {BY_NAME: [gone, *SAMPLES[BY_NAME]], "gone": [gone]}
    (trial,) = tuned(made, BY_NAME, "gone", samples=samples)
    assert (trial.index, trial.decision, trial.before.db_hits) == (NAME, "kept", 2 * 2_001)


def test_a_call_that_is_not_answered_in_time_is_not_replayed():
    made, runaway = lab(), SampledCall("of everything with everything", {})
    made.too_slow = frozenset({runaway.query})
    samples = {BY_NAME: [runaway, *SAMPLES[BY_NAME]]}
    (trial,) = tuned(made, BY_NAME, samples=samples)
    assert (trial.index, trial.decision) == (NAME, "kept")


def test_a_graph_that_changes_during_a_trial_proves_nothing():
    made = lab(is_emptied=True)
    assert ("failed", True) in {(t.decision, "changed meanwhile" in t.reason) for t in tuned(made, BY_NAME)}
    assert NAME not in made.indexes


def test_a_store_that_is_away_ends_the_run():
    made = lab(is_away=True)
    with pytest.raises(StoreUnavailableError):
        tuned(made, BY_NAME)


@pytest.mark.parametrize("samples", [{}, SAMPLES])
def test_no_slow_shape_is_one_row_that_says_so(samples):
    (trial,) = tuned(lab(), samples=samples)
    assert (trial.index, trial.decision) == (None, "not_needed")


class Observed:
    """Queries as an observer gives them, with these medians."""

    def __init__(self, medians):
        rows = [(q, q, 10, 0, 10, 10 * ms, ms, ms, ms) for q, ms in medians.items()]
        columns = zip(*rows, strict=True)
        self._shapes = QUERY_SHAPES.from_columns(**dict(zip(QUERY_SHAPES.schema.names, columns, strict=True)))

    def snapshot(self):
        return self._shapes

    def samples(self):
        return SAMPLES


class Store:
    def __init__(self, made, medians):
        self.observed, self.index_lab = Observed(medians), made


class Silence:
    def ask(self, store):
        """Everything has been asked."""


def test_the_log_holds_each_change_with_its_queries_and_the_next_run_knows_them():
    log, made = MemoryTuningLog(), lab(is_served=False)
    pilot = Autopilot(log=log)
    first = pilot.run(Store(made, {BY_NAME: 90.0, BY_BANK: 50.0}), Silence(), NOW)
    assert first.slow["shape_id"].to_pylist() == [BY_NAME, BY_BANK]
    rows = {row["trial_id"]: row for row in log.decisions().to_pylist()}
    assert {name: row["decision"] for name, row in rows.items()} == {
        NAME.name: "reverted",
        BANK.name: "kept",
    }
    assert rows[BANK.name]["queries"] == [BY_BANK]
    assert rows[BANK.name]["hits_ratio_high"] < 0.1
    assert (rows[BANK.name]["n_entries"], rows[BANK.name]["element"]) == (1_000, "node")
    made.log.clear()
    pilot.run(Store(made, {BY_NAME: 90.0, BY_BANK: 50.0}), Silence(), NOW + timedelta(hours=1))
    assert made.log == []
    assert log.decisions().num_rows == 2
    assert log.uses() == {BANK.name: NOW + timedelta(hours=1)}
    assert past_of(log).trials[NAME.name].decision == "reverted"


class Killed(Exception):
    """The process ends here."""


class TornLog(MemoryTuningLog):
    """A log before whose next row the process is killed."""

    is_torn = True

    def append(self, decisions):
        if self.is_torn:
            raise Killed
        super().append(decisions)


def test_an_index_that_was_kept_and_not_logged_gets_its_row_with_the_next_run():
    log, made = TornLog(), lab()
    store = Store(made, {BY_NAME: 90.0})
    with pytest.raises(Killed):
        Autopilot(log=log).run(store, Silence(), NOW)
    assert (NAME in made.indexes, log.decisions().num_rows) == (True, 0)
    log.is_torn = False
    Autopilot(policy=TuningPolicy(may_change=False), log=log).run(store, Silence(), NOW)
    assert log.decisions().num_rows == 0  # a dry run tells nobody
    second = Autopilot(log=log).run(store, Silence(), NOW + timedelta(hours=1))
    assert second.trials["decision"].to_pylist() == ["in_use", "kept"]
    Autopilot(log=log).run(store, Silence(), NOW + timedelta(hours=2))
    (row,) = log.decisions().to_pylist()
    assert (row["trial_id"], row["decision"], row["decided_at"]) == (
        NAME.name,
        "kept",
        NOW + timedelta(hours=1),
    )
    assert "found kept" in row["reason"]
    assert (row["label"], row["db_hits_before"]) == ("Entity", None)


def test_an_index_found_is_no_trial_of_this_run_and_not_taken_for_one_that_a_later_one_replaces():
    made = lab()
    made.indexes.append(NAME)
    trials = tuned(made, BY_BANK, past=Past(), samples={BY_BANK: SAMPLES[BY_BANK]}, max_trials=1)
    assert decisions(trials) == [(NAME, "kept"), (BANK, "kept")]
    assert made.indexes == [KEY, FOREIGN, NAME, BANK]


def test_an_index_whose_trial_was_killed_is_not_found_but_dropped():
    made = lab()
    made.indexes.append(NAME)
    made.unfinished.append(NAME.name)
    assert decisions(tuned(made, past=Past())) == [(None, "not_needed")]
    assert made.indexes == [KEY, FOREIGN]


def test_the_past_is_read_when_it_is_this_runs_turn():
    """Who waited for another autopilot would else find unlogged what that one has just kept."""
    made = lab()

    def read_past():
        assert made.n_alone == 1
        return Past()

    assert QueryOptimizer(made).tune({}, SAMPLES, NOW, read_past)


QUERY_OF_THE_SERVICE = "MATCH (e:Entity) WHERE e.display_name = $a RETURN e"


def asked_by_the_service(n_calls=20, ended_at=NOW, ms=90.0):
    """QUERY_WINDOWS and sampled calls as the service's recorder has stored them."""
    times = iter(n * ms / 1000 for n in range(n_calls) for n in (n, n + 1))
    observer, windows, calls = QueryObserver(lambda: next(times)), MemoryQueryHistory(), MemoryCallHistory()
    moments = iter([ended_at - timedelta(minutes=1), ended_at])
    recorder = QueryRecorder(observer, windows, lambda: next(moments), calls=calls)
    for n in range(n_calls):
        observer.run(QUERY_OF_THE_SERVICE, {"a": n % 3}, list, is_sampled=True)
    assert recorder.record()
    return windows.windows(), calls.calls()


def served_lab():
    made = lab()
    made.plans[QUERY_OF_THE_SERVICE] = (scan_plan("x.display_name = $a"), ((NAME, seek_plan(NAME)),))
    return made


def test_a_shape_that_only_the_service_asks_gets_its_index_for_the_calls_that_it_made():
    log, made = MemoryTuningLog(), served_lab()
    past, calls = asked_by_the_service()
    result = Autopilot(log=log).run(Store(made, {OTHER: 0.1}), Silence(), NOW, past, calls)
    (row,) = [row for row in result.trials.to_pylist() if row["decision"] == "kept"]
    assert (row["trial_id"], row["db_hits_before"]) == (NAME.name, 3 * 2_001)  # of three distinct calls
    assert made.indexes == [KEY, FOREIGN, NAME]
    (slow,) = result.slow.to_pylist()
    assert (slow["n_calls"], slow["why"]) == (20, "absolute")
    (decided,) = log.decisions().to_pylist()
    assert decided["queries"] == [slow["query"]] == [QUERY_OF_THE_SERVICE.replace("$a", "?")]


def test_what_the_service_asked_before_the_recent_past_is_not_replayed():
    made = served_lab()
    past, calls = asked_by_the_service(ended_at=NOW - timedelta(hours=25))
    result = Autopilot().run(Store(made, {OTHER: 0.1}), Silence(), NOW, past, calls)
    assert result.trials["decision"].to_pylist() == ["not_needed"]
    assert made.log == []


def test_calls_of_the_service_add_to_those_of_the_run_when_candidates_are_ranked():
    """Of two that are asked alike the first name comes first; the service's calls decide otherwise."""
    past, calls = asked_by_the_service()
    place = past.column_names.index("shape_id")
    past = past.set_column(place, "shape_id", pa.array([BY_NAME]))  # as if it were the run's own shape
    calls = {BY_NAME: next(iter(calls.values()))}
    pilot, asked = Autopilot(TuningParams(max_trials=1)), {BY_NAME: 90.0, BY_BANK: 90.0}
    alone = pilot.run(Store(served_lab(), asked), Silence(), NOW)
    both = pilot.run(Store(served_lab(), asked), Silence(), NOW, past, calls)
    assert [kept_in(alone), kept_in(both)] == [[BANK.name], [NAME.name]]
    assert n_calls_in(alone) == {BY_NAME: 10, BY_BANK: 10}
    assert n_calls_in(both) == {BY_NAME: 30, BY_BANK: 10}


def kept_in(result):
    return [row["trial_id"] for row in result.trials.to_pylist() if row["decision"] == "kept"]


def n_calls_in(result):
    return {row["shape_id"]: row["n_calls"] for row in result.slow.to_pylist()}


def test_the_same_past_gives_the_same_decisions():
    def told():
        past, calls = asked_by_the_service()
        observed = {BY_NAME: 90.0, BY_BANK: 50.0}
        return Autopilot().run(Store(served_lab(), observed), Silence(), NOW, past, calls)

    first, second = told(), told()
    assert first.trials.equals(second.trials)
    assert first.slow.equals(second.slow)


def test_a_dry_run_leaves_no_trace():
    log, made = MemoryTuningLog(), lab()
    result = Autopilot(policy=TuningPolicy(may_change=False), log=log).run(
        Store(made, {BY_NAME: 90.0}), Silence(), NOW
    )
    assert result.trials["decision"].to_pylist() == ["advised"]
    assert (log.decisions().num_rows, log.uses(), made.log) == (0, {}, [])


def test_decisions_are_a_table_of_one_row_for_index_and_decision():
    table = trials_table([*tuned(lab(), BY_NAME), *tuned(lab(), BY_NAME)])
    assert table["trial_id"].to_pylist() == [NAME.name]
    assert INDEX_DECISIONS.empty().num_rows == 0


@pytest.mark.parametrize(
    ("hits", "decision"),
    [
        ([(10_000, 100), (100, 1)], "kept"),
        ([(10_000, 100), (100, 100), (100, 100)], "reverted"),
    ],
)
def test_a_fall_of_every_call_is_sure_and_that_of_one_of_few_is_not(hits, decision):
    plans = {
        f"call {n}": (PlanProfile((), before, 1), ((NAME, PlanProfile((), after, 1)),))
        for n, (before, after) in enumerate(hits)
    }
    made = FakeLab(plans)
    with made.alone():
        trial = AutoIndexCreator(made).try_index(
            NAME, [BY_NAME], {BY_NAME: [SampledCall(query, {}) for query in plans]}
        )
    assert trial.decision == decision
