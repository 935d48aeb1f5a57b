"""Splink beside our linking of public sets, scored the same way: pairs and clusters at .95, as its demos do.

    python -m tests.benchmarks.peer_splink_sets --data DIR

FEBRL has the settings of Splink's FEBRL3 demo, fake_1000 settings in the manner of its tutorial, not checked
against it. Restaurants and Abt-Buy have no demo: plain comparisons of its library and the blocking rules that
one would write for them; low figures there are not the best that Splink can do. Splink has no JSON reader,
several values for a field or organisations beside people, so senzing is left out.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa

from tests.benchmarks.bench_link_sets import SETS, PublicSet, scored
from tests.benchmarks.measuring import measured, tell

TF = {"term_frequency_adjustments": True}


@dataclass(frozen=True)
class SplinkSettings:
    """What Splink is told about a set; rules are tuples of columns or SQL."""

    comparisons: Sequence[Any]
    blocks: Sequence[tuple[str, ...] | str]
    sure: Sequence[tuple[str, ...] | str]
    recall: float
    em: Sequence[tuple[str, ...]]


def febrl_settings() -> SplinkSettings:
    """Those of the FEBRL3 demo."""
    import splink.comparison_library as cl

    swapped = "l.given_name = r.surname and l.surname = r.given_name and l.date_of_birth = r.date_of_birth"
    return SplinkSettings(
        [
            cl.NameComparison("given_name"),
            cl.NameComparison("surname"),
            cl.DateOfBirthComparison(
                "date_of_birth", input_is_string=True, datetime_format="%Y%m%d", invalid_dates_as_null=True
            ),
            cl.DamerauLevenshteinAtThresholds("soc_sec_id", [2]),
            cl.ExactMatch("street_number").configure(**TF),
            cl.ExactMatch("postcode").configure(**TF),
        ],
        [("soc_sec_id",), ("given_name",), ("surname",), ("date_of_birth",), ("postcode",)],
        [("soc_sec_id",), ("given_name", "surname", "date_of_birth"), swapped],
        0.9,
        [("date_of_birth",), ("postcode",)],
    )


def fake_settings() -> SplinkSettings:
    """In the manner of the tutorial."""
    import splink.comparison_library as cl

    return SplinkSettings(
        [
            cl.NameComparison("first_name"),
            cl.NameComparison("surname"),
            cl.DateOfBirthComparison("dob", input_is_string=True),
            cl.ExactMatch("city").configure(**TF),
            cl.EmailComparison("email"),
        ],
        [("first_name", "city"), ("surname",), ("dob",), ("email",)],
        [("first_name", "surname", "dob"), ("email",)],
        0.7,
        [("first_name", "surname"), ("dob",)],
    )


def restaurant_settings() -> SplinkSettings:
    """Names and addresses by Jaro-Winkler, phones exact."""
    import splink.comparison_library as cl

    return SplinkSettings(
        [
            cl.JaroWinklerAtThresholds("name", [0.9, 0.8]).configure(**TF),
            cl.JaroWinklerAtThresholds("addr", [0.9, 0.7]),
            cl.ExactMatch("city").configure(**TF),
            cl.ExactMatch("phone_digits"),
        ],
        [("phone_digits",), ("substr(name,1,4)",), ("substr(addr,1,5)",)],
        [("phone_digits",), ("name", "city")],
        0.8,
        [("phone_digits",), ("substr(name,1,4)",)],
    )


def product_settings() -> SplinkSettings:
    """Titles and descriptions by Jaccard, blocked on the first word and on words that hold digits."""
    import splink.comparison_library as cl

    return SplinkSettings(
        [
            cl.JaccardAtThresholds("title", [0.9, 0.7]),
            cl.JaccardAtThresholds("description", [0.9, 0.7]),
            cl.ExactMatch("model").configure(**TF),
        ],
        [("model",), ("split_part(title, ' ', 1)",)],
        [("model",)],
        0.6,
        [("model",), ("split_part(title, ' ', 1)",)],
    )


SETTINGS = {
    "febrl dataset 1": febrl_settings,
    "febrl dataset 2": febrl_settings,
    "febrl dataset 3": febrl_settings,
    "fake_1000": fake_settings,
    "restaurants": restaurant_settings,
    "Abt-Buy": product_settings,
}


def read_frames(name: str, public: PublicSet, data: Path) -> list[pd.DataFrame]:
    """Each file with the record_id that the truth knows, and what the settings need."""
    frames = []
    for file in public.files:
        frame = pl.read_csv(data / file, infer_schema=False, encoding="utf8-lossy")
        frame = frame.rename(lambda column: column.strip()).with_columns(pl.all().str.strip_chars())
        frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
        stem = Path(file).name.split(".")[0]
        frames.append(_with_ids(name, stem, frame).drop("cluster", "id", strict=False).to_pandas())
    return frames


def _with_ids(name: str, stem: str, frame: pl.DataFrame) -> pl.DataFrame:
    if name == "restaurants":
        frame = frame.with_columns(phone_digits=pl.col("phone").str.replace_all(r"\D", ""))
    if name == "Abt-Buy":
        frame = frame.with_columns(
            model=pl.col("title").str.to_uppercase().str.extract(r"\b([A-Z]*\d[A-Z\d]{3,})\b")
        )
    numbers = pl.int_range(1, pl.len() + 1).cast(pl.String)
    own = next(column for column in ("rec_id", "unique_id", "id") if column in frame.columns)
    ids = numbers if stem == "AbtBuy_Abt" else pl.col(own)
    return frame.with_columns(unique_id=pl.lit(f"{stem}:") + ids)


def link_with_splink(frames: list[pd.DataFrame], told: SplinkSettings) -> tuple[pl.DataFrame, pa.Table]:
    """Members (record_id, found) and pairs (left_id, right_id) at a probability of .95."""
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    def rules(given: Sequence[tuple[str, ...] | str]) -> list[Any]:
        return [rule if isinstance(rule, str) else block_on(*rule) for rule in given]

    settings = SettingsCreator(
        link_type="link_only" if len(frames) == 2 else "dedupe_only",
        comparisons=list(told.comparisons),
        blocking_rules_to_generate_predictions=rules(told.blocks),
        retain_matching_columns=False,
    )
    api = DuckDBAPI()
    tables = [api.register(frame) for frame in frames]
    linker = Linker(tables if len(tables) == 2 else tables[0], settings)
    linker.training.estimate_probability_two_random_records_match(rules(told.sure), recall=told.recall)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for rule in rules(told.em):
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    scored_pairs = linker.inference.predict()
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(scored_pairs, 0.95)
    pairs = pl.from_pandas(scored_pairs.as_pandas_dataframe()).filter(pl.col("match_probability") >= 0.95)
    ends = pairs.select(
        left_id=pl.min_horizontal("unique_id_l", "unique_id_r"),
        right_id=pl.max_horizontal("unique_id_l", "unique_id_r"),
    )
    found = pl.from_pandas(clusters.as_pandas_dataframe()[["unique_id", "cluster_id"]])
    return found.select(record_id="unique_id", found="cluster_id"), ends.to_arrow()


def measure(name: str, data: Path) -> None:
    """Links one set and tells what was found."""
    public = SETS[name]
    frames = read_frames(name, public, data)
    (members, pairs), cost = measured(lambda: link_with_splink(frames, SETTINGS[name]()))
    text = pa.table({side: pairs[side].cast(pa.string()) for side in pairs.column_names})
    figures = scored(members, text, public.truth(data), public.is_across)
    peer = f"splink {version('splink')}"
    tell("link sets", name, cost, ("duckdb", "splink"), peer, n_records=len(members), **figures)


def main() -> None:
    """Measures each set in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--only", choices=SETTINGS)
    arguments = parser.parse_args()
    if find_spec("splink") is None:
        sys.exit("splink is not installed: `make bench` installs it apart from the project")
    logging.getLogger("splink").setLevel(logging.ERROR)
    for name in [arguments.only] if arguments.only else SETTINGS:
        measure(name, arguments.data)


if __name__ == "__main__":
    main()
