"""Intervals widened by banks scored anew: they hold the truth of other worlds, or claim nothing."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.linking.model import ENTITY_MEMBERS, PAIR_DECISIONS
from terag_pipelines.rings.doubt import DoubtParams, RingDoubts, doubt_rings
from terag_pipelines.rings.doubt_words import tell_doubt
from terag_pipelines.rings.doubt_worlds import (
    DoubtfulBank,
    RingsAnew,
    find_rings,
    find_rings_anew,
    find_width,
    widen_doubts,
    widen_intervals,
)
from terag_pipelines.rings.model import RING_DOUBT
from terag_pipelines.rings.naming import NamedRings, name_rings
from terag_pipelines.rings.nodes import Tables
from terag_pipelines.rings.sections import section_as_json
from tests.benchmarks.bench_ring_doubt import Bank, Truth, find_truth, judge, make_bank
from tests.unit.rings.test_doubt import Case, cases, hanging, links_of, merged, scores_of
from tests.unit.rings.worlds import World

N_TRUTHS = 3


def refuse(tables: Tables) -> NamedRings:
    raise AssertionError("nothing was to be scored")


def name_everybody(tables: Tables) -> NamedRings:
    """Rings where each entity scores .9."""
    entities = sorted(set(tables["entity_members"]["entity_id"].to_pylist()))
    return name_rings(scores_of(dict.fromkeys(entities, 0.9)), tables)


def widened(case: Case, doubts: RingDoubts | None = None, **given: Any) -> RingDoubts:
    told = {"rescore": name_everybody, **given}
    return widen_doubts(doubts or case.doubts(), case.named.members, case.tables, case.links, **told)


def bank_of(case: Case) -> DoubtfulBank:
    return DoubtfulBank.of(case.tables, case.links, None, DoubtParams())


def entities_of(tables: Tables) -> dict[str, str]:
    rows = tables["entity_members"].to_pylist()
    return {row["record_id"]: row["entity_id"] for row in rows}


def test_a_bank_without_uncertain_links_is_not_scored() -> None:
    same = PAIR_DECISIONS.from_columns(left_id=["p:1"], right_id=["p:2"], is_match=[True])
    for case, known in ((hanging(0.9995), {}), (hanging(), {"decisions": same})):
        doubts = case.doubts(**known)
        assert widened(case, doubts, rescore=refuse, **known) == doubts
        [row] = doubts.rings.to_pylist()
        assert row["risk_low"] == row["risk_high"]
        assert (row["n_worlds"], row["size_widening"], row["risk_widening"]) == (0, 0, 0.0)


def test_without_worlds_the_intervals_claim_nothing() -> None:
    case = hanging()
    doubts = widened(case, rescore=refuse, params=DoubtParams(n_worlds=0))
    assert doubts == case.doubts()
    assert doubts.rings["coverage"].to_pylist() == [None]
    assert "the truth is outside more often" in said(case, doubts)


def test_a_bank_without_rings_is_not_scored() -> None:
    case = Case(World(4), [(1, 2, 0.6)], [])
    assert widened(case, rescore=refuse).rings.num_rows == 0


def said(case: Case, doubts: RingDoubts) -> str:
    numbers = {entity: at for at, entity in enumerate(case.named.members["entity_id"].to_pylist(), start=1)}
    [ring] = doubts.rings.to_pylist()
    return str(section_as_json(tell_doubt(ring, doubts.members.to_pylist(), numbers)))


def test_a_world_parts_what_only_links_that_are_wrong_hold_together() -> None:
    case = Case(World(8), [(1, 2, 0.6), (2, 3, 0.7), (5, 6, 0.9995)], [])
    bank = bank_of(case)
    assert entities_of(bank.world(np.array([True, True]))) == entities_of(case.tables)
    parted = entities_of(bank.world(np.array([False, True])))
    assert parted["p:1"] == "e:001"
    assert parted["p:2"] == parted["p:3"] == "e:001/p:2"
    assert parted["p:5"] == parted["p:6"] == "e:005"
    world = bank.world(np.array([False, False]))["entity_members"]
    assert ENTITY_MEMBERS.conform(world).num_rows == 8


def test_what_holds_records_together_without_a_link_holds_in_every_world() -> None:
    """1, 2 and 3 are one entity, though no link joins 3 to the others: somebody decided so."""
    case = Case(World(8), [(1, 2, 0.6), (2, 3, 0.7)], [])
    case.links = links_of([(1, 2, 0.6)])
    parted = entities_of(bank_of(case).world(np.array([False])))
    assert parted["p:1"] == parted["p:3"] == "e:001"
    assert parted["p:2"] == "e:001/p:2"


@settings(max_examples=25, deadline=None)
@given(cases(), st.integers(0, 9))
def test_widened_intervals_are_in_their_bounds_and_the_order_of_rows_is_nothing(
    case: Case, seed: int
) -> None:
    local, params = case.doubts(), DoubtParams(seed=seed, n_draws=20)
    doubts = widened(case, local, params=params)
    assert doubts.members == local.members
    named = pl.DataFrame(pl.from_arrow(case.named.rings)).sort("ring_id")
    risk = named.select(pl.coalesce("risk_probability", "risk_score")).to_series().to_list()
    for row, before, n, one in zip(
        doubts.rings.to_pylist(), local.rings.to_pylist(), named["n_members"], risk, strict=True
    ):
        assert 0 <= row["n_members_low"] <= before["n_members_low"] <= n
        assert n <= before["n_members_high"] <= row["n_members_high"]
        assert 0 <= row["risk_low"] <= before["risk_low"] <= one
        assert one <= before["risk_high"] <= row["risk_high"] <= 1
    rng = np.random.default_rng(seed)
    case.tables = {name: one.take(rng.permutation(one.num_rows)) for name, one in case.tables.items()}
    case.links = case.links.take(rng.permutation(case.links.num_rows))
    assert widened(case, local, params=params) == doubts


def ring_rows(n_uncertain: list[int]) -> pl.DataFrame:
    """Rings of 5 and risk .6, in intervals of 4 to 6 and .5 to .7."""
    n = len(n_uncertain)
    rows = {
        "n_members_low": [4] * n,
        "n_members_high": [6] * n,
        "risk_low": [0.5] * n,
        "risk_high": [0.7] * n,
    }
    ids = {"ring_id": [f"r{at:02d}" for at in range(n)], "n_uncertain_links": n_uncertain}
    doubts = RING_DOUBT.from_columns(**ids, **rows)
    return pl.DataFrame(pl.from_arrow(doubts))


def test_rings_with_uncertain_links_are_widened_by_those_with_a_wrong_one() -> None:
    """30 rings with a wrong link moved by 1, but two by 4; 10 without one stayed in size and gained .05."""
    people = np.array([[7] * 28 + [10] * 2 + [5] * 10])
    is_hit = np.array([[True] * 30 + [False] * 10])
    anew = RingsAnew(people, np.where(is_hit, 0.6, 0.75), is_hit)
    rings = widen_intervals(ring_rows([1] * 30 + [0] * 10), anew, DoubtParams())
    own, sure = rings.row(0, named=True), rings.row(39, named=True)
    assert (own["n_members_low"], own["n_members_high"]) == (3, 7)
    assert (own["risk_low"], own["risk_high"]) == (pytest.approx(0.45), pytest.approx(0.75))
    assert (own["n_worlds"], own["n_compared"], own["coverage"]) == (1, 30, pytest.approx(0.9))
    assert (sure["n_members_low"], sure["n_members_high"]) == (4, 6)
    assert (sure["risk_high"], sure["n_compared"], sure["coverage"]) == (pytest.approx(0.75), 10, None)


def test_few_rings_widen_by_the_most_and_claim_no_share() -> None:
    case = hanging()
    doubts = widened(case)
    [row] = doubts.rings.to_pylist()
    assert row["n_worlds"] == 2
    assert row["n_compared"] < DoubtParams().min_compared
    assert row["coverage"] is None
    assert "too few to say how often the truth is inside" in said(case, doubts)
    enough = widened(case, params=DoubtParams(min_compared=row["n_compared"]))
    assert f"(90% intervals, widened by {row['n_compared']} ring" in said(case, enough)


def test_a_ring_of_sure_links_moves_with_the_bank_and_says_so() -> None:
    case = hanging(0.9995)
    case.world.n_people += 2
    case.tables = merged(case.world, [(1, 2, 0.9995), (8, 9, 0.5)])
    case.links = links_of([(1, 2, 0.9995), (8, 9, 0.5)])
    none = name_rings(scores_of({"e:000": 0.8, "e:001": 0.8, "e:003": 0.8}), case.tables)
    doubts = widened(case, rescore=lambda _: none)
    [row] = doubts.rings.to_pylist()
    assert (row["n_members_low"], row["n_members_high"], row["size_widening"]) == (3, 3, 0)
    assert (row["risk_low"], row["risk_high"]) == (pytest.approx(0.8), pytest.approx(1.0))
    assert "those of others move it: 3 members, risk 0.80 to 1.00" in said(case, doubts)


@pytest.mark.parametrize(("n", "width"), [(0, 0), (1, 1), (8, 8), (9, 9), (19, 18), (99, 90)])
def test_the_width_is_the_conformal_quantile(n: int, width: int) -> None:
    misses = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
    assert find_width(misses, 0.9) == width


@pytest.fixture(scope="module")
def bank() -> Bank:
    """25 rings, whose own 120 links are uncertain, among 2,500 people."""
    return make_bank(25, seed=3)


@pytest.fixture(scope="module")
def named(bank: Bank) -> NamedRings:
    return find_rings(bank.tables)


def is_true(bank: Bank, seed: int) -> np.ndarray:
    probability = bank.links["link_probability"].to_numpy()
    return np.random.default_rng(seed).random(len(probability)) < probability


def members_of(named: NamedRings) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(named.members.select(["ring_id", "entity_id"])))


@pytest.fixture(scope="module")
def truths(bank: Bank, named: NamedRings) -> list[Truth]:
    """The rings of worlds that no interval was made from."""
    return [find_truth(bank, named, is_true(bank, seed)) for seed in range(N_TRUTHS)]


def test_intervals_hold_the_truth_of_other_worlds_as_often_as_they_say(
    bank: Bank, named: NamedRings, truths: list[Truth]
) -> None:
    local = doubt_rings(named.rings, named.members, bank.tables, bank.links)
    doubts = widen_doubts(local, named.members, bank.tables, bank.links, find_rings)
    claimed = doubts.rings["coverage"].to_pylist()
    assert claimed == [pytest.approx(0.9)] * len(claimed)
    before, after = judge(local, named, truths), judge(doubts, named, truths)
    for figure in ("size_coverage", "risk_coverage"):
        for group in (figure, f"{figure}_with_a_wrong_link"):
            assert before[group] < after[group]
            assert after[group] >= 0.88


def test_a_ring_is_hit_where_a_link_of_its_own_is_wrong(bank: Bank, named: NamedRings) -> None:
    doubtful = DoubtfulBank.of(bank.tables, bank.links, None, DoubtParams())
    seen: list[Tables] = []
    found = find_rings_anew(members_of(named), doubtful, partial(keep, seen, named), DoubtParams())
    ours = members_of(named).join(pl.DataFrame(pl.from_arrow(bank.tables["entity_members"])), on="entity_id")
    for at, world in enumerate(seen):
        entities = entities_of(world)
        apart = [one for one in bank.links["left_id"].to_pylist() if entities[one] != entities["q" + one[1:]]]
        hit = set(ours.filter(pl.col("record_id").is_in(apart))["ring_id"])
        order = sorted(named.rings["ring_id"].to_pylist())
        assert found.is_hit[at].tolist() == [one in hit for one in order]
        assert 0 < found.is_hit[at].mean() < 1
    assert (found.n_people == named.rings.sort_by("ring_id")["n_members"].to_numpy()).all()


def keep(seen: list[Tables], named: NamedRings, tables: Tables) -> NamedRings:
    """The same rings in each world."""
    seen.append(tables)
    return named
