"""The index autopilot by the command that a user types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from terag_pipelines.tuning.trials import CHANGES
from tests.e2e.installation import Installation

pytestmark = [pytest.mark.stores, pytest.mark.xdist_group("e2e")]


def told(installation: Installation, *arguments: str) -> list[dict[str, Any]]:
    done = installation.command("graph", *arguments, "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    return list(json.loads(done.stdout))


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(
    installation: Installation, first: dict[str, Any]
) -> None:
    before = told(installation, "history")
    assert len(first["digests"]) > 0
    assert {row["decision"] for row in before} <= CHANGES
    advised = told(installation, "tune")
    assert advised
    assert not {row["decision"] for row in advised} & CHANGES
    assert told(installation, "history") == before
    plain = installation.command("graph", "tune").stdout
    assert "nothing was changed" in plain


def test_what_is_applied_stands_in_the_history_with_its_picture(
    installation: Installation, first: dict[str, Any], tmp_path: Path
) -> None:
    assert len(first["digests"]) > 0
    changed = {
        (row["trial_id"], row["decision"])
        for row in told(installation, "tune", "--apply")
        if row["decision"] in CHANGES
    }
    history = told(installation, "history")
    assert changed <= {(row["trial_id"], row["decision"]) for row in history}
    assert [row["decided_at"] for row in history] == sorted(
        (row["decided_at"] for row in history), reverse=True
    )
    picture = tmp_path / "indexes.png"
    assert installation.command("graph", "history", "--picture", str(picture)).returncode == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
