"""Golden records: each value is a member's own, the rules do what they say, and ENTITIES says the same."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.errors import ConfigurationError
from terag_pipelines.linking.clusters import resolve_entities
from terag_pipelines.linking.golden import (
    ADDRESS_FIELDS,
    LIST_FIELDS,
    GoldenParams,
    Rule,
    make_golden_records,
)
from terag_pipelines.linking.model import ENTITY_MEMBERS, GOLDEN_RECORDS
from terag_pipelines.linking.pipeline import link_records
from terag_pipelines.tables import digest
from tests.unit.linking.records import make_links, make_population, make_records


def seen(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def golden_of(rows: list[dict[str, Any]], params: GoldenParams | None = None) -> list[dict[str, Any]]:
    """The golden record of rows that are all one entity."""
    records = make_records(rows)
    ids = records["record_id"].to_pylist()
    members = ENTITY_MEMBERS.from_columns(record_id=ids, entity_id=["e"] * len(ids))
    return make_golden_records(records, members, params or GoldenParams()).to_pylist()


def value_of(golden: list[dict[str, Any]], field: str) -> list[str]:
    return [row["value"] for row in golden if row["field"] == field]


def test_every_value_is_held_by_the_record_it_is_said_to_come_from() -> None:
    records, _ = make_population(600, seed=8)
    members = link_records(records).resolved.members
    rows = {row["record_id"]: row for row in records.to_pylist()}
    entity = dict(zip(members["record_id"].to_pylist(), members["entity_id"].to_pylist(), strict=True))
    golden = make_golden_records(records, members).to_pylist()
    assert {row["entity_id"] for row in golden} == set(entity.values())
    for row in golden:
        held = rows[row["record_id"]][row["field"]]
        assert entity[row["record_id"]] == row["entity_id"]
        assert row["value"] in held if row["field"] in LIST_FIELDS else row["value"] == str(held)
        assert row["n_agreeing"] >= 1
        assert row["n_conflicting"] >= 0


def test_the_entities_say_the_same() -> None:
    records, _ = make_population(800, seed=9)
    dates = np.random.default_rng(0).integers(2015, 2025, records.num_rows).tolist()
    rows = [
        row | {"first_seen": seen(year), "given_name": row["given_key"], "family_name": row["family_key"]}
        for row, year in zip(records.to_pylist(), dates, strict=True)
    ]
    dated = ENTITY_RECORDS.conform(pa.Table.from_pylist(rows, ENTITY_RECORDS.schema))
    for table in (records, dated):
        resolved = link_records(table).resolved
        golden = make_golden_records(table, resolved.members).to_pylist()
        told = {(row["entity_id"], row["field"]): row["value"] for row in golden}
        for entity in resolved.entities.to_pylist():
            for field in ("display_name", "birth_date", "iin", "bin"):
                value = None if entity[field] is None else str(entity[field])
                assert told.get((entity["entity_id"], field)) == value


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("most_frequent", "Anna"),
        ("most_recent", "Ann"),
        ("longest", "Annabelle"),
        ("most_trusted", "Anya"),
        ("most_complete", "Annabelle"),
    ],
)
def test_rules_choose_as_they_say(rule: Rule, expected: str) -> None:
    rows: list[dict[str, Any]] = [
        {"given_name": "Anna", "first_seen": seen(2001)},
        {"given_name": "Anna", "first_seen": seen(2002)},
        {"given_name": "Ann", "first_seen": seen(2020)},
        {"given_name": "Annabelle", "birth_date": date(1980, 1, 1), "sex": "female"},
        {"given_name": "Anya", "dataset": "registry", "first_seen": seen(1999)},
    ]
    params = GoldenParams({"given_name": rule}, trusted_datasets=("registry",))
    golden = golden_of(rows, params)
    (row,) = [row for row in golden if row["field"] == "given_name"]
    assert (row["value"], row["rule"]) == (expected, rule)
    assert row["n_agreeing"] + row["n_conflicting"] == 5


def test_lists_are_joined_and_nothing_in_them_conflicts() -> None:
    golden = golden_of([{"phones": ["+1", "+2"]}, {"phones": ["+2", "+3"]}, {"phones": []}])
    phones = [row for row in golden if row["field"] == "phones"]
    assert [(row["value"], row["n_agreeing"]) for row in phones] == [("+1", 1), ("+2", 2), ("+3", 1)]
    assert {row["n_conflicting"] for row in phones} == {0}


def test_one_name_in_two_scripts_agrees_with_itself() -> None:
    rows = [{"given_name": "Иван", "given_key": "ivan"}, {"given_name": "Ivan", "given_key": "ivan"}]
    (row,) = [row for row in golden_of(rows) if row["field"] == "given_name"]
    assert (row["n_agreeing"], row["n_conflicting"]) == (2, 0)


def married() -> list[dict[str, Any]]:
    maiden = {"given_key": "anna", "family_name": "Kim", "family_key": "kim", "birth_date": date(1980, 1, 1)}
    return [
        maiden | {"first_seen": seen(2001), "sex": "female", "phones": ["+1"]},
        maiden | {"family_name": "Kym", "family_key": "kim", "first_seen": seen(2002)},
        {"given_key": "anna", "family_name": "Serikova", "family_key": "serikova", "first_seen": seen(2015)},
    ]


def test_a_married_name_is_the_name_and_the_former_one_is_kept() -> None:
    golden = golden_of(married())
    assert value_of(golden, "family_name") == ["Serikova"]
    assert value_of(golden, "display_name") == ["anna serikova"]
    assert value_of(golden, "former_family_name") == ["Kim"]
    assert value_of(golden, "birth_date") == ["1980-01-01"]


def test_the_entity_bears_the_married_name_too() -> None:
    records = make_records(married())
    ids = records["record_id"].to_pylist()
    links = make_links(*[(ids[i], ids[j], 9.0) for i, j in ((0, 1), (0, 2), (1, 2))])
    entities = resolve_entities(records, links, links.drop_columns(["link_probability", "is_calibrated"]))
    assert entities.entities["display_name"].to_pylist() == ["anna serikova"]


def test_another_name_without_dates_is_history_but_not_called_former() -> None:
    golden = golden_of([row | {"first_seen": None} for row in married()])
    assert value_of(golden, "family_name") == ["Kim"]
    assert value_of(golden, "other_family_name") == ["Serikova"]
    assert value_of(golden, "former_family_name") == []


def test_a_slip_of_the_keyboard_is_no_former_name() -> None:
    rows = [
        {"family_name": "Akhmetov", "family_key": "ahmetov", "first_seen": seen(2001)},
        {"family_name": "Akhmetof", "family_key": "ahmetof", "first_seen": seen(2010)},
    ]
    assert value_of(golden_of(rows), "former_family_name") == []


def test_an_address_comes_from_one_record() -> None:
    old = {
        "street": "abai",
        "house": "1",
        "postcode": "050000",
        "locality": "almaty",
        "first_seen": seen(2001),
    }
    new = {"street": "dostyk", "house": "7", "first_seen": seen(2020)}
    golden = golden_of([old, new])
    parts = {row["field"]: row["value"] for row in golden if row["field"] in ADDRESS_FIELDS}
    assert parts == {"street": "dostyk", "house": "7"}
    undated = golden_of([old | {"first_seen": None}, new | {"first_seen": None}])
    assert value_of(undated, "postcode") == ["050000"]


def test_the_order_of_rows_does_not_matter() -> None:
    records, _ = make_population(200, seed=10)
    members = link_records(records).resolved.members
    turn = np.random.default_rng(3)
    turned = make_golden_records(
        records.take(turn.permutation(records.num_rows)), members.take(turn.permutation(members.num_rows))
    )
    assert digest(turned) == digest(make_golden_records(records, members))


def test_no_records_give_no_golden_records() -> None:
    assert make_golden_records(ENTITY_RECORDS.empty(), ENTITY_MEMBERS.empty()).equals(GOLDEN_RECORDS.empty())


@pytest.mark.parametrize(
    "rules", [{"iin": "all"}, {"shoe_size": "longest"}, {"iin": "newest"}], ids=["list", "field", "rule"]
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        golden_of([{"given_key": "anna"}], GoldenParams(rules))
