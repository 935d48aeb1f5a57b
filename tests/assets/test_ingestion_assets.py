"""From a folder to tables in the lake by Dagster: stored, masked in metadata, stopped by expectations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets import checks, ingestion, linking
from resources import bindings
from resources.bindings import LakeIOManager, LakeResource, SourceResource
from terag_pipelines.entities.model import ENTITY_RECORDS, QUARANTINED_ROWS

PEOPLE = "id,name,born\n1,Айгүл Сәрсенова,1990-05-17\n,Nobody,1990-01-01\n2,Aigul Sarsenova,1990-05-17\n"
MANIFEST = """\
name: tiny
country: KZ
currency: KZT
max_bad_share: 0.5
files:
  - {name: people, path: people.csv, holds: people, fields: {id: id, full_name: name, birth_date: born}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TERAG_HOME", str(tmp_path / "home"))
    bindings.settings.cache_clear()
    yield tmp_path / "home"
    bindings.settings.cache_clear()


@pytest.fixture
def source(tmp_path: Path) -> SourceResource:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "people.csv").write_text(PEOPLE)
    (folder / "source.yaml").write_text(MANIFEST)
    return SourceResource(folder=str(folder))


def materialize(source: SourceResource) -> dg.ExecuteInProcessResult:
    lake = LakeResource()
    return dg.materialize(
        [ingestion.source_tables, linking.candidate_pairs, *dg.load_asset_checks_from_modules([checks])],
        resources={"source": source, "lake": lake, "io_manager": LakeIOManager(source=source, lake=lake)},
        raise_on_error=False,
    )


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(asset)]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_tables_lie_in_the_lake_under_the_batch(home: Path, source: SourceResource) -> None:
    assert materialize(source).success
    lake = LakeResource().open()
    records = lake.read(source.batch_shelf(), ENTITY_RECORDS)
    assert records["record_id"].to_pylist() == ["people:1", "people:2"]
    [rejected] = lake.read(source.batch_shelf(), QUARANTINED_ROWS).to_pylist()
    assert (rejected["file"], rejected["row"], rejected["field"]) == ("people.csv", 2, "id")


def test_only_the_owner_may_look_into_the_lake(home: Path, source: SourceResource) -> None:
    home.mkdir()
    (home / "lake").mkdir(mode=0o755)
    materialize(source)
    assert (home / "lake").stat().st_mode & 0o777 == 0o700


def test_metadata_shows_no_personal_value(home: Path, source: SourceResource) -> None:
    result = materialize(source)
    for asset in ("entity_records", "quarantined_rows"):
        shown = str(metadata_of(result, asset))
        assert "•••" in shown
        assert not any(secret in shown for secret in ("Айгүл", "aigul", "sarsenova", "Nobody", "1990"))


def test_an_empty_table_says_why(home: Path, source: SourceResource) -> None:
    assert "no file" in str(metadata_of(materialize(source), "transfers")["why_empty"])


def test_a_source_without_parties_goes_on(home: Path, source: SourceResource) -> None:
    assert source.folder
    folder = Path(source.folder)
    folder.joinpath("tenants.csv").write_text("id,name,plan\nt1,Bank,pro\n")
    entry = "{name: tenants, path: tenants.csv, holds: tenants, fields: {id: id, name: name, plan: plan}}"
    folder.joinpath("source.yaml").write_text(f"name: billing\nfiles:\n  - {entry}\n")
    result = materialize(source)
    assert result.success
    assert dg.AssetKey("candidate_pairs") in {e.asset_key for e in result.get_asset_materialization_events()}


def test_a_broken_expectation_stops_what_comes_after(home: Path, source: SourceResource) -> None:
    assert source.folder
    (Path(source.folder) / "people.csv").write_text("id,name,born\n")
    result = materialize(source)
    assert not result.success
    made = {e.asset_key for e in result.get_asset_materialization_events()}
    assert dg.AssetKey("entity_records") in made
    assert dg.AssetKey("candidate_pairs") not in made


def test_the_same_source_is_the_same_batch_until_it_changes(home: Path, source: SourceResource) -> None:
    assert source.folder
    before = source.batch_id()
    assert source.batch_id() == before
    (Path(source.folder) / "people.csv").write_text(PEOPLE.replace("1990-05-17", "1991-05-17"))
    assert source.batch_id() != before
