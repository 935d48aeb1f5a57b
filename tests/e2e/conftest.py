"""One platform for all tests of whole runs: its first run serves many of them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunningPair
from tests.e2e.installation import TERAG, Installation, make_bank

LAUNCHER = Path(__file__).with_name("without_network.py")


@dataclass(frozen=True)
class LonelyRun:
    """What a run told where only loopback exists, and how many packets found no way out."""

    outcome: dict[str, Any]
    n_without_route: int


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("platform")
    return Installation(folder / "home", make_bank(folder / "bank", people=600))


@pytest.fixture(scope="session")
def other_bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bank(tmp_path_factory.mktemp("other") / "bank", people=300, seed=8)


@pytest.fixture(scope="session")
def lonely_run(installation: Installation, stores: RunningPair) -> LonelyRun:
    """`stores` has put Neo4j's jars into the cache: they are the one thing that is ever fetched."""
    done = subprocess.run(
        [sys.executable, str(LAUNCHER), *TERAG, "run", "--source", str(installation.source), "--json"],
        env=installation.environment(TERAG_CACHE=str(stores.settings.cache_folder)),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    told, _, counted = done.stdout.rstrip("\n").rpartition("\n")
    return LonelyRun(json.loads(told), int(counted))


@pytest.fixture(scope="session")
def first(lonely_run: LonelyRun) -> dict[str, Any]:
    return lonely_run.outcome


@pytest.fixture(scope="session")
def second(installation: Installation, first: dict[str, Any]) -> dict[str, Any]:
    return installation.run()
