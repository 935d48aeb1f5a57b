"""The sensor for new source folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.jobs import new_source_sensor
from resources import bindings

MANIFEST = "name: tiny\nfiles:\n  - {name: people, path: people.csv, holds: people, fields: {id: id}}\n"


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TERAG_HOME", str(tmp_path))
    bindings.settings.cache_clear()
    yield tmp_path / "sources"
    bindings.settings.cache_clear()


def add(folder: Path, people: str, manifest: str = MANIFEST) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "source.yaml").write_text(manifest)
    (folder / "people.csv").write_text(people)


def run_keys() -> list[str | None]:
    with dg.build_sensor_context() as context:
        return [request.run_key for request in new_source_sensor.evaluate_tick(context).run_requests or []]


def test_each_folder_is_asked_for_once_until_its_content_changes(sources: Path) -> None:
    assert run_keys() == []
    add(sources / "a", "id\n1\n")
    first = run_keys()
    assert run_keys() == first
    assert [key and key.split(":")[0] for key in first] == ["a"]
    add(sources / "a", "id\n1\n2\n")
    assert run_keys() != first


def test_a_folder_that_cannot_be_read_does_not_keep_the_others_waiting(sources: Path) -> None:
    add(sources / "a", "", manifest="files: [")
    add(sources / "b", "id\n1\n")
    add(sources / "c", "id\n1\n")
    (sources / "c" / "people.csv").unlink()
    assert [key and key.split(":")[0] for key in run_keys()] == ["b"]
