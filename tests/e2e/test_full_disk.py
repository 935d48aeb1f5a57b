"""Row 28 of the fault model: a disk that is really full."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.installation import Installation

pytestmark = pytest.mark.stores
LAUNCHER = Path(__file__).parents[1] / "on_small_disk.py"
STORY = "tests.e2e.full_disk"


def test_a_full_disk_is_named_and_loses_nothing(
    tmp_path: Path, installation: Installation, first: dict[str, Any], other_bank: Path
) -> None:
    home = tmp_path / "home"
    (home / "lake").mkdir(parents=True, mode=0o700)
    story = [sys.executable, "-m", STORY, str(home), str(installation.home / "lake"), str(other_bank)]
    done = subprocess.run(
        [sys.executable, str(LAUNCHER), str(home / "lake"), str(64 << 20), *story],
        env=Installation(home, other_bank).environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["served"]
    assert told["exit"] == 1
    assert "no space left to write" in told["message"]
    assert "Traceback" not in told["message"]
    assert told["served_when_full"] == told["served"]
    assert told["is_kept"]
    assert told["left_over"] == []
    assert told["served_in_the_end"] not in (None, told["served"])
