"""A monthly client panel from a stated structural causal model with confounding, and its true effects.

With noise N and S the logistic function, for client i and month t:

    income      = client mean * exp(N(0, .10))                                     thousand KZT
    tenure      = months since the client came
    risk_appetite, digital_share                                                   constant, Beta(2, 2)
    distress    = .55 - .001 income + .25 risk_appetite + N(0, .25)
    fee_waiver         ~ S(-1.1 + 2.2 distress - .0025 income + .006 tenure)       0 or 1
    credit_limit_raise ~ S(-1.6 + .0040 income + .006 tenure - 1.6 distress + .8 risk_appetite)
    app_logins  = 6 + 8 digital_share + 1.5 fee_waiver + N(0, 1.5)
    churn_score = .35 + .20 distress - .0006 tenure - .0003 income - .012 app_logins
                  + waiver_on_churn(i) fee_waiver - .03 credit_limit_raise + N(0, .08)
    balance_next = 40 + .45 income + .4 tenure - 90 distress + 30 risk_appetite
                  + waiver_on_balance(i) fee_waiver + raise_on_balance(i) credit_limit_raise + N(0, 60)

Income, tenure, distress and risk appetite are confounders and all observed; app_logins lies between the
waiver and the churn score, so that adjusting for it is wrong. Those in distress get waivers, the wealthy
get raises: the plain difference of means misses both effects on the balance, in sign too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from terag_pipelines.demo.calendar import Calendar
from terag_pipelines.demo.randomness import Floats, Rng, between
from terag_pipelines.demo.transfers import coded

N_MONTHS = 12
QUESTIONS = (
    ("fee_waiver", "balance_next"),
    ("credit_limit_raise", "balance_next"),
    ("fee_waiver", "churn_score"),
)
EDGES = (
    ("income", "distress"), ("risk_appetite", "distress"),
    ("distress", "fee_waiver"), ("income", "fee_waiver"), ("tenure", "fee_waiver"),
    ("income", "credit_limit_raise"), ("tenure", "credit_limit_raise"), ("distress", "credit_limit_raise"),
    ("risk_appetite", "credit_limit_raise"),
    ("digital_share", "app_logins"), ("fee_waiver", "app_logins"),
    ("distress", "churn_score"), ("tenure", "churn_score"), ("income", "churn_score"),
    ("app_logins", "churn_score"), ("fee_waiver", "churn_score"), ("credit_limit_raise", "churn_score"),
    ("digital_share", "churn_score"),
    ("income", "balance_next"), ("tenure", "balance_next"), ("distress", "balance_next"),
    ("risk_appetite", "balance_next"), ("digital_share", "balance_next"),
    ("fee_waiver", "balance_next"), ("credit_limit_raise", "balance_next"),
)  # fmt: skip
"""The true causal graph."""
VARIABLES = (
    "income", "tenure", "risk_appetite", "digital_share", "distress", "fee_waiver",
    "credit_limit_raise", "app_logins",
    "churn_score", "balance_next",
)  # fmt: skip
CONFOUNDERS = ("income", "tenure", "distress", "risk_appetite")
LOGINS_BY_WAIVER, CHURN_BY_LOGIN = 1.5, -0.012


@dataclass(frozen=True)
class _Client:
    """What does not change with the months, one value per client."""

    income: Floats
    tenure: Floats
    risk_appetite: Floats
    digital_share: Floats


@dataclass(frozen=True)
class Panel:
    """The raw panel (client_id, month, the VARIABLES) and each client's true effect for every question."""

    table: pa.Table
    effects: dict[tuple[str, str], Floats]


def observe_clients(client_id: pa.Array, income: Floats, calendar: Calendar, rng: Rng) -> Panel:
    """Twelve months of all clients; `income` is their mean in thousand KZT."""
    n = len(client_id)
    client = _Client(
        income=income,
        tenure=between(rng, 1, 160, n).astype(np.float64),
        risk_appetite=rng.beta(2.0, 2.0, n),
        digital_share=rng.beta(2.0, 2.0, n),
    )
    months = calendar.months(N_MONTHS)
    parts = [_observe_month(client, t, rng) for t in range(N_MONTHS)]
    everybody = np.arange(n)
    tables = [
        pa.table(
            {
                "client_id": coded(everybody, client_id),
                "month": coded(np.full(n, t), pa.array(months)),
                **{name: pa.array(np.round(part[name], 4)) for name in VARIABLES},
            }
        )
        for t, part in enumerate(parts)
    ]
    return Panel(pa.concat_tables(tables), _true_effects(client))


def _true_effects(client: _Client) -> dict[tuple[str, str], Floats]:
    """Total effects, those that pass through app_logins included."""
    digital, risk = client.digital_share - 0.5, client.risk_appetite - 0.5
    return {
        ("fee_waiver", "balance_next"): 18.0 + 16.0 * digital + 6.0 * risk,
        ("credit_limit_raise", "balance_next"): -25.0 - 18.0 * digital - 6.0 * risk,
        ("fee_waiver", "churn_score"): -0.05 - 0.04 * digital + LOGINS_BY_WAIVER * CHURN_BY_LOGIN,
    }


def _observe_month(client: _Client, t: int, rng: Rng) -> dict[str, Floats]:
    n = len(client.income)
    income = client.income * np.exp(rng.normal(0.0, 0.10, n))
    tenure = client.tenure + t
    distress = 0.55 - 0.001 * income + 0.25 * client.risk_appetite + rng.normal(0.0, 0.25, n)
    waiver = _assigned(-1.1 + 2.2 * distress - 0.0025 * income + 0.006 * tenure, rng)
    score = -1.6 + 0.004 * income + 0.006 * tenure - 1.6 * distress + 0.8 * client.risk_appetite
    raised = _assigned(score, rng)
    logins = 6.0 + 8.0 * client.digital_share + LOGINS_BY_WAIVER * waiver + rng.normal(0.0, 1.5, n)
    effects = _true_effects(client)
    direct = effects["fee_waiver", "churn_score"] - LOGINS_BY_WAIVER * CHURN_BY_LOGIN
    churn = 0.35 + 0.2 * distress - 0.0006 * tenure - 0.0003 * income + CHURN_BY_LOGIN * logins
    churn += direct * waiver - 0.03 * raised + rng.normal(0.0, 0.08, n)
    balance = 40.0 + 0.45 * income + 0.4 * tenure - 90.0 * distress + 30.0 * client.risk_appetite
    balance += effects["fee_waiver", "balance_next"] * waiver
    balance += effects["credit_limit_raise", "balance_next"] * raised + rng.normal(0.0, 60.0, n)
    values = (
        income,
        tenure,
        client.risk_appetite,
        client.digital_share,
        distress,
        waiver,
        raised,
        logins,
        churn,
        balance,
    )
    return dict(zip(VARIABLES, values, strict=True))


def _assigned(score: Floats, rng: Rng) -> Floats:
    """0 or 1 by the logistic of the score, kept between 3 and 97 per cent: either may happen to anybody."""
    probability = np.clip(1.0 / (1.0 + np.exp(-score)), 0.03, 0.97)
    return np.asarray(rng.random(len(score)) < probability, dtype=np.float64)
