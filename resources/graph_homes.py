"""Homes of the graph's servers on disk: replaced whole or not at all, and copied.

<home>               what the server runs on
<home>.new           where a home is built while the server runs
<home>.copy-DIGEST   a copy, made for a server that holds nothing yet, of the load with that digest
<home>.old           the former home, for the moment in which another takes its place
"""

from __future__ import annotations

import shutil
from pathlib import Path

from resources.disks import disk_errors
from resources.owner_files import make_owner_folder

N_DIGEST = 16


def build_home_of(home: Path) -> Path:
    """Where another home is built."""
    return home.with_name(home.name + ".new")


def copy_home_of(home: Path, digest: str) -> Path:
    """Where the copy of a load is kept for this home; it is there whole or not at all."""
    return home.with_name(f"{home.name}.copy-{digest[:N_DIGEST]}")


def has_home(home: Path) -> bool:
    """Whether the home is there, or will be once `settle_home` has looked after it."""
    return home.is_dir() or _former_home_of(home).is_dir()


def replace_home(home: Path, fresh: Path) -> None:
    """Puts a fresh home in place of a stopped server's; `settle_home` ends what a kill leaves of it."""
    settle_home(home)
    if home.exists():
        home.rename(_former_home_of(home))
    fresh.rename(home)
    settle_home(home)


def settle_home(home: Path) -> None:
    """Takes back a replacement cut short between its steps; removes the former home of a whole one."""
    former = _former_home_of(home)
    if former.exists() and not home.exists():
        former.rename(home)
    shutil.rmtree(former, ignore_errors=True)


def copy_home(home: Path, to: Path) -> None:
    """Copies a home that no server runs on. Raises: StorageFullError."""
    part = to.with_name(to.name + ".part")
    try:
        with disk_errors(f"the disk of {to} is full: the graph could not be copied"):
            make_owner_folder(part)
            for source in sorted(home.rglob("*")):  # shutil.copytree would hide that the disk is full
                target = part / source.relative_to(home)
                make_owner_folder(target) if source.is_dir() else shutil.copy2(source, target)
            part.rename(to)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_copies(home: Path) -> None:
    """Removes the copies made for this home, half made ones too."""
    for copy in home.parent.glob(f"{home.name}.copy-*"):
        shutil.rmtree(copy, ignore_errors=True)


def _former_home_of(home: Path) -> Path:
    return home.with_name(home.name + ".old")
