from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest

from terag_pipelines.rings.case_files import CaseFile, Provenance, open_case
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.evidence import evidence_of
from terag_pipelines.rings.model import RING_SCORES
from terag_pipelines.rings.naming import name_rings
from terag_pipelines.rings.projection import ProjectionParams, project_entities
from terag_pipelines.rings.sections import Rows, Told
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
    told = (
        "10 members pay one member exactly the same amount, of which it gets half of all payments or more: "
        "23 408.17 KZT"
    )
    assert told in [spaced(reason) for reasons in named.rings["reasons"].to_pylist() for reason in reasons]


def levy_of(world: World, members: list[int], currency: str | None = "KZT") -> CaseFile:
    """The case of the ring of these members."""
    tables = world.tables()
    moved = tables["transfers"]
    at = moved.column_names.index("currency")
    codes = pa.array([currency] * moved.num_rows, moved.field(at).type)
    tables["transfers"] = moved.set_column(at, moved.field(at), codes)
    entities = [f"e:{i:03d}" for i in range(world.n_people)]
    suspects = {f"e:{i:03d}" for i in members}
    scored = RING_SCORES.from_columns(
        entity_id=entities,
        community_id=["c"] * len(entities),
        score=[0.9 if entity in suspects else 0.1 for entity in entities],
        reasons=[[]] * len(entities),
    )
    named = name_rings(scored, tables)
    tables |= {"fraud_rings": named.rings, "ring_members": named.members}
    return open_case(named.rings["ring_id"][0].as_py(), tables, Provenance("batch"))


def test_others_who_pay_the_levy_are_told() -> None:
    case = levy_of(levied_world(range(10, 20)), [0, 10, 11, 12])
    reasons = [spaced(reason) for reason in case.ring["reasons"]]
    assert any(reason.startswith("3 members and 7 others pay one member exactly") for reason in reasons)


def test_a_levy_in_an_unknown_currency_is_told_as_such() -> None:
    case = levy_of(levied_world(range(10, 20)), [0, *range(10, 20)], currency=None)
    assert any(
        reason.endswith("2 340 817 minor units of an unknown currency") for reason in case.ring["reasons"]
    )


def test_the_evidence_of_a_levy_is_its_payments_and_none_besides() -> None:
    world = levied_world(range(10, 20))
    for payer in range(10, 20):
        world.pay(payer, 10 if payer == 19 else payer + 1, 500_000 + payer, 50)
        world.pay(payer, 0, 900_000 + payer, 60)
    for payer in range(11, 22):
        world.pay(payer, 10, 700_000 + payer, 61)
    case = levy_of(world, [0, *range(10, 22)])
    [reason] = [one for one in case.ring["reasons"] if "exactly the same amount" in one]
    told, rows = evidence_of(case, reason)
    assert isinstance(told, Told)
    assert isinstance(rows, Rows)
    assert {spaced(row[3]) for row in rows.rows} == {"23 408.17 KZT"}
    assert len({row[1] for row in rows.rows}) == 10
    assert len({row[2] for row in rows.rows}) == 1


@pytest.mark.parametrize("n_payers", [5, 8, 12])
def test_the_more_pay_it_the_less_it_is_chance(n_payers: int) -> None:
    fewer, more = (levies_of(levied_world(range(10, 10 + n))) for n in (n_payers, n_payers + 3))
    assert more["decades"][0] > fewer["decades"][0]
