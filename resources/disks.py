"""What adapters that write files share: entries forced to disk, and errors of the file system named."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from terag_pipelines.errors import StorageFullError, TeragError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def sync_folder(folder: Path) -> None:
    """Forces to disk which files the folder has, so that no loss of power undoes a rename or removal."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(if_full: str, otherwise: Callable[[str], TeragError] | None = None) -> Iterator[None]:
    """Makes our own errors of what the file system refuses.

    `otherwise` makes one of the reason; without it an error that is not for want of space stays as it came.

    Raises: StorageFullError with the text `if_full`; what `otherwise` makes.
    """
    try:
        yield
    except OSError as error:
        if _number_of(error) in FULL:
            raise StorageFullError(if_full) from error
        if otherwise is None:
            raise
        raise otherwise(error.strerror or type(error).__name__) from error


def _number_of(error: OSError) -> int | None:
    """Its errno; polars has that in the text alone."""
    told = re.search(r"\(os error (\d+)\)$", str(error))
    return int(told[1]) if error.errno is None and told else error.errno
