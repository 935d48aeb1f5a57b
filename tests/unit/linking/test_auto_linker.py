"""The linker on its own: tables in, entities out, whatever the order of what goes in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.loose_files import read_loose_file
from resources.source_files import SourceFolder
from terag_pipelines.errors import LinkingError, MissingColumnError, UnreadableFileError
from terag_pipelines.linking.auto_linker import AutoLinked, AutoLinker, GivenPairs
from terag_pipelines.linking.pipeline import link_records
from terag_pipelines.linking.quality import pairwise_quality
from terag_pipelines.tables import digest
from tests.unit.linking.records import FAMILY, GIVEN

SOURCES = Path(__file__).parents[2] / "sources"
N_PEOPLE = 150


@cache
def people() -> pl.DataFrame:
    """Each of 150 people twice, the second time with a slip in the surname or without a phone."""
    rng = np.random.default_rng(3)
    rows = []
    for person in range(N_PEOPLE):
        given_name, surname = str(rng.choice(GIVEN)), str(rng.choice(FAMILY))
        born = f"{rng.integers(1940, 2005)}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}"
        phone = f"8701{rng.integers(0, 10**7):07d}"
        rows.append((f"a{person:03d}", given_name, surname, born, phone, str(person)))
        slip = surname[:3] + surname[4:] if person % 2 else surname
        rows.append((f"b{person:03d}", given_name, slip, born, phone if person % 3 else None, str(person)))
    return pl.DataFrame(rows, ["id", "first_name", "surname", "dob", "phone", "cluster"], orient="row")


def groups(linked: AutoLinked) -> set[frozenset[str]]:
    """The ids in the source of each entity's records."""
    members = pl.DataFrame(linked.members)
    return {frozenset(ids) for ids in members.group_by("entity_id").agg("native_id")["native_id"].to_list()}


@cache
def plain_groups() -> frozenset[frozenset[str]]:
    return frozenset(groups(AutoLinker().link(people())))


def test_people_are_found_in_three_lines() -> None:
    pairs = {frozenset((f"a{n:03d}", f"b{n:03d}")) for n in range(N_PEOPLE)}
    assert len(plain_groups() & pairs) > 0.95 * N_PEOPLE


def test_pandas_polars_and_arrow_are_one() -> None:
    frame = people()
    digests = {digest(AutoLinker().link(t).members) for t in (frame, frame.to_pandas(), frame.to_arrow())}
    assert len(digests) == 1


@settings(max_examples=8)
@given(st.randoms(use_true_random=False), st.booleans())
def test_order_of_rows_and_columns_and_what_is_irrelevant_change_nothing(
    random: Any, with_more: bool
) -> None:
    frame = people()
    order, columns = list(range(len(frame))), list(frame.columns)
    random.shuffle(order)
    random.shuffle(columns)
    changed = frame[order].select(columns)
    if with_more:
        changed = changed.with_columns(remark=pl.lit("none"), entity_id=pl.Series(order).cast(pl.String))
    assert groups(AutoLinker().link(changed)) == plain_groups()


def test_the_order_of_sources_changes_nothing() -> None:
    one, other = people()[::2], people()[1::2]
    assert groups(AutoLinker().link(one, other)) == groups(AutoLinker().link(other, one)) == plain_groups()
    there, back = AutoLinker().link_two(one, other), AutoLinker().link_two(other, one)
    assert (there.summary()["linked_across"], AutoLinker().link(one).summary()["linked_across"]) == (
        "left",
        None,
    )
    assert groups(there) == groups(back)


def test_two_sources_are_linked_to_each_other_only() -> None:
    doubled = pl.concat([people()[1::2]] * 2).drop("id")
    linked = AutoLinker().link_two(people()[::2], doubled)
    pairs = linked.pairs.table
    assert pairs.num_rows > N_PEOPLE
    assert all(left.startswith("left:") and right.startswith("right:") for left, right in zip(
        pairs["left_id"].to_pylist(), pairs["right_id"].to_pylist(), strict=True))  # fmt: skip


def table(columns: Sequence[str], *rows: Sequence[str]) -> pa.Table:
    return pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)))


def test_decisions_hold() -> None:
    must = table(("left", "right"), ("a000", "a001"))
    cannot = table(("left", "right"), ("a002", "b002"))
    found = groups(AutoLinker().link(people(), given=GivenPairs(must=must, cannot=cannot)))
    assert any({"a000", "a001"} <= group for group in found)
    assert not any({"a002", "b002"} <= group for group in found)


def test_a_pair_that_must_and_must_not_be_linked_is_refused() -> None:
    both = table(("left", "right"), ("a000", "b000"))
    with pytest.raises(LinkingError, match="1 pairs must be linked and must not"):
        AutoLinker().link(people(), given=GivenPairs(must=both, cannot=both))


def test_labels_judge_and_calibrate() -> None:
    frame = people()
    rng = np.random.default_rng(1)
    rows = [(f"a{n:03d}", f"b{n:03d}", "yes") for n in range(100)]
    rows += [(f"a{n:03d}", f"a{m:03d}", "no") for n, m in rng.integers(0, N_PEOPLE, (3000, 2)) if n != m]
    linked = AutoLinker().link(frame, given=GivenPairs(table(("left", "right", "is_match"), *set(rows))))
    assert linked.quality is not None
    assert linked.quality.kind == "pair"
    assert linked.quality.f1 > 0.95
    by_entity = table(("record_id", "entity"), *zip(frame["id"], frame["cluster"], strict=True))
    linked = AutoLinker().link(frame, given=GivenPairs(by_entity))
    assert linked.quality is not None
    assert linked.quality.recall > 0.95
    assert linked.calibration is not None
    assert linked.calibration.fitted is not None
    assert linked.links["is_calibrated"].to_pylist() == [True] * linked.links.num_rows
    assert linked.summary()["is_calibrated"] is True


def test_labels_that_name_no_record_or_say_neither_yes_nor_no_are_named_by_row_and_column() -> None:
    def link(*rows: Sequence[str], columns: Sequence[str] = ("left", "right", "is_match")) -> None:
        AutoLinker().link(people(), given=GivenPairs(table(columns, *rows)))

    with pytest.raises(LinkingError, match=r"labels, row 2, column 'right': is no record's id"):
        link(("a000", "b000", "1"), ("a001", "zzz", "1"))
    with pytest.raises(LinkingError, match=r"labels, row 1, column 'is_match': is neither"):
        link(("a000", "b000", "maybe"))
    with pytest.raises(MissingColumnError, match="left, right and is_match"):
        link(("a000", "b000"), columns=("one", "two"))


PAIRS, ENTITIES = ("left", "right", "is_match"), ("record_id", "entity")


@pytest.mark.parametrize(
    ("columns", "rows", "told"),
    [
        (PAIRS, [("a001", "b001", "yes"), ("a000", "b000", "1"), ("b000", "a000", "no")], "rows 2 and 3: "),
        (PAIRS, [("a000", "b000", "no"), ("a000", "b000", "да")], "rows 1 and 2: "),
        (ENTITIES, [("a000", "x"), ("b000", "x"), ("a000", "y")], "rows 1 and 3: .* which entity"),
        (ENTITIES, [("a000", "x"), ("a000", "y"), ("a000", "z")], "3 rows contradict others"),
    ],
)
def test_labels_that_contradict_each_other_are_named_by_file_and_rows(
    columns: tuple[str, ...], rows: list[tuple[str, ...]], told: str
) -> None:
    given = GivenPairs(table(columns, *rows), names=("seen.csv", "must", "cannot"))
    with pytest.raises(LinkingError, match=f"seen.csv, .*{told}"):
        AutoLinker().link(people(), given=given)


MUST, CANNOT = "must.csv", "cannot.csv"


@pytest.mark.parametrize(
    ("columns", "rows", "of", "told"),
    [
        (
            PAIRS,
            [("a001", "b001", "yes"), ("b000", "a000", "yes")],
            CANNOT,
            "labels, row 2 and cannot.csv, row 2: ",
        ),
        (PAIRS, [("a000", "b000", "no")], MUST, "labels, row 1 and must.csv, row 2: "),
        (
            ENTITIES,
            [("a001", "y"), ("a000", "x"), ("b000", "x")],
            CANNOT,
            "labels, rows 2 and 3 and cannot.csv, row 2: ",
        ),
        (ENTITIES, [("b000", "x"), ("a000", "y")], MUST, "labels, rows 1 and 2 and must.csv, row 2: "),
    ],
)
def test_labels_that_contradict_decisions_are_named_by_files_and_rows(
    columns: tuple[str, ...], rows: list[tuple[str, ...]], of: str, told: str
) -> None:
    decided = table(("left", "right"), ("a005", "b006"), ("a000", "b000"))
    given = GivenPairs(
        table(columns, *rows),
        must=decided if of == MUST else None,
        cannot=decided if of == CANNOT else None,
        names=("labels", MUST, CANNOT),
    )
    with pytest.raises(LinkingError, match=f"^{told}contradict each other on whether two records match$"):
        AutoLinker().link(people(), given=given)


def test_a_record_labelled_with_itself_goes_into_quarantine_and_the_rest_goes_on() -> None:
    rows = [("a000", "b000", "yes"), ("a001", "a001", "no"), ("a002", "a002", "yes"), ("a003", "b003", "no")]
    given = GivenPairs(table(PAIRS, *rows), names=("seen.csv", "must", "cannot"))
    linked = AutoLinker().link(people(), given=given)
    lost = linked.source.quarantine.to_pylist()
    assert [(row["file"], row["row"], row["field"]) for row in lost] == [
        ("seen.csv", 2, "right"),
        ("seen.csv", 3, "right"),
    ]
    assert lost[0]["raw_row"] == '{"is_match": "no", "left": "a001", "right": "a001"}'
    assert {"file": "seen.csv", "field": "right", "reason": "is the record on the left itself", "n": 2} in (
        linked.summary()["lost_values"]
    )
    assert linked.quality is not None
    assert linked.quality.n_labels == 2
    assert not any("tie together" in warning for warning in linked.summary()["warnings"])
    with pytest.raises(LinkingError, match="holds no labels"):
        AutoLinker().link(people(), given=GivenPairs(table(PAIRS, *rows[1:3])))


def test_labels_said_twice_are_no_contradiction_and_a_broken_chain_is_told() -> None:
    rows = [("a000", "b000", "yes"), ("b000", "a000", "1"), ("b000", "a001", "yes"), ("a000", "a001", "no")]
    linked = AutoLinker().link(people(), given=GivenPairs(table(PAIRS, *rows)))
    [told] = [warning for warning in linked.summary()["warnings"] if "tie together" in warning]
    assert told == (
        "labels: 1 pairs are said not to match whose records other labels tie together, "
        "first table:a000 and table:a001"
    )
    unbroken = AutoLinker().link(people(), given=GivenPairs(table(PAIRS, *rows[:3])))
    assert not [warning for warning in unbroken.summary()["warnings"] if "tie together" in warning]


def test_an_id_of_two_sources_is_not_guessed() -> None:
    labels = table(("left", "right", "is_match"), ("a000", "b000", "1"))
    with pytest.raises(LinkingError, match="several records"):
        AutoLinker().link(people(), people(), given=GivenPairs(labels))
    assert AutoLinker().link_two(people(), people(), GivenPairs(labels)).quality is not None


def test_every_row_has_an_entity_though_its_values_are_bad() -> None:
    is_bad = pl.int_range(pl.len()) % 5 == 0
    frame = people().with_columns(dob=pl.when(is_bad).then(pl.lit("31.02.1990")).otherwise("dob"))
    linked = AutoLinker().link(frame)
    assert linked.members.num_rows == len(frame)
    assert linked.summary()["lost_values"] == [
        {"file": "table", "field": "birth_date", "reason": "is no date that exists", "n": 60}
    ]


def test_what_is_no_table_is_named() -> None:
    with pytest.raises(UnreadableFileError, match="table: is no table"):
        AutoLinker().link(42)  # type: ignore[arg-type]
    twice = pd.DataFrame([["x", "y"]], columns=["name", "name"])
    with pytest.raises(UnreadableFileError, match="table: "):
        AutoLinker().link(twice)
    with pytest.raises(LinkingError, match="no table"):
        AutoLinker().link()


def test_tables_without_rows_or_with_one_or_with_nothing_to_compare() -> None:
    with pytest.raises(LinkingError, match="no rows"):
        AutoLinker().link(people().clear())
    one = AutoLinker().link(people()[:1])
    assert one.entities.num_rows == 1
    assert "no two records" in one.summary()["warnings"][0]


def test_a_hundred_thousand_equal_rows_and_a_name_of_a_million_letters() -> None:
    same = pl.DataFrame({"name": ["Ким Лев"] * 100_000, "phone": ["87011234567"] * 100_000})
    linked = AutoLinker().link(same)
    assert linked.members.num_rows == 100_000
    assert linked.pairs.table.num_rows < 10_000_000
    long = pl.DataFrame({"name": ["x" * 1_000_000, "Ким Лев", "Ким Лев"], "dob": ["1990-01-02"] * 3})
    assert AutoLinker().link(long).members.num_rows == 3


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ("febrl3", {"people": "febrl/dataset3.csv"}),
        ("splink_fake_1000", {"people": "splink/fake_1000.csv"}),
        (
            "senzing_truthset",
            {
                name.upper(): f"senzing_truthset/{name}.jsonl"
                for name in ("customers", "reference", "watchlist")
            },
        ),
    ],
)
def test_names_tell_as_much_as_a_manifest(source: str, files: dict[str, str], shared_data: Path) -> None:
    by_manifest = SourceFolder(SOURCES / source, shared_data).ingest().tables
    linker = AutoLinker()
    raws = {name: read_loose_file(shared_data / path) for name, path in files.items()}
    linked = linker.link_records(linker.read_sources(raws))
    told = pairwise_quality(linked.members, by_manifest["labels"])
    declared = link_records(by_manifest["entity_records"], by_manifest["labels"]).quality
    assert declared is not None
    assert told.f1 >= declared.f1 - 0.01


def test_labels_without_a_row_are_refused() -> None:
    table = pa.table({"id": ["1", "2"], "surname": ["Kim", "Li"], "phone": ["8 701 123 45 67"] * 2})
    labels = pa.table(
        {
            "left": pa.array([], pa.string()),
            "right": pa.array([], pa.string()),
            "is_match": pa.array([], pa.string()),
        }
    )
    with pytest.raises(LinkingError, match="holds no labels"):
        AutoLinker().link(table, given=GivenPairs(labels=labels))
