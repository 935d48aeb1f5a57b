"""Linking at 10k, 100k and 1M records, from a Parquet file to clusters, as any user gets it.

    python -m tests.benchmarks.bench_linking --data DIR [--sizes 10000,100000,1000000]

DIR holds gen_<size>.parquet with the columns given_name, surname, postcode, suburb, state, street_number,
address_1, date_of_birth, phone, email, cluster. No labels, no manifest, the default parameters and threshold;
`cluster` is only scored against. Each size runs in a process of its own. Prints wall and CPU seconds of
reading and linking after the imports, of the whole process, peak memory, what was found, the growth exponent.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from resources.loose_files import read_loose_file
from terag_pipelines.entities.raw_files import RawFile
from terag_pipelines.linking.auto_linker import AutoLinker
from terag_pipelines.linking.pipeline import LinkedRecords, link_records
from tests.benchmarks.linking_quality import score_entities
from tests.benchmarks.measuring import measured, tell, total


def measure(path: Path) -> None:
    """Reads and links one file, and tells what it cost and found."""
    source, reading = measured(lambda: AutoLinker().read_sources({"gen": read_columns(path)}))
    linked, linking = measured(lambda: link_records(source.records))
    truth = read_truth(path)
    members = pl.DataFrame(
        {"record_id": pl.Series(values=linked.ordered["native_id"]), "found": linked.labels}
    )
    choice = linked.index.report.choice
    tell(
        "linking",
        "Parquet to clusters",
        total([reading, linking]),
        ("numpy", "polars", "pyarrow", "rapidfuzz", "scipy"),
        n_records=len(truth),
        stage_wall_s={"reading": reading.wall_s, "linking": linking.wall_s},
        stage_cpu_s={"reading": reading.cpu_s, "linking": linking.cpu_s},
        n_candidate_pairs=len(linked.index),
        blocking_recall=recall_of_blocking(linked, truth),
        blocking_recall_expected=choice.expected_recall if choice else None,
        threshold=linked.params.links.threshold_probability,
        **score_entities(members, truth),
    )


def read_columns(path: Path) -> RawFile:
    """The file as `terag link` reads it, without the truth."""
    raw = read_loose_file(path)
    names = tuple(name for name in raw.columns if name != "cluster")
    return replace(raw, table=raw.table.drop_columns(["cluster"]), columns=names)


def read_truth(path: Path) -> pl.DataFrame:
    """record_id (the file's unique_id) and true entity."""
    return pl.read_parquet(path, columns=["unique_id", "cluster"]).select(
        record_id=pl.col("unique_id").cast(pl.String), entity="cluster"
    )


def recall_of_blocking(linked: LinkedRecords, truth: pl.DataFrame) -> float:
    """The share of true pairs that are candidates."""
    ids = pl.DataFrame({"record_id": pl.Series(values=linked.ordered["native_id"])})
    entity = ids.join(truth, on="record_id", how="left", maintain_order="left")["entity"].to_numpy()
    sizes = np.bincount(entity)
    n_found = int((entity[linked.index.left] == entity[linked.index.right]).sum())
    return n_found / int((sizes * (sizes - 1) // 2).sum())


def growth_exponents(results: list[dict[str, Any]], figure: str) -> list[float]:
    """The exponent b of cost ~ records^b from each size to the next; 1 is linear."""
    return [
        round(math.log(more[figure] / less[figure]) / math.log(more["n_records"] / less["n_records"]), 2)
        for less, more in pairwise(results)
    ]


def main() -> None:
    """Measures each size in a fresh process, so that peak memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of gen_<size>.parquet")
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.one)
        return
    results = [_measure_apart(arguments.data, size) for size in arguments.sizes.split(",")]
    exponents = {figure: growth_exponents(results, figure) for figure in ("wall_s", "cpu_s")}
    print(json.dumps({"subject": "linking", "what": "growth exponents from size to size", **exponents}))


def _measure_apart(data: Path, size: str) -> dict[str, Any]:
    path = str(data / f"gen_{size}.parquet")
    command = [sys.executable, "-m", "tests.benchmarks.bench_linking", "--data", str(data), "--one", path]
    started = time.perf_counter()
    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    result: dict[str, Any] = json.loads(line) | {"process_wall_s": round(time.perf_counter() - started, 2)}
    print(json.dumps(result), flush=True)
    return result


if __name__ == "__main__":
    main()
