"""Linking at 10k, 100k and 1M records: one JSON line for each size, in a process of its own.

    python -m tests.benchmarks.bench_linking --data DIR [--sizes 10000,100000,1000000]

DIR holds gen_<size>.parquet with the columns given_name, surname, postcode, suburb, state, street_number,
address_1, date_of_birth, phone, email, cluster. Unsupervised, with the parameters that any caller gets;
`cluster` is only scored against. Prints wall and CPU seconds for each stage, peak memory, what was found, and
the growth exponent from size to size.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from terag_pipelines.entities.model import ENTITY_RECORDS, LABELS
from terag_pipelines.linking.blocking import find_candidate_pairs
from terag_pipelines.linking.clusters import resolve_entities
from terag_pipelines.linking.links import decide_links
from terag_pipelines.linking.quality import PairwiseQuality, pair_quality, pairwise_quality
from terag_pipelines.linking.scoring import score_pairs
from tests.benchmarks.measuring import measured, tell, total


def read_records(path: Path) -> tuple[pa.Table, pa.Table]:
    """ENTITY_RECORDS and LABELS out of a generated file, as ingestion would give them."""
    raw = pl.read_parquet(path)
    born, names = pl.col("date_of_birth"), ["given_name", "surname"]
    whole = pl.concat_str(names, separator=" ", ignore_nulls=True)
    parts = ["street_number", "address_1", "suburb", "postcode", "state"]
    frame = raw.select(
        record_id="gen:" + pl.col("unique_id").cast(pl.String).str.zfill(8),
        dataset=pl.lit("gen"),
        native_id=pl.col("unique_id").cast(pl.String),
        party_type=pl.lit("person"),
        is_partial=pl.lit(False),
        is_watchlist=pl.lit(False),
        display_name=whole,
        given_name="given_name",
        family_name="surname",
        given_key="given_name",
        family_key="surname",
        name_key=whole.str.split(" ").list.sort().list.join(" ").replace("", None),
        alias_keys=pl.lit([], pl.List(pl.String)),
        birth_date=pl.coalesce(born.str.to_date(f, strict=False) for f in ("%Y-%m-%d", "%Y-%d-%m")),
        identifiers=pl.lit([], pl.List(pl.String)),
        phones=pl.concat_list("phone").list.drop_nulls(),
        emails=pl.concat_list("email").list.drop_nulls(),
        street="address_1",
        house="street_number",
        locality="suburb",
        region="state",
        postcode="postcode",
        address_key=pl.concat_str(parts, separator=" ", ignore_nulls=True).replace("", None),
        quality_flags=pl.lit([], pl.List(pl.String)),
        file=pl.lit(path.name),
        row=pl.int_range(1, pl.len() + 1),
    )
    labels = LABELS.from_columns(
        label_kind=["entity"] * len(raw),
        subject_id=frame["record_id"].to_arrow(),
        object_id=[""] * len(raw),
        value=raw["cluster"].cast(pl.String).to_arrow(),
        use=["truth"] * len(raw),
    )
    columns = {name: frame[name].to_arrow() for name in ENTITY_RECORDS.schema.names if name in frame.columns}
    return ENTITY_RECORDS.from_columns(**columns), labels


def measure(path: Path) -> None:
    """Runs the whole room over one file, and tells what it cost and found."""
    records, labels = read_records(path)
    pairs, blocking = measured(lambda: find_candidate_pairs(records))
    scores, scoring = measured(lambda: score_pairs(records, pairs.table))
    links, deciding = measured(lambda: decide_links(scores.scores))
    resolved, clustering = measured(lambda: resolve_entities(records, links, scores.scores))
    stages = {"blocking": blocking, "scoring": scoring, "links": deciding, "clusters": clustering}
    tell(
        "linking",
        "records to entities",
        total(stages.values()),
        ("numpy", "polars", "pyarrow", "rapidfuzz", "scipy"),
        n_records=records.num_rows,
        stage_wall_s={stage: cost.wall_s for stage, cost in stages.items()},
        stage_cpu_s={stage: cost.cpu_s for stage, cost in stages.items()},
        n_candidate_pairs=pairs.table.num_rows,
        pairs_per_record=pairs.report.pairs_per_record,
        blocking_recall=pair_quality(pairs.table, labels).recall,
        pairs=told(pair_quality(links, labels)),
        clusters=told(pairwise_quality(resolved.members, labels)),
    )


def told(quality: PairwiseQuality) -> dict[str, float]:
    """Precision, recall and F1 of pairs."""
    return {name: getattr(quality, name) for name in ("precision", "recall", "f1")}


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
    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    print(line, flush=True)
    result: dict[str, Any] = json.loads(line)
    return result


if __name__ == "__main__":
    main()
