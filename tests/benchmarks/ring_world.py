"""Rings hidden in the payments of many accounts: recall at 50 alerts a day, beside simpler methods.

    python -m tests.benchmarks.ring_world [accounts] [--seed N]: 1,000,000 accounts by default.

The world, ten days of it. People pay friends and strangers with power-law activity; merchants, payroll and
utilities are innocent hubs; private collections (a class pays one parent, who pays a shop) look like fan-ins
and, like sharing out (one person is paid and pays many), are as many as rings. One account in a thousand is
in a ring of 5 to 15, of the kinds cycle, fan-in, fan-out, scatter-gather in turn; every tenth member of a
ring is in another one too. Members live as others do, and amounts are those of larger ordinary payments.

The protocol, fixed before the first measurement. A fifth of the rings are known: their members, and ten times
as many accounts drawn at random, are training labels for ring risk and for the booster; recall is over
members of the other rings, who are in no known one. An alert is a ring, which shows its members, or an
account, which shows itself. Ring risk alerts on its named rings by falling risk, then on single accounts;
accounts of known rings are left out. The other methods alert on accounts by falling score. Fifty alerts a day
for ten days make 500. `recall` is the share of hidden members shown, `ring_recall` the share of hidden rings
with at least half of their members shown, `ring_touched` with one. `by_account` is ring risk alerting on
accounts only, as the others do; `at_one_day` is with 50 alerts in all.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.entities import model
from terag_pipelines.rings.detection import RingDetection, measure_entities, score_rings
from terag_pipelines.rings.naming import name_rings
from terag_pipelines.rings.risk import RiskParams, cross_fit, read_outcomes
from tests.benchmarks.bench_rings import fill_table, number_ids
from tests.benchmarks.measuring import measured, tell
from tests.benchmarks.ring_baselines import AGGREGATES, rank_simply

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rng = np.random.Generator

PACKAGES = ("numpy", "numba", "polars", "scikit-learn")
HOUR_US = 3_600_000_000
N_DAYS = 10
ALERTS_A_DAY = 50
PREVALENCE = 0.001
IN_TWO = 0.1
KNOWN = 0.2
KINDS = ("cycle", "fan_in", "fan_out", "scatter_gather")
ORG_SHARE = 0.015


@dataclass(frozen=True)
class Moves:
    """Transfers: payer, payee, amount in minor units, microseconds since the start."""

    source: Ints
    target: Ints
    amount: Floats
    at: Ints


@dataclass(frozen=True)
class RingWorld:
    """The tables, and who is in which ring (`member`, `ring`), rings in order of their numbers; `is_known`
    by ring.
    """

    tables: dict[str, pa.Table]
    member: Ints
    ring: Ints
    is_known: npt.NDArray[np.bool_]


def join_moves(parts: list[Moves]) -> Moves:
    """All moves of all parts."""
    names = ("source", "target", "amount", "at")
    return Moves(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def make_world(n_accounts: int, seed: int) -> RingWorld:
    """A world of so many accounts; the same for the same seed."""
    rng = np.random.default_rng(seed)
    n_people = n_accounts - int(ORG_SHARE * n_accounts)
    member, ring, kind = plan_rings(rng, n_people)
    parts = [*live(rng, n_people, n_accounts), *look_alike(rng, n_people, n_accounts, len(kind))]
    parts += [act(rng, KINDS[kind[number]], member[ring == number], n_people) for number in range(len(kind))]
    is_known = rng.random(len(kind)) < KNOWN
    known = np.unique(member[is_known[ring]])
    cleared = np.setdiff1d(rng.choice(n_accounts, 10 * len(known), replace=False), member)
    tables = as_tables(join_moves(parts), n_people, n_accounts, rng.permutation(n_accounts))
    numbers = tables.pop("numbers")["number"].to_numpy()
    labels = label_accounts(numbers[known], numbers[cleared])
    return RingWorld({**tables, "labels": labels}, numbers[member], ring, is_known)


def plan_rings(rng: Rng, n_people: int) -> tuple[Ints, Ints, Ints]:
    """Member and ring of each membership, and the kind of each ring."""
    n_rings = max(len(KINDS), round(PREVALENCE * n_people / 10 / (1 - IN_TWO)))
    sizes = rng.integers(5, 16, n_rings)
    ring = np.repeat(np.arange(n_rings), sizes)
    member = rng.choice(n_people, len(ring), replace=False)
    again = np.flatnonzero((rng.random(len(ring)) < IN_TWO) & (ring > 0))
    earlier = (rng.random(len(again)) * (np.cumsum(sizes) - sizes)[ring[again]]).astype(np.int64)
    member[again] = member[earlier]
    once = np.unique(np.column_stack([ring, member]), axis=0)
    return once[:, 1], once[:, 0], np.arange(n_rings) % len(KINDS)


def live(rng: Rng, n_people: int, n_accounts: int) -> list[Moves]:
    """Payments to friends, strangers, merchants and utilities, and wages."""
    activity = np.minimum(rng.pareto(1.8, n_people) + 0.3, 60.0)
    payer = rng.choice(n_people, 3 * n_people, p=activity / activity.sum())
    near = (payer + rng.integers(1, 13, len(payer)) * rng.choice([-1, 1], len(payer))) % n_people
    popular = rng.choice(n_people, len(payer), p=activity[::-1] / activity.sum())
    n_shops = n_accounts - n_people
    weight = 1 / np.arange(10, n_shops + 10) ** 0.9
    shop = n_people + rng.choice(n_shops, len(payer), p=weight / weight.sum())
    draw = rng.random(len(payer))
    payee = np.where(draw < 0.45, near, np.where(draw < 0.55, popular, shop))
    amount = np.exp(rng.normal(14.0, 1.1, len(payer)))
    bought = Moves(payer, payee, amount, rng.integers(0, N_DAYS * 24 * HOUR_US, len(payer)))
    return [bought, pay_wages(rng, n_people, n_accounts), pay_bills(rng, n_people, n_accounts)]


def pay_wages(rng: Rng, n_people: int, n_accounts: int) -> Moves:
    """A third of the people get wages in the window, each from one of a few large employers."""
    paid = rng.choice(n_people, n_people // 3, replace=False)
    employer = n_accounts - 1 - rng.integers(0, max((n_accounts - n_people) // 10, 1), len(paid))
    amount = np.exp(rng.normal(17.0, 0.4, len(paid)))
    return Moves(employer, paid, amount, rng.integers(0, N_DAYS, len(paid)) * 24 * HOUR_US + 9 * HOUR_US)


def pay_bills(rng: Rng, n_people: int, n_accounts: int) -> Moves:
    """A quarter of the people pay one of twenty utilities."""
    payer = rng.choice(n_people, n_people // 4, replace=False)
    utility = n_people + rng.integers(0, 20, len(payer))
    amount = np.exp(rng.normal(14.0, 0.4, len(payer)))
    return Moves(payer, utility, amount, rng.integers(0, N_DAYS * 24 * HOUR_US, len(payer)))


def look_alike(rng: Rng, n_people: int, n_accounts: int, n_rings: int) -> Iterator[Moves]:
    """Private collections spent at a shop, and people who are paid and share it out."""
    for number in range(n_rings):
        crowd = rng.choice(n_people, int(rng.integers(6, 21)), replace=False)
        head, others = crowd[0], crowd[1:]
        start, share = rng.integers(0, (N_DAYS - 3) * 24 * HOUR_US), np.exp(rng.normal(15.0, 0.5))
        each = share * rng.choice([0.5, 1.0, 1.0, 1.0, 2.0], len(others))
        when = start + rng.integers(0, 48 * HOUR_US, len(others))
        outside = rng.integers(n_people, n_accounts)
        if number % 2:
            yield _moves(others, head, each, when)
            yield _moves(head, outside, each.sum() * 0.97, start + 50 * HOUR_US)
        else:
            yield _moves(outside, head, each.sum() * 1.05, start)
            yield _moves(head, others, each, when + HOUR_US)


def _moves(source: npt.ArrayLike, target: npt.ArrayLike, amount: npt.ArrayLike, at: npt.ArrayLike) -> Moves:
    ends = np.broadcast_arrays(*(np.atleast_1d(np.asarray(part)) for part in (source, target, amount, at)))
    return Moves(
        ends[0].astype(np.int64),
        ends[1].astype(np.int64),
        ends[2].astype(np.float64),
        ends[3].astype(np.int64),
    )


def act(rng: Rng, kind: str, members: Ints, n_people: int) -> Moves:
    """What one ring does, once or twice in the window."""
    rounds = []
    for _ in range(int(rng.integers(1, 3))):
        start = int(rng.integers(0, (N_DAYS - 4) * 24 * HOUR_US))
        rounds.append(act_once(rng, kind, rng.permutation(members), n_people, start))
    return join_moves(rounds)


def act_once(rng: Rng, kind: str, members: Ints, n_people: int, start: int) -> Moves:
    """One round of a ring: money goes round, to one, from one, or from one through many to another."""
    n, size = len(members), np.exp(rng.normal(16.0, 0.6))
    if kind == "cycle":
        kept = np.cumprod(rng.uniform(0.9, 0.99, n))
        at = start + np.cumsum(rng.integers(HOUR_US // 2, 10 * HOUR_US, n))
        return _moves(members, np.roll(members, -1), size * kept, at)
    head, middle = members[0], members[1 : -1 if kind == "scatter_gather" else None]
    first = start + rng.integers(0, 36 * HOUR_US, len(middle))
    second = first + rng.integers(HOUR_US // 2, 18 * HOUR_US, len(middle))
    amount = size * rng.uniform(0.6, 1.4, len(middle))
    passed = amount * rng.uniform(0.88, 0.97, len(middle))
    outsiders = rng.integers(0, n_people, len(middle))
    if kind == "scatter_gather":
        return join_moves([_moves(head, middle, amount, first), _moves(middle, members[-1], passed, second)])
    if kind == "fan_in":
        away = _moves(head, outsiders[:1], passed.sum() * 0.95, second.max() + HOUR_US)
        return join_moves(
            [_moves(outsiders, middle, amount, first), _moves(middle, head, passed, second), away]
        )
    came = _moves(outsiders[:1], head, amount.sum() * 1.04, start - HOUR_US // 2)
    return join_moves([came, _moves(head, middle, amount, first), _moves(middle, outsiders, passed, second)])


def as_tables(moves: Moves, n_people: int, n_accounts: int, numbers: Ints) -> dict[str, pa.Table]:
    """The tables of the rings room; accounts are numbered anew, so that a number tells nothing."""
    index = pl.DataFrame({"number": numbers, "is_person": np.arange(n_accounts) < n_people}).sort("number")
    record_id, account_id = number_ids("p:", pl.col("number")), number_ids("a", pl.col("number"))
    kind = pl.when("is_person").then(pl.lit("person")).otherwise(pl.lit("organisation"))
    order = np.argsort(moves.at, kind="stable")
    frame = pl.DataFrame(
        {
            "n": np.arange(len(order)),
            "source": numbers[moves.source[order]],
            "target": numbers[moves.target[order]],
            "amount_minor": np.maximum(moves.amount[order], 100).astype(np.int64) // 100 * 100,
            "at": np.maximum(moves.at[order], 0) + 1_767_225_600_000_000,
        }
    )
    transfers = frame.select(
        number_ids("t", pl.col("n")).alias("transfer_id"),
        number_ids("a", pl.col("source")).alias("source_account"),
        number_ids("a", pl.col("target")).alias("target_account"),
        "amount_minor",
        currency=pl.lit("KZT"),
        occurred_at=pl.col("at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    )
    return {
        "entity_records": fill_table(
            model.ENTITY_RECORDS.schema, index.select(record_id=record_id, party_type=kind)
        ),
        "accounts": fill_table(
            model.ACCOUNTS.schema, index.select(account_id=account_id, record_id=record_id)
        ),
        "transfers": fill_table(model.TRANSFERS.schema, transfers),
        "numbers": pa.table({"number": numbers}),
    }


def label_accounts(frauds: Ints, cleared: Ints) -> pa.Table:
    """Training labels: frauds that are known, and accounts that were looked at and cleared."""
    who, value = np.r_[frauds, cleared], np.r_[np.ones(len(frauds)), np.zeros(len(cleared))]
    rows = pl.DataFrame({"i": who, "v": value.astype(np.int64)}).select(
        label_kind=pl.lit("fraud"),
        subject_id=number_ids("p:", pl.col("i")),
        object_id=pl.lit(""),
        value=pl.col("v").cast(pl.String),
        use=pl.lit("training"),
    )
    return fill_table(model.LABELS.schema, rows)


Alerts = list[Ints]


def alert_on_accounts(scores: Floats, left_out: Ints, n_alerts: int) -> Alerts:
    """One alert for each of the accounts of highest score."""
    open_scores = scores.copy()
    open_scores[left_out] = -np.inf
    return [np.array([node]) for node in np.argsort(-open_scores, kind="stable")[:n_alerts]]


def alert_on_rings(detection: RingDetection, tables: dict[str, pa.Table], left_out: Ints, n: int) -> Alerts:
    """Named rings by falling risk, then single accounts in none of them."""
    named = name_rings(detection.scores, tables)
    number = detection.index.nodes.select("entity_id", "node")
    members = pl.DataFrame(pl.from_arrow(named.members)).join(number, on="entity_id")
    rings = pl.DataFrame(pl.from_arrow(named.rings.select(["ring_id", "risk_score"])))
    ranked = rings.sort(["risk_score", "ring_id"], descending=[True, False])
    of_ring = {key[0]: part["node"].to_numpy() for key, part in members.group_by("ring_id")}
    hidden = [np.setdiff1d(of_ring[ring], left_out) for ring in ranked["ring_id"]]
    alerts = [who for who in hidden if len(who)][:n]
    shown = np.concatenate([members["node"].to_numpy(), left_out])
    return alerts + alert_on_accounts(detection.scores["score"].to_numpy(), shown, n - len(alerts))


def judge_alerts(alerts: Alerts, world: RingWorld, nodes: Ints, left_out: Ints) -> dict[str, float]:
    """How much of the hidden rings the alerts show, and how much of what they show is in one."""
    shown = np.unique(np.concatenate(alerts))
    member = nodes[world.member]
    hidden = ~world.is_known[world.ring]
    open_member = hidden & ~np.isin(member, left_out)
    share = np.array(
        [np.isin(member[world.ring == r], shown).mean() for r in np.flatnonzero(~world.is_known)]
    )
    return {
        "recall": float(np.isin(np.unique(member[open_member]), shown).mean()),
        "ring_recall": float((share >= 0.5).mean()),
        "ring_touched": float((share > 0).mean()),
        "precision": float(np.isin(shown, member).mean()),
        "n_shown": float(len(shown)),
    }


def main(n_accounts: int, seed: int) -> None:
    """Makes a world, scores it, and prints what each method's alerts show."""
    world, cost = measured(lambda: make_world(n_accounts, seed))
    sizes = {"n_accounts": n_accounts, "n_transfers": world.tables["transfers"].num_rows, "seed": seed}
    sizes |= {"n_rings": len(world.is_known), "n_members": len(np.unique(world.member))}
    tell("rings", "generated payments", cost, ("numpy", "polars"), **sizes)
    detection, cost = measured(lambda: score_rings(world.tables))
    nodes = detection.index.find_subjects(
        pl.Series([f"p:{i}" for i in range(n_accounts)], dtype=pl.String)
    ).to_numpy()
    known = nodes[np.unique(world.member[world.is_known[world.ring]])]
    budgets = {"": N_DAYS * ALERTS_A_DAY, "at_one_day": ALERTS_A_DAY}

    def judged(alerts: Alerts) -> dict[str, object]:
        every = {key: judge_alerts(alerts[:n], world, nodes, known) for key, n in budgets.items()}
        return {**every[""], "at_one_day": every["at_one_day"]}

    alerts = alert_on_rings(detection, world.tables, known, budgets[""])
    tell("rings", "alerts", cost, PACKAGES, **judged(alerts), is_supervised=detection.report.is_supervised)
    own = detection.scores["score"].to_numpy()
    tell("rings", "alerts", None, (), "by_account", **judged(alert_on_accounts(own, known, budgets[""])))
    plain = detection.scores["anomaly_score"].to_numpy()
    tell("rings", "alerts", None, (), "by_account, no labels", **judged(alert_on_accounts(plain, known, 500)))
    for name, scores in score_beside(world.tables).items():
        tell("rings", "alerts", None, (), name, **judged(alert_on_accounts(scores, known, budgets[""])))


def score_beside(tables: dict[str, pa.Table]) -> dict[str, Floats]:
    """The fixed baselines; the booster learns from the labels that ring risk learns from."""
    entities = measure_entities(tables)
    found = rank_simply(entities, tables["transfers"])
    outcomes = read_outcomes(tables, entities.projection.index, "training")
    found["boosted_trees"] = cross_fit(
        entities.features.select(AGGREGATES).to_numpy(),
        outcomes,
        entities.communities.membership,
        RiskParams(),
    )
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Rings hidden in the payments of many accounts.")
    parser.add_argument("accounts", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=11)
    chosen = parser.parse_args()
    main(chosen.accounts, chosen.seed)
