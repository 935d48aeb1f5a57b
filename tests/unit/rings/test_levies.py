from __future__ import annotations

import polars as pl
import pytest

from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.naming import name_rings
from terag_pipelines.rings.projection import ProjectionParams, project_entities
from tests.unit.rings.worlds import World

ODD = 2_340_817


def levied_world(payers: range, amount: int = ODD) -> World:
    """People who pay each other at random, and some who pay person 0 the same amount, weeks apart."""
    world = World(120).live(700)
    for place, payer in enumerate(payers):
        world.pay(payer, 0, amount, 5 * place)
    return world


def levies_of(world: World) -> pl.DataFrame:
    return project_entities(world.tables(), ProjectionParams()).levies


def spaced(text: str) -> str:
    """The text with ordinary spaces alone."""
    return " ".join(text.split())


def test_the_same_odd_amount_from_many_is_a_levy() -> None:
    levies = levies_of(levied_world(range(10, 18)))
    assert levies["payee"].unique().to_list() == [0]
    assert levies["payer"].to_list() == list(range(10, 18))
    assert levies["decades"][0] > 10


def test_few_payers_are_no_levy() -> None:
    assert levies_of(levied_world(range(10, 14))).is_empty()


def test_an_organisation_sells_at_a_price() -> None:
    world = levied_world(range(10, 18))
    world.people[0] = {"party_type": "organisation"}
    assert levies_of(world).is_empty()


def test_a_savings_club_in_which_each_collects_in_turn_is_no_levy() -> None:
    world = World(120).live(700)
    club = range(10, 18)
    for turn, taker in enumerate(club):
        for payer in club:
            if payer != taker:
                world.pay(payer, taker, 7_000_000, 10 * turn)
    assert levies_of(world).is_empty()


def test_amounts_that_all_pay_are_no_levy() -> None:
    world = levied_world(range(10, 18), amount=5_000_000)
    for person in range(20, 60):
        world.pay(person, person + 1, 5_000_000, person)
    assert levies_of(world).is_empty()


def test_a_levy_is_a_ring_of_its_own_even_where_its_members_live_apart() -> None:
    tables = levied_world(range(10, 20)).tables()
    detection = score_rings(tables)
    named = name_rings(detection.scores, tables)
    members = pl.DataFrame(pl.from_arrow(named.members))
    rings = [set(ids) for ids in members.group_by("ring_id").agg("entity_id")["entity_id"].to_list()]
    assert {f"e:{i:03d}" for i in (0, *range(10, 20))} in rings
    told = "10 members pay one member the same odd amount, which hardly anybody else pays: 23 408.17 KZT"
    assert told in [spaced(reason) for reasons in named.rings["reasons"].to_pylist() for reason in reasons]


@pytest.mark.parametrize("n_payers", [5, 8, 12])
def test_the_more_pay_it_the_less_it_is_chance(n_payers: int) -> None:
    fewer, more = (levies_of(levied_world(range(10, 10 + n))) for n in (n_payers, n_payers + 3))
    assert more["decades"][0] > fewer["decades"][0]
