"""`make bench`: every benchmark in a process of its own; docs/benchmarks.md, wins and losses alike.

    python -m tests.benchmarks.run [NAME ...]

With names only those run, and the other sections of the page are left as they are. Peers that are no
dependency of the project are looked for in the folder that `make bench` installs them into.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
GENERATED = SHARED / "bench" / "data"
PEERS = ROOT / ".venv" / "peers"

BENCHMARKS: dict[str, Sequence[str]] = {
    "Linking": ("bench_linking", "--data", str(GENERATED)),
    "Linking, Splink beside it": ("peer_splink", "--data", str(GENERATED)),
    "Public sets": ("bench_link_sets", "--data", str(SHARED / "data")),
    "Public sets, Splink beside it": ("peer_splink_sets", "--data", str(SHARED / "data")),
    "Public sets, with labels": ("bench_link_labels", "--data", str(SHARED / "data")),
    "Graph load": ("bench_graph",),
    "Graph on two servers": ("bench_graph_pair",),
    "Rings": ("bench_rings",),
    "Doubt of rings": ("bench_ring_doubt",),
    "Communities, peers beside them": ("peer_communities", "--data", str(SHARED / "data")),
    "Rings over time": ("bench_ring_lineage",),
    "Rings, public sets": ("bench_ring_sets", "--data", str(SHARED / "data")),
    "Rings, planted kinds": ("bench_ring_kinds",),
    "Rings, a million accounts": ("ring_world",),
    "Calibration": ("bench_calibration", "--data", str(SHARED / "data")),
    "Names": ("bench_names", "--data", str(SHARED / "data")),
    "Twin": ("bench_twin", "--data", str(SHARED / "data")),
    "Billing": ("bench_billing",),
}
PAGE = ROOT / "docs" / "benchmarks.md"
NEEDS_SHARED = {name for name, command in BENCHMARKS.items() if "--data" in command}


def main() -> None:
    """Runs all, or those whose names are given, and writes their sections of the page; prints JSON lines."""
    wanted = sys.argv[1:]
    if unknown := set(wanted) - set(BENCHMARKS):
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    kept = _sections(PAGE.read_text(encoding="utf-8")) if wanted and PAGE.is_file() else {}
    fresh = {name: _section(name, list(_measure(name))) for name in wanted or BENCHMARKS}
    sections = {name: (kept | fresh)[name] for name in BENCHMARKS if name in kept | fresh}
    PAGE.write_text(_head() + "".join(sections.values()), encoding="utf-8")


def _sections(page: str) -> dict[str, str]:
    """The sections of a page that was written before, by name."""
    parts = page.split("\n## ")[1:]
    return {part.partition("\n")[0]: f"\n## {part}" for part in parts}


def _measure(name: str) -> Iterator[dict[str, Any]]:
    if name in NEEDS_SHARED and not SHARED.is_dir():
        yield {"what": "nothing", "note": "not measured: the public data sets are not on this machine"}
        return
    module, *arguments = BENCHMARKS[name]
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    environment = os.environ | ({"PYTHONPATH": str(PEERS)} if module.startswith("peer_") else {})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    print(*lines, sep="\n", flush=True)
    yield from (json.loads(line) for line in lines)
    if done.returncode or not lines:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
        yield {"what": "failed", "note": f"exit {done.returncode}: {' '.join(reason)[:300]}"}


def _head() -> str:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return (
        f"# Benchmarks\n\nWritten by `make bench` on {machine}. Take ratios, not seconds: machines differ.\n"
    )


def _section(name: str, rows: list[dict[str, Any]]) -> str:
    versions = {package: number for row in rows for package, number in row.get("versions", {}).items()}
    shown = [{key: row[key] for key in row if key not in ("subject", "versions")} for row in rows]
    tables = "\n\n".join(_shape(columns, group) for columns, group in _by_columns(shown))
    with_versions = "Versions: " + ", ".join(f"{p} {v}" for p, v in versions.items()) + ".\n\n"
    return f"\n## {name}\n\n{with_versions if versions else ''}{tables}\n"


def _by_columns(rows: list[dict[str, Any]]) -> list[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """Rows in groups that have the same columns, in the order in which the groups appear."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in (_flat(row) for row in rows):
        groups.setdefault(tuple(row), []).append(row)
    return list(groups.items())


def _shape(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    """A table: one column for each row, as benchmarks have few rows and many figures."""
    head, *others = columns
    lines = [" | ".join(["", *(_shown(row[head]) for row in rows)]), "|".join(["---"] * (len(rows) + 1))]
    lines += [" | ".join([column, *(_shown(row[column]) for row in rows)]) for column in others]
    return "\n".join(f"| {line} |" for line in lines)


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
