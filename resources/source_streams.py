"""Bytes of source files: opened, decompressed and digested within limits."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from terag_pipelines.errors import UnreadableFileError

_BLOCK_BYTES = 8 * 2**20
_GZIP_MAGIC = b"\x1f\x8b"
_OTHER_FORMATS = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"PK\x05\x06": "a ZIP archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"(\xb5/\xfd": "a Zstandard file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"7z\xbc\xaf": "a 7-Zip archive",
}


@dataclass(frozen=True)
class ReadLimits:
    """How much of a file is read before it is refused, in bytes and rows."""

    max_expanded_bytes: int = 4 * 2**30
    max_record_bytes: int = 2**20
    max_rows: int = 200_000_000
    max_columns: int = 2_000


@contextmanager
def translated_errors(name: str) -> Iterator[None]:
    """Turns what the operating system and zlib say about a file into UnreadableFileError."""
    try:
        yield
    except EOFError:
        raise UnreadableFileError(f"{name}: the gzip stream ends too early; the file is torn") from None
    except (gzip.BadGzipFile, zlib.error):
        raise UnreadableFileError(f"{name}: the gzip stream is damaged") from None
    except OSError as error:
        raise UnreadableFileError(f"{name}: cannot be read ({error.strerror or 'input error'})") from None


def text_blocks(path: Path, name: str, limits: ReadLimits) -> Iterator[bytes]:
    """The file's bytes, decompressed where it is gzip, in blocks of about 8 MiB.

    Raises: UnreadableFileError where it is empty, torn, of another format, or expands beyond the limit.
    """
    with translated_errors(name):
        with path.open("rb") as file:
            start = file.read(8)
        yield from _checked_blocks(path, name, start, limits)


def _checked_blocks(path: Path, name: str, start: bytes, limits: ReadLimits) -> Iterator[bytes]:
    is_gzip = start.startswith(_GZIP_MAGIC)
    if start and not is_gzip and name.endswith(".gz"):
        raise UnreadableFileError(f"{name}: ends in .gz but is no gzip file")
    n_bytes = 0
    with gzip.open(path, "rb") if is_gzip else path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            if not n_bytes:
                _refuse_other_formats(name, block[:8])
            n_bytes += len(block)
            if n_bytes > limits.max_expanded_bytes:
                raise UnreadableFileError(
                    f"{name}: holds more than {limits.max_expanded_bytes:,} bytes when expanded"
                )
            yield block
    if not n_bytes:
        raise UnreadableFileError(f"{name}: the file is empty")


def _refuse_other_formats(name: str, start: bytes) -> None:
    for magic, kind in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise UnreadableFileError(f"{name}: this is {kind}, not text")


FileStamp = tuple[str, int, int, int]


def file_stamp(path: Path) -> FileStamp:
    """What changes when a file changes: path, size, time of change and inode."""
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns, status.st_ino


def digest_file(path: Path) -> str:
    """BLAKE2b of the file's bytes, streamed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
