"""The demo bank as a folder: parses, ingests without loss, is replaced whole, byte for byte the same."""

from __future__ import annotations

import errno
import gzip
from pathlib import Path

import pytest

from resources import demo_files
from resources.demo_files import write_demo_bank
from resources.source_files import SourceFolder
from terag_pipelines.demo.bank import DemoBank, DemoParams, make_bank
from terag_pipelines.entities.manifests import parse_manifest
from terag_pipelines.errors import ConfigurationError, StorageFullError

PARAMS = DemoParams(people=600, seed=3)


@pytest.fixture(scope="module")
def small() -> DemoBank:
    return make_bank(PARAMS)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_manifest_parses_and_names_every_file(small: DemoBank) -> None:
    manifest = parse_manifest(small.texts["source.yaml"], "source.yaml")
    assert {spec.path for spec in manifest.files} == {*small.tables, "price_book.yaml"}
    assert manifest.twin is not None
    assert len(manifest.twin["questions"]) == 3


def test_every_file_has_the_columns_that_the_manifest_names(small: DemoBank) -> None:
    manifest = parse_manifest(small.texts["source.yaml"], "source.yaml")
    for spec in manifest.files:
        if spec.path in small.tables:
            assert set(spec.columns) <= set(small.tables[spec.path].column_names), spec.name


def test_the_same_parameters_give_the_same_bytes(small: DemoBank, tmp_path: Path) -> None:
    write_demo_bank(small, tmp_path / "one")
    write_demo_bank(make_bank(PARAMS), tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    packed = (tmp_path / "one" / "people.csv.gz").read_bytes()
    assert packed[4:8] == b"\0\0\0\0"
    assert gzip.decompress(packed).decode().startswith("client_id,surname,first_name")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_it_is_ingested_without_losing_a_row(small: DemoBank, tmp_path: Path) -> None:
    write_demo_bank(small, tmp_path / "bank")
    source = SourceFolder(tmp_path / "bank", None).ingest()
    tables = source.tables
    assert tables["transfers"].num_rows == small.tables["transfers.parquet"].num_rows
    assert tables["client_panel"].num_rows == small.tables["client_panel.parquet"].num_rows
    assert tables["tenants"].num_rows == small.tables["tenants.csv"].num_rows
    n_truth = sum(
        table.num_rows for path, table in small.tables.items() if path.startswith(("truth/", "reviewed"))
    )
    assert tables["labels"].num_rows == n_truth
    rejected = {name: counts.n_rejected for name, counts in source.file_counts.items() if counts.n_rejected}
    assert set(rejected) <= {"usage_events"}  # events that came twice


def test_broken_rows_are_quarantined_and_the_rest_goes_on(tmp_path: Path) -> None:
    write_demo_bank(make_bank(DemoParams(people=600, seed=3, broken_share=0.03)), tmp_path / "bank")
    tables = SourceFolder(tmp_path / "bank", None).ingest().tables
    assert tables["quarantined_rows"].num_rows > 50
    assert tables["transfers"].num_rows > 5000


def test_an_older_demo_bank_is_replaced_whole(small: DemoBank, tmp_path: Path) -> None:
    folder = tmp_path / "bank"
    write_demo_bank(small, folder)
    (folder / "stray.csv").write_text("left from before")
    write_demo_bank(small, folder)
    assert not (folder / "stray.csv").exists()


def test_a_folder_of_somebody_else_is_left_alone(small: DemoBank, tmp_path: Path) -> None:
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "thesis.txt").write_text("dear")
    with pytest.raises(ConfigurationError):
        write_demo_bank(small, tmp_path / "bank")
    assert (tmp_path / "bank" / "thesis.txt").read_text() == "dear"


def test_an_empty_folder_is_filled(small: DemoBank, tmp_path: Path) -> None:
    (tmp_path / "bank").mkdir()
    write_demo_bank(small, tmp_path / "bank")
    assert (tmp_path / "bank" / "source.yaml").is_file()


def test_a_full_disk_leaves_what_was_there(
    small: DemoBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bank"
    write_demo_bank(small, folder)
    before = contents(folder)

    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "full", str(path))

    monkeypatch.setattr(demo_files, "_write_bytes", refuse)
    with pytest.raises(StorageFullError):
        write_demo_bank(small, folder)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["bank"]


def test_a_place_that_cannot_be_written_is_named(small: DemoBank, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match=r"cannot be written into .*bank"):
        write_demo_bank(small, tmp_path / "file" / "bank")


def test_it_can_be_written_where_one_stands(
    small: DemoBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_demo_bank(small, Path())
    assert (tmp_path / "source.yaml").is_file()
