"""A folder of results: tables and texts that appear together, for their owner alone, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from resources.disks import disk_errors, sync_folder
from resources.owner_files import make_owner_folder
from terag_pipelines.errors import ConfigurationError

MARK = "summary.json"
"""The file by which a folder of earlier results is known."""


def check_result_folder(folder: Path) -> None:
    """Raises: ConfigurationError where the folder is or lies in a file, cannot be written, or holds what is
    no earlier result.
    """
    above = next(one for one in folder.absolute().parents if one.exists())
    for there in (folder, above):
        if there.exists() and not there.is_dir():
            raise ConfigurationError(f"{there}: is a file; results go to a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{above}: may not be written to; results go to a folder of yours")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise ConfigurationError(
            f"{folder}: holds other files; results go to a new folder or replace earlier ones"
        )


def write_result_folder(folder: Path, tables: Mapping[str, pa.Table], texts: Mapping[str, str]) -> None:
    """Writes `<name>.parquet` for each table and each text under its name; earlier results are replaced.

    All is written and forced to disk under a temporary name beside the folder, then renamed: a reader sees
    the old results or the new ones. Files have mode 0600, the folder 0700.

    Raises: ConfigurationError as check_result_folder does, StorageFullError.
    """
    check_result_folder(folder)
    folder = folder.absolute()
    with disk_errors(f"no space left to write {folder.name}; earlier results are intact"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))  # mode 0700
        try:
            for name, table in sorted(tables.items()):
                _write(fresh / f"{name}.parquet", partial(_write_parquet, table))
            for name, text in sorted(texts.items()):
                _write(fresh / name, partial(_write_text, text))
            sync_folder(fresh)
            _put_in_place(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _put_in_place(fresh: Path, folder: Path) -> None:
    if not folder.exists():
        fresh.rename(folder)
    else:
        earlier = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        folder.rename(earlier / folder.name)
        fresh.rename(folder)
        shutil.rmtree(earlier)
    sync_folder(make_owner_folder(folder).parent)


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _write_parquet(rows: pa.Table, file: IO[bytes]) -> None:
    texts = [field.name for field in rows.schema if field.type == pa.string()]
    pq.write_table(
        rows, file, compression="zstd", row_group_size=256_000, use_dictionary=texts
    )  # hashes: none


def _write_text(text: str, file: IO[bytes]) -> None:
    file.write(text.encode())
