"""Row 39 of the fault model: the platform asks nobody outside for anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RunningPair
from tests.e2e.installation import TERAG, Installation, make_bank

pytestmark = [pytest.mark.stores, pytest.mark.xdist_group("e2e")]
LAUNCHER = Path(__file__).with_name("without_network.py")


def test_the_main_job_opens_no_outbound_connection(tmp_path: Path, stores: RunningPair) -> None:
    """`stores` has put Neo4j's jars into the cache: they are the one thing that is ever fetched."""
    installation = Installation(tmp_path / "home", make_bank(tmp_path / "bank", people=300))
    done = subprocess.run(
        [sys.executable, str(LAUNCHER), *TERAG, "run", "--source", str(installation.source), "--json"],
        env=installation.environment(TERAG_CACHE=str(stores.settings.cache_folder)),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    assert done.stdout.splitlines()[-1] == "0"
