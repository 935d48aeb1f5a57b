"""`make results`: runs the whole job over the demo bank and the five public sets; writes docs/results.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
TERAG = [sys.executable, "-m", "terag_pipelines.cli.main"]
PUBLIC = ("febrl3", "senzing_truthset", "splink_fake_1000", "paysim_fpf", "amlsim_20k")
HEAD = """# Results

Each section is one run of `terag run`, as it was printed: the demo bank, then public data with ground truth.
The public sets are not shipped with the project; their manifests are in `tests/sources`. Nothing learns from
labels of use "truth". Where the training labels are the truth (paysim, amlsim), figures are out of fold.
Written by `make results`.
"""


def main() -> None:
    """Runs the sources that are there, or those whose names are given."""
    wanted = sys.argv[1:] or ["demo:5000", "demo:200000", *PUBLIC]
    sections = [_section(name) for name in wanted]
    (ROOT / "docs" / "results.md").write_text(HEAD + "".join(sections))


def _section(name: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        source = (
            _make_bank(home / "bank", int(name[5:]))
            if name.startswith("demo:")
            else ROOT / "tests/sources" / name
        )
        started = time.monotonic()
        outcome = _run(home, source)
        seconds = time.monotonic() - started
    print(f"{name}: {seconds:.0f} s", flush=True)
    figures = f"{seconds:.0f} s in all, stores included."
    return f"\n## {_title(name)}\n\n{_table(outcome)}\n\n{figures}\n"


def _title(name: str) -> str:
    return f"Demo bank, {int(name[5:]):,} people, seed 7" if name.startswith("demo:") else name


def _make_bank(folder: Path, people: int) -> Path:
    subprocess.run([*TERAG, "demo", "make", "--people", str(people), "--out", str(folder)], check=True)
    return folder


def _run(home: Path, source: Path) -> dict[str, Any]:
    cache = os.environ.get("TERAG_CACHE", str(ROOT / ".terag" / "cache"))
    environment = os.environ | {"TERAG_HOME": str(home / "home"), "TERAG_CACHE": cache}
    root = [] if source.is_relative_to(home) else ["--root", str(DATA)]
    command = [*TERAG, "run", "--source", str(source), *root, "--json"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    return dict(json.loads(done.stdout))


def _table(outcome: dict[str, Any]) -> str:
    lines = ["| stage | what went in | what came out | seconds | how well |", "|---|---|---|---|---|"]
    lines += [_row(stage) for stage in outcome["stages"]]
    return "\n".join([*lines, *(f"\nfailed: {failure}" for failure in outcome["failures"])])


def _row(stage: dict[str, Any]) -> str:
    taken, given = _rows(stage["rows_in"]), _rows(stage["rows"])
    told = "<br>".join([*stage["scores"].values(), *stage["notes"].values()]).replace("\n", "<br>")
    return f"| {stage['stage']} | {taken} | {given} | {stage['seconds']:.1f} | {told.replace('|', '/')} |"


def _rows(rows: dict[str, int]) -> str:
    return "<br>".join(f"{n:,} {name.replace('_', ' ')}" for name, n in rows.items() if n)


if __name__ == "__main__":
    main()
