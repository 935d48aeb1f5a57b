"""Uncertain links make uncertain rings: how uncertain, and on which link they hang."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.calibration.fit import FittedCalibrator
from terag_pipelines.linking.model import ENTITY_MEMBERS, LINKS, PAIR_DECISIONS
from terag_pipelines.rings.doubt import (
    DoubtedRings,
    DoubtParams,
    RingDoubts,
    doubt_rings,
    draw_links,
    list_stakes,
)
from terag_pipelines.rings.doubt_words import list_fragile, say_doubts, tell_doubt
from terag_pipelines.rings.model import FRAUD_RINGS, RING_DOUBT, RING_MEMBER_DOUBT, RING_MEMBERS, RING_SCORES
from terag_pipelines.rings.naming import name_rings
from terag_pipelines.rings.pieces import UncertainLinks, cut_rings, find_uncertain_links
from terag_pipelines.rings.sections import section_as_json
from tests.unit.rings.worlds import World

Link = tuple[int, int, float]
Tables = dict[str, pa.Table]


def scores_of(scores: Mapping[str, float]) -> pa.Table:
    """RING_SCORES of entities of one community."""
    return RING_SCORES.from_columns(
        entity_id=list(scores),
        community_id=["c"] * len(scores),
        score=list(scores.values()),
    )


def links_of(links: Sequence[Link]) -> pa.Table:
    return LINKS.from_columns(
        left_id=[f"p:{left}" for left, _, _ in links],
        right_id=[f"p:{right}" for _, right, _ in links],
        link_probability=[probability for *_, probability in links],
        is_calibrated=[True] * len(links),
    )


def merged(world: World, links: Sequence[Link], shuffle: int | None = None) -> Tables:
    """The world's tables, in which linked people are records of one entity, that of the first."""
    tables = world.tables(shuffle)
    entity = {f"p:{one}": f"e:{one:03d}" for one in range(world.n_people + world.n_outside)}
    for left, right, _ in links:
        old, new = entity[f"p:{right}"], entity[f"p:{left}"]
        entity = {record: new if held == old else held for record, held in entity.items()}
    records = tables["entity_members"]["record_id"].to_pylist()
    tables["entity_members"] = ENTITY_MEMBERS.schema.empty_table()
    rows = {"record_id": records, "entity_id": [entity[one] for one in records]}
    tables["entity_members"] = pa.table({**rows, "link_probability": [None] * len(records)}).cast(
        ENTITY_MEMBERS.schema
    )
    return tables


class Case:
    """A world with links, its ring named by the scores given, and doubted."""

    def __init__(
        self, world: World, links: Sequence[Link], members: Sequence[int], score: float = 0.9
    ) -> None:
        self.world, self.links = world, links_of(links)
        self.tables = merged(world, links)
        self.scores = scores_of({f"e:{one:03d}": score for one in members})
        self.named = name_rings(self.scores, self.tables)

    def doubts(self, **given: Any) -> RingDoubts:
        return doubt_rings(self.named.rings, self.named.members, self.tables, self.links, **given)

    def ring(self, **given: Any) -> dict[str, Any]:
        [row] = self.doubts(**given).rings.to_pylist()
        return cast(dict[str, Any], row)

    def memberships(self, **given: Any) -> dict[str, float]:
        rows = self.doubts(**given).members.to_pylist()
        return {row["entity_id"]: row["membership_probability"] for row in rows}


def hanging(probability: float = 0.6) -> Case:
    """0 and 1 have one device, 2 and 3 another; 1 and 2 are held to be one person."""
    world = World(8)
    world.devices += [(0, "d1"), (1, "d1"), (2, "d2"), (3, "d2")]
    return Case(world, [(1, 2, probability)], [0, 1, 3])


def within_chance(share: float, probability: float, n: int = 200) -> bool:
    return abs(share - probability) <= 3 * sqrt(probability * (1 - probability) / n)


def test_a_ring_that_hangs_on_one_link_holds_as_surely_as_the_link() -> None:
    case = hanging()
    ring, memberships = case.ring(), case.memberships()
    assert memberships.keys() == {"e:000", "e:001", "e:003"}
    assert all(within_chance(share, 0.6) for share in memberships.values())
    assert within_chance(ring["holds_probability"], 0.6)
    assert (ring["n_members_low"], ring["n_members_high"]) == (0, 3)
    assert (ring["risk_low"], ring["risk_high"]) == (0.0, pytest.approx(0.9))
    assert (ring["n_uncertain_links"], ring["n_draws"], ring["is_calibrated"]) == (1, 200, True)
    weakest = [ring[f"weakest_{name}"] for name in ("left_id", "right_id", "probability")]
    assert (weakest, ring["n_members_without"]) == (["p:1", "p:2", 0.6], 0)


def test_the_link_that_a_ring_hangs_on_is_at_stake() -> None:
    case = hanging()
    [stake] = list_stakes(case.named.rings, case.doubts().rings)
    assert (stake.left_id, stake.right_id) == ("p:1", "p:2")
    assert stake.reason == f"{case.ring()['ring_id']} falls apart without it"


def test_of_two_links_that_it_hangs_on_the_less_probable_is_named() -> None:
    world = World(9)
    world.devices += [(0, "d1"), (1, "d1"), (2, "d2"), (3, "d2"), (4, "d3"), (5, "d3")]
    case = Case(world, [(1, 2, 0.8), (3, 4, 0.7)], [0, 1, 3, 5])
    ring = case.ring()
    # without the first 0 and 1 are parted from the other three, who go on; without the second it is over
    assert (ring["weakest_left_id"], ring["n_members_without"]) == ("p:3", 3)
    three = Case(world, [(1, 2, 0.8), (3, 4, 0.7)], [0, 1, 3])
    assert three.ring()["weakest_left_id"] == "p:1"


@pytest.mark.parametrize("probabilities", [(0.6, 0.7), (0.95, 0.5)])
def test_links_are_drawn_independently(probabilities: tuple[float, float]) -> None:
    """A ring of three in a row, both ends of which hang on a link of their own."""
    world = World(9)
    world.devices += [(0, "d1"), (1, "d1"), (2, "d2"), (3, "d2")]
    one, other = probabilities
    world.devices += [(4, "d3"), (5, "d3")]
    case = Case(world, [(1, 2, one), (3, 4, other)], [0, 1, 3, 5])
    whole = case.memberships()
    both = one * other
    assert within_chance(
        case.doubts().rings["holds_probability"][0].as_py(), both + one * (1 - other) + other * (1 - one)
    )
    assert within_chance(whole["e:000"], one)
    assert within_chance(whole["e:005"], other)


def test_sure_links_give_points() -> None:
    for case, known in ((hanging(0.9995), {}), (hanging(), {"decisions": decided(True)})):
        ring, [row] = case.ring(**known), case.named.rings.to_pylist()
        assert (ring["n_uncertain_links"], ring["n_draws"], ring["holds_probability"]) == (0, 0, 1.0)
        assert (ring["n_members_low"], ring["n_members_high"]) == (3, 3)
        assert ring["risk_low"] == ring["risk_high"] == row["risk_score"]
        assert ring["weakest_left_id"] is ring["n_members_without"] is ring["is_calibrated"] is None
        assert set(case.memberships(**known).values()) == {1.0}
        assert list_stakes(case.named.rings, case.doubts(**known).rings) == []


def decided(is_match: bool) -> pa.Table:
    return PAIR_DECISIONS.from_columns(left_id=["p:1"], right_id=["p:2"], is_match=[is_match])


def test_a_ring_without_links_is_a_point() -> None:
    world = World(5)
    world.devices += [(one, "d") for one in (0, 1, 2)]
    assert Case(world, [], [0, 1, 2]).ring()["n_draws"] == 0


def test_a_ring_that_survives_any_single_link_names_none() -> None:
    """Both records of the doubted member hold the device: should they be two, the ring has one more."""
    world = World(8)
    world.devices += [(one, "d") for one in (0, 1, 2, 3)]
    case = Case(world, [(1, 2, 0.6)], [0, 1, 3])
    ring = case.ring()
    assert (ring["holds_probability"], ring["weakest_left_id"]) == (1.0, None)
    assert (ring["n_members_low"], ring["n_members_high"]) == (3, 4)
    assert set(case.memberships().values()) == {1.0}


def test_where_no_link_breaks_it_the_one_with_the_largest_loss_is_named() -> None:
    world = World(12)
    world.devices += [(one, "d1") for one in (0, 1, 4, 5, 6)]
    world.devices += [(2, "d2"), (3, "d2"), (7, "d3"), (8, "d3"), (9, "d3")]
    case = Case(world, [(1, 2, 0.7), (6, 7, 0.9)], [0, 1, 3, 4, 5, 6, 8, 9])
    ring = case.ring()
    assert (ring["weakest_left_id"], ring["n_members_without"]) == ("p:6", 6)
    assert list_stakes(case.named.rings, case.doubts().rings) == []
    memberships = case.memberships()
    assert within_chance(memberships["e:003"], 0.7)
    assert within_chance(memberships["e:008"], 0.9)
    assert memberships["e:000"] == 1.0


def test_two_links_side_by_side_break_only_together() -> None:
    world = World(8)
    world.devices += [(0, "d1"), (1, "d1"), (2, "d2"), (3, "d2")]
    case = Case(world, [(1, 2, 0.6), (1, 4, 0.6), (2, 4, 0.6)], [0, 1, 3])
    ring = case.ring()
    assert ring["weakest_left_id"] is None
    assert within_chance(ring["holds_probability"], 0.6 + 0.4 * 0.36)


def test_who_shares_a_thing_with_himself_stays_tied_when_parted() -> None:
    world = World(8)
    world.devices += [(0, "d1"), (1, "d1"), (2, "d2"), (3, "d2"), (1, "d3"), (2, "d3")]
    assert Case(world, [(1, 2, 0.6)], [0, 1, 3]).ring()["n_members_high"] == 4


@pytest.mark.parametrize("tie", ["transfer", "relationship"])
def test_money_and_relationships_go_with_the_record(tie: str) -> None:
    world = World(8)
    world.devices += [(0, "d1"), (1, "d1")]
    case = Case(world, [(1, 2, 0.6)], [])
    if tie == "transfer":
        world.pay(2, 3, 1_000_000, 1)
        case.tables = merged(world, [(1, 2, 0.6)])
    else:
        stated = (
            pl.DataFrame(pl.from_arrow(case.tables["relationships"]))
            .head(1)
            .with_columns(record_id=pl.lit("p:3"), object_kind=pl.lit("record"), object_id=pl.lit("p:2"))
        )
        both = pl.concat([pl.DataFrame(pl.from_arrow(case.tables["relationships"])), stated])
        case.tables["relationships"] = both.to_arrow().cast(case.tables["relationships"].schema)
    case.scores = scores_of({"e:000": 0.9, "e:001": 0.9, "e:003": 0.9})
    case.named = name_rings(case.scores, case.tables)
    assert within_chance(case.ring()["holds_probability"], 0.6)
    assert case.ring()["n_members_without"] == 0


def test_a_part_keeps_the_odds_that_its_share_of_ties_leaves() -> None:
    """Half of the ties of .45 (odds 9 to 11) is odds of 9 to 22: below the line that lets anybody in."""
    world = World(8)
    for device, pair in (("d1", (0, 1)), ("d2", (2, 3)), ("d4", (0, 3))):
        world.devices += [(one, device) for one in pair]
    case = Case(world, [(1, 2, 0.6)], [0, 1, 3])
    assert case.ring()["n_members_high"] == 4  # score .9: both parts stay
    assert case.ring()["risk_low"] == pytest.approx((0.9 + 0.9 + 2 * 4.5 / 5.5) / 4)
    weak = Case(world, [(1, 2, 0.6)], [])
    weak.scores = scores_of({"e:000": 0.9, "e:001": 0.45, "e:003": 0.9})
    weak.named = name_rings(weak.scores, weak.tables)
    assert weak.ring()["n_members_without"] == 0  # two are left
    assert within_chance(weak.memberships()["e:001"], 0.6)


class _Halved:
    def apply(self, scores: object) -> object:
        return 0.5 + np.asarray(scores) / 2


def test_risk_is_calibrated_where_the_rings_is() -> None:
    world = World(8)
    world.devices += [(one, "d") for one in (0, 1, 2, 3)]
    case = Case(world, [(1, 2, 0.6)], [0, 1, 3])
    halved = cast(FittedCalibrator, _Halved())
    case.named = name_rings(case.scores, case.tables, halved)
    assert case.ring(calibrator=halved)["risk_high"] == pytest.approx(0.95)


def test_links_outside_rings_are_not_drawn() -> None:
    case = hanging()
    case.links = links_of([(1, 2, 0.6), (5, 6, 0.3), (0, 7, 0.2)])
    assert case.ring()["n_uncertain_links"] == 1


def test_the_order_of_rows_and_what_happens_elsewhere_change_nothing() -> None:
    case = hanging()
    first = case.doubts()
    case.tables = merged(case.world, [(1, 2, 0.6)], shuffle=5)
    assert case.doubts() == first
    case.world.n_people += 20
    case.world.devices += [(10, "x"), (11, "x"), (12, "y"), (13, "y")]
    both = [(11, 12, 0.7), (1, 2, 0.6)]
    more = Case(case.world, both, [0, 1, 3, 10, 11, 13])
    assert more.named.rings.num_rows == 2
    ring_id = first.rings["ring_id"][0].as_py()
    same = more.doubts().rings.filter([one == ring_id for one in more.doubts().rings["ring_id"].to_pylist()])
    assert same.equals(first.rings)
    assert case.doubts(params=DoubtParams(seed=8)).rings["ring_id"][0].as_py() == ring_id


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5), st.integers(10, 300))
def test_each_link_is_kept_in_its_share_of_draws(probabilities: list[float], n_draws: int) -> None:
    ids = [f"r{at}" for at in range(len(probabilities))]
    table = pl.DataFrame({"left_id": ids, "right_id": ["z"] * len(ids), "link_probability": probabilities})
    none = np.zeros(len(ids), np.int64)
    kept = draw_links(UncertainLinks(table, none, none), DoubtParams(n_draws=n_draws))
    assert kept.shape == (n_draws, len(ids))
    assert (np.abs(kept.mean(axis=0) - probabilities) <= 1 / n_draws).all()


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A dozen people who share devices and pay each other at random, some of them held to be one."""
    world = World(12)
    who = st.integers(0, 11)
    world.devices += draw(st.sets(st.tuples(who, st.sampled_from(["a", "b", "c", "d"])), max_size=14))
    for source, target in draw(st.lists(st.tuples(who, who), max_size=14)):
        if source != target:
            world.pay(source, target, draw(st.integers(1, 10**6)), draw(st.integers(0, 9)))
    pairs = draw(st.sets(st.tuples(who, who).filter(lambda pair: pair[0] < pair[1]), min_size=1, max_size=6))
    links = [(*pair, draw(st.sampled_from([0.5, 0.8, 0.9995]))) for pair in sorted(pairs)]
    return Case(world, links, range(12))


@settings(max_examples=60, deadline=None)
@given(cases())
def test_with_all_links_the_rings_are_those_that_were_named(case: Case) -> None:
    members = pl.DataFrame(pl.from_arrow(case.named.members.select(["ring_id", "entity_id", "score"])))
    params = DoubtParams()
    none = PAIR_DECISIONS.empty()
    uncertain = find_uncertain_links(members, case.tables, case.links, none, params.certain_probability)
    if not members.is_empty():
        pieces = cut_rings(members, uncertain, case.tables, case.links, params.naming.projection)
        look = DoubtedRings.of(pieces, None, params).look(np.ones(len(uncertain), bool))
        rings = case.named.rings.sort_by("ring_id")
        assert look.n_people.tolist() == look.n_members.tolist() == rings["n_members"].to_pylist()
        assert look.risk.tolist() == pytest.approx(rings["risk_score"].to_pylist())
        assert look.belongs.all()


@settings(max_examples=40, deadline=None)
@given(cases())
def test_figures_are_in_their_bounds_and_agree(case: Case) -> None:
    doubts = case.doubts()
    assert doubts.rings["ring_id"].equals(case.named.rings["ring_id"])
    n_members = dict(
        zip(*(case.named.rings[name].to_pylist() for name in ("ring_id", "n_members")), strict=True)
    )
    for row in doubts.rings.to_pylist():
        assert 0 <= row["n_members_low"] <= row["n_members_high"]
        assert 0 <= row["risk_low"] <= row["risk_high"] <= 1
        if row["weakest_probability"] is not None:
            assert 0 <= row["n_members_without"] < n_members[row["ring_id"]]
            assert row["holds_probability"] < 1 or row["n_members_without"] > 0
    holds = dict(
        zip(*(doubts.rings[name].to_pylist() for name in ("ring_id", "holds_probability")), strict=True)
    )
    for row in doubts.members.to_pylist():
        assert 0 <= row["membership_probability"] <= holds[row["ring_id"]]


def test_no_rings_are_no_rows() -> None:
    for links in (LINKS.empty(), links_of([(1, 2, 0.5)])):
        none = doubt_rings(FRAUD_RINGS.empty(), RING_MEMBERS.empty(), World(4).tables(), links)
        assert none == RingDoubts(RING_DOUBT.empty(), RING_MEMBER_DOUBT.empty())
    assert say_doubts(none.rings) is None
    assert list_fragile(none.rings, 3).num_rows == 0


def section(case: Case, **given: Any) -> str:
    doubts = case.doubts(**given)
    numbers = {entity: at for at, entity in enumerate(case.named.members["entity_id"].to_pylist(), start=1)}
    return str(section_as_json(tell_doubt(doubts.rings.to_pylist()[0], doubts.members.to_pylist(), numbers)))


def test_the_section_says_what_the_ring_hangs_on() -> None:
    told = section(hanging())
    assert "holds in 60% of draws: 0 to 3 members, risk 0.00 to 0.90" in told
    assert "falls apart without the link of p:1 and p:2 (60% likely)" in told
    assert "terag review show p:1 p:2" in told
    assert "not calibrated" not in told
    assert "as sure as the links" in section(hanging(0.9999))
    assert say_doubts(hanging().doubts().rings) == (
        "rings that rest on uncertain links: 1 of 1; that fall apart without one of them: 1"
    )
