"""Questions over a panel: answered where they can be, refused with the reason where not, always the same."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from terag_pipelines.errors import EffectRefusedError, NotFoundError, TwinError
from terag_pipelines.tables import digest
from terag_pipelines.twin import fit as fit_module
from terag_pipelines.twin.dowhy_checks import DoWhyAnswer, Refutation
from terag_pipelines.twin.engine import CausalEngine, what_if
from terag_pipelines.twin.estimation import TwinParams
from terag_pipelines.twin.fit import TwinFit, fit_twins
from terag_pipelines.twin.model import CLIENT_TWINS, TWIN_EFFECTS
from terag_pipelines.twin.pictures import draw_client_effects, draw_effects
from terag_pipelines.twin.quality import effect_quality
from terag_pipelines.twin.spec import TwinSpec
from tests.unit.twin.worlds import CONFOUNDED, World, as_panel, make_spec, make_world

PARAMS = TwinParams(n_simulations=5, max_dowhy_rows=2_000)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def fitted(world: World) -> TwinFit:
    return fit_twins(world.panel, make_spec(), PARAMS)


def only_row(fit: TwinFit) -> dict[str, Any]:
    assert fit.effects.num_rows == 1
    row: dict[str, Any] = fit.effects.to_pylist()[0]
    return row


def test_the_naive_difference_is_wrong_and_ours_covers_the_truth(world: World, fitted: TwinFit) -> None:
    row = only_row(fitted)
    assert row["is_answerable"]
    assert row["adjustment_set"] == ["age", "need"]
    assert row["effect_low"] <= world.effect <= row["effect_high"]
    assert row["effect_high"] - row["effect_low"] < 0.6
    assert row["naive_difference"] > world.effect + 1
    assert row["dowhy_effect"] == pytest.approx(world.effect, abs=0.5)
    assert row["treatment_kind"] == "binary"
    assert (row["n_rows"], row["n_clients"], row["n_rows_used"]) == (2_400, 400, 2_000)
    assert 0 < row["robustness"] < 1


def test_every_refutation_is_told_with_its_figures(fitted: TwinFit) -> None:
    told = json.loads(only_row(fitted)["refutations"])
    assert sorted(told) == [
        "data_subset",
        "dowhy_agreement",
        "graph_independences",
        "placebo_treatment",
        "random_common_cause",
    ]
    assert all(test["passed"] for test in told.values())
    assert abs(told["placebo_treatment"]["found"]) < 0.3
    assert told["data_subset"]["found"] != told["data_subset"]["expected"]


def test_clients_get_their_own_effect(world: World, fitted: TwinFit) -> None:
    twins = fitted.twins.to_pandas()
    assert len(twins) == 400
    known = twins["is_answerable"].to_numpy()
    assert known.mean() > 0.97
    error = twins["effect"].to_numpy()[known] - world.client_effect[known]
    assert np.sqrt(np.mean(error**2)) < 0.5 * world.client_effect.std()
    covered = (twins["effect_low"] <= world.client_effect) & (world.client_effect <= twins["effect_high"])
    assert covered[known].mean() > 0.7


def test_a_null_effect_is_found_to_be_null() -> None:
    row = only_row(fit_twins(make_world(effect=0.0, seed=4).panel, make_spec(), PARAMS))
    assert row["effect_low"] <= 0 <= row["effect_high"]
    assert row["naive_difference"] > 1


def test_a_continuous_treatment_is_answered_within_what_was_seen() -> None:
    world = make_world(is_binary=False, seed=5)
    fit = fit_twins(world.panel, make_spec(), PARAMS)
    row = only_row(fit)
    assert row["treatment_kind"] == "continuous"
    assert row["effect_low"] <= world.effect <= row["effect_high"]
    engine = CausalEngine(fit.effects, fit.twins)
    near = engine.what_if("people:00003", "offer", 1.0, from_value=0.5)
    far = engine.what_if("people:00003", "offer", 0.5, from_value=1.0)
    assert near.change == pytest.approx(-far.change)
    assert (near.change_low, near.change_high) == pytest.approx((-far.change_high, -far.change_low))
    with pytest.raises(EffectRefusedError, match="where clients like this one are seen"):
        engine.what_if("people:00003", "offer", 1e3)


@pytest.mark.parametrize("unobserved", [["need"], []])
def test_a_hidden_confounder_is_refused(world: World, unobserved: list[str]) -> None:
    panel = world.panel if unobserved else world.panel.drop_columns(["need"])
    fit = fit_twins(panel, make_spec(unobserved=unobserved), PARAMS)
    row = only_row(fit)
    assert not row["is_answerable"]
    assert "not identified: need is not observed" in row["reason"]
    assert row["effect"] is None
    assert set(fit.twins["reason"].to_pylist()) == {row["reason"]}
    with pytest.raises(EffectRefusedError, match="need is not observed"):
        what_if(fit.effects, fit.twins, "people:00001", "offer", 1.0)


def test_no_overlap_is_refused() -> None:
    row = only_row(fit_twins(make_world(slope=12.0, seed=6).panel, make_spec(), PARAMS))
    assert not row["is_answerable"]
    assert row["reason"].startswith("no overlap:")
    assert row["overlap_share"] < 0.9
    assert row["effect"] is None


def test_a_continuous_treatment_that_the_covariates_fix_is_refused() -> None:
    row = only_row(fit_twins(make_world(slope=30.0, seed=6, is_binary=False).panel, make_spec(), PARAMS))
    assert "the covariates fix the treatment" in row["reason"]


def test_a_graph_that_the_panel_contradicts_is_refused(world: World) -> None:
    wrong = [
        ["age", "offer"],
        ["age", "balance"],
        ["need", "age"],
        ["offer", "balance"],
    ]  # need is no confounder here
    row = only_row(fit_twins(world.panel, make_spec(wrong), PARAMS))
    assert not row["is_answerable"]
    assert row["reason"].startswith("the panel contradicts the graph: ")
    assert "need" in row["reason"]


def test_a_failed_refutation_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Refutation("placebo_treatment", expected=0.0, found=1.0, tolerance=0.1)
    answer = DoWhyAnswer(True, 2.0, 1.9, 2.1, 100, (failed,))
    monkeypatch.setattr(fit_module, "ask_dowhy", lambda *_: answer)
    row = only_row(fit_twins(world.panel, make_spec(), PARAMS))
    assert row["reason"] == "refuted: placebo_treatment changed the estimate"
    assert row["effect"] is None


def test_disagreement_with_dowhy_is_told_but_not_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "ask_dowhy", lambda *_: DoWhyAnswer(True, 9.0, 8.9, 9.1, 100))
    fit = fit_twins(world.panel, make_spec(), PARAMS)
    row = only_row(fit)
    assert row["is_answerable"]
    assert "DoWhy" in row["reason"]
    assert "DoWhy" in what_if(fit.effects, fit.twins, "people:00001", "offer", 1.0, from_value=0.0).note


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"offer": 0.0}, "offer never changes"),
        ({"balance": 1.0}, "balance never changes"),
        ({"balance": None}, "0 clients have complete rows"),
    ],
)
def test_what_cannot_be_estimated_is_refused(
    world: World, change: dict[str, float | None], reason: str
) -> None:
    panel = world.panel
    for name, value in change.items():
        constant = pa.array([value] * panel.num_rows, pa.float64())
        panel = panel.set_column(panel.column_names.index(name), name, constant)
    assert reason in only_row(fit_twins(panel, make_spec(), PARAMS))["reason"]


def test_few_clients_or_few_treated_are_refused(world: World) -> None:
    few = fit_twins(world.panel.slice(0, 60), make_spec(), PARAMS)
    assert "10 clients have complete rows, at least 50" in only_row(few)["reason"]
    alone = make_world(n_clients=100, n_months=60)
    offer = np.asarray(alone.panel["client_id"].to_numpy(zero_copy_only=False) == "people:00000", np.float64)
    place = alone.panel.column_names.index("offer")
    one_treated = fit_twins(alone.panel.set_column(place, "offer", pa.array(offer)), make_spec(), PARAMS)
    assert "1 clients on one side of offer" in only_row(one_treated)["reason"]
    rare = fit_twins(world.panel, make_spec(), replace(PARAMS, min_arm_rows=5_000))
    assert "rows on one side of offer" in only_row(rare)["reason"]


def test_months_with_gaps_are_left_out_and_a_client_without_any_is_refused(world: World) -> None:
    balance = world.panel["balance"].to_numpy().copy()
    balance[:6], balance[10] = np.nan, np.nan
    place = world.panel.column_names.index("balance")
    panel = world.panel.set_column(place, "balance", pa.array(balance, from_pandas=True))
    fit = fit_twins(panel, make_spec(), PARAMS)
    assert only_row(fit)["n_rows"] == 2_400 - 7
    first = fit.twins.to_pylist()[0]
    assert (first["is_answerable"], first["effect"]) == (False, None)
    assert first["reason"] == "no month of this client is complete"


def test_a_client_unlike_all_others_is_refused(world: World) -> None:
    need = world.panel["need"].to_numpy().copy()
    need[6:12] = 400.0
    panel = world.panel.set_column(world.panel.column_names.index("need"), "need", pa.array(need))
    fit = fit_twins(panel, make_spec(), PARAMS)
    assert only_row(fit)["is_answerable"]
    assert fit.twins.to_pylist()[1]["reason"] == "too unlike the other clients"
    with pytest.raises(EffectRefusedError, match="too unlike the other clients"):
        what_if(fit.effects, fit.twins, "people:00001", "offer", 1.0)


def test_row_order_does_not_reach_the_result(world: World, fitted: TwinFit) -> None:
    shuffled = world.panel.take(np.random.default_rng(2).permutation(world.panel.num_rows))
    again = fit_twins(shuffled, make_spec(), PARAMS)
    assert digest(again.effects) == digest(fitted.effects)
    assert digest(again.twins) == digest(fitted.twins)
    assert again.model.to_json() == fitted.model.to_json()


def test_another_process_gives_the_same_tables(fitted: TwinFit) -> None:
    program = (
        "from tests.unit.twin.worlds import *; from tests.unit.twin.test_fit import PARAMS;"
        "from terag_pipelines.twin.fit import fit_twins; from terag_pipelines.tables import digest;"
        "f = fit_twins(make_world().panel, make_spec(), PARAMS); print(digest(f.effects), digest(f.twins))"
    )
    environment = os.environ | {"LOKY_MAX_CPU_COUNT": "1"}  # joblib cannot count cores without /sys
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [digest(fitted.effects), digest(fitted.twins)]
    assert done.stderr == ""  # neither progress bars nor warnings


def test_nothing_asked_or_nothing_there_gives_empty_tables_and_the_reason(world: World) -> None:
    unasked = fit_twins(world.panel, TwinSpec.from_manifest(None))
    empty = fit_twins(world.panel.slice(0, 0), make_spec())
    for fit in (unasked, empty):
        assert fit.effects.schema.equals(TWIN_EFFECTS.schema)
        assert fit.twins.schema.equals(CLIENT_TWINS.schema)
        assert fit.effects.num_rows == fit.twins.num_rows == 0
    assert "asks no causal question" in unasked.reason
    assert "panel is empty" in empty.reason


def test_an_outcome_that_the_panel_lacks_is_refused_by_name(world: World) -> None:
    spec = TwinSpec.from_manifest(
        {"questions": [{"treatment": "offer", "outcome": "churn"}], "edges": [["offer", "churn"]]}
    )
    assert "the panel has no variable 'churn'" in only_row(fit_twins(world.panel, spec, PARAMS))["reason"]


def test_what_if_answers_with_an_interval(fitted: TwinFit) -> None:
    engine = CausalEngine(fitted.effects, fitted.twins)
    row = fitted.twins.to_pylist()[7]
    answer = engine.what_if("people:00007", "offer", 1.0, from_value=0.0)
    assert answer.change == row["effect"]
    assert (answer.change_low, answer.change_high) == (row["effect_low"], row["effect_high"])
    assert answer.adjustment_set == ("age", "need")
    assert answer.outcome == "balance"
    taken_away = engine.twin_of("people:00007").what_if("offer", 0.0, from_value=1.0)
    assert taken_away.change == -answer.change
    stays = engine.what_if("people:00007", "offer", row["treatment_now"])
    assert stays.change == stays.change_low == stays.change_high == 0


def test_what_if_refuses_what_it_cannot_know(fitted: TwinFit) -> None:
    engine = CausalEngine(fitted.effects, fitted.twins)
    with pytest.raises(NotFoundError, match="holds no client"):
        engine.what_if("people:nobody", "offer", 1.0)
    with pytest.raises(NotFoundError, match="known: \\['offer -> balance'\\]"):
        engine.what_if("people:00001", "need", 1.0)
    with pytest.raises(EffectRefusedError, match="its values are 0 and 1"):
        engine.what_if("people:00001", "offer", 0.5)
    with pytest.raises(TwinError, match="finite"):
        engine.what_if("people:00001", "offer", float("nan"))


def test_a_treatment_with_two_outcomes_must_be_asked_with_one(world: World) -> None:
    churn = world.panel["balance"].to_numpy()[::-1].copy()
    panel = world.panel.append_column("churn", pa.array(churn))
    mapping = {
        "questions": [{"treatment": "offer", "outcome": name} for name in ("balance", "churn")],
        "edges": [*CONFOUNDED, ["offer", "churn"]],
    }
    fit = fit_twins(panel, TwinSpec.from_manifest(mapping), PARAMS)
    assert fit.effects.num_rows == 2
    with pytest.raises(TwinError, match=r"several outcomes, name one: \['balance', 'churn'\]"):
        what_if(fit.effects, fit.twins, "people:00001", "offer", 1.0)
    assert what_if(fit.effects, fit.twins, "people:00001", "offer", 1.0, "balance").outcome == "balance"


def test_answers_against_their_truth(world: World, fitted: TwinFit) -> None:
    truth = [("effect", "offer", "balance", str(world.effect), "truth"), ("effect", "x", "y", "1", "truth")]
    ids = [f"people:{i:05d}" for i in range(400)]
    truth += [
        ("effect", c, "offer->balance", str(e), "truth")
        for c, e in zip(ids, world.client_effect, strict=True)
    ]
    truth.append(("effect", "offer", "balance", "99", "training"))
    names = ("label_kind", "subject_id", "object_id", "value", "use")
    labels = pa.table({name: [row[i] for row in truth] for i, name in enumerate(names)})
    quality = effect_quality(fitted.effects, fitted.twins, labels)
    assert (quality.n_effects, quality.n_answered, quality.covered_share) == (1, 1, 1.0)
    assert quality.relative_error < 0.1 < 0.5 < quality.naive_relative_error
    assert quality.n_clients > 380
    assert quality.client_covered_share > 0.7
    assert quality.client_relative_error < 0.5
    nothing = effect_quality(TWIN_EFFECTS.empty(), CLIENT_TWINS.empty(), labels)
    assert nothing.n_effects == 0
    assert np.isnan(nothing.relative_error)


def test_pictures_are_drawn_for_answers_refusals_and_nothing(world: World, fitted: TwinFit) -> None:
    refused = fit_twins(world.panel, make_spec(unobserved=["need"]), PARAMS)
    for fit in (fitted, refused):
        assert draw_effects(fit.effects) == draw_effects(fit.effects)
        assert draw_client_effects(fit.twins, "offer", "balance").startswith(b"\x89PNG")
    assert draw_effects(TWIN_EFFECTS.empty()).startswith(b"\x89PNG")


def test_the_service_needs_no_heavy_library() -> None:
    program = (
        "import terag_pipelines.twin.engine, sys;"
        "print([name for name in ('dowhy', 'sklearn', 'polars') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_even_panel_is_told_apart_by_month() -> None:
    panel = as_panel(np.repeat(np.arange(2), 3), 3, offer=np.arange(6.0), balance=np.arange(6.0))
    assert panel["month"].to_pylist()[:3] == ["2026-01", "2026-02", "2026-03"]
