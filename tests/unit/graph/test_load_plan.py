"""The load plan of small tables that are known by heart, and of any tables in any order."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.entities.validity import part_by_time
from terag_pipelines.graph.load_plan import LoadPlan, LoadPlanParams, build_load_plan
from terag_pipelines.graph.model import EDGES, GRAPH_LOAD, ContentSum, digest_of
from tests.unit.graph.tables import MIDNIGHT, NOON, PHONE, small_tables


def edges_of(plan: LoadPlan, kind: str, *columns: str) -> set[tuple[object, ...]]:
    spec = next(spec for spec in EDGES if spec.type == kind)
    values = (plan.edges[kind][name] for name in columns)
    return set(zip(*(column.to_pylist() for column in (*plan.end_ids(spec), *values)), strict=True))


def test_nodes_are_one_for_each_thing():
    counts = build_load_plan("b", small_tables()).counts()
    assert {name: counts[name] for name in ("Entity", "Record", "Account", "Device")} == {
        "Entity": 3,
        "Record": 4,
        "Account": 4,
        "Device": 2,
    }


def test_transfers_are_summed_by_pair_and_currency():
    columns = ("currency", "n_transfers", "amount_minor", "first_at_ms", "last_at_ms")
    flows = edges_of(build_load_plan("b", small_tables()), "TRANSFERRED", *columns)
    rows = {flow[:3]: flow[3:] for flow in flows}
    assert set(rows) == {("acc1", "acc2", "KZT"), ("acc1", "acc2", "USD"), ("acc2", "acc1", "XXX")}
    instants = [round(1000 * instant.timestamp()) for instant in (NOON, MIDNIGHT)]
    assert rows["acc1", "acc2", "KZT"] == (2, 3_500, *instants)


def test_only_identifiers_of_several_entities_become_nodes():
    plan = build_load_plan("b", small_tables())
    kinds = sorted(plan.nodes["Identifier"]["kind"].to_pylist())
    assert kinds == [
        "address",
        "card",
        "passport",
        "phone",
    ]  # not the IIN, which two records of one entity have
    held = edges_of(plan, "HAS_IDENTIFIER")
    by_kind = {kind: {a for a, b in held if b.startswith(f"{kind}:")} for kind in kinds}
    assert by_kind == {
        "address": {"ent_a", "ent_c"},
        "card": {"ent_b", "ent_c"},
        "passport": {"ent_a", "ent_b"},
        "phone": {"ent_a", "ent_b"},
    }


def test_what_passed_from_one_entity_to_another_ties_them_not():
    tables = small_tables()
    records = tables["entity_records"]
    until, since = date(2015, 12, 31), date(2016, 6, 5)
    days = {"phone_from": [None, None, since, None], "phone_to": [until, None, None, None]}
    at_once = with_columns(records, **days)  # another record of ent_a holds it at any time
    days["phone_to"][1] = until
    passed = with_columns(records, **days)
    assert phone_holders(tables | {"entity_records": at_once}) == {"ent_a", "ent_b"}
    assert phone_holders(tables | {"entity_records": passed}) == set()
    related = tables["relationships"]
    kinds = related["object_kind"].to_pylist()
    assert kinds.count("card") == 2
    first = kinds.index("card")
    days = {"valid_from": [since if n == first else None for n in range(len(kinds))]}
    days["valid_to"] = [until if n > first else None for n in range(len(kinds))]
    parted = build_load_plan("b", tables | {"relationships": with_columns(related, **days)})
    assert "card" not in parted.nodes["Identifier"]["kind"].to_pylist()


def with_columns(table: pa.Table, **days: list[date | None]) -> pa.Table:
    for name, values in days.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.date32()))
    return table


def phone_holders(tables: dict[str, pa.Table]) -> set[str]:
    edges = edges_of(build_load_plan("b", tables), "HAS_IDENTIFIER")
    return {entity for entity, identifier in edges if identifier.startswith("phone:")}


def test_a_number_of_three_holders_ties_those_who_held_it_at_one_time():
    held = pl.DataFrame(
        {
            "holder": ["a", "b", "c", "d"],
            "kind": ["phone"] * 4,
            "value": ["1", "1", "1", "2"],
            "start": [None, date(2015, 1, 1), date(2016, 1, 1), date(2015, 1, 1)],
            "end": [date(2015, 6, 1), date(2015, 12, 31), None, None],
        }
    )
    assert part_by_time(held).sort("holder")["value"].to_list() == ["1", "1", "1 #1", "2"]
    shuffled = part_by_time(held.sample(fraction=1, shuffle=True, seed=1)).sort("holder")
    assert shuffled["value"].to_list() == ["1", "1", "1 #1", "2"]


def test_no_personal_value_but_display_names_reaches_the_graph():
    plan = build_load_plan("b", small_tables(), LoadPlanParams(identifier_key=b"secret"))
    text = str([table.to_pylist() for table in (*plan.nodes.values(), *plan.edges.values())])
    for value in (PHONE, PHONE[1:], "900101400016", "N1", "a@mail.kz", "abay"):
        assert value not in text


def test_the_key_decides_the_names_of_identifiers():
    names = [
        build_load_plan("b", small_tables(), LoadPlanParams(identifier_key=key))
        .nodes["Identifier"][0]
        .to_pylist()
        for key in (b"one", b"one", b"two")
    ]
    assert names[0] == names[1]
    assert not set(names[0]) & set(names[2])


def test_an_identifier_of_too_many_entities_is_left_out_and_counted():
    plan = build_load_plan("b", small_tables(), LoadPlanParams(max_identifier_degree=1))
    assert plan.counts()["Identifier"] == plan.counts()["HAS_IDENTIFIER"] == 0
    assert plan.left_out["identifier of more than 1 entities: phone"] == 1


def test_holders_devices_and_relationships_are_of_entities():
    plan = build_load_plan("b", small_tables())
    assert edges_of(plan, "HOLDS") == {("ent_a", "acc1"), ("ent_b", "acc2"), ("ent_c", "acc3")}
    assert edges_of(plan, "USES") == {("ent_a", "dev1"), ("ent_b", "dev1"), ("ent_b", "dev2")}
    assert edges_of(plan, "RELATED_TO", "kind", "share") == {("ent_a", "ent_b", "owns", 0.4)}


def test_rows_without_both_ends_are_counted():
    assert build_load_plan("b", small_tables()).left_out == {"TRANSFERRED without both ends": 1}


def test_a_sum_beyond_64_bits_is_left_out_and_counted():
    tables = small_tables()
    transfers = tables["transfers"]
    place = transfers.column_names.index("amount_minor")
    huge = pa.array([1 << 62] * transfers.num_rows, pa.int64())
    tables["transfers"] = pa.concat_tables([transfers.set_column(place, "amount_minor", huge)] * 2)
    plan = build_load_plan("b", tables)
    assert plan.counts()["TRANSFERRED"] == 0
    assert plan.left_out["TRANSFERRED with a sum of more than 64 bits"] == 3


def test_long_texts_are_cut_and_nodes_of_long_ids_left_out():
    tables = small_tables()
    ids, names = (["people:1", "people:2", "people:3", "p" * 9_000], ["n" * 9_000] * 4)
    for name, values in (("record_id", ids), ("display_name", names)):
        place = tables["entity_records"].column_names.index(name)
        tables["entity_records"] = tables["entity_records"].set_column(place, name, pa.array(values))
    plan = build_load_plan("b", tables)
    assert plan.counts()["Record"] == 3
    assert plan.left_out["Record with an id of more than 1000 characters"] == 1
    assert plan.left_out["RESOLVES_TO without both ends"] == 1
    assert {len(name) for name in plan.nodes["Record"]["display_name"].to_pylist()} == {1_000}


@pytest.mark.parametrize("missing", sorted(small_tables()))
def test_a_missing_table_is_an_empty_one(missing):
    tables = small_tables()
    tables.pop(missing)
    plan = build_load_plan("b", tables)
    assert sum(plan.counts().values()) < sum(build_load_plan("b", small_tables()).counts().values())


def test_nothing_makes_an_empty_plan_with_a_summary():
    plan = build_load_plan("b", {})
    assert set(plan.counts().values()) == {0}
    assert plan.summary().num_rows == 12
    assert plan.summary().schema.equals(GRAPH_LOAD.schema)


def test_the_digest_tells_any_change():
    changed = small_tables()
    changed["entities"] = changed["entities"].set_column(
        2, "display_name", pa.array(["Айгерім Сәрсенова", "Bolat Nurlanov", "Dana Lei"])
    )
    assert build_load_plan("b", changed).digest() != build_load_plan("b", small_tables()).digest()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_row_order_does_not_matter(seed):
    random = np.random.default_rng(seed)
    shuffled = {
        name: table.take(random.permutation(table.num_rows)) for name, table in small_tables().items()
    }
    plan, expected = build_load_plan("b", shuffled), build_load_plan("b", small_tables())
    assert plan.summary().equals(expected.summary())
    assert all(plan.edges[name].equals(expected.edges[name]) for name in expected.edges)


def test_a_digest_is_of_counts_and_sums_not_of_order():
    one, two = ContentSum(1, 5), ContentSum(2, 9)
    assert digest_of({"a": one, "b": two}) == digest_of({"b": two, "a": one})
    assert digest_of({"a": one, "b": two}) != digest_of({"a": two, "b": one})
