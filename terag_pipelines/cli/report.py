"""The run's report: one HTML file that needs nothing but itself."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from resources.owner_files import write_owner_file
from terag_pipelines.cli.running import AssetResult, JobResult
from terag_pipelines.cli.summary import StageSummary

PICTURE = re.compile(r"!\[[^\]]*\]\((data:image/(?:png|svg\+xml);base64,[A-Za-z0-9+/=]+)\)")

STYLE = """
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1f2937; max-width: 72rem;
       margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem }
h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #e5e7eb }
table { border-collapse: collapse; width: 100% }
td, th { padding: .35rem .6rem; border-bottom: 1px solid #e5e7eb; text-align: left; vertical-align: top }
td.rows { white-space: nowrap }
td.n { text-align: right; font-variant-numeric: tabular-nums }
img { max-width: 100% }
figure { margin: 1rem 0 }
"""

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{style}</style>
<h1>{title}</h1>{body}</html>
"""


def write_report(path: Path, title: str, jobs: Sequence[JobResult], stages: Sequence[StageSummary]) -> Path:
    """Writes the report and gives its path; figures first, then every picture under its asset's name."""
    body = "".join([_stage_table(stages), *_pictures(jobs)])
    write_owner_file(path, PAGE.format(title=html.escape(title), style=STYLE, body=body))
    return path


def _stage_table(stages: Sequence[StageSummary]) -> str:
    rows = "".join(_stage_row(stage) for stage in stages)
    return f"<table><tr><th>Stage<th>What went in<th>What came out<th>Seconds<th>How well</tr>{rows}</table>"


def _stage_row(stage: StageSummary) -> str:
    lines = "\n".join([*stage.scores.values(), *stage.notes.values()]).split("\n")
    told = "<br>".join(html.escape(line) for line in lines)
    passed = f"<td class=rows>{_rows(stage.rows_in)}<td class=rows>{_rows(stage.rows)}"
    return f"<tr><td><b>{stage.stage}</b>{passed}<td class=n>{stage.seconds:.1f}<td>{told}</tr>"


def _rows(rows: Mapping[str, int]) -> str:
    return "<br>".join(f"{n:,} {name.replace('_', ' ')}" for name, n in rows.items() if n)


def _pictures(jobs: Sequence[JobResult]) -> Iterator[str]:
    for result in (result for job in jobs for result in job.assets):
        found = list(_pictures_of(result))
        if found:
            yield f"<h2>{html.escape(result.asset.replace('_', ' '))}</h2>{''.join(found)}"


def _pictures_of(result: AssetResult) -> Iterator[str]:
    for name, value in result.metadata.items():
        for source in PICTURE.findall(str(value)):
            yield f'<figure><img alt="{html.escape(name)}" src="{source}"></figure>'
