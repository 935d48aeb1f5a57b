"""`terag link` as a person runs it: a process of its own, files in, files out, no home, store or network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.e2e.installation import TERAG

LAUNCHER = Path(__file__).with_name("without_network.py")


def run(*arguments: object, without_network: bool = False) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, str(LAUNCHER)] if without_network else []
    return subprocess.run(
        [*launcher, *TERAG, "link", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.fixture(scope="module")
def fake_1000(shared_data: Path) -> Path:
    return shared_data / "splink" / "fake_1000.csv"


def test_a_file_is_linked_without_network_or_home(fake_1000: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(fake_1000, "--out", out, without_network=True)
    assert done.returncode == 0, done.stderr[-1500:]
    assert done.stdout.splitlines()[-1] == "0"
    assert pq.read_table(out / "entities.parquet").num_rows == 1_000
    readings = json.loads((out / "summary.json").read_text(encoding="utf-8"))["sources"][0]["columns"]
    assert {one["column"]: one["field"] for one in readings} == {
        "unique_id": "id",
        "first_name": "given_name",
        "surname": "family_name",
        "dob": "birth_date",
        "city": "locality",
        "email": "email",
        "cluster": None,
    }


def test_labels_of_the_set_judge_and_calibrate(fake_1000: Path, tmp_path: Path) -> None:
    truth = fake_1000.read_text(encoding="utf-8").splitlines()[1:]
    labels = tmp_path / "labels.csv"
    rows = [f"{line.split(',')[0]},{line.split(',')[-1]}" for line in truth]
    labels.write_text("record_id,entity\n" + "\n".join(rows) + "\n")
    done = run(fake_1000, "--out", tmp_path / "out", "--labels", labels, "--json")
    assert done.returncode == 0, done.stderr[-1500:]
    summary = json.loads(done.stdout)
    assert summary["is_calibrated"]
    assert summary["quality_by_labels"]["f1"] > 0.9
    assert summary["calibration"]["ece_after"] < 0.05


def test_a_failure_is_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path / "absent.csv", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.strip() == f"UnreadableFileError: {tmp_path}/absent.csv: there is no such file"
