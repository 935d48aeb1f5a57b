"""The panel's effects: the naive difference is wrong, regression on the true adjustment set is right."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from terag_pipelines.demo.bank import DemoBank
from terag_pipelines.demo.panel import CONFOUNDERS, EDGES, QUESTIONS, VARIABLES
from tests.unit.demo.test_bank import frame

TOLERANCE = {"balance_next": 2.0, "churn_score": 0.003}


def naive_difference(panel: pl.DataFrame, treatment: str, outcome: str) -> float:
    means = panel.group_by(treatment).agg(pl.col(outcome).mean()).sort(treatment)[outcome]
    return float(means[1] - means[0])


def adjusted(panel: pl.DataFrame, treatment: str, outcome: str, given: tuple[str, ...]) -> float:
    design = np.column_stack(
        [np.ones(panel.height), *(panel[name].to_numpy() for name in (treatment, *given))]
    )
    return float(np.linalg.lstsq(design, panel[outcome].to_numpy(), rcond=None)[0][1])


@pytest.fixture(scope="module")
def truth(bank: DemoBank) -> dict[tuple[str, str], float]:
    rows = frame(bank, "truth/effects.csv").iter_rows()
    return {(treatment, outcome): float(value) for treatment, outcome, value in rows}


@pytest.mark.parametrize(("treatment", "outcome"), QUESTIONS)
def test_adjustment_recovers_what_the_naive_difference_misses(
    bank: DemoBank, truth: dict[tuple[str, str], float], treatment: str, outcome: str
) -> None:
    panel, effect = frame(bank, "client_panel.parquet"), truth[treatment, outcome]
    assert adjusted(panel, treatment, outcome, CONFOUNDERS) == pytest.approx(effect, abs=TOLERANCE[outcome])
    assert abs(naive_difference(panel, treatment, outcome) - effect) > 10 * TOLERANCE[outcome]


def test_adjusting_for_what_lies_between_is_wrong(
    bank: DemoBank, truth: dict[tuple[str, str], float]
) -> None:
    panel = frame(bank, "client_panel.parquet")
    blocked = adjusted(panel, "fee_waiver", "churn_score", (*CONFOUNDERS, "app_logins"))
    assert abs(blocked - truth["fee_waiver", "churn_score"]) > 0.01


def test_twelve_months_of_every_client(bank: DemoBank) -> None:
    panel = frame(bank, "client_panel.parquet")
    assert panel.select("client_id", "month").n_unique() == panel.height
    assert panel["client_id"].n_unique() * 12 == panel.height
    assert sorted(panel["month"].cast(pl.String).unique())[::11] == ["2025-11", "2026-10"]
    assert all(panel[name].dtype == pl.Float64 for name in VARIABLES)
    assert {name for edge in EDGES for name in edge} == set(VARIABLES)


def test_clients_own_effects_differ_around_the_average(
    bank: DemoBank, truth: dict[tuple[str, str], float]
) -> None:
    own = frame(bank, "truth/client_effects.csv").with_columns(pl.col("value").cast(pl.Float64))
    for (treatment, outcome), effect in truth.items():
        values = own.filter(pl.col("object") == f"{treatment}->{outcome}")["value"]
        assert 350 < len(values) < 650
        assert values.std() > 0.02 * abs(effect)
        assert values.mean() == pytest.approx(effect, rel=0.1)
