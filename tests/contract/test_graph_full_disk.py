"""Row 28 of the fault model for the graph on two servers: a disk that is really full, whatever is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TORTURE

pytestmark = pytest.mark.stores
LAUNCHER = Path(__file__).parents[1] / "on_small_disk.py"
N_BYTES = 256 << 20
MESSAGES = {
    "the importer's files": "full: the graph could not be imported",
    "rows over Bolt": "less than 16 MB free: the stores would fail",
}
MORE_MESSAGES = {
    "the copy for the backup": "full: the graph could not be copied",
    "our files": "full: the graph could not be imported",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> dict[str, dict[str, Any]]:
    """The story, told on a tmpfs in a mount namespace of its own: root may do that, and so may a user."""
    disk = tmp_path_factory.mktemp("disk")
    cases = [*MESSAGES, *(MORE_MESSAGES if TORTURE else ())]
    module = "tests.contract.full_graph_disk"
    story = [sys.executable, "-m", module, str(disk / "home"), str(cache_folder), *cases]
    done = subprocess.run(
        [sys.executable, str(LAUNCHER), str(disk), str(N_BYTES), *story],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        *MESSAGES.items(),
        *(pytest.param(*case, marks=pytest.mark.torture) for case in MORE_MESSAGES.items()),
    ],
)
def test_a_disk_that_fills_up_is_named_and_what_was_served_stays(
    told: dict[str, dict[str, Any]], what: str, message: str
) -> None:
    """And once there is room the load succeeds, also on a server that the full disk has broken."""
    outcome = told[what]
    kind, said = outcome["failed"]
    assert kind == "StorageFullError"
    assert message in said
    assert outcome["promotion_failed"][0] == "StorageFullError"
    assert outcome["served_when_full"] == outcome["served"]
    assert not [name for name in outcome["left_over"] if name.endswith((".new", ".part", ".old"))]
    assert outcome["is_right"]
    assert outcome["served_after"] == [what, outcome["served_after"][1]]
    assert outcome["served_after"][1] >= 2_000
    assert all(not drift for drift in outcome["drift"])
