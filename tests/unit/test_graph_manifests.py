"""Manifests of the graph's loads on disk: whole or none, and nothing is left of writers that were killed."""

from __future__ import annotations

import shutil
from pathlib import Path

from resources.graph_manifests import FolderManifests
from terag_pipelines.graph.changes import LoadManifest, find_change
from tests.contract.graphs import plan_of


def manifest_of(n_entities: int) -> LoadManifest:
    return find_change(plan_of("one", n_entities), None, 1).manifest


def left_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    shelf = FolderManifests(tmp_path)
    shelf.write("store", 1, manifest_of(20))
    found = shelf.read("store", 1)
    assert found is not None
    assert found.sums() == manifest_of(20).sums()
    assert shelf.read("store", 2) is None


def test_a_manifest_that_was_half_removed_is_none_and_is_written_anew(tmp_path: Path) -> None:
    shelf = FolderManifests(tmp_path)
    for name in ("Entity.parquet", "summary.json"):
        shelf.write("store", 1, manifest_of(20))
        (tmp_path / "store" / "load-1" / name).unlink()
        assert shelf.read("store", 1) is None
        shelf.write("store", 1, manifest_of(30))
        found = shelf.read("store", 1)
        assert found is not None
        assert found.sums() == manifest_of(30).sums()


def test_a_manifest_of_another_release_is_none(tmp_path: Path) -> None:
    shelf, manifest = FolderManifests(tmp_path), manifest_of(20)
    held = manifest.edges["HOLDS"].rename_columns(["start_id", "end_id", "row_hash"])
    shelf.write("store", 1, LoadManifest(manifest.nodes, {**manifest.edges, "HOLDS": held}))
    assert shelf.read("store", 1) is None


def test_what_killed_writers_left_is_removed_with_the_manifests_of_other_loads(tmp_path: Path) -> None:
    shelf = FolderManifests(tmp_path)
    for load in (1, 2):
        shelf.write("store", load, manifest_of(20))
    shutil.copytree(tmp_path / "store" / "load-1", tmp_path / "store" / ".load-3.killed")
    shelf.keep_only("store", [2])
    assert left_in(tmp_path) == ["store/load-2"]
    shelf.write("other", 1, manifest_of(20))
    shelf.keep_only_store("other")
    assert left_in(tmp_path) == ["other/load-1"]
