from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.rings.detection import RingParams, score_rings
from terag_pipelines.rings.risk import RiskParams
from terag_pipelines.rings.signals import weigh_tails
from tests.unit.rings.worlds import World, planted_world


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_evidence_grows_with_the_value_and_zero_says_nothing(values: list[float]) -> None:
    given_values = np.array(values)
    evidence = weigh_tails(given_values)
    order = np.argsort(given_values, kind="stable")
    assert (np.diff(evidence[order]) >= 0).all()
    assert (evidence[given_values == 0] == 0).all()
    assert (evidence >= 0).all()


def test_evidence_is_the_decades_of_rarity() -> None:
    values = np.zeros(1000)
    values[:10] = 1.0
    values[0] = 2.0
    evidence = weigh_tails(values)
    assert evidence[0] == pytest.approx(3.0)
    assert evidence[1] == pytest.approx(2.0)


def test_reasons_are_in_words_and_the_features_behind_them_are_json() -> None:
    scores = score_rings(planted_world().tables()).scores.to_pylist()
    worst = max(scores, key=lambda row: row["score"])
    assert worst["reasons"]
    assert all(" " in reason and "{" not in reason for reason in worst["reasons"])
    assert all(isinstance(value, float) for value in json.loads(worst["features"]).values())
    assert any(json.loads(row["features"]) == {} for row in scores)


def test_reasons_say_no_more_than_the_features_know() -> None:
    world = World(40).live(100).plant_cycle([1, 2, 3], day=5)
    world.devices += [(4, "device-1"), (5, "device-1")]
    world.people[6] = {"emails": ["sunny@mail.kz"], "given_key": "aigul", "family_key": "omarova"}
    scores = score_rings(world.tables(), RingParams(risk=RiskParams(n_reasons=20))).scores.to_pylist()
    reasons = {row["entity_id"]: row["reasons"] for row in scores}
    assert "shares identifiers other than addresses and IPs with 1 others" in reasons["e:004"]
    assert "has at least 1 e-mail address without its own name in it" in reasons["e:006"]
    assert any("goes round in a cycle" in reason for reason in reasons["e:002"])


def test_a_reason_counts_people_and_not_products() -> None:
    scores = score_rings(planted_world().tables()).scores.to_pylist()
    told = [reason for row in scores for reason in row["reasons"] if "payers" in reason or "payees" in reason]
    assert told
    assert all("." not in reason for reason in told)
