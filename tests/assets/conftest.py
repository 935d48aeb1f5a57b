"""What tests of assets share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources import bindings
from resources.bindings import SourceResource


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceResource]:
    """A source whose registry is in a lake of its own."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "people.csv").write_text("id\n1\n")
    files = "files: [{name: people, path: people.csv, holds: people, fields: {id: id}}]"
    (folder / "source.yaml").write_text(f"name: tiny\n{files}\n")
    monkeypatch.setenv("TERAG_HOME", str(tmp_path / "home"))
    bindings.settings.cache_clear()
    yield SourceResource(folder=str(folder))
    bindings.settings.cache_clear()
