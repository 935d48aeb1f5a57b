"""The lake: whole tables or none, the same digest for the same rows, promotion in one step."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from resources import parquet_lake
from resources.parquet_lake import ParquetLake
from resources.promoted_tables import PromotedTables
from terag_pipelines.errors import (
    IncompleteBatchError,
    SchemaMismatchError,
    StorageFullError,
    TornTableError,
)
from terag_pipelines.tables import TableSchema

COLOURS = TableSchema("colours", pa.schema([("name", pa.string()), ("n", pa.int64())]), key=("name",))
SHAPES = TableSchema("shapes", COLOURS.schema, key=("name",))
SHELF = "batch-a"


@pytest.fixture
def lake(tmp_path: Path) -> ParquetLake:
    return ParquetLake(tmp_path)


def colours(*names: str) -> pa.Table:
    return pa.table({"name": list(names), "n": list(range(len(names)))}, schema=COLOURS.schema)


def test_reads_back_what_was_written_sorted_by_key(lake: ParquetLake) -> None:
    lake.write(SHELF, COLOURS, colours("red", "blue"))
    assert lake.read(SHELF, COLOURS).to_pydict() == {"name": ["blue", "red"], "n": [1, 0]}


def test_the_same_rows_in_another_order_are_the_same_table(lake: ParquetLake) -> None:
    first = lake.write(SHELF, COLOURS, colours("red", "blue"))
    file = next((lake._folder / SHELF).glob("*.parquet"))
    before = file.stat().st_mtime_ns
    second = lake.write(SHELF, COLOURS, colours("red", "blue").take([1, 0]))
    assert (first, before) == (second, file.stat().st_mtime_ns)


def test_a_null_in_the_key_is_refused(lake: ParquetLake) -> None:
    with pytest.raises(SchemaMismatchError, match="the key \\['name'\\] is null"):
        lake.write(SHELF, COLOURS, pa.table({"name": pa.array([None], pa.string()), "n": [1]}))


def test_a_table_not_of_its_schema_is_refused(lake: ParquetLake) -> None:
    with pytest.raises(SchemaMismatchError, match=r"lacks \['n'\]"):
        lake.write(SHELF, COLOURS, pa.table({"name": ["red"]}))
    with pytest.raises(SchemaMismatchError, match="repeat the key"):
        lake.write(SHELF, COLOURS, colours("red", "red"))


@pytest.mark.parametrize("damage", [lambda b: b[:-7], lambda b: b[:40] + b"\x00" + b[41:], lambda _: b""])
def test_a_torn_file_is_detected_and_mended_by_writing_again(lake: ParquetLake, damage) -> None:
    lake.write(SHELF, COLOURS, colours("red"))
    file = lake._path(SHELF, "colours")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(TornTableError, match="colours"):
        lake.read(SHELF, COLOURS)
    with pytest.raises(TornTableError):
        lake.promote(SHELF, ["colours"])
    lake.write(SHELF, COLOURS, colours("red"))
    assert lake.read(SHELF, COLOURS).num_rows == 1


def test_an_incomplete_batch_is_not_promoted(lake: ParquetLake) -> None:
    lake.write(SHELF, COLOURS, colours("red"))
    with pytest.raises(IncompleteBatchError, match="shapes"):
        lake.promote(SHELF, ["colours", "shapes"])
    assert lake.promoted() is None


def test_promotion_moves_readers_to_the_new_batch(lake: ParquetLake) -> None:
    for shelf in ("batch-a", "batch-b"):
        lake.write(shelf, COLOURS, colours(shelf))
        lake.promote(shelf, ["colours"])
    promoted = lake.promoted()
    assert promoted
    assert promoted.shelf == "batch-b"
    assert promoted.digests == lake.digests("batch-b")


def test_old_batches_are_removed_but_never_the_promoted_one(lake: ParquetLake) -> None:
    for age, shelf in enumerate(["batch-new", "batch-mid", "batch-old", "batch-served"]):
        lake.write(shelf, COLOURS, colours(shelf))
        os.utime(lake._folder / shelf, (1e9 - age, 1e9 - age))
    lake.promote("batch-served", ["colours"])
    assert lake.remove_old_batches(keep=2) == ["batch-mid", "batch-old"]
    assert lake.read("batch-served", COLOURS).num_rows == 1


def test_tables_that_are_asked_for_together_are_of_one_batch(lake: ParquetLake) -> None:
    reader = PromotedTables(lake)
    for shelf in ("batch-a", "batch-b"):
        for schema in (COLOURS, SHAPES):
            lake.write(shelf, schema, colours(shelf))
        lake.promote(shelf, ["colours", "shapes"])
        (alone,) = reader.tables(COLOURS)  # kept in memory
        assert alone["name"].to_pylist() == [shelf]
        assert reader.rows(COLOURS, SHAPES, name=shelf) == ([{"name": shelf, "n": 0}],) * 2
        assert reader.rows(SHAPES, name="another") == ([],)


def test_half_batches_take_nobodys_place_and_go_after_a_day(lake: ParquetLake) -> None:
    for shelf in ("batch-served", "batch-before"):
        for schema in (COLOURS, SHAPES):
            lake.write(shelf, schema, colours(shelf))
    lake.promote("batch-served", ["colours", "shapes"])
    pointed = (lake._folder / "promoted.json").stat().st_mtime
    for shelf, age in (("batch-half", -60), ("batch-killed", 90_000), ("batch-before", 200_000)):
        lake.write(shelf, COLOURS, colours(shelf))
        os.utime(lake._folder / shelf, (pointed - age, pointed - age))
    assert lake.remove_old_batches(keep=2) == ["batch-killed"]
    assert lake.batch_shelves() == ["batch-before", "batch-half", "batch-served"]


@pytest.mark.parametrize("failing", ["fsync", "write"])
def test_a_full_disk_is_named_and_loses_nothing(lake: ParquetLake, monkeypatch, failing: str) -> None:
    lake.write(SHELF, COLOURS, colours("red"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = (parquet_lake.os, "fsync") if failing == "fsync" else (parquet_lake, "_write_parquet")
    with monkeypatch.context() as patch:
        patch.setattr(*target, refuse)
        with pytest.raises(StorageFullError, match="no space left to write colours"):
            lake.write(SHELF, COLOURS, colours("red", "green"))
    assert lake.read(SHELF, COLOURS).num_rows == 1
    assert not list(lake._folder.rglob("*.tmp"))


WRITER = """
import sys, pathlib, pyarrow as pa
from resources.parquet_lake import ParquetLake
from resources.promoted_tables import PromotedTables
from tests.unit.test_parquet_lake import COLOURS, SHELF
lake = ParquetLake(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
for n in range(10_000):
    lake.write(SHELF, COLOURS, pa.table({"name": [f"{i:06}" for i in range(500)], "n": [n] * 500}))
"""


def test_a_killed_writer_leaves_a_whole_table(tmp_path: Path) -> None:
    lake = ParquetLake(tmp_path)
    lake.write(SHELF, COLOURS, colours("red"))
    for round_ in range(3):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert child.stdout
        child.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(timeout=0.05 + round_ / 17)
        child.send_signal(signal.SIGKILL)
        child.wait()
        lake.write(SHELF, COLOURS, colours("red", "green"))
        assert lake.read(SHELF, COLOURS).num_rows == 2


def test_a_damaged_pointer_is_named(lake: ParquetLake) -> None:
    (lake._folder / "promoted.json").write_text(json.dumps({"shelf": "x"})[:-3])
    with pytest.raises(TornTableError, match="promoted"):
        lake.promoted()
