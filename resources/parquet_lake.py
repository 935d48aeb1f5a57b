"""The lake: Parquet tables on shelves, each written whole or not at all; the only reader and writer of them.

    <home>/lake/<shelf>/<table>.parquet      the rows
    <home>/lake/<shelf>/<table>.json         its digest, size and checksum; a table without it does not exist
    <home>/lake/promoted.json                which shelf readers are served from
    <home>/lake/<name>.json                  a note: a few words that are replaced in one step

A shelf is a batch ("batch-<id>"), a month ("month-2026-10"), "decisions": those in force (ADR 0003), or what
a source's last batches left for the next ("entities-<source>-<digest>").
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from resources.disks import disk_errors, sync_folder
from terag_pipelines.errors import IncompleteBatchError, TornTableError
from terag_pipelines.tables import TableSchema, digest

HOUR_S, DAY_S = 3_600, 86_400


@dataclass(frozen=True)
class StoredTable:
    """What is known of a table without opening it: `digest` is over its rows, `checksum` over its file."""

    table: str
    digest: str
    n_rows: int
    n_bytes: int
    checksum: str


@dataclass(frozen=True)
class PromotedShelf:
    """The shelf that readers are served from, with the digest of each of its tables."""

    shelf: str
    digests: Mapping[str, str]


class ParquetLake:
    """Reads and writes the tables below one folder.

    Raises (all methods): StorageFullError when the disk is full; what was written before stays as it was.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, shelf: str, schema: TableSchema, table: pa.Table) -> StoredTable:
        """Stores a table under its schema's name. A table of the same content is left as it lies.

        Raises: SchemaMismatchError where it is not of its schema.
        """
        rows = schema.conform(table)
        content = digest(rows)
        present = self.stored(shelf, schema.name)
        if present and present.digest == content and self._is_whole(shelf, present):
            return present
        path = self._path(shelf, schema.name)
        checksum = _write_atomically(path, lambda file: _write_parquet(rows, file))
        stored = StoredTable(schema.name, content, rows.num_rows, path.stat().st_size, checksum)
        self._write_json(path.with_suffix(".json"), asdict(stored))
        return stored

    def read(self, shelf: str, schema: TableSchema) -> pa.Table:
        """The rows of a table.

        Raises: IncompleteBatchError where the shelf has no such table; TornTableError where its file is not
        the one that was written.
        """
        stored = self.describe(shelf, schema.name)
        if not self._is_whole(shelf, stored):
            raise TornTableError(
                f"table {schema.name} of {shelf} is not the file that was written; run its asset again"
            )
        return schema.complete(pq.read_table(self._path(shelf, schema.name), partitioning=None))

    def describe(self, shelf: str, table: str) -> StoredTable:
        """Digest and size of a table, without reading it. Raises: IncompleteBatchError."""
        stored = self.stored(shelf, table)
        if stored is None:
            raise IncompleteBatchError(f"{shelf} has no table {table}; materialise that asset first")
        return stored

    def stored(self, shelf: str, table: str) -> StoredTable | None:
        """Digest and size of a table, without reading it; None where the shelf has no such table."""
        found = _read_json(self._folder / shelf / f"{table}.json")
        return StoredTable(**found) if found else None

    def digests(self, shelf: str) -> dict[str, str]:
        """Digest of every table on a shelf, by table name."""
        names = sorted(path.stem for path in (self._folder / shelf).glob("*.json"))
        return {name: self.describe(shelf, name).digest for name in names}

    def promote(self, shelf: str, tables: Iterable[str]) -> PromotedShelf:
        """Lets readers see a shelf, in one step, once all the named tables lie on it and are whole.

        Raises: IncompleteBatchError, TornTableError.
        """
        checked = self.check(shelf, tables)
        self.show(checked)
        return checked

    def check(self, shelf: str, tables: Iterable[str]) -> PromotedShelf:
        """The shelf as it may be shown: all the named tables lie on it and are whole.

        Raises: IncompleteBatchError, TornTableError.
        """
        stored = [self.describe(shelf, table) for table in sorted(tables)]
        if torn := [one.table for one in stored if not self._is_whole(shelf, one)]:
            raise TornTableError(f"{shelf} is not promoted: {torn} are not the files that were written")
        return PromotedShelf(shelf, {one.table: one.digest for one in stored})

    def show(self, checked: PromotedShelf) -> None:
        """Lets readers see a shelf that was checked, in one step."""
        self._write_json(self._folder / "promoted.json", asdict(checked))

    def promoted(self) -> PromotedShelf | None:
        """The shelf that readers are served from; None before the first promotion."""
        found = _read_json(self._folder / "promoted.json")
        return PromotedShelf(**found) if found else None

    def note(self, name: str, words: Mapping[str, str]) -> None:
        """Replaces the words noted under a name, in one step."""
        self._write_json(self._folder / f"{name}.json", words)

    def noted(self, name: str) -> dict[str, str]:
        """The words noted under a name; none where nothing was. Raises: TornTableError."""
        return _read_json(self._folder / f"{name}.json") or {}

    def remove_shelves(self, prefix: str, keep: Collection[str]) -> None:
        """Deletes the shelves whose names begin so, but for those to keep."""
        for path in self._folder.glob(f"{prefix}*/"):
            if path.name not in keep:
                shutil.rmtree(path)

    def batch_shelves(self) -> list[str]:
        """The names of all batch shelves, in order."""
        return sorted(path.name for path in self._folder.glob("batch-*"))

    def remove_old_batches(self, keep: int) -> list[str]:
        """Deletes batches but the promoted one and the `keep` - 1 whole ones written last; gives the deleted.

        Shelves that lack tables of the promoted one count for nothing: they go a day after they were last
        written, as a run may be at work on them.
        """
        promoted, pointer = self.promoted(), self._folder / "promoted.json"
        if promoted is None:
            return []
        shelves = sorted(self._folder.glob("batch-*"), key=lambda path: path.stat().st_mtime, reverse=True)
        others = [path for path in shelves if path.name != promoted.shelf]
        whole = [path for path in others if self.digests(path.name).keys() >= promoted.digests.keys()]
        left_over = [path for path in others if path not in whole and _seconds_between(path, pointer) > DAY_S]
        removed = [*whole[max(keep - 1, 0) :], *left_over]
        for path in removed:
            shutil.rmtree(path)
        return sorted(path.name for path in removed)

    def _path(self, shelf: str, table: str) -> Path:
        return self._folder / shelf / f"{table}.parquet"

    def _is_whole(self, shelf: str, stored: StoredTable) -> bool:
        path = self._path(shelf, stored.table)
        if not path.exists() or path.stat().st_size != stored.n_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest() == stored.checksum

    def _write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        _write_atomically(path, lambda file: file.write(json.dumps(content, sort_keys=True).encode()))


def _write_parquet(rows: pa.Table, file: IO[bytes]) -> None:
    pq.write_table(rows, file, compression="zstd", row_group_size=256_000, store_schema=True)


def _write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> str:
    """Writes beside `path`, forces it to disk and renames; gives the file's BLAKE2b checksum."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    earlier = "earlier tables are intact. Free some space, then run again"
    with disk_errors(f"no space left to write {path.name}; {earlier}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        try:
            checksum = _write_durably(temporary, write)
            temporary.rename(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    return checksum


def _write_durably(path: Path, write: Callable[[IO[bytes]], object]) -> str:
    with path.open("w+b") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _sweep(path: Path) -> None:
    """Removes what a killed writer of the same file left behind more than an hour ago."""
    for stray in path.parent.glob(f".{path.name}.*.tmp"):
        if _seconds_between(stray, path.parent) > HOUR_S:
            stray.unlink(missing_ok=True)


def _seconds_between(earlier: Path, later: Path) -> float:
    return later.stat().st_mtime - earlier.stat().st_mtime


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise TornTableError(f"{path.name} cannot be read; run the asset that writes it again") from error
