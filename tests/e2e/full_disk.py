"""What happens to a platform whose disk fills up; run on a small one by on_small_disk.py. Prints JSON.

python -m tests.e2e.full_disk HOME LAKE SOURCE      LAKE is that of a good run
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from tests.e2e.installation import Installation

ROOM_LEFT = 20_000


def main() -> None:
    """After a good run one on a full disk, and one after room was made."""
    home, good, following = map(Path, sys.argv[1:])
    lake, after = home / "lake", Installation(home, following)
    shutil.copytree(good, lake, dirs_exist_ok=True)
    served, kept = after.promoted(), _contents(lake)
    _fill(lake / "filler")
    failed = after.command("run", "--source", str(following), "--json")
    outcome = {
        "served": served,
        "exit": failed.returncode,
        "message": failed.stdout + failed.stderr,
        "served_when_full": after.promoted(),
        "is_kept": kept.items() <= _contents(lake).items(),
        "left_over": sorted(path.name for path in lake.rglob("*.tmp")),
        **_after_room_is_made(lake / "filler", after),
    }
    sys.stdout.write(json.dumps(outcome) + "\n")


def _fill(filler: Path) -> None:
    disk = os.statvfs(filler.parent)
    filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize - ROOM_LEFT))


def _contents(lake: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in lake.rglob("*") if p.is_file() and p.name != "filler"}


def _after_room_is_made(filler: Path, installation: Installation) -> dict[str, object]:
    filler.unlink()
    installation.run()
    return {"served_in_the_end": installation.promoted()}


if __name__ == "__main__":
    main()
