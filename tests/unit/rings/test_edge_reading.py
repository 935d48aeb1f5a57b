"""Edges, nodes and labels as a person hands them in: what is read, and what goes to quarantine."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from terag_pipelines.errors import ConfigurationError, RingError
from terag_pipelines.linking.auto_linker import as_raw
from terag_pipelines.rings.edge_reading import EdgeParams, GivenFile, GivenGraph, check_graph, read_graph


def read(
    edges: dict[str, list[Any]],
    nodes: dict[str, list[Any]] | None = None,
    labels: dict[str, list[Any]] | None = None,
    **params: Any,
) -> GivenGraph:
    files = [
        None if table is None else GivenFile(name, as_raw(pa.table(table), name))
        for name, table in (("edges.csv", edges), ("nodes.csv", nodes), ("labels.csv", labels))
    ]
    assert files[0] is not None
    return read_graph(files[0], files[1], files[2], EdgeParams(**params))


def lost(given: GivenGraph) -> list[tuple[str, int, str, str]]:
    rows = given.quarantine.select(["file", "row", "field", "reason"]).to_pylist()
    return [(row["file"], row["row"], row["field"], row["reason"]) for row in rows]


def columns(frame: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    return frame.select(names).rows()


def test_a_row_with_an_amount_is_a_transfer_and_one_without_a_tie() -> None:
    given = read(
        {
            "source": ["a", "b", "c"],
            "target": ["b", "c", "a"],
            "amount": ["10.50", "", "7"],
            "time": ["2026-01-02 03:04:05", "", "2026-01-01"],
            "kind": ["card", "same phone", "wire"],
        }
    )
    assert columns(given.transfers, "source", "target", "amount_minor", "at", "kind") == [
        ("a", "b", 1050, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "card"),
        ("c", "a", 700, datetime(2026, 1, 1, tzinfo=UTC), "wire"),
    ]
    assert columns(given.ties, "source", "target", "kind", "weight") == [("b", "c", "same phone", None)]
    assert lost(given) == []


def test_every_bad_row_is_in_quarantine_with_its_reason_and_the_rest_goes_on() -> None:
    given = read(
        {
            "source": ["a", " ", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"],
            "target": ["b", "b", None, "d", "b", "b", "b", "b", "b", "b", "b", "null"],
            "amount": ["1", "1", "1", "1", "-5", "abc", "0.001", "1e300", "", "5", "5", "5"],
            "time": ["2026-01-01"] * 8 + ["2026-01-01", "", "32.13.2026", "2026-01-01"],
        }
    )
    assert lost(given) == [
        ("edges.csv", 2, "source", "is missing"),
        ("edges.csv", 3, "target", "is missing"),
        ("edges.csv", 4, "target", "is the source itself"),
        ("edges.csv", 5, "amount", "is negative"),
        ("edges.csv", 6, "amount", "is no amount"),
        ("edges.csv", 7, "amount", "is zero to the smallest unit"),
        ("edges.csv", 8, "amount", "is no amount"),
        ("edges.csv", 9, "amount", "is missing"),
        ("edges.csv", 10, "time", "is missing"),
        ("edges.csv", 11, "time", "is no time that exists"),
        ("edges.csv", 12, "target", "is missing"),
    ]
    assert columns(given.transfers, "source") == [("a",)]
    assert (given.files[0].n_rows, given.files[0].n_quarantined) == (12, 11)


def test_amounts_that_are_not_numbers_in_a_table_of_numbers() -> None:
    given = read(
        {
            "source": ["a", "b", "c", "d"],
            "target": ["b", "c", "d", "a"],
            "amount": [1.25, float("nan"), float("inf"), -0.5],
        }
    )
    assert [row[1:] for row in lost(given)] == [
        (2, "amount", "is no amount"),
        (3, "amount", "is no amount"),
        (4, "amount", "is negative"),
    ]
    assert columns(given.transfers, "source", "amount_minor") == [("a", 125)]


@pytest.mark.parametrize("weight", ["0", "-1", "inf", "nan x", "1e13", "1e-300"])
def test_weights_that_weigh_nothing_are_in_quarantine(weight: str) -> None:
    given = read({"source": ["a", "b"], "target": ["b", "c"], "weight": ["2.5", weight]})
    assert lost(given) == [("edges.csv", 2, "weight", "is no number above 0")]
    assert columns(given.ties, "source", "weight") == [("a", 2.5)]


def test_ids_stay_as_they_were_given() -> None:
    given = read({"source": ["007", "7", "Айгүл Ә.", " x "], "target": ["7", "Айгүл Ә.", "000", "№5`"]})
    ends = set(given.ties["source"]) | set(given.ties["target"])
    assert ends == {"007", "7", "Айгүл Ә.", "000", "x", "№5`"}
    numbers = read({"source": [7, 8], "target": [8.0, 9.0]})
    assert columns(numbers.ties, "source", "target") == [("7", "8"), ("8", "9")]


def test_amounts_too_large_to_be_added_are_refused_in_words() -> None:
    huge = ["900000000000000"] * 60
    with pytest.raises(RingError, match=r"edges.csv: its amounts add up to 5.4e\+16, more than can be added"):
        read({"source": ["a"] * 60, "target": ["b"] * 60, "amount": huge})
    one = read({"source": ["a"], "target": ["b"], "amount": huge[:1]})
    assert one.transfers["amount_minor"].to_list() == [90_000_000_000_000_000]


def test_currencies_of_rows_and_of_the_file() -> None:
    edges = {
        "source": ["a", "b", "c"],
        "target": ["b", "c", "a"],
        "amount": ["10", "10", "10"],
        "currency": ["jpy", "", "$$"],
    }
    given = read(edges, currency="KZT")
    assert columns(given.transfers, "amount_minor", "currency") == [(10, "JPY"), (1000, "KZT")]
    assert lost(given) == [("edges.csv", 3, "currency", "is no currency code")]
    assert set(read(edges).transfers["currency"]) == {"JPY", "units"}


@pytest.mark.parametrize(
    ("times", "first", "note"),
    [
        (["2026-03-01T10:00:00Z", "2026-03-02"], datetime(2026, 3, 1, 10, tzinfo=UTC), ""),
        (["01.03.2026 10:00", "02.03.2026"], datetime(2026, 3, 1, 10, tzinfo=UTC), ""),
        ([1772359200, 1772445600], datetime(2026, 3, 1, 10, tzinfo=UTC), "seconds since 1970"),
        (["1772359200000", "1772445600000"], datetime(2026, 3, 1, 10, tzinfo=UTC), "milliseconds since 1970"),
        ([20260301, 20260302], datetime(2026, 3, 1, tzinfo=UTC), ""),
        ([3, 500], datetime(2000, 1, 4, tzinfo=UTC), "steps of one day each"),
        ([date(2026, 3, 1), date(2026, 3, 2)], datetime(2026, 3, 1, tzinfo=UTC), ""),
    ],
)
def test_times_of_every_kind(times: list[Any], first: datetime, note: str) -> None:
    given = read({"source": ["a", "b"], "target": ["b", "a"], "amount": [1, 2], "time": times})
    assert given.transfers["at"][0] == first
    assert any(note in told for told in given.notes)
    assert given.has_times


def test_what_a_step_is_can_be_said() -> None:
    given = read({"source": ["a"], "target": ["b"], "amount": [1], "step": [30]}, step="hours")
    assert given.transfers["at"][0] == datetime(2000, 1, 2, 6, tzinfo=UTC)


WINDOW = {
    "source": ["a", "b", "c", "d"],
    "target": ["b", "c", "d", "a"],
    "amount": ["1", "1", "1", ""],
    "time": ["2026-01-01 12:00", "2026-01-31 23:59", "2026-02-01", ""],
}


def test_a_day_of_the_window_belongs_to_it_and_what_has_no_time_too() -> None:
    given = read(WINDOW, since="2026-01-02", until="2026-01-31")
    assert columns(given.transfers, "source") == [("b",)]
    assert columns(given.ties, "source") == [("d",)]
    assert given.files[0].n_outside == 2
    assert "1 row without a time: part of every window" in given.notes
    steps = {"source": ["a", "b", "c"], "target": ["b", "c", "d"], "amount": [1, 1, 1], "step": [1, 2, 3]}
    assert columns(read(steps, since="2", until="2").transfers, "source") == [("b",)]


def test_an_empty_window_says_where_the_times_are() -> None:
    edges = {name: values[:3] for name, values in WINDOW.items()}
    given = read(edges, since="2027-01-01")
    with pytest.raises(RingError) as refused:
        check_graph(given)
    assert str(refused.value) == (
        "edges.csv: none of 3 rows lies in the window (from 2027-01-01 00:00 UTC); "
        "its times go from 2026-01-01 12:00 to 2026-02-01 00:00"
    )


def test_windows_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="the window is empty: since 2026-02-01 comes after"):
        read(WINDOW, since="2026-02-01", until="2026-01-01")
    with pytest.raises(ConfigurationError, match="since 'soon': is no time"):
        read(WINDOW, since="soon")
    with pytest.raises(ConfigurationError, match="no column is the time"):
        read({"source": ["a"], "target": ["b"]}, until="2026-01-01")


def test_rows_that_repeat_another_are_counted_and_count_once_where_they_have_an_id() -> None:
    edges: dict[str, list[Any]] = {
        "source": ["a", "a", "a"],
        "target": ["b", "b", "b"],
        "amount": ["5", "5.00", "5"],
    }
    plain = read(edges)
    assert (plain.transfers.height, plain.files[0].n_repeated) == (3, 2)
    numbered = read(edges | {"tx_id": ["t1", "t1", "t2"]})
    assert (numbered.transfers.height, numbered.files[0].n_repeated) == (2, 1)


def test_files_without_a_usable_row() -> None:
    with pytest.raises(RingError, match="has a header and no rows"):
        check_graph(read({"source": pa.array([], pa.string()), "target": pa.array([], pa.string())}))  # type: ignore[dict-item]
    bad = read({"source": ["a", "b", "", "d"], "target": ["a", "b", "c", "e"], "amount": [1, 1, 1, -1]})
    with pytest.raises(RingError) as refused:
        check_graph(bad)
    assert str(refused.value) == (
        "edges.csv: no row can be used; 4 rows in quarantine: "
        "target is the source itself (2), amount is negative (1), source is missing (1)"
    )


def test_nodes_are_read_once_each_and_bad_values_cost_no_node() -> None:
    given = read(
        {"source": ["a"], "target": ["b"]},
        {
            "node": ["a", "b", "a", ""],
            "kind": ["физ", "company", "физ", "person"],
            "name": ["Айгүл", "ТОО", "Айгүл", "x"],
            "opened": ["2020-02-30", "2021-05-06", "", ""],
            "watchlist": ["no", "yes", "да", "maybe"],
        },
    )
    assert given.nodes.rows() == [
        ("a", "Айгүл", "person", None, True),
        ("b", "ТОО", "organisation", date(2021, 5, 6), True),
    ]
    assert [row[1:] for row in lost(given)] == [
        (1, "opened", "is no date that exists"),
        (4, "node", "is missing"),
        (4, "watchlist", "is neither yes nor no"),
    ]
    assert (given.files[1].n_quarantined, given.files[1].n_repeated) == (1, 1)


def test_labels_of_nobody_and_labels_that_contradict_each_other_are_left_out() -> None:
    given = read(
        {"source": ["a", "c"], "target": ["b", "d"]},
        labels={
            "node": ["a", "b", "b", "z", "c", "d", "a"],
            "fraud": ["1", "1", "0", "1", "perhaps", "", "yes"],
        },
    )
    assert given.labels.rows() == [("a", True)]
    assert [row[1:] for row in lost(given)] == [
        (2, "fraud", "contradicts another label of this node"),
        (3, "fraud", "contradicts another label of this node"),
        (4, "node", "is no node of the edges"),
        (5, "fraud", "is neither yes nor no"),
        (6, "fraud", "is missing"),
    ]
    assert given.files[1].n_repeated == 1


def test_rows_that_are_ties_say_so_where_the_others_are_transfers() -> None:
    given = read(
        {
            "source": ["a", "b", "c"],
            "target": ["b", "c", "d"],
            "amount": ["5", "", ""],
            "weight": ["", "2", ""],
        }
    )
    assert columns(given.ties, "source", "weight") == [("b", 2.0)]
    assert lost(given) == [("edges.csv", 3, "amount", "is missing")]
