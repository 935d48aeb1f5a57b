"""Demo banks: recall of each planted kind of ring at 95% precision, with the floors beside it.

    python -m tests.benchmarks.bench_ring_kinds [people] [--seeds N ...]

Banks of seed 7 were looked at while scores were made; the seeds here were not.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from terag_pipelines.rings.detection import score_rings
from tests.benchmarks.measuring import measured, tell
from tests.unit.rings.planted_kinds import FLOORS, make_linked_bank, measure_kinds

PACKAGES = ("numpy", "numba", "polars", "scikit-learn")


def main(people: int, seed: int) -> None:
    """Makes a bank, scores it, prints what was found."""
    with tempfile.TemporaryDirectory() as folder:
        tables = make_linked_bank(people, seed, Path(folder))
    detection, cost = measured(lambda: score_rings(tables))
    found = measure_kinds(detection, tables)
    tell(
        "rings",
        "planted kinds at 95% precision",
        cost,
        PACKAGES,
        n_people=people,
        seed=seed,
        n_transfers=tables["transfers"].num_rows,
        is_supervised=detection.report.is_supervised,
        floors=FLOORS,
        **vars(found),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Recall of each planted kind of ring in demo banks.")
    parser.add_argument("people", nargs="?", type=int, default=20_000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[31, 32])
    chosen = parser.parse_args()
    for number in chosen.seeds:
        main(chosen.people, number)
