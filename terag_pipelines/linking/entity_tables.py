"""The tables of entities: who belongs to which, under which canonical id, and how an entity is shown."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import polars as pl
import pyarrow as pa
from rapidfuzz import fuzz, process
from rapidfuzz.distance import JaroWinkler

from terag_pipelines.linking.model import ENTITIES, ENTITY_MEMBERS
from terag_pipelines.linking.scored_rows import Rows, ScoredRows
from terag_pipelines.tables import as_frame

LEAST_ALIKE = 0.8  # Jaro-Winkler similarity of two spellings of one family name
LISTS = ("phones", "emails", "identifiers")
COMPLETENESS = (
    "given_name",
    "family_name",
    "patronymic",
    "organisation_key",
    "birth_date",
    "sex",
    "iin",
    "bin",
    "street",
    "postcode",
    *LISTS,
)


def name_entity(record_id: str) -> str:
    """The canonical id of the entity whose earliest member this is."""
    return "ent_" + blake2b(record_id.encode(), digest_size=8).hexdigest()


def first_members(ordered: pa.Table, labels: Rows) -> Rows:
    """For each entity the row of its earliest member: by first_seen, unknown last, then by record_id."""
    rows = np.arange(len(labels))[::-1]
    if ordered["first_seen"].null_count < len(labels):
        seen = ordered["first_seen"].cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
        rows = np.argsort(seen, kind="stable")[::-1]
    first = np.zeros(int(labels.max(initial=-1)) + 1, np.int64)
    first[labels[rows]] = rows  # the earliest comes last, so that it is what stays
    return first


def ids_of_entities(ordered: pa.Table, labels: Rows) -> pa.Array:
    """The canonical id of each entity, by its number: entities without a past are named after a member."""
    first = ordered["record_id"].combine_chunks().take(pa.array(first_members(ordered, labels)))
    return pa.array([name_entity(record_id) for record_id in first.to_pylist()], pa.string())


def tabulate_members(ordered: pa.Table, labels: Rows, ids: pa.Array, links: ScoredRows) -> pa.Table:
    """ENTITY_MEMBERS of sorted records, with the strongest of the links that tie each record in."""
    same = labels[links.left] == labels[links.right]
    strongest = np.full(len(labels), np.nan)
    for side in (links.left[same], links.right[same]):
        np.fmax.at(strongest, side, links.probability[same])
    return ENTITY_MEMBERS.from_columns(
        record_id=ordered["record_id"].combine_chunks(),
        entity_id=ids.take(pa.array(labels)),
        link_probability=pa.array(strongest, from_pandas=True),
    )


def tabulate_entities(ordered: pa.Table, members: pa.Table) -> pa.Table:
    """One row for each entity: the name of the most complete record, the most common birth date."""
    frame = order_members(ordered, members["entity_id"].combine_chunks())
    kinds = pl.col("party_type")
    entities = frame.group_by("entity_id", maintain_order=True).agg(
        party_type=kinds.filter(kinds != "unknown").first(),
        display_name=pl.col("display_name").drop_nulls().first(),
        birth_date=pl.col("birth_date").drop_nulls().mode().min(),
        iin=pl.col("iin").drop_nulls().first(),
        bin=pl.col("bin").drop_nulls().first(),
        n_records=pl.len().cast(pl.Int64),
        is_partial=pl.col("is_partial").fill_null(False).all(),
        is_watchlist=pl.col("is_watchlist").fill_null(False).any(),
    )
    return ENTITIES.conform(entities.with_columns(pl.col("party_type").fill_null("unknown")).to_arrow())


def order_members(records: pa.Table, entity_ids: pa.Array) -> pl.DataFrame:
    """The records by entity, those to take a value from first; `bears_former_name` is told beside them.

    Whole records before partial ones, the latest family name before former ones, then the most complete.
    """
    filled = [pl.col(c).list.len() > 0 if c in LISTS else pl.col(c).is_not_null() for c in COMPLETENESS]
    frame = as_frame(records).with_columns(pl.Series("entity_id", entity_ids))
    frame = _tell_former_names(frame)
    frame = frame.with_columns(n_filled=pl.sum_horizontal(pl.concat_list(filled).list.sum().fill_null(0)))
    most_first = -pl.col("n_filled").cast(pl.Int64)
    return frame.sort("entity_id", "is_partial", "bears_former_name", most_first, "record_id")


def _tell_former_names(frame: pl.DataFrame) -> pl.DataFrame:
    """Whether each record bears a family name unlike that of its entity's latest dated record: it married."""
    dated = frame.filter(pl.col("first_seen").is_not_null() & pl.col("family_key").is_not_null())
    latest = dated.sort("first_seen", "record_id").group_by("entity_id", maintain_order=True)
    names = latest.agg(latest_key=pl.col("family_key").last(), n_names=pl.col("family_key").n_unique())
    names = names.filter(pl.col("n_names") > 1).drop("n_names")
    if not names.height:
        return frame.with_columns(bears_former_name=pl.lit(False))
    frame = frame.join(names, on="entity_id", how="left", maintain_order="left")
    former = are_unlike(frame["family_key"], frame["latest_key"])
    return frame.drop("latest_key").with_columns(bears_former_name=former)


def are_unlike(names: pl.Series, others: pl.Series) -> pl.Series:
    """Whether two aligned series of name keys are different names, not spellings or halves of one."""
    known = (names.is_not_null() & others.is_not_null()).to_numpy()
    pairs = names.fill_null(""), others.fill_null("")
    alike = process.cpdist(*(side.to_list() for side in pairs), scorer=JaroWinkler.similarity)
    whole = process.cpdist(*(side.to_list() for side in pairs), scorer=fuzz.token_set_ratio)
    return pl.Series((alike < LEAST_ALIKE) & (whole < 100) & known)
