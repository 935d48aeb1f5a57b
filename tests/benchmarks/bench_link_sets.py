"""Linking of public sets as a newcomer would: files, no manifest where names tell, no labels, all defaults.

    python -m tests.benchmarks.bench_link_sets --data DIR [--only NAME]

Each set is linked in a process of its own from its files. Truth is only scored against: precision, recall and
F1 over pairs of links and over pairs within entities, B-cubed of the entities, and false merges (entities
that hold records of more than one truth) for each 100,000 true entities.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from resources.loose_files import read_loose_file
from resources.source_files import SourceFolder
from terag_pipelines.entities.model import ENTITY_RECORDS, QUARANTINED_ROWS
from terag_pipelines.entities.raw_files import RawFile
from terag_pipelines.linking.auto_linker import AutoLinked, AutoLinker, AutoLinkParams, SourceRecords
from terag_pipelines.linking.links import LinkParams
from terag_pipelines.linking.pipeline import LinkingParams
from terag_pipelines.linking.quality import pair_quality
from tests.benchmarks.linking_quality import labels_of, score_entities, told
from tests.benchmarks.measuring import measured, tell

PACKAGES = ("numpy", "polars", "pyarrow", "rapidfuzz", "scipy")
SENZING = Path(__file__).parents[1] / "sources" / "senzing_truthset"


@dataclass(frozen=True)
class PublicSet:
    """Files of a set, and its truth as record_id and entity.

    `is_across` links two files to each other, or one by `split`, a text in the ids of one of its halves;
    `one_to_one` says of both that they hold each thing once.
    """

    files: tuple[str, ...]
    truth: Callable[[Path], pl.DataFrame]
    is_across: bool = False
    has_manifest: bool = False
    one_to_one: bool = False
    split: str = ""


def febrl_truth(data: Path, number: int) -> pl.DataFrame:
    """The original's number stands in the record's id."""
    ids = pl.read_csv(data / f"febrl/dataset{number}.csv")["rec_id"].str.strip_chars()
    return pl.DataFrame({"record_id": f"dataset{number}:" + ids, "entity": ids.str.extract(r"^rec-(\d+)")})


def halves_truth(data: Path) -> pl.DataFrame:
    """The same of dataset 1, whose originals and duplicates are two sources, as in febrl's dataset 4."""
    half = pl.when(pl.col("record_id").str.ends_with("-org")).then(pl.lit("yes:")).otherwise(pl.lit("no:"))
    found = febrl_truth(data, 1)
    return found.with_columns(record_id=half + pl.col("record_id").str.split(":").list.last())


def fake_truth(data: Path) -> pl.DataFrame:
    """Splink's column `cluster`."""
    frame = pl.read_csv(data / "splink/fake_1000.csv", infer_schema=False)
    return frame.select(record_id="fake_1000:" + pl.col("unique_id"), entity="cluster")


def restaurant_truth(data: Path) -> pl.DataFrame:
    """Matches between the two guides; all others are alone."""
    matches = pl.read_csv(data / "restaurants/matches_fodors_zagats.csv", infer_schema=False)
    of_match = dict(matches.select("zagats_id", "fodors_id").iter_rows())
    fodors = [(f"fodors:{i}", i) for i in _column(data / "restaurants/fodors.csv", "id")]
    zagats = [
        (f"zagats:{i}", of_match.get(i, f"z{i}")) for i in _column(data / "restaurants/zagats.csv", "id")
    ]
    return pl.DataFrame(fodors + zagats, ["record_id", "entity"], orient="row")


def abt_buy_truth(data: Path) -> pl.DataFrame:
    """Records of one unique_id are one product. Rows of Abt have no id of their own: some repeat."""
    abt = _column(data / "abt_buy_tables/AbtBuy_Abt.csv", "unique_id")
    buy = _column(data / "abt_buy_tables/AbtBuy_Buy.csv", "unique_id")
    rows = [(f"AbtBuy_Abt:{row}", entity) for row, entity in enumerate(abt, start=1)]
    return pl.DataFrame(
        [*rows, *((f"AbtBuy_Buy:{e}", e) for e in buy)], ["record_id", "entity"], orient="row"
    )


def senzing_truth(data: Path) -> pl.DataFrame:
    """Senzing's key, as it is shipped."""
    key = pl.read_csv(data / "senzing_truthset/actual_truthset_key.csv", infer_schema=False)
    dataset = pl.col("DATA_SOURCE").str.to_lowercase()
    return key.select(record_id=dataset + ":" + pl.col("RECORD_ID"), entity="CLUSTER_ID")


def senzing_manifest_truth(data: Path) -> pl.DataFrame:
    """The same under the names of the manifest."""
    key = pl.read_csv(data / "senzing_truthset/actual_truthset_key.csv", infer_schema=False)
    return key.select(record_id=pl.col("DATA_SOURCE") + ":" + pl.col("RECORD_ID"), entity="CLUSTER_ID")


def _column(path: Path, name: str) -> list[str]:
    return [str(value) for value in pl.read_csv(path, infer_schema=False, encoding="utf8-lossy")[name]]


SETS = {
    "febrl dataset 1": PublicSet(("febrl/dataset1.csv",), lambda data: febrl_truth(data, 1)),
    "febrl dataset 2": PublicSet(("febrl/dataset2.csv",), lambda data: febrl_truth(data, 2)),
    "febrl dataset 3": PublicSet(("febrl/dataset3.csv",), lambda data: febrl_truth(data, 3)),
    "fake_1000": PublicSet(("splink/fake_1000.csv",), fake_truth),
    "restaurants": PublicSet(("restaurants/fodors.csv", "restaurants/zagats.csv"), restaurant_truth, True),
    "Abt-Buy": PublicSet(
        ("abt_buy_tables/AbtBuy_Abt.csv", "abt_buy_tables/AbtBuy_Buy.csv"), abt_buy_truth, True
    ),
    "Abt-Buy, one to one": PublicSet(
        ("abt_buy_tables/AbtBuy_Abt.csv", "abt_buy_tables/AbtBuy_Buy.csv"),
        abt_buy_truth,
        is_across=True,
        one_to_one=True,
    ),
    "restaurants, one to one": PublicSet(
        ("restaurants/fodors.csv", "restaurants/zagats.csv"),
        restaurant_truth,
        is_across=True,
        one_to_one=True,
    ),
    "febrl dataset 1, originals to duplicates, one to one": PublicSet(
        ("febrl/dataset1.csv",), halves_truth, is_across=True, one_to_one=True, split="-org"
    ),
    "senzing": PublicSet(
        tuple(f"senzing_truthset/{name}.jsonl" for name in ("customers", "reference", "watchlist")),
        senzing_truth,
    ),
    "senzing, by its manifest": PublicSet((), senzing_manifest_truth, has_manifest=True),
}


def link_set(public: PublicSet, data: Path) -> AutoLinked:
    """From files to entities, as `terag link` does it."""
    linker = linker_of(public)
    if public.has_manifest:
        return linker.link_records(read_senzing(data))
    raws = read_raws(public, data)
    return linker.link_records(linker.read_sources(raws), across=sides_of(public, raws))


def linker_of(public: PublicSet) -> AutoLinker:
    """With all defaults but what the set says of its files."""
    links = LinkParams(one_to_one=public.one_to_one)
    return AutoLinker(AutoLinkParams(linking=LinkingParams(links=links)))


def read_raws(public: PublicSet, data: Path) -> dict[str, RawFile]:
    """The files of a set by name; of one that is split the two halves."""
    raws = {name.split("/")[-1].split(".")[0]: read_loose_file(data / name) for name in public.files}
    if not public.split:
        return raws
    [raw] = raws.values()
    ids = pc.utf8_trim_whitespace(raw.table["rec_id"].cast(pa.string()))
    is_first = pc.match_substring(ids, public.split).to_numpy(zero_copy_only=False)
    return {"yes": raw.keep(is_first), "no": raw.keep(~is_first)}


def sides_of(public: PublicSet, raws: dict[str, RawFile]) -> tuple[str, str] | None:
    """The two files that are linked to each other."""
    first, *others = raws
    return (first, others[0]) if public.is_across else None


def read_senzing(data: Path) -> SourceRecords:
    """The parties of Senzing's truth set, read by the manifest that the project's tests have."""
    tables = SourceFolder(SENZING, data).ingest()
    records = tables.tables[ENTITY_RECORDS.name]
    return SourceRecords(records, tables.tables[QUARANTINED_ROWS.name], tables.file_counts)


def measure(name: str, data: Path) -> None:
    """Links one set and tells what was found."""
    public = SETS[name]
    linked, cost = measured(lambda: link_set(public, data))
    members = pl.DataFrame(linked.members).select("record_id", found="entity_id")
    figures = scored(members, linked.links, public.truth(data), public.is_across)
    readings = linked.source.readings
    unread = [
        f"{one.spec.name}.{column.column}"
        for one in (readings.sources if readings else ())
        for column in one.columns
        if column.field is None
    ]
    tell("link sets", name, cost, PACKAGES, n_records=len(members), **figures, not_used=", ".join(unread))


def scored(members: pl.DataFrame, links: pa.Table, truth: pl.DataFrame, is_across: bool) -> dict[str, object]:
    """Figures of record_id and found entity against record_id and true entity.

    Between two files only pairs across them count, in the links and in the entities.
    """
    joined = members.join(truth, on="record_id", how="inner")
    pairs = _across(joined, links) if is_across else told(pair_quality(links, labels_of(truth)))
    return {"n_scored": len(joined), "pairs": pairs, **score_entities(members, truth)}


def _across(joined: pl.DataFrame, links: pa.Table) -> dict[str, float]:
    """Links between two files against the true pairs between them."""
    left = joined.with_columns(dataset=pl.col("record_id").str.extract("^([^:]+):"))
    true_pairs = left.join(left, on="entity").filter(pl.col("dataset") < pl.col("dataset_right"))
    found = pl.DataFrame(links.select(["left_id", "right_id"]))
    right = found.join(
        true_pairs.select(left_id="record_id", right_id="record_id_right"), on=["left_id", "right_id"]
    )
    precision, recall = len(right) / max(len(found), 1), len(right) / max(len(true_pairs), 1)
    f1 = 2 * len(right) / max(len(found) + len(true_pairs), 1)
    return {"precision": precision, "recall": recall, "f1": f1}


def main() -> None:
    """Measures each set in a fresh process, so that cost and memory are its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--only", choices=SETS)
    arguments = parser.parse_args()
    if arguments.only:
        measure(arguments.only, arguments.data)
        return
    for name in SETS:
        command = [sys.executable, "-m", "tests.benchmarks.bench_link_sets", "--data", str(arguments.data)]
        done = subprocess.run([*command, "--only", name], check=False, capture_output=True, text=True)
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        print(
            done.stdout.strip() or json.dumps({"subject": "link sets", "what": name, "note": reason}),
            flush=True,
        )


if __name__ == "__main__":
    main()
