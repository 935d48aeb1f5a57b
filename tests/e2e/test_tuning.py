"""The index autopilot by the command that a user types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from terag_pipelines.tuning.trials import CHANGES
from tests.e2e.installation import Installation

pytestmark = pytest.mark.stores


def test_a_dry_run_advises_and_what_is_applied_stands_in_the_history(
    installation: Installation, first: dict[str, Any], tmp_path: Path
) -> None:
    assert "index_trials" in first["digests"]
    advised = installation.command("graph", "tune")
    assert (advised.returncode, "nothing was changed" in advised.stdout) == (0, True), advised.stderr
    applied = installation.command("graph", "tune", "--apply", "--json")
    assert applied.returncode == 0, applied.stderr
    made = {(row["trial_id"], row["decision"]) for row in json.loads(applied.stdout)}
    picture = tmp_path / "indexes.png"
    told = installation.command("graph", "history", "--json", "--picture", str(picture))
    assert told.returncode == 0, told.stderr
    history = json.loads(told.stdout)
    decided = {(row["trial_id"], row["decision"]) for row in history}
    assert {one for one in made if one[1] in CHANGES} <= decided
    assert {decision for _, decision in decided} <= CHANGES
    moments = [row["decided_at"] for row in history]
    assert moments == sorted(moments, reverse=True)
    assert picture.read_bytes().startswith(b"\x89PNG")
