"""The command's failures: one sentence for a person, whatever the failure's text looks like."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from terag_pipelines.cli import main as cli
from terag_pipelines.errors import SourceError
from tests.unit.cli.consoles import listening_console


@pytest.fixture
def group() -> click.Group:
    @click.group(cls=cli.NamedErrors)
    def group() -> None: ...

    @group.command()
    def bracketed() -> None:
        raise SourceError("people.csv, field [/name] of [red]row 3")

    @group.command()
    @click.argument("path", type=click.Path(path_type=Path))
    def folder(path: Path) -> None:
        path.mkdir(parents=True)

    return group


def told(group: click.Group, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    console, heard = listening_console()
    monkeypatch.setattr(cli, "console", console)
    return CliRunner().invoke(group, arguments).exit_code, heard.getvalue()


def test_brackets_in_a_failure_are_text(group: click.Group, monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = told(group, monkeypatch, "bracketed")
    assert (code, text) == (1, "SourceError: people.csv, field [/name] of [red]row 3\n")


def test_a_place_that_cannot_be_written_is_named_without_a_trace(
    group: click.Group, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    code, text = told(group, monkeypatch, "folder", str(tmp_path / "file" / "home"))
    assert code == 1
    assert text == f"NotADirectoryError: {tmp_path}/file/home: Not a directory\n"
