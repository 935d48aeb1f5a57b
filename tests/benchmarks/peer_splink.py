"""Splink beside our linking, on the same generated files, with the configuration of its own demos.

    python -m tests.benchmarks.peer_splink --data DIR [--sizes 10000,100000] [--max-pairs 1e6]

Splink is no dependency of this project: install it first; without it this says so and stops.
Prints one JSON line for each size, with the same figures as bench_linking.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl

from terag_pipelines.linking.model import ENTITY_MEMBERS
from terag_pipelines.linking.quality import pairwise_quality
from tests.benchmarks.bench_linking import read_records

NAMES = "l.given_name = r.surname and l.surname = r.given_name"
YEAR = "substr(l.date_of_birth, 1, 4) = substr(r.date_of_birth, 1, 4)"
BLOCKS = (
    ("given_name", "surname", "postcode"),
    ("email",),
    ("phone",),
    ("surname", "date_of_birth"),
    ("given_name", "date_of_birth"),
    ("date_of_birth", "postcode"),
    ("given_name", "postcode", "street_number"),
    ("surname", "postcode", "street_number"),
    ("substr(given_name,1,3)", "substr(surname,1,4)", "substr(date_of_birth,1,4)"),
)


def link_with_splink(path: Path, max_pairs: float) -> tuple[Any, float]:
    """Cluster of each unique_id, and the wall seconds from registered table to clusters."""
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    comparisons = [
        cl.ForenameSurnameComparison("given_name", "surname"),
        cl.DateOfBirthComparison("date_of_birth", input_is_string=True),
        cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True),
        cl.EmailComparison("email"),
        cl.DamerauLevenshteinAtThresholds("phone", [1, 2]),
        cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
        cl.JaroWinklerAtThresholds("address_1", [0.9]).configure(term_frequency_adjustments=True),
    ]
    rules = [*(block_on(*keys) for keys in BLOCKS), f"{NAMES} and {YEAR}"]
    settings = SettingsCreator(
        link_type="dedupe_only", comparisons=comparisons, blocking_rules_to_generate_predictions=rules
    )
    frame = pl.read_parquet(path).to_pandas()
    started = time.perf_counter()
    api = DuckDBAPI()
    linker = Linker(api.register(frame) if hasattr(api, "register") else frame, settings)
    sure = [block_on("given_name", "surname", "date_of_birth"), block_on("email")]
    linker.training.estimate_probability_two_random_records_match(sure, recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=max_pairs, seed=1)
    for keys in (("given_name", "surname"), ("date_of_birth",)):
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*keys))
    scored = linker.inference.predict()
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(scored, 0.95)
    elapsed = time.perf_counter() - started
    return clusters.as_pandas_dataframe()[["unique_id", "cluster_id"]], elapsed


def measure(path: Path, max_pairs: float) -> dict[str, Any]:
    """Runs Splink over one file and scores its clusters as ours are scored."""
    clusters, elapsed = link_with_splink(path, max_pairs)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    members = ENTITY_MEMBERS.from_columns(
        record_id=["gen:" + str(i).zfill(8) for i in clusters["unique_id"]],
        entity_id=[str(i) for i in clusters["cluster_id"]],
    )
    quality = pairwise_quality(members, read_records(path)[1])
    return {
        "subject": "linking",
        "peer": f"splink {version('splink')}",
        "n_records": len(clusters),
        "wall_s": round(elapsed, 2),
        "peak_rss_mb": round(peak_mb),
        "clusters": {name: round(getattr(quality, name), 4) for name in ("precision", "recall", "f1")},
    }


def main() -> None:
    """Measures each size in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of gen_<size>.parquet")
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--max-pairs", type=float, default=1e6)
    arguments = parser.parse_args()
    if find_spec("splink") is None:
        sys.exit("splink is not installed; it is run beside ours only where it is")
    for size in arguments.sizes.split(","):
        print(json.dumps(measure(arguments.data / f"gen_{size}.parquet", arguments.max_pairs)), flush=True)


if __name__ == "__main__":
    main()
