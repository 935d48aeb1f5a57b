"""Writes a demo bank as a source folder: all of it or nothing, the same bytes for the same parameters."""

from __future__ import annotations

import gzip
import os
import shutil
from io import BytesIO
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from resources.disks import disk_errors, sync_folder
from terag_pipelines.demo.bank import DemoBank
from terag_pipelines.errors import ConfigurationError

MARK = "# A demo bank:"
"""How the manifest of a demo bank begins; a folder without it is never replaced."""
ROW_GROUP = 1 << 20


def write_demo_bank(bank: DemoBank, folder: Path) -> None:
    """The bank's files in `folder`, made under a temporary name beside it and renamed.

    An older demo bank there is replaced. Parquet for tables of events, CSV (gzipped where large) for what a
    person would look at.

    Raises: ConfigurationError where the folder holds something else or may not be written; StorageFullError
    where the disk is full.
    """
    folder = folder.resolve()
    making = folder.parent / f".{folder.name}.{os.getpid()}.making"
    try:
        with disk_errors(
            f"no space left to write the demo bank into {folder}",
            lambda reason: ConfigurationError(f"the demo bank cannot be written into {folder}: {reason}"),
        ):
            _check_free(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            _write_all(bank, making)
            _swap(making, folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _check_free(folder: Path) -> None:
    if not folder.exists():
        return
    manifest = folder / "source.yaml"
    is_demo = manifest.is_file() and manifest.read_text(encoding="utf-8", errors="replace").startswith(MARK)
    if not is_demo and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} holds something that is not a demo bank; name another folder")


def _write_all(bank: DemoBank, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for path, table in bank.tables.items():
        _write_durably(folder / path, table)
    for path, text in bank.texts.items():
        _write_bytes(folder / path, text.encode())
    for place in (*(place for place in folder.rglob("*") if place.is_dir()), folder):
        sync_folder(place)


def _write_durably(path: Path, table: pa.Table) -> None:
    if path.suffix == ".parquet":
        _write_parquet(path, table)
    else:
        text = _as_csv(table)
        _write_bytes(path, gzip.compress(text, compresslevel=4, mtime=0) if path.suffix == ".gz" else text)


def _as_csv(table: pa.Table) -> bytes:
    buffer = BytesIO()
    pl.DataFrame(table).write_csv(buffer)
    return buffer.getvalue()


def _write_parquet(path: Path, table: pa.Table) -> None:
    """Without the Arrow schema inside, so that readers see plain texts where we keep each text once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd", row_group_size=ROW_GROUP, store_schema=False)
        file.flush()
        os.fsync(file.fileno())


def _write_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _swap(making: Path, folder: Path) -> None:
    """The new folder under the final name; the old one is moved aside first and removed last."""
    aside = folder.parent / f".{folder.name}.{os.getpid()}.old"
    if folder.exists():
        folder.rename(aside)
    making.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)
