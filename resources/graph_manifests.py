"""Manifests of the graph's loads as Parquet: <folder>/<store>/load-<number>/<label or type>.parquet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from resources.result_folders import MARK, write_result_folder
from terag_pipelines.graph.changes import LoadManifest, empty_manifest
from terag_pipelines.graph.model import EDGES, NODES


class FolderManifests:
    """ManifestShelf in a folder for the owner only. Raises (writing): StorageFullError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, store_id: str, load: int) -> LoadManifest | None:
        """The manifest; None where it is not there, not what was written, or of another release of ours."""
        at = self._of(store_id, load)
        try:
            noted = json.loads((at / MARK).read_text(encoding="utf-8"))
            nodes = {spec.label: pq.read_table(at / f"{spec.label}.parquet") for spec in NODES}
            edges = {spec.type: pq.read_table(at / f"{spec.type}.parquet") for spec in EDGES}
        except (OSError, ValueError, pa.ArrowException):
            return None
        manifest = LoadManifest(nodes, edges)
        return manifest if _is_current(manifest) and _noted(manifest) == noted else None

    def write(self, store_id: str, load: int, manifest: LoadManifest) -> None:
        """Keeps the manifest, whole or not at all."""
        at = self._of(store_id, load)
        if not (at / MARK).exists():  # what a removal that was cut short has left
            shutil.rmtree(at, ignore_errors=True)
        write_result_folder(at, manifest.tables(), {MARK: json.dumps(_noted(manifest))})

    def keep_only(self, store_id: str, loads: Collection[int]) -> None:
        """Removes the manifests of the store's other loads, and what writers that were killed have left."""
        kept = {self._of(store_id, load) for load in loads}
        for folder in (self._folder / store_id).glob("*"):
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def keep_only_store(self, store_id: str) -> None:
        """Removes the manifests of all other stores of this shelf."""
        for folder in self._folder.glob("*"):
            if folder.name != store_id:
                shutil.rmtree(folder, ignore_errors=True)

    def _of(self, store_id: str, load: int) -> Path:
        return self._folder / store_id / f"load-{load}"


def _is_current(manifest: LoadManifest) -> bool:
    expected = empty_manifest().tables()
    return all(table.schema.equals(expected[name].schema) for name, table in manifest.tables().items())


def _noted(manifest: LoadManifest) -> dict[str, list[int]]:
    return {name: [total.n_rows, total.row_hash_sum] for name, total in manifest.sums().items()}
