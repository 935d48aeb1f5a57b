"""Batch after batch: the same entities as in one run, ids that stay, and a log of what changed."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.linking.known_pairs import EarlierRun
from terag_pipelines.linking.model import PAIR_DECISIONS
from terag_pipelines.linking.pipeline import LinkedRecords, link_records
from tests.unit.linking.records import make_population, make_records

BORN = date(1980, 3, 4)
ANNA = {"given_key": "anna", "family_key": "kim", "birth_date": BORN, "phones": ["+77010000001"]}
BORIS = {"given_key": "boris", "family_key": "li", "birth_date": date(1971, 9, 9), "phones": ["+77010000002"]}


def run_of(linked: LinkedRecords) -> EarlierRun:
    return EarlierRun(records=linked.ordered, members=linked.members, pair_scores=linked.scores.scores)


def link_in_batches(records: pa.Table, bounds: list[int]) -> LinkedRecords:
    linked = link_records(records.slice(0, bounds[0]))
    for bound in bounds[1:]:
        linked = link_records(records.slice(0, bound), earlier=run_of(linked))
    return linked


def groups(linked: LinkedRecords) -> set[frozenset[str]]:
    held: dict[int, set[str]] = {}
    for record, label in zip(linked.ordered["record_id"].to_pylist(), linked.labels.tolist(), strict=True):
        held.setdefault(label, set()).add(record)
    return {frozenset(group) for group in held.values()}


def ids_of(linked: LinkedRecords) -> dict[str, str]:
    members = linked.members
    return dict(zip(members["record_id"].to_pylist(), members["entity_id"].to_pylist(), strict=True))


def changes_of(linked: LinkedRecords) -> dict[str, dict[str, Any]]:
    return {row["entity_id"]: row for row in linked.changes.to_pylist()}


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1_000), st.lists(st.integers(50, 1_400), min_size=1, max_size=3, unique=True))
def test_batches_in_any_order_give_the_entities_of_one_run(seed: int, cuts: list[int]) -> None:
    records, _ = make_population(800, seed=21)
    records = records.take(np.random.default_rng(seed).permutation(records.num_rows))
    linked = link_in_batches(records, [*sorted(cuts), records.num_rows])
    assert groups(linked) == groups(link_records(records))
    assert linked.n_reused_pairs > 0


def test_nothing_new_changes_nothing() -> None:
    records, _ = make_population(300, seed=22)
    first = link_records(records)
    again = link_records(records, earlier=run_of(first))
    assert again.members.equals(first.members)
    assert again.changes.num_rows == 0
    assert again.n_reused_pairs == len(again.index)


def test_an_entity_keeps_its_id_when_an_earlier_record_joins() -> None:
    first = link_records(make_records([{}, ANNA, ANNA]).slice(1))
    grown = link_records(make_records([ANNA, ANNA, ANNA]), earlier=run_of(first))
    assert len(set(ids_of(grown).values())) == 1
    assert ids_of(grown)["r:000000"] == ids_of(first)["r:000001"]
    (change,) = grown.changes.to_pylist()
    assert (change["change"], change["cause"], change["n_before"], change["n_after"]) == (
        "grew",
        "new record",
        2,
        3,
    )


def test_a_merger_keeps_the_id_of_the_earliest_and_names_the_link_behind_it() -> None:
    apart = ANNA | {"phones": [], "birth_date": None, "family_key": "pak"}
    first = link_records(make_records([ANNA, ANNA, apart]))
    assert len(set(ids_of(first).values())) == 2
    merged = link_records(make_records([ANNA, ANNA, ANNA]), earlier=run_of(first))
    survivor, gone = ids_of(first)["r:000000"], ids_of(first)["r:000002"]
    assert set(ids_of(merged).values()) == {survivor}
    changes = changes_of(merged)
    assert (changes[survivor]["change"], changes[survivor]["from_ids"]) == ("merged", [gone])
    assert changes[survivor]["cause"] == "corrected record"
    assert changes[survivor]["right_id"] == "r:000002"
    assert (changes[gone]["change"], changes[gone]["into_ids"]) == ("taken over", [survivor])


def test_a_split_leaves_the_id_with_the_earliest_member() -> None:
    first = link_records(make_records([ANNA, ANNA, ANNA]))
    split = link_records(make_records([ANNA, ANNA, BORIS]), earlier=run_of(first))
    old = ids_of(first)["r:000000"]
    assert ids_of(split)["r:000000"] == ids_of(split)["r:000001"] == old
    part = ids_of(split)["r:000002"]
    changes = changes_of(split)
    assert (changes[old]["change"], changes[old]["into_ids"]) == ("split", [part])
    assert (changes[part]["change"], changes[part]["from_ids"]) == ("born", [old])


def test_the_founder_that_leaves_does_not_take_the_id_of_those_it_leaves() -> None:
    """r1 founded the entity, r0 joined before it in time, then r1 turned out to be another person."""
    first = link_records(make_records([{}, ANNA, ANNA]).slice(1))
    grown = link_records(make_records([ANNA, ANNA, ANNA]), earlier=run_of(first))
    parted = link_records(make_records([ANNA, BORIS, ANNA]), earlier=run_of(grown))
    ids = ids_of(parted)
    assert ids["r:000000"] == ids["r:000002"] == ids_of(first)["r:000001"]
    assert ids["r:000001"] != ids["r:000000"]


@pytest.mark.parametrize(("kept", "change"), [(1, "shrank"), (0, "ended")])
def test_deleted_records_leave_their_entities(kept: int, change: str) -> None:
    first = link_records(make_records([ANNA, ANNA, BORIS]))
    rest = make_records([ANNA, ANNA, BORIS]).take(pa.array([*range(kept), 2]))
    after = link_records(rest, earlier=run_of(first))
    (row,) = after.changes.to_pylist()
    assert (row["entity_id"], row["change"]) == (ids_of(first)["r:000000"], change)
    assert row["cause"] == "removed record"


def _named(**rows: dict[str, Any]) -> pa.Table:
    records = make_records(rows.values())
    ids = pa.array([f"r:{name}" for name in rows])
    return records.set_column(records.column_names.index("record_id"), "record_id", ids)


def test_both_sides_of_a_split_name_the_corrected_record_behind_it() -> None:
    first = link_records(make_records([ANNA, ANNA, ANNA]))
    split = link_records(make_records([ANNA, ANNA, BORIS]), earlier=run_of(first))
    assert {row["change"]: row["cause"] for row in split.changes.to_pylist()} == {
        "split": "corrected record",
        "born": "corrected record",
    }


def test_both_sides_of_a_merger_name_the_record_behind_it() -> None:
    apart = ANNA | {"phones": [], "birth_date": None, "family_key": "pak"}
    first = link_records(make_records([apart, ANNA, ANNA]))
    merged = link_records(make_records([ANNA, ANNA, ANNA]), earlier=run_of(first))
    assert {row["change"]: row["cause"] for row in merged.changes.to_pylist()} == {
        "merged": "corrected record",
        "taken over": "corrected record",
    }


def test_an_entity_that_loses_one_record_and_gains_two_grew_by_the_new_ones() -> None:
    first = link_records(_named(a=ANNA, b=ANNA))
    (row,) = link_records(_named(a=ANNA, c=ANNA, d=ANNA), earlier=run_of(first)).changes.to_pylist()
    assert (row["change"], row["cause"]) == ("grew", "new record")


def test_an_id_that_ends_is_not_given_to_a_stranger_at_once() -> None:
    """k founded the entity and left; m, the last of it, joins a; k comes back as somebody else."""
    clara = {"given_key": "clara", "family_key": "fox", "birth_date": date(1960, 1, 2)}
    first = link_records(_named(k=ANNA, m=ANNA))
    second = link_records(_named(a=BORIS, m=ANNA), earlier=run_of(first))
    third = link_records(_named(a=BORIS, k=clara, m=BORIS), earlier=run_of(second))
    old = ids_of(first)["r:k"]
    assert ids_of(second)["r:m"] == old
    assert old not in ids_of(third).values()
    assert (changes_of(third)[old]["change"], changes_of(third)[old]["n_after"]) == ("taken over", 0)


def _decided(*pairs: tuple[int, int, bool]) -> pa.Table:
    columns = [[f"r:{pair[side]:06}" for pair in pairs] for side in (0, 1)]
    is_match = [same for _, _, same in pairs]
    return PAIR_DECISIONS.from_columns(left_id=columns[0], right_id=columns[1], is_match=is_match)


def test_what_a_decision_alone_merged_or_split_is_caused_by_it() -> None:
    records = make_records([ANNA, ANNA, BORIS, BORIS])
    first = link_records(records)
    decisions = _decided((0, 1, False), (1, 2, True), (2, 3, True))  # the last held before
    after = link_records(records, earlier=run_of(first), decisions=decisions)
    anna, boris = ids_of(first)["r:000000"], ids_of(first)["r:000002"]
    changes = changes_of(after)
    assert {(row["change"], row["cause"]) for row in changes.values()} == {
        ("split", "decision"),
        ("merged", "decision"),
    }
    assert (changes[anna]["change"], changes[anna]["into_ids"]) == ("split", [boris])
    undone = link_records(records, earlier=run_of(after))
    assert {row["cause"] for row in undone.changes.to_pylist()} == {"evidence or decision"}
    assert groups(undone) == groups(first)


def test_a_decision_that_held_before_is_no_cause() -> None:
    decisions = _decided((0, 1, True))
    first = link_records(make_records([ANNA, BORIS]), decisions=decisions)
    grown = make_records([ANNA, BORIS, ANNA])
    (row,) = link_records(grown, earlier=run_of(first), decisions=decisions).changes.to_pylist()
    assert (row["change"], row["cause"]) == ("grew", "new record")
