"""Rings at size: seconds per step on a made-up bank, and scores beside simpler methods on a demo bank.

python -m tests.benchmarks.bench_rings [people]: 200,000 people and ten times as many transfers by default.
"""

from __future__ import annotations

import sys
from dataclasses import asdict

import numpy as np
import polars as pl
import pyarrow as pa

from terag_pipelines.entities import model
from terag_pipelines.rings.communities import CommunityParams, find_communities
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.features import FeatureParams, measure_nodes
from terag_pipelines.rings.naming import name_rings
from terag_pipelines.rings.projection import ProjectionParams, project_entities
from terag_pipelines.rings.quality import judge_detection
from terag_pipelines.rings.trails import CycleParams, find_cycles
from tests.benchmarks.measuring import cost_of, measured, tell

PACKAGES = ("igraph", "leidenalg", "numpy", "polars", "scikit-learn")
DAY_US = 86_400_000_000


def make_tables(n_people: int, seed: int = 7, n_rings: int | None = None) -> dict[str, pa.Table]:
    """People who pay 30 friends, 300 shops that everybody pays, and rings: cycles of 5, fan-ins of 10."""
    rng = np.random.default_rng(seed)
    n_transfers = 10 * n_people
    person = rng.integers(0, n_people, n_transfers)
    friend = (person + rng.integers(1, 16, n_transfers) * rng.choice([-1, 1], n_transfers)) % n_people
    target = np.where(rng.random(n_transfers) < 0.4, n_people + rng.integers(0, 300, n_transfers), friend)
    at, amount = rng.integers(0, 90 * DAY_US, n_transfers), np.exp(rng.normal(13.5, 1.0, n_transfers))
    planted = [_plant(rng, n_people, ring) for ring in range(n_rings or max(4, n_people // 1000))]
    ring_moves = np.concatenate([moves for _, moves in planted])
    members = np.unique(np.concatenate([who for who, _ in planted]))
    moves = pl.DataFrame(
        {
            "source": np.r_[person, ring_moves[:, 0].astype(np.int64)],
            "target": np.r_[target, ring_moves[:, 1].astype(np.int64)],
            "amount_minor": np.r_[amount, ring_moves[:, 2]].astype(np.int64) + 1,
            "at": np.r_[at, ring_moves[:, 3].astype(np.int64)],
        }
    )
    return {
        "entity_records": _records(rng, n_people),
        "accounts": _accounts(n_people),
        "transfers": _transfers(moves),
        "relationships": _relationships(rng, n_people),
        "labels": _labels(rng, members, n_people),
    }


def _plant(rng: np.random.Generator, n_people: int, ring: int) -> tuple[np.ndarray, np.ndarray]:
    members = rng.choice(n_people, 5 if ring % 2 else 10, replace=False)
    moves = []
    for _ in range(3):
        start, amount = rng.integers(0, 80 * DAY_US), np.exp(rng.normal(15.5, 0.4))
        for place, member in enumerate(members):
            step = start + place * DAY_US // 5
            if ring % 2:
                moves.append((member, members[(place + 1) % 5], amount * 0.99**place, step))
            elif place:
                moves.append(((member + 7919) % n_people, member, amount, step))
                moves.append((member, members[0], amount * 0.95, step + DAY_US // 8))
    return members, np.array(moves, dtype=np.float64)


def fill_table(schema: pa.Schema, frame: pl.DataFrame) -> pa.Table:
    """The frame as a table of this schema; what it lacks is false, an empty list or null."""
    blanks = {pa.bool_(): pl.lit(value=False), pa.list_(pa.string()): pl.lit([], dtype=pl.List(pl.String))}
    filled = frame.with_columns(
        blanks.get(column.type, pl.lit(None)).alias(column.name)
        for column in schema
        if column.name not in frame.columns
    )
    return filled.select(schema.names).to_arrow().cast(schema)


def number_ids(prefix: str, numbers: pl.Expr) -> pl.Expr:
    """Ids of a prefix and a number each."""
    return pl.concat_str(pl.lit(prefix), numbers.cast(pl.String))


def _records(rng: np.random.Generator, n_people: int) -> pa.Table:
    number = pl.int_range(0, n_people + 300, eager=True).alias("i")
    phone = rng.integers(0, n_people, n_people + 300)
    frame = pl.DataFrame({"i": number, "phone": phone}).select(
        record_id=number_ids("p:", pl.col("i")),
        party_type=pl.when(pl.col("i") < n_people).then(pl.lit("person")).otherwise(pl.lit("organisation")),
        phones=pl.concat_list(number_ids("+7", pl.col("phone"))),
    )
    return fill_table(model.ENTITY_RECORDS.schema, frame)


def _accounts(n_people: int) -> pa.Table:
    number = pl.DataFrame({"i": pl.int_range(0, n_people + 300, eager=True)})
    frame = number.select(account_id=number_ids("a", pl.col("i")), record_id=number_ids("p:", pl.col("i")))
    return fill_table(model.ACCOUNTS.schema, frame)


def _transfers(moves: pl.DataFrame) -> pa.Table:
    origin = 1_767_225_600_000_000
    frame = moves.with_row_index("n").select(
        transfer_id=number_ids("t", pl.col("n")),
        source_account=number_ids("a", pl.col("source")),
        target_account=number_ids("a", pl.col("target")),
        amount_minor="amount_minor",
        currency=pl.lit("KZT"),
        occurred_at=(pl.col("at") + origin).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    )
    return fill_table(model.TRANSFERS.schema, frame)


def _relationships(rng: np.random.Generator, n_people: int) -> pa.Table:
    owned = pl.DataFrame({"i": np.arange(n_people), "d": rng.integers(0, int(1.5 * n_people), n_people)})
    frame = owned.select(
        record_id=number_ids("p:", pl.col("i")),
        object_kind=pl.lit("device"),
        object_id=number_ids("d", pl.col("d")),
        relationship_kind=pl.lit("uses"),
    )
    return fill_table(model.RELATIONSHIPS.schema, frame)


def _labels(rng: np.random.Generator, members: np.ndarray, n_people: int) -> pa.Table:
    truth = np.zeros(n_people, dtype=np.int64)
    truth[members] = 1
    known = np.union1d(rng.permutation(members)[: len(members) // 4], rng.integers(0, n_people, len(members)))
    rows = [(np.arange(n_people), "truth"), (known, "training")]
    frames = [
        pl.DataFrame({"i": who, "v": truth[who]}).select(
            label_kind=pl.lit("fraud"),
            subject_id=number_ids("p:", pl.col("i")),
            object_id=pl.lit(""),
            value=pl.col("v").cast(pl.String),
            use=pl.lit(use),
        )
        for who, use in rows
    ]
    return fill_table(model.LABELS.schema, pl.concat(frames))


def main(n_people: int) -> None:
    """Prints the cost of every step, then of the whole, then scores and baselines."""
    tables = make_tables(n_people)
    sizes = {"n_people": n_people, "n_transfers": tables["transfers"].num_rows}
    projection, cost = measured(lambda: project_entities(tables, ProjectionParams()))
    n, edges = len(projection.index), projection.edges
    tell("rings", "projection", cost, PACKAGES, **sizes, n_ties=edges.height)
    community, cost = measured(lambda: find_communities(n, edges, CommunityParams()).membership)
    tell("rings", "Leiden communities", cost, PACKAGES, **sizes, n_ties=edges.height)
    cycles, cost = measured(
        lambda: find_cycles(projection.transfers, community, projection.hubs, CycleParams())
    )
    tell("rings", "temporal cycles", cost, PACKAGES, **sizes)
    cost = cost_of(lambda: measure_nodes(tables, projection, community, cycles, FeatureParams()))
    tell("rings", "features", cost, PACKAGES, **sizes)
    detection, cost = measured(lambda: score_rings(tables))
    named = name_rings(detection.scores, tables)
    quality = judge_detection(detection.scores, named.members, tables)
    tell("rings", "all of score_rings", cost, PACKAGES, **sizes, **asdict(quality.scores))
    for name, beside in quality.baselines.items():
        tell("rings", "the score beside it", None, (), name, **sizes, **asdict(beside))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
