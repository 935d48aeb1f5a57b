"""Small files that only their owner may read: passwords, keys, state. Written whole or not at all."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from resources.disks import sync_folder

OWNER_ONLY_FOLDER = 0o700


def make_owner_folder(folder: Path) -> Path:
    """The folder, made if absent, open to its owner only."""
    folder.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY_FOLDER)
    folder.chmod(OWNER_ONLY_FOLDER)
    return folder


def write_owner_file(path: Path, content: str | bytes) -> None:
    """Writes a file of mode 0600 under a temporary name, flushes it to disk and renames it."""
    make_owner_folder(path.parent)
    write_private_file(path, content)


def write_private_file(path: Path, content: str | bytes) -> None:
    """As write_owner_file, into a folder that is there and stays as open as it is."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_durably(path: Path) -> None:
    """Removes a file, if it is there, so that no loss of power brings it back."""
    if path.exists():
        path.unlink()
        sync_folder(path.parent)


def read_or_make_secret(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """The secret in the file, made at random on first use; two first uses at once get the same one."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        make_owner_folder(path.parent)
    candidate = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    write_owner_file(candidate, make() + "\n")
    try:
        os.link(candidate, path)  # fails where the other's is already there
    except FileExistsError:
        pass
    finally:
        candidate.unlink()
    return path.read_text(encoding="utf-8").strip()
