"""Telephones, cards and addresses that were theirs at other times link nobody, and part nobody either."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from terag_pipelines.linking.comparison import compare_pairs
from terag_pipelines.linking.encoding import encode_records
from terag_pipelines.linking.explanation import LinkedBatch
from terag_pipelines.linking.explanation_pairs import explain_pair
from terag_pipelines.linking.known_pairs import EarlierRun
from terag_pipelines.linking.pipeline import LinkedRecords, link_records
from tests.unit.linking.records import make_population, make_records

PHONE, CARD = "+77011234567", "card:4400430012345678"
SUMMER, AUTUMN, WINTER = date(2015, 6, 1), date(2015, 9, 1), date(2015, 12, 1)
HOME = {"street": "abai", "house": "12", "locality": "almaty", "address_key": "abai 12 almaty"}
HELD = {"phone": {"phones": [PHONE]}, "card": {"identifiers": [CARD]}, "address": HOME}
AMINA = {"given_key": "amina", "family_key": "ibraeva"}
FIELD = {"phone": "phone", "card": "identifiers", "address": "address"}


def held(kind: str, start: date | None = None, end: date | None = None, **others: Any) -> dict[str, Any]:
    """A row that holds the thing of this kind in this time."""
    return {**HELD[kind], f"{kind}_from": start, f"{kind}_to": end, **others}


def levels_of(*rows: dict[str, Any]) -> dict[str, int]:
    encoded = encode_records(make_records(rows))
    found = compare_pairs(encoded, np.array([0], np.int32), np.array([1], np.int32))
    return {name: int(levels[0]) for name, levels in found.items()}


def n_entities(linked: LinkedRecords) -> int:
    return len(set(linked.labels.tolist()))


@pytest.mark.parametrize("kind", HELD)
@pytest.mark.parametrize(
    ("one", "other", "agrees"),
    [
        ((None, None), (None, None), True),
        ((SUMMER, AUTUMN), (WINTER, None), False),
        ((None, SUMMER), (AUTUMN, None), False),
        ((WINTER, None), (None, AUTUMN), False),
        ((SUMMER, WINTER), (AUTUMN, None), True),
        ((SUMMER, AUTUMN), (AUTUMN, WINTER), True),  # both ends belong to it
        ((SUMMER, None), (WINTER, None), True),
        ((None, SUMMER), (None, None), True),
        ((SUMMER, AUTUMN), (None, None), True),
    ],
)
def test_only_what_was_theirs_at_one_time_agrees(
    kind: str, one: tuple[date | None, date | None], other: tuple[date | None, date | None], agrees: bool
) -> None:
    assert levels_of(held(kind, *one), held(kind, *other))[FIELD[kind]] == int(agrees)
    assert levels_of(held(kind, *other), held(kind, *one))[FIELD[kind]] == int(agrees)


def test_two_numbers_of_different_times_do_not_speak_against_a_pair() -> None:
    later = held("phone", WINTER, phones=["+77077777777"])
    assert levels_of(held("phone", SUMMER, AUTUMN), later)["phone"] == 0
    assert levels_of(held("phone", SUMMER), later)["phone"] == 3


def test_people_have_several_cards_but_one_passport_at_a_time() -> None:
    cards = {"identifiers": [CARD]}, {"identifiers": ["card:4400430087654321"]}
    assert levels_of(*cards)["identifiers"] == 0
    papers = {"identifiers": [CARD, "passport:N01234567"]}, {"identifiers": [CARD, "passport:N77777777"]}
    assert levels_of(*papers)["identifiers"] == 1
    parted = (papers[0] | {"card_to": SUMMER}, papers[1] | {"card_from": WINTER})
    assert levels_of(*parted)["identifiers"] == 3
    passports = {"identifiers": ["passport:N01234567"]}
    assert levels_of(passports | {"card_to": SUMMER}, passports | {"card_from": WINTER})["identifiers"] == 1


@pytest.mark.parametrize("kind", HELD)
def test_a_recycled_value_links_nobody(kind: str) -> None:
    apart = [held(kind, SUMMER, AUTUMN, **AMINA), held(kind, WINTER, None, given_key="amina")]
    at_once = [held(kind, SUMMER, WINTER, **AMINA), held(kind, AUTUMN, None, given_key="amina")]
    plain = [held(kind, **AMINA), held(kind, given_key="amina")]
    crowd = make_population(300, seed=5)[0].to_pylist()
    crowd = [{k: v for k, v in row.items() if k != "record_id" and v is not None} for row in crowd]
    parted, joined, ever = (link_records(make_records([*rows, *crowd])) for rows in (apart, at_once, plain))
    assert [linked.labels[0] == linked.labels[1] for linked in (parted, joined, ever)] == [False, True, True]
    assert joined.members.equals(ever.members)
    assert ("r:000000", "r:000001") in pairs_of(parted)  # it was looked at all the same


def pairs_of(linked: LinkedRecords) -> set[tuple[str, str]]:
    table = linked.pairs.table
    return set(zip(table["left_id"].to_pylist(), table["right_id"].to_pylist(), strict=True))


def test_intervals_that_all_meet_change_nothing() -> None:
    records, _ = make_population(400, seed=6)
    dated = with_columns(records, phone_from=SUMMER, phone_to=WINTER, address_from=SUMMER)
    plain, told = link_records(records), link_records(dated)
    assert told.scores.scores.equals(plain.scores.scores)
    assert told.members.equals(plain.members)


def with_columns(records: pa.Table, **days: date) -> pa.Table:
    for name, day in days.items():
        at = records.column_names.index(name)
        records = records.set_column(at, name, pa.array([day] * records.num_rows, pa.date32()))
    return records


def test_many_copies_of_two_times_are_two_sets_of_copies() -> None:
    early, late = held("phone", None, SUMMER, given_key="amina"), held("phone", WINTER, given_key="amina")
    linked = link_records(make_records([early, late] * 12))
    assert linked.labels.tolist() == [linked.labels[0], linked.labels[1]] * 12
    assert n_entities(linked) == 2


@pytest.mark.parametrize("has_columns", [True, False])
def test_a_corrected_interval_is_seen_by_the_next_run(has_columns: bool) -> None:
    others = [{"given_key": "boris", "family_key": "li", "birth_date": date(1971, 9, 9)}] * 2
    before = make_records([held("phone", **AMINA), held("phone", given_key="amina"), *others])
    moved = [held("phone", SUMMER, AUTUMN, **AMINA), held("phone", WINTER, given_key="amina")]
    after = make_records([*moved, *others])
    first = link_records(before)
    kept = first.ordered
    if not has_columns:  # as a version wrote it that knew no intervals
        kept = kept.drop_columns([name for name in kept.column_names if name.endswith(("_from", "_to"))])
    earlier = EarlierRun(records=kept, members=first.members, pair_scores=first.scores.scores)
    again = link_records(after, earlier=earlier)
    full = link_records(after)
    assert n_entities(first) == 2
    assert n_entities(again) == n_entities(full) == 3
    assert again.scores.scores.equals(full.scores.scores)
    assert again.n_reused_pairs == 1


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("phone", "the numbers were theirs at other times"),
        ("card", "the card was theirs at other times"),
        ("address", "the addresses were theirs at other times"),
    ],
)
def test_an_explanation_says_that_it_was_theirs_at_other_times(kind: str, told: str) -> None:
    records = make_records([held(kind, SUMMER, AUTUMN, **AMINA), held(kind, WINTER, **AMINA)])
    linked = link_records(records)
    tables = linked.scores.scores, linked.scores.model, linked.links, linked.resolved.members
    pair = explain_pair(LinkedBatch(records, *tables), "r:000000", "r:000001")
    (part,) = [part for part in pair.weighed.missing if part.field == FIELD[kind]]
    assert part.sentence.endswith(told)
    assert part.weight == 0
    assert part.left[-1].endswith("from 2015-06-01 to 2015-09-01")
    assert part.right[-1].endswith("from 2015-12-01")
