"""Doubt and blocks of rings: what they cost at 1,000 rings, and how often the intervals cover the truth.

python -m tests.benchmarks.bench_ring_doubt [rings]

A made-up bank (bench_rings) in which two of three ring members are known by two records, with one half of
their transfers each and a link of known probability between them. A world is such a bank in which each link
is true or not, as its probability says; what the rings are there is found by scoring and naming it anew. That
moves more than the draws of a ring's own links do: scores and communities of a bank shift a little wherever
anything in it does. The worlds that tell the truth are others than those that widen the intervals, and the
bank another than the one that the widening was tried out on.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from terag_pipelines.entities import model
from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.model import ENTITY_MEMBERS, LINKS
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.doubt import RingDoubts, doubt_rings
from terag_pipelines.rings.doubt_worlds import find_rings, widen_doubts
from terag_pipelines.rings.interdiction import plan_interdictions
from terag_pipelines.rings.naming import NamedRings, name_rings
from tests.benchmarks.bench_rings import fill_table, make_tables
from tests.benchmarks.measuring import cost_of, measured, tell

PACKAGES = ("igraph", "numpy", "polars", "scipy")
N_PEOPLE_OF_A_RING = 100
N_RINGS_OF_TRUTH, N_WORLDS, SEED_OF_TRUTH = 100, 8, 23


@dataclass(frozen=True)
class Bank:
    """Tables, of which entity_members hold every link for true, and LINKS with their probabilities."""

    tables: dict[str, pa.Table]
    links: pa.Table

    def world(self, is_true: np.ndarray) -> dict[str, pa.Table]:
        """The tables where only some of the links are true."""
        return self.tables | {
            "entity_members": join_records(self.tables, self.links.filter(pa.array(is_true)))
        }


def make_bank(n_rings: int, seed: int = 7) -> Bank:
    """A bank with that many planted rings."""
    rng = np.random.default_rng(seed)
    tables = make_tables(n_rings * N_PEOPLE_OF_A_RING, seed, n_rings)
    labels = pl.DataFrame(pl.from_arrow(tables.pop("labels")))
    members = labels.filter((pl.col("value") == "1") & (pl.col("use") == "truth"))["subject_id"].sort()
    doubtful = members.filter(pl.Series(rng.random(len(members)) < 2 / 3))
    twins = doubtful.str.replace("p:", "q:")
    tables["entity_records"] = _add_records(tables["entity_records"], twins)
    tables["accounts"] = _add_accounts(tables["accounts"], doubtful)
    tables["transfers"] = _move_transfers(tables["transfers"], doubtful, rng)
    links = LINKS.from_columns(
        left_id=doubtful.to_list(),
        right_id=twins.to_list(),
        link_probability=rng.uniform(0.7, 0.999, len(doubtful)).tolist(),
        is_calibrated=[True] * len(doubtful),
    )
    bank = Bank(tables, links)
    return Bank(bank.world(np.ones(links.num_rows, bool)), links)


def _add_records(records: pa.Table, twins: pl.Series) -> pa.Table:
    frame = pl.DataFrame({"record_id": twins, "party_type": ["person"] * len(twins)})
    return pa.concat_tables([records, fill_table(model.ENTITY_RECORDS.schema, frame)])


def _add_accounts(accounts: pa.Table, doubtful: pl.Series) -> pa.Table:
    frame = pl.DataFrame(
        {"account_id": doubtful.str.replace("p:", "b"), "record_id": doubtful.str.replace("p:", "q:")}
    )
    return pa.concat_tables([accounts, fill_table(model.ACCOUNTS.schema, frame)])


def _move_transfers(transfers: pa.Table, doubtful: pl.Series, rng: np.random.Generator) -> pa.Table:
    """Half of what goes from or to the first account of these people goes from or to the second."""
    frame = pl.DataFrame(pl.from_arrow(transfers))
    accounts = doubtful.str.replace("p:", "a").implode()
    for side in ("source_account", "target_account"):
        is_moved = pl.Series(rng.random(frame.height) < 0.5) & frame[side].is_in(accounts)
        moved = pl.when(is_moved).then(pl.col(side).str.replace("a", "b")).otherwise(pl.col(side))
        frame = frame.with_columns(moved.alias(side))
    return frame.to_arrow().cast(transfers.schema)


def join_records(tables: dict[str, pa.Table], links: pa.Table) -> pa.Table:
    """ENTITY_MEMBERS: what these links tie together, by its first record."""
    ids = pl.Series(tables["entity_records"]["record_id"].to_pylist()).sort()
    ends = [
        ids.search_sorted(pl.Series(links[side].to_pylist())).to_numpy() for side in ("left_id", "right_id")
    ]
    label = label_components(*ends, len(ids))
    first = np.unique(label, return_index=True)[1]
    return ENTITY_MEMBERS.from_columns(record_id=ids.to_list(), entity_id=ids.gather(first[label]).to_list())


@dataclass(frozen=True)
class Truth:
    """Rings as they are in one world, in the order of RING_DOUBT: people (0 where there is none), risk, and
    whether a link of the ring's own is wrong there.
    """

    n_people: np.ndarray
    risk: np.ndarray
    is_hit: np.ndarray


def find_truth(bank: Bank, named: NamedRings, is_true: np.ndarray) -> Truth:
    """Of each ring the one of the world that has most of its members, if it has half of them."""
    tables = bank.world(is_true)
    there = name_rings(score_rings(tables).scores, tables)
    ours, theirs = (_records_of(one, given) for one, given in ((named, bank.tables), (there, tables)))
    common = ours.join(theirs, on="record_id", suffix="_there").group_by("ring_id", "ring_id_there")
    counted = common.agg(n=pl.col("entity_id").n_unique()).sort(
        ["n", "ring_id_there"], descending=[True, False]
    )
    best = counted.unique("ring_id", keep="first", maintain_order=True)
    rings = {row["ring_id"]: row for row in there.rings.to_pylist()}
    n_members = {row["ring_id"]: row["n_members"] for row in named.rings.to_pylist()}
    found = {one: rings[other] for one, other, n in best.iter_rows() if 2 * n >= n_members[one]}
    wrong = bank.links["left_id"].filter(pa.array(~is_true)).to_pylist()
    hit = set(ours.filter(pl.col("record_id").is_in(wrong))["ring_id"])
    order, none = sorted(n_members), {"n_members": 0, "risk_score": 0.0}
    n_people, risk = (np.array([found.get(one, none)[name] for one in order]) for name in none)
    return Truth(n_people, risk, np.array([one in hit for one in order]))


def _records_of(named: NamedRings, tables: dict[str, pa.Table]) -> pl.DataFrame:
    members = pl.DataFrame(pl.from_arrow(named.members.select(["ring_id", "entity_id"])))
    return members.join(pl.DataFrame(pl.from_arrow(tables["entity_members"])), on="entity_id")


def judge(doubts: RingDoubts, named: NamedRings, truths: list[Truth]) -> dict[str, float]:
    """How often the truth lies in the intervals, and how wide these are; beside it rings as named, and what
    shifts anyway.
    """
    said = {name: doubts.rings[name].to_numpy() for name in doubts.rings.column_names}
    people, risk = np.stack([one.n_people for one in truths]), np.stack([one.risk for one in truths])
    is_hit = np.stack([one.is_hit for one in truths])
    is_inside = (said["n_members_low"] <= people) & (people <= said["n_members_high"])
    is_same = people == named.rings.sort_by("ring_id")["n_members"].to_numpy()
    outside = np.maximum(said["risk_low"] - risk, risk - said["risk_high"])
    return {
        "size_coverage": float(is_inside.mean()),
        "size_coverage_with_a_wrong_link": float(is_inside[is_hit].mean()),
        "size_as_named_is_right": float(is_same.mean()),
        "the_same_with_a_wrong_link": float(is_same[is_hit].mean()),
        "the_same_without_any": float(is_same[~is_hit].mean()),
        "risk_coverage": float((outside <= 1e-9).mean()),
        "risk_coverage_with_a_wrong_link": float((outside <= 1e-9)[is_hit].mean()),
        "risk_coverage_to_0.02": float((outside <= 0.02).mean()),
        "size_width": float((said["n_members_high"] - said["n_members_low"]).mean()),
        "risk_width": float((said["risk_high"] - said["risk_low"]).mean()),
        "said_to_hold": float(said["holds_probability"].mean()),
        "hold": float((people > 0).mean()),
    }


def widen(doubts: RingDoubts, named: NamedRings, bank: Bank) -> RingDoubts:
    """The doubts with intervals as wide as banks scored anew tell them to be."""
    return widen_doubts(doubts, named.members, bank.tables, bank.links, find_rings)


def main(n_rings: int) -> None:
    """Prints costs, then coverage."""
    bank = make_bank(n_rings)
    named = find_rings(bank.tables)
    sizes = {
        "n_rings": named.rings.num_rows,
        "n_members": named.members.num_rows,
        "n_links": bank.links.num_rows,
    }
    sizes["n_transfers"] = bank.tables["transfers"].num_rows
    doubt_rings(named.rings, named.members, bank.tables, bank.links)  # what is compiled at first use
    doubts, cost = measured(lambda: doubt_rings(named.rings, named.members, bank.tables, bank.links))
    tell("ring doubt", "200 draws of uncertain links", cost, PACKAGES, **sizes)
    cost = cost_of(lambda: score_rings(bank.tables))
    tell("ring doubt", "the bank scored once (score_rings)", cost, PACKAGES, **sizes)
    cost = cost_of(lambda: widen(doubts, named, bank))
    tell("ring doubt", "intervals widened by 2 banks scored anew", cost, PACKAGES, **sizes)
    planned, cost = measured(lambda: plan_interdictions(named.rings, named.members, bank.tables))
    proven = planned.filter(planned["is_proven_fewest"])["ring_id"].unique()
    figures = {"n_accounts": planned.num_rows, "n_proven": len(proven)}
    tell("ring doubt", "fewest accounts to block", cost, PACKAGES, **sizes, **figures)
    tell_coverage()


def tell_coverage() -> None:
    """Prints how often the truth lies in the intervals, as drawn and as widened."""
    bank = make_bank(N_RINGS_OF_TRUTH, seed=SEED_OF_TRUTH)
    named = find_rings(bank.tables)
    drawn = doubt_rings(named.rings, named.members, bank.tables, bank.links)
    rng, probability = np.random.default_rng(5), bank.links["link_probability"].to_numpy()
    truths = [find_truth(bank, named, rng.random(len(probability)) < probability) for _ in range(N_WORLDS)]
    told = {"draws of a ring's own links": drawn, "90% intervals, widened": widen(drawn, named, bank)}
    for what, doubts in told.items():
        figures = {"n_rings": named.rings.num_rows, "n_worlds": N_WORLDS} | judge(doubts, named, truths)
        tell("ring doubt", f"{what}, against worlds scored anew", None, PACKAGES, **figures)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
