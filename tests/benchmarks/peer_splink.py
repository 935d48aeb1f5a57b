"""Splink beside our linking, on the same generated files, with the configuration of its own demos.

    python -m tests.benchmarks.peer_splink --data DIR [--sizes 10000,100000,1000000] [--max-pairs 1e6]

Splink is no dependency of this project; `make bench` installs it in a folder of its own. Fewer sampled pairs
than the demos' 1e7, for u and for EM, make it four times faster at a million records and cost it nothing in
quality.
Prints one JSON line for each size, with the same figures as bench_linking.
"""

from __future__ import annotations

import argparse
import logging
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import polars as pl

from tests.benchmarks.bench_linking import read_truth
from tests.benchmarks.linking_quality import score_entities
from tests.benchmarks.measuring import measured, tell

NAMES = "l.given_name = r.surname and l.surname = r.given_name"
YEAR = "substr(l.date_of_birth, 1, 4) = substr(r.date_of_birth, 1, 4)"
WHOLE = "first_name_surname_concat"
SURE = (("given_name", "surname", "date_of_birth"), ("email",), ("phone", "date_of_birth"))
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


def link_with_splink(frame: pd.DataFrame, max_pairs: float) -> pd.DataFrame:
    """The cluster of each unique_id: registered table, training, prediction, clusters at .95."""
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    comparisons = [
        cl.ForenameSurnameComparison("given_name", "surname", forename_surname_concat_col_name=WHOLE),
        cl.DateOfBirthComparison("date_of_birth", input_is_string=True),
        cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True),
        cl.EmailComparison("email"),
        cl.DamerauLevenshteinAtThresholds("phone", [1, 2]),
        cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
        cl.JaroWinklerAtThresholds("address_1", [0.9]).configure(term_frequency_adjustments=True),
    ]
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=comparisons,
        blocking_rules_to_generate_predictions=[*(block_on(*k) for k in BLOCKS), f"{NAMES} and {YEAR}"],
        retain_matching_columns=False,
        additional_columns_to_retain=[],
    )
    api = DuckDBAPI()
    linker = Linker(api.register(frame), settings)
    sure = [block_on(*keys) for keys in SURE]
    linker.training.estimate_probability_two_random_records_match(sure, recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=max_pairs, seed=1)
    for keys in (("given_name", "surname"), ("date_of_birth",)):
        linker.training.estimate_parameters_using_expectation_maximisation(
            block_on(*keys), estimate_without_term_frequencies=True, max_pairs=max_pairs
        )
    scored = linker.inference.predict()
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(scored, 0.95)
    return clusters.as_pandas_dataframe()[["unique_id", "cluster_id"]]


def measure(path: Path, max_pairs: float) -> None:
    """Runs Splink over one file and scores its clusters as ours are scored."""
    frame = pl.read_parquet(path).to_pandas()
    frame[WHOLE] = frame["given_name"] + " " + frame["surname"]
    clusters, cost = measured(lambda: link_with_splink(frame, max_pairs))
    members = pl.DataFrame(
        {
            "record_id": [str(i) for i in clusters["unique_id"]],
            "found": [str(i) for i in clusters["cluster_id"]],
        }
    )
    figures = {"n_records": len(clusters), "max_pairs": max_pairs} | score_entities(members, read_truth(path))
    peer = f"splink {version('splink')}"
    tell("linking", "Parquet to clusters", cost, ("duckdb", "splink"), peer, **figures)


def main() -> None:
    """Measures each size in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of gen_<size>.parquet")
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--max-pairs", type=float, default=1e6)
    arguments = parser.parse_args()
    if find_spec("splink") is None:
        sys.exit("splink is not installed: `make bench` installs it apart from the project")
    logging.getLogger("splink").setLevel(logging.ERROR)
    for size in arguments.sizes.split(","):
        measure(arguments.data / f"gen_{size}.parquet", arguments.max_pairs)


if __name__ == "__main__":
    main()
