"""A platform of its own for a test: a home in a temporary folder, the real stores, the real command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import CACHE

ROOT = Path(__file__).parents[2]
TERAG = [sys.executable, "-m", "terag_pipelines.cli.main"]
SHARED_CACHE = CACHE


@dataclass(frozen=True)
class Installation:
    """A home and the source that its runs are about."""

    home: Path
    source: Path

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of its commands."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TERAG_")}
        own = {"TERAG_HOME": str(self.home), "TERAG_CACHE": str(SHARED_CACHE), "PYTHONPATH": str(ROOT)}
        return kept | own | more

    def command(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs `terag` with these arguments to its end."""
        return subprocess.run(
            [*TERAG, *arguments],
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def run(self) -> dict[str, Any]:
        """Runs the whole job and gives its outcome."""
        done = self.command("run", "--source", str(self.source), "--json")
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return dict(json.loads(done.stdout))

    def run_until_killed_in(self, step: str, delay_seconds: float = 0.0) -> None:
        """Starts the job and kills it, children and all, some time after it says that it is in a step."""
        process = subprocess.Popen(
            [*TERAG, "run", "--source", str(self.source), "--json"],
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stderr
        heard = any(line.strip() == step for line in process.stderr)
        time.sleep(delay_seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert heard, f"the run never said that it is in {step!r}"

    def promoted(self) -> Mapping[str, Any] | None:
        """The pointer that readers follow; None before the first promotion."""
        pointer = self.home / "lake" / "promoted.json"
        return dict(json.loads(pointer.read_text())) if pointer.exists() else None


def make_bank(folder: Path, people: int, seed: int = 7) -> Path:
    """A demo bank in a folder."""
    subprocess.run(
        [*TERAG, "demo", "make", "--people", str(people), "--seed", str(seed), "--out", str(folder)],
        check=True,
        capture_output=True,
    )
    return folder
