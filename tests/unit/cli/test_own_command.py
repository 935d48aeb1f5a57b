"""What a user is told to type next is what the shell finds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from terag_pipelines.cli import run


@pytest.mark.parametrize(
    ("called", "is_on_path", "told"),
    [
        (".venv/bin/terag", False, ".venv/bin/terag"),
        (".venv/bin/terag", True, "terag"),
        ("terag_pipelines/cli/main.py", False, "terag"),
    ],
)
def test_the_program_is_named_as_the_shell_finds_it(
    called: str, is_on_path: bool, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "terag"
    program.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setenv("PATH", str(tmp_path) if is_on_path else "")
    assert run._own_command() == told
