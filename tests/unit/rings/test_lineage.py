"""Rings over time: ids stay, events are those that happened, and who is in a ring decides alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.linking.model import ENTITY_CHANGES
from terag_pipelines.rings.lineage import EarlierRings, Lineage, LineageParams, largest_changes, trace_rings
from terag_pipelines.rings.lineage_words import lineage_sections, tell_event
from terag_pipelines.rings.model import (
    RING_COMMUNITIES,
    RING_EVENT_NAMES,
    RING_EVENTS,
    RING_HISTORY,
    RING_TRACES,
)
from terag_pipelines.rings.portraits import identify_ring
from terag_pipelines.rings.sections import Rows, Told
from tests.unit.rings.ring_months import Event, Town, find_rings

Window = list[list[str]]


def as_members(rings: Window, order: int | None = None) -> pa.Table:
    """ring_id and entity_id of rings given by their members; rows in another order where one is given."""
    rows = [(identify_ring(ring), entity) for ring in rings for entity in ring]
    columns = [pa.array([row[at] for row in rows], pa.string()) for at in (0, 1)]
    table = pa.table(columns, names=["ring_id", "entity_id"])
    if order is None:
        return table
    return table.take(np.random.default_rng(order).permutation(table.num_rows))


def leave(lineage: Lineage) -> EarlierRings:
    return EarlierRings(RING_COMMUNITIES.empty(), lineage.traces, lineage.history)


def replay(windows: list[Window], params: LineageParams | None = None) -> list[Lineage]:
    """The lineages of windows one after the other."""
    found: list[Lineage] = []
    for number, window in enumerate(windows, 1):
        earlier = leave(found[-1]) if found else None
        found.append(trace_rings(as_members(window), f"batch-{number}", earlier, params=params))
    return found


def events_of(lineage: Lineage) -> dict[str, str]:
    """The event of each ring by its id."""
    return dict(zip(*(lineage.events[name].to_pylist() for name in ("ring_id", "event")), strict=True))


def id_of(lineage: Lineage, ring: list[str] | str) -> str:
    return lineage.ids[identify_ring(list(ring))]


@pytest.mark.parametrize("seed", range(4))
def test_events_of_twelve_months_are_those_that_happened(seed: int) -> None:
    """Communities are sought in each month's ties, from those of the month before; events equal the truth."""
    earlier, name_of, seen = None, dict[str, str](), set[str]()
    for number, month in enumerate(find_rings(Town(3_000, seed)), 1):
        lineage = trace_rings(as_members(month.found), f"month-{number}", earlier)
        earlier = leave(lineage)
        planted = {identify_ring([f"e:{one:05d}" for one in who]): name for name, who in month.rings.items()}
        assert lineage.ids.keys() == planted.keys()
        for given_id, ring_id in lineage.ids.items():
            assert name_of.setdefault(ring_id, planted[given_id]) == planted[given_id]
        told = told_events(lineage, name_of)
        assert told == sorted(month.truth, key=lambda event: event[0])
        seen |= {event[1] for event in told}
    assert seen == set(RING_EVENT_NAMES)


def told_events(lineage: Lineage, name_of: dict[str, str]) -> list[Event]:
    return sorted(
        (
            (
                name_of[row["ring_id"]],
                row["event"],
                row["n_members"],
                frozenset(name_of[other] for other in row["other_ring_ids"]),
            )
            for row in lineage.events.to_pylist()
        ),
        key=lambda event: event[0],
    )


def test_a_merger_lives_on_in_the_larger_and_a_split_in_the_larger_part() -> None:
    first, merged, split = replay(
        [[list("abcdef"), list("klmn")], [list("abcdefklmn")], [list("abcdef"), list("klmn")]]
    )
    large, small = id_of(first, "abcdef"), id_of(first, "klmn")
    assert events_of(merged) == {large: "merged", small: "merged"}
    assert merged.ids == {identify_ring(list("abcdefklmn")): large}
    assert events_of(split) == {large: "split", small: "split"}
    assert (id_of(split, "abcdef"), id_of(split, "klmn")) == (large, small)


def test_a_ring_that_merged_and_parted_in_one_batch_has_merged_with_those_that_it_took_in() -> None:
    first, both = replay([[list("abcdefgh"), list("ij")], [list("abcdeij"), list("fgh")]])
    large, small, new = id_of(first, "abcdefgh"), id_of(first, "ij"), id_of(both, "fgh")
    others = {row["ring_id"]: row["other_ring_ids"] for row in both.events.to_pylist()}
    assert others == {large: [small], small: [large], new: [large]}
    assert events_of(both) == {large: "merged", small: "merged", new: "split"}


def test_a_ring_is_remembered_for_so_many_batches_and_then_born_anew_under_another_id() -> None:
    ring, other = list("abcd"), list("xyz")
    params = LineageParams(n_batches_remembered=2)
    soon = replay([[ring, other], [other], [other], [ring, other]], params)
    assert events_of(soon[3])[id_of(soon[0], ring)] == "returned"
    late = replay([[ring, other], [other], [other], [other], [ring, other]], params)
    assert events_of(late[4])[id_of(late[4], ring)] == "born"
    assert id_of(late[0], ring) not in late[3].history["ring_id"].to_pylist()


def test_an_id_that_was_given_is_never_given_to_another_ring() -> None:
    """The ring's first members come together again while it lives on with others."""
    windows = [[list("abcd")], [list("abcdefgh")], [list("efghij")], [list("efghij"), list("abcd")]]
    *_, last = replay(windows, LineageParams(n_batches_remembered=0))
    born, lasting = id_of(last, "abcd"), id_of(last, "efghij")
    assert lasting == identify_ring(list("abcd")) != born
    assert events_of(last) == {lasting: "continued", born: "born"}


def test_stability_is_the_mean_overlap_of_the_last_batches() -> None:
    windows = [[list("abcd")], [list("abcdef")], [list("abcdef")], [list("abc")]]
    lineages = replay(windows, LineageParams(n_batches_of_stability=2))
    rows = [lineage.events.to_pylist()[0] for lineage in lineages]
    assert [row["overlap"] for row in rows] == [None, pytest.approx(4 / 6), 1.0, 0.5]
    assert [row["stability"] for row in rows] == [None, pytest.approx(4 / 6), pytest.approx(5 / 6), 0.75]
    assert [row["event"] for row in rows] == ["born", "grew", "continued", "shrank"]
    assert [row["n_batches"] for row in rows] == [1, 2, 3, 4]
    assert {row["first_batch_number"] for row in rows} == {1}


def test_entities_that_became_one_make_no_ring_shrink() -> None:
    first = trace_rings(as_members([list("abcde")]), "one")
    changes = ENTITY_CHANGES.from_columns(
        entity_id=["a", "b"], change=["merged", "taken over"], from_ids=[["b"], []], into_ids=[[], ["a"]]
    )
    linked = trace_rings(as_members([list("acde")]), "two", leave(first), changes)
    [row] = linked.events.to_pylist()
    assert (row["event"], row["n_members_before"], row["overlap"]) == ("continued", 4, 1.0)
    unlinked = trace_rings(as_members([list("acde")]), "two", leave(first))
    assert unlinked.events["event"].to_pylist() == ["shrank"]


def test_an_entity_that_took_another_id_keeps_its_ring() -> None:
    first = trace_rings(as_members([list("abc")]), "one")
    changes = ENTITY_CHANGES.from_columns(
        entity_id=list("abc"), change=["taken over"] * 3, from_ids=[[]] * 3, into_ids=[["x"], ["y"], ["z"]]
    )
    moved = trace_rings(as_members([list("xyz")]), "two", leave(first), changes)
    assert events_of(moved) == {id_of(first, "abc"): "continued"}


def test_history_is_bounded_and_keeps_the_birth_of_a_ring() -> None:
    params = LineageParams(n_batches_told=3, n_batches_remembered=3)
    windows = [[list("abcd"), [f"{number}-{one}" for one in "xyz"]] for number in range(12)]
    lineages = replay(windows, params)
    last = pl.DataFrame(pl.from_arrow(lineages[-1].history))
    steady = last.filter(pl.col("ring_id") == id_of(lineages[0], "abcd"))
    assert steady["batch_number"].to_list() == [1, 10, 11, 12]
    assert lineages[-1].history.num_rows == lineages[-2].history.num_rows
    assert lineages[-1].traces.num_rows == lineages[-2].traces.num_rows


def test_no_rings_leave_empty_tables_and_those_before_them_died() -> None:
    nothing = trace_rings(as_members([]), "one")
    assert (nothing.events.schema, nothing.events.num_rows) == (RING_EVENTS.schema, 0)
    assert (nothing.history.schema, nothing.traces.schema) == (RING_HISTORY.schema, RING_TRACES.schema)
    _, over = replay([[list("abc")], []])
    assert over.events["event"].to_pylist() == ["died"]
    assert over.ids == {}


def test_the_largest_changes_come_first_and_what_did_not_change_is_left_out() -> None:
    _, second = replay([[list("abcd"), list("klmnop"), list("xyz")], [list("abcd"), list("klmnopqr")]])
    assert largest_changes(second.events, 5)["event"].to_pylist() == ["died", "grew"]
    assert largest_changes(second.events, 1)["event"].to_pylist() == ["died"]


entities = st.lists(st.integers(0, 25), min_size=3, max_size=24, unique=True)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Rings of three or more; nobody is in two."""
    who = [f"e{one:02d}" for one in draw(entities)]
    cuts = sorted(draw(st.sets(st.integers(3, max(3, len(who) - 3)), max_size=4)))
    parts = [who[start:end] for start, end in zip([0, *cuts], [*cuts, len(who)], strict=True)]
    return [part for part in parts if len(part) >= 3]


@given(st.lists(windows(), min_size=1, max_size=5), st.integers(0, 99))
def test_each_ring_has_one_id_and_nobody_is_lost_whatever_the_order(found: list[Window], order: int) -> None:
    earlier = None
    before: set[str] = set()
    for number, window in enumerate(found):
        lineage = trace_rings(as_members(window), f"{number}", earlier)
        shuffled = trace_rings(as_members(window, order), f"{number}", earlier)
        assert lineage.ids == shuffled.ids
        assert lineage.events.equals(shuffled.events)
        assert lineage.traces.equals(shuffled.traces)
        assert lineage.ids.keys() == {identify_ring(ring) for ring in window}
        now = set(lineage.ids.values())
        assert len(now) == len(window)
        assert set(lineage.events["ring_id"].to_pylist()) == now | before
        traces = pl.DataFrame(pl.from_arrow(lineage.traces)).filter(pl.col("batch_number") == number + 1)
        assert sorted(traces["entity_id"].to_list()) == sorted(one for ring in window for one in ring)
        again = trace_rings(as_members(window), "again", leave(lineage))
        assert set(again.events["event"].to_pylist()) == {"continued"}
        assert again.ids == lineage.ids
        earlier, before = leave(lineage), now


def test_every_event_is_told_in_words() -> None:
    windows = [
        [list("abcdef"), list("klmn"), list("uvwxyz")],
        [list("abcdefklmn"), list("uvwxyz")],
        [list("abcdef"), list("klmn"), list("uvw")],
        [list("abcdefghi"), list("klmn")],
        [list("abcdefghi"), list("klmn"), list("uvw")],
    ]
    lineages = replay(windows)
    rows = {row["event"]: row for lineage in lineages for row in lineage.events.to_pylist()}
    assert rows.keys() == set(RING_EVENT_NAMES)
    told = {event: tell_event(row) for event, row in rows.items()}
    assert told["born"].startswith("born with ")
    assert told["grew"] == "grew from 6 to 9 members, 6 stayed"
    assert told["shrank"] == "shrank from 6 to 3 members, 3 stayed"
    assert told["died"] == "died; had 3 members"
    assert told["returned"] == "came back with 3 members, 3 of 3 from before"
    small = id_of(lineages[0], "klmn")
    [section] = lineage_sections(small, lineages[-1].history)
    first, table, _ = section.blocks
    assert isinstance(first, Told)
    assert isinstance(table, Rows)
    assert first.text.startswith("born in batch 1, there in 4 batches; stability ")
    large = id_of(lineages[0], "abcdef")
    assert [row[2] for row in table.rows][:3] == [
        "born with 4 members",
        f"went into {large}",
        f"parted with {large}: from 4 to 4 members, 4 stayed",
    ]
    assert lineage_sections("ring_none", lineages[-1].history) == ()
