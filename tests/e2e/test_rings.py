"""`terag rings` as a person runs it: a process of its own, files in, files out, no home, store or network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tests.e2e.installation import TERAG
from tests.unit.rings.edge_worlds import plain_ties

LAUNCHER = Path(__file__).with_name("without_network.py")


def run(*arguments: object, without_network: bool = False) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, str(LAUNCHER)] if without_network else []
    return subprocess.run(
        [*launcher, *TERAG, "rings", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_rings_are_found_without_network_or_home_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    edges, out, again = tmp_path / "edges.csv", tmp_path / "out", tmp_path / "again"
    pa_csv.write_csv(plain_ties(), edges)
    done = run(edges, "--out", out, without_network=True)
    assert done.returncode == 0, done.stderr[-1500:]
    assert done.stdout.splitlines()[-1] == "0"
    assert pq.read_table(out / "rings.parquet")["kind"].to_pylist() == ["dense_group"]
    done = run(edges, "--out", again, "--json")
    assert json.loads(done.stdout)["n_rings"] == 1
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (out, again)]
    assert files[0] == files[1]


def test_a_failure_is_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path / "absent.csv", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.strip() == f"UnreadableFileError: {tmp_path}/absent.csv: there is no such file"
