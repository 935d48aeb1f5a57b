from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from terag_pipelines.calibration.fit import FittedCalibrator
from terag_pipelines.rings.alerts import raise_alerts
from terag_pipelines.rings.detection import RingParams, labelled_scores, score_rings
from terag_pipelines.rings.model import FRAUD_RINGS, RING_ALERTS, RING_MEMBERS, RING_SCORES
from terag_pipelines.rings.naming import NamingParams, name_rings
from terag_pipelines.rings.quality import judge_detection, judge_rings
from terag_pipelines.rings.risk import RiskParams
from terag_pipelines.tables import digest
from tests.unit.rings.worlds import CYCLE, FAN_IN, INNOCENT, SHARED, World, planted_world


def frame(table: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table))


def without_labels(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    return {**tables, "labels": tables["labels"].slice(0, 0)}


def many_rings(n_rings: int = 24) -> World:
    """1,200 people with rings of five, all labelled for training and as truth, and six times as many
    cleared.
    """
    world = World(1200, n_outside=100).live(3000)
    rings = np.random.default_rng(3).permutation(800).reshape(-1, 5)
    for number, members in enumerate(rings[:n_rings].tolist()):
        for day in (5 + number, 45 + number):
            world.plant_cycle(members, day) if number % 2 else world.plant_fan_in(members, day)
        world.label(members, "fraud", "1", "training", "truth")
    return world.label(rings[n_rings : 7 * n_rings].ravel().tolist(), "fraud", "0", "training", "truth")


def test_planted_rings_of_each_kind_are_recovered_without_any_training_label() -> None:
    tables = planted_world().tables()
    detection = score_rings(tables)
    named = name_rings(detection.scores, tables)
    recovery = judge_rings(named.members, tables)
    assert recovery is not None
    assert (recovery.n_planted, recovery.n_found) == (3, 3)
    kinds = dict(frame(named.rings).select("ring_id", "kind").iter_rows())
    found = {
        planted: kinds[ring_id]
        for planted, ring_id in recovery.table.select("planted", "ring_id").iter_rows()
    }
    assert found == {"cycle": "cycle", "fan_in": "fan_in", "shared": "shared_identity"}
    quality = judge_detection(detection.scores, named.members, tables)
    assert quality.scores is not None
    others = {name: baseline.average_precision for name, baseline in quality.baselines.items()}
    assert quality.scores.average_precision > max(others.values())
    assert not detection.report.is_supervised


def test_roles_and_reasons_say_who_does_what() -> None:
    tables = planted_world().tables()
    named = name_rings(score_rings(tables).scores, tables)
    members = frame(named.members)
    roles = dict(members.select("entity_id", "role").iter_rows())
    assert roles[f"e:{FAN_IN[0]:03d}"] == "collector"
    assert {roles[f"e:{mule:03d}"] for mule in FAN_IN[1:]} == {"mule"}
    assert {roles[f"e:{member:03d}"] for member in CYCLE} == {"link"}
    assert {roles[f"e:{member:03d}"] for member in SHARED} == {"shared_identity"}
    reasons = {row["kind"]: " / ".join(row["reasons"]) for row in named.rings.to_pylist()}
    assert "6 members pay one member, which passes on" in reasons["fan_in"]
    assert "5 members pass money round in a circle" in reasons["cycle"]
    assert "KZT" in reasons["cycle"]
    assert "4 members share one phone" in reasons["shared_identity"]


def test_a_total_in_one_currency_is_not_told_as_that_of_all_transfers() -> None:
    tables = planted_world().tables()
    named = name_rings(score_rings(tables).scores, tables)
    assert not any(
        "other currencies" in reason for row in named.rings.to_pylist() for reason in row["reasons"]
    )
    moved = tables["transfers"]
    place = moved.column_names.index("currency")
    codes = pa.array(["KZT", "KZT", "USD"] * (moved.num_rows // 3 + 1), moved.field(place).type)
    tables["transfers"] = moved.set_column(place, moved.field(place), codes[: moved.num_rows])
    again = name_rings(score_rings(tables).scores, tables)
    told = [
        reason
        for row in again.rings.to_pylist()
        for reason in row["reasons"]
        if "transfers between" in reason
    ]
    assert any(reason.endswith("KZT, and more in other currencies") for reason in told)


def test_the_amount_of_a_ring_is_what_members_paid_each_other_to_the_tiyn() -> None:
    world = World(150).live(300)
    world.plant_cycle(CYCLE[:4], 10, amount_minor=9_000_001)
    tables = world.tables()
    scores = frame(score_rings(tables).scores).with_columns(
        community_id=pl.lit("one"),
        score=pl.col("entity_id").is_in([f"e:{i:03d}" for i in CYCLE[:3]]).cast(pl.Float64),
    )
    ring = name_rings(scores.to_arrow(), tables).rings.to_pylist()[0]
    inside = [p for p in world.payments if p[0] in CYCLE[:3] and p[1] in CYCLE[:3]]
    assert (ring["amount_minor"], ring["currency"], ring["n_transfers"]) == (
        sum(payment[2] for payment in inside),
        "KZT",
        len(inside),
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_input_rows_changes_no_byte(seed: int) -> None:
    plain, shuffled = planted_world().tables(), planted_world().tables(shuffle=seed)
    scores = score_rings(plain).scores
    assert digest(score_rings(shuffled).scores) == digest(scores)
    one, other = name_rings(scores, plain), name_rings(scores, shuffled)
    assert digest(other.rings) == digest(one.rings)
    assert digest(other.members) == digest(one.members)
    assert digest(raise_alerts(other.rings)) == digest(raise_alerts(one.rings))


def test_supervised_scores_are_the_same_for_any_order_of_rows() -> None:
    world = many_rings()
    assert digest(score_rings(world.tables(shuffle=4)).scores) == digest(score_rings(world.tables()).scores)


def test_no_input_and_no_ring_give_empty_tables() -> None:
    nothing = score_rings({}).scores
    assert nothing.schema == RING_SCORES.schema
    assert nothing.num_rows == 0
    for tables in ({}, World(5).tables()):
        named = name_rings(score_rings(tables).scores, tables)
        assert (named.rings.schema, named.rings.num_rows) == (FRAUD_RINGS.schema, 0)
        assert (named.members.schema, named.members.num_rows) == (RING_MEMBERS.schema, 0)
        assert (raise_alerts(named.rings).schema, raise_alerts(named.rings).num_rows) == (
            RING_ALERTS.schema,
            0,
        )


def test_why_there_is_no_ring_is_said() -> None:
    alone, quiet, planted = World(5).tables(), World(40).live(60).tables(), many_rings().tables()
    said = [name_rings(score_rings(tables).scores, tables).why_none for tables in (alone, quiet, planted)]
    assert "neither share an identifier nor pay" in said[0]
    assert "no 3 entities tied to each other score 0.5 or more" in said[1]
    assert said[2] == ""


def test_truth_changes_no_score() -> None:
    tables = planted_world().tables()
    turned = frame(tables["labels"]).with_columns(
        value=pl.when(pl.col("value") == "1").then(pl.lit("0")).otherwise(pl.lit("1"))
    )
    scores = [
        score_rings({**tables, "labels": labels}).scores for labels in (tables["labels"], turned.to_arrow())
    ]
    assert digest(scores[0]) == digest(scores[1])
    assert digest(scores[0]) == digest(score_rings(without_labels(tables)).scores)


def test_a_model_is_learned_and_chosen_where_its_folds_beat_the_anomaly_score() -> None:
    world = many_rings()
    detection = score_rings(world.tables())
    assert detection.report.is_supervised
    assert detection.report.model_average_precision > detection.report.anomaly_average_precision
    assert detection.report.model_average_precision > 0.9


def test_permuted_training_labels_teach_nothing_about_themselves() -> None:
    world = many_rings()
    values = [row["value"] for row in world.labels if row["use"] == "training"]
    permuted = iter(np.random.default_rng(8).permutation(values).tolist())
    for row in world.labels:
        if row["use"] == "training":
            row["value"] = next(permuted)
    detection = score_rings(world.tables(), RingParams(risk=RiskParams(n_trees=60)))
    base_rate = values.count("1") / len(values)
    assert detection.report.n_training_labels == len(values)
    # out of fold, a model that saw its own labels would be near 1; chance is the base rate
    assert detection.report.model_average_precision < base_rate + 0.12


def test_labelled_scores_are_those_of_entities_with_a_training_label() -> None:
    world = planted_world().label(CYCLE, "fraud", "1", "training").label(INNOCENT, "fraud", "0", "training")
    tables = world.tables()
    detection = score_rings(tables)
    scores, outcomes = detection.labelled_scores(tables["labels"])
    assert (len(scores), int(outcomes.sum())) == (len(CYCLE) + len(INNOCENT), len(CYCLE))
    again, same = labelled_scores(detection.scores, tables)
    assert np.array_equal(scores, again)
    assert np.array_equal(outcomes, same)


def test_a_calibrator_makes_risks_probabilities_and_decides_who_is_a_member() -> None:
    tables = planted_world().tables()
    scores = score_rings(tables).scores
    plain = name_rings(scores, tables)
    assert plain.rings["risk_probability"].null_count == plain.rings.num_rows
    assert not any(plain.rings["is_calibrated"].to_pylist())
    sceptic = FittedCalibrator("rings", "isotonic", {"scores": (0.0, 1.0), "values": (0.0, 0.3)})
    assert name_rings(scores, tables, sceptic).rings.num_rows == 0
    sure = FittedCalibrator(
        "rings", "isotonic", {"scores": (0.0, 0.3, 0.31, 1.0), "values": (0.0, 0.0, 0.95, 0.99)}
    )
    rings = name_rings(scores, tables, sure).rings
    assert rings.num_rows >= 3
    assert all(rings["is_calibrated"].to_pylist())
    assert min(rings["risk_probability"].to_pylist()) > 0.9
    assert set(rings["severity"].to_pylist()) == {"critical"}


def test_a_ring_is_known_by_its_members_alone() -> None:
    tables = planted_world().tables()
    scores = score_rings(tables).scores
    before = frame(name_rings(scores, tables).rings)["ring_id"].to_list()
    doubted = frame(scores).with_columns(score=pl.col("score") * 0.5)
    halved = name_rings(doubted.to_arrow(), tables, None, NamingParams(member_threshold=0.25))
    assert frame(halved.rings)["ring_id"].to_list() == before
    assert (
        halved.rings["risk_score"].to_pylist() != name_rings(scores, tables).rings["risk_score"].to_pylist()
    )


def test_alerts_follow_their_rules_and_name_nobody() -> None:
    world = planted_world()
    world.people[CYCLE[0]] = {"is_watchlist": True, "display_name": "Аскаров Асан"}
    tables = world.tables()
    rings = name_rings(score_rings(tables).scores, tables).rings
    alerts = raise_alerts(rings)
    by_kind = {row["ring_id"]: row["kind"] for row in rings.to_pylist()}
    watched = [row for row in alerts.to_pylist() if row["rule"] == "watchlist"]
    assert [by_kind[row["ring_id"]] for row in watched] == ["cycle"]
    assert watched[0]["severity"] in ("high", "critical")
    told = " ".join(alerts["message"].to_pylist())
    assert not any(secret in told for secret in ("Аскаров", "e:0", "p:", "+7701", "a10"))
    assert digest(raise_alerts(rings)) == digest(alerts)
    for runbook in set(alerts["runbook"].to_pylist()):
        assert runbook == "docs/runbooks/ring-alert.md"


def test_the_number_of_threads_changes_no_byte() -> None:
    program = (
        "from tests.unit.rings.worlds import planted_world\n"
        "from terag_pipelines.rings.detection import score_rings\n"
        "from terag_pipelines.tables import digest\n"
        "print(digest(score_rings(planted_world().tables()).scores))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "POLARS_MAX_THREADS": n_threads, "OMP_NUM_THREADS": n_threads},
            cwd=Path(__file__).parents[3],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for n_threads in ("1", "3")
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("currency", "amount_minor", "rules"),
    [
        ("KZT", 999_999_999, []),
        ("KZT", 1_000_000_000, ["amount"]),
        ("USD", 1_000_000, ["amount"]),
        ("RUB", 1_000_000, []),
        (None, 1_000_000_000, ["amount"]),
    ],
)
def test_the_amount_rule_follows_the_rings_currency(
    currency: str | None, amount_minor: int, rules: list[str]
) -> None:
    row = {"ring_id": "r", "n_members": 3, "kind": "cycle", "risk_score": 0.6, "severity": "medium"}
    row |= {"amount_minor": amount_minor, "currency": currency, "n_watchlist": 0, "reasons": []}
    rings = pa.Table.from_pylist([row], FRAUD_RINGS.schema)
    assert raise_alerts(rings)["rule"].to_pylist() == rules
