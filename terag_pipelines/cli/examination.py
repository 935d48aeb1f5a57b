"""`terag doctor`: the findings about this installation, for a person or a machine."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from resources.doctor import examine
from resources.settings import load_settings

SIGNS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "failed": "[bold red]failed[/]"}


def examine_installation(as_json: bool, console: Console) -> bool:
    """Prints every finding with what to do about it; False where one has failed."""
    findings = examine(load_settings())
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        table = Table("What", "State", "Found", "What to do", show_edge=False)
        for finding in findings:
            table.add_row(
                finding.subject, SIGNS[finding.state], escape(finding.detail), escape(finding.remedy)
            )
        console.print(table)
    return all(finding.state != "failed" for finding in findings)
