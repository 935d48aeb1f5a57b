"""What a load changes, carried out on a store that is a dictionary: it then holds the plan, whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.graph.changes import (
    GraphChange,
    LoadManifest,
    find_change,
    sample_content,
    whole_graph,
)
from terag_pipelines.graph.load_plan import LoadPlan, build_load_plan
from terag_pipelines.graph.model import EDGES, NODES, OPEN_END, EdgeSpec
from tests.unit.graph.tables import small_tables

Rows = dict[tuple[Any, ...], dict[str, Any]]


class DictionaryStore:
    """Nodes and relationships with the loads that they are part of; every write must find what it names."""

    def __init__(self) -> None:
        self.nodes: dict[str, Rows] = {spec.label: {} for spec in NODES}
        self.edges: dict[str, Rows] = {spec.type: {} for spec in EDGES}

    def apply(self, change: GraphChange) -> None:
        """All but new relationships in any order: a loader writes those in two sessions at once."""
        n_keys = {spec.type: 2 + len(spec.identity) for spec in EDGES} | {spec.label: 1 for spec in NODES}
        rows_of = {**self.nodes, **self.edges}
        writes = [
            *(
                (self._end, name, table)
                for name, table in {**change.ended_edges, **change.ended_nodes}.items()
            ),
            *((self._update, *one) for one in {**change.updated_edges, **change.updated_nodes}.items()),
            *((self._create, *one) for one in change.new_nodes.items()),
        ]
        for place in np.random.default_rng(change.number).permutation(len(writes)):
            write, name, table = writes[int(place)]
            write(rows_of[name], table, n_keys[name], change.number)
        for kind, table in change.new_edges.items():
            self._create(self.edges[kind], table, n_keys[kind], change.number)
            self._require_ends(next(spec for spec in EDGES if spec.type == kind))

    def _require_ends(self, spec: EdgeSpec) -> None:
        """A relationship that is seen has both ends seen."""
        for key, row in self.edges[spec.type].items():
            if row["valid_to"] == OPEN_END:
                assert self.nodes[spec.start.label][key[:1]]["valid_to"] == OPEN_END
                assert self.nodes[spec.end.label][key[1:2]]["valid_to"] == OPEN_END

    def seen(self, load: int) -> dict[str, list[list[Any]]]:
        """By label and type: the rows of a load, relationships with the ids of their ends."""
        parts = {**self.nodes, **self.edges}
        return {
            name: sorted(
                [*map(_id_of, key[:2] if name in self.edges else ()), *_content(row)]
                for key, row in rows.items()
                if row["valid_from"] <= load < row["valid_to"]
            )
            for name, rows in parts.items()
        }

    @staticmethod
    def _end(rows: Rows, table: pa.Table, n_keys: int, number: int) -> None:
        for key in _tuples(table, n_keys):
            assert rows[key]["valid_to"] == OPEN_END
            rows[key]["valid_to"] = number
            rows[(*key, number)] = rows.pop(key)  # the key is free: a new relationship may have it

    @staticmethod
    def _update(rows: Rows, table: pa.Table, n_keys: int, _number: int) -> None:
        for key, row in zip(_tuples(table, n_keys), table.to_pylist(), strict=True):
            assert rows[key]["valid_to"] == OPEN_END
            rows[key].update(row)

    @staticmethod
    def _create(rows: Rows, table: pa.Table, n_keys: int, number: int) -> None:
        for key, row in zip(_tuples(table, n_keys), table.to_pylist(), strict=True):
            assert key not in rows
            rows[key] = {**row, "valid_from": number, "valid_to": OPEN_END}


def _tuples(table: pa.Table, n_keys: int) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns[:n_keys]), strict=True))


def _id_of(key: str) -> str:
    return key.partition(":")[2]


def _content(row: dict[str, Any]) -> list[str]:
    left_out = ("key", "start_key", "end_key", "valid_from", "valid_to")
    return [f"{name}={value!r}" for name, value in sorted(row.items()) if name not in left_out]


def content_of(plan: LoadPlan) -> dict[str, list[list[Any]]]:
    """What `DictionaryStore.seen` has to say of a store that holds the plan."""
    found = {label: sorted(_content(row) for row in table.to_pylist()) for label, table in plan.nodes.items()}
    for spec in EDGES:
        ends = zip(*(ids.to_pylist() for ids in plan.end_ids(spec)), strict=True)
        rows = plan.edges[spec.type].drop_columns(["start_row", "end_row"]).to_pylist()
        found[spec.type] = sorted([*pair, *_content(row)] for pair, row in zip(ends, rows, strict=True))
    return found


def random_plan(seed: int) -> LoadPlan:
    """A plan of some of the small tables' rows, some of them with other values."""
    random = np.random.default_rng(seed)
    tables = {}
    for name, table in small_tables().items():
        kept = table.filter(pa.array(random.random(table.num_rows) < 0.8))
        for column in ("display_name", "amount_minor", "bank", "link_probability"):
            if column in kept.column_names and random.random() < 0.5:
                order = random.permutation(kept.num_rows)
                kept = kept.set_column(
                    kept.column_names.index(column), kept.schema.field(column), kept[column].take(order)
                )
        tables[name] = kept
    return build_load_plan(f"b{seed}", tables)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=5), st.booleans())
def test_a_store_holds_every_plan_that_it_was_loaded_with(seeds, in_place):
    store, base, plans = DictionaryStore(), None, [random_plan(seed) for seed in seeds]
    for number, plan in enumerate(plans, start=1):
        change = find_change(plan, base, number, in_place=in_place and base is not None)
        store.apply(change)
        assert store.seen(number) == content_of(plan)
        assert change.manifest.sums() == plan.sums()
        base = change.manifest
    if not in_place:  # what earlier loads held is there still
        for number, plan in enumerate(plans, start=1):
            assert store.seen(number) == content_of(plan)


def test_a_name_that_changed_takes_its_relationships_along_unless_it_is_changed_in_place():
    plan, tables = build_load_plan("one", small_tables()), small_tables()
    names = ["Somebody Else", *tables["entities"]["display_name"].to_pylist()[1:]]
    at = tables["entities"].column_names.index("display_name")
    tables["entities"] = tables["entities"].set_column(at, "display_name", pa.array(names))
    base = find_change(plan, None, 1).manifest
    beside, in_place = (
        find_change(build_load_plan("two", tables), base, 2, in_place=way) for way in (False, True)
    )
    assert beside.ended_nodes["Entity"].num_rows == beside.new_nodes["Entity"].num_rows == 1
    assert sum(table.num_rows for table in beside.new_edges.values()) > 3
    assert (in_place.n_ended, in_place.n_updated, in_place.n_rows) == (0, 1, 1)
    assert in_place.updated_nodes["Entity"]["key"].to_pylist()[0].startswith("1:")


@pytest.mark.parametrize("in_place", [False, True])
def test_nothing_travels_where_nothing_changed(in_place):
    plan = build_load_plan("one", small_tables())
    base = find_change(plan, None, 1).manifest
    assert find_change(plan, base, 2, in_place=in_place).n_rows == 0


def test_a_whole_graph_is_what_a_first_change_writes():
    plan = build_load_plan("one", small_tables())
    whole, change = whole_graph(plan, 1), find_change(plan, None, 1)
    assert tables_equal(whole.manifest, change.manifest)
    for spec in NODES:
        names = change.new_nodes[spec.label].column_names
        assert whole.nodes[spec.label].select(names).to_pylist() == change.new_nodes[spec.label].to_pylist()
    for kind in EDGES:
        ends = zip(("start_row", "end_row"), ("start_key", "end_key"), (kind.start, kind.end), strict=True)
        for row, key, node in ends:
            keys = whole.nodes[node.label]["key"].take(whole.edges[kind.type][row])
            assert keys.to_pylist() == change.new_edges[kind.type][key].to_pylist()


def tables_equal(one: LoadManifest, two: LoadManifest) -> bool:
    return all(table.equals(two.tables()[name]) for name, table in one.tables().items())


def test_a_sample_is_of_what_is_stored():
    plan = build_load_plan("one", small_tables())
    change = find_change(plan, None, 1)
    everything = sample_content(plan, change.manifest, 1_000)
    expected = {**change.new_nodes, **change.new_edges}
    assert {name: rows.to_pylist() for name, rows in everything.items()} == {
        name: rows.to_pylist() for name, rows in expected.items()
    }
    few = sample_content(plan, change.manifest, 1)
    for name, rows in few.items():
        assert rows["row_hash"].to_pylist() == sorted(expected[name]["row_hash"].to_pylist())[:1]
