"""Labels that contradict each other: of one pair, of one record's entity, of a pair against its entities."""

from __future__ import annotations

import polars as pl

FACT = ("use", "label_kind", "subject_id", "object_id", "value")
"""The columns of a label that say what it says."""


def find_contradictions(labels: pl.DataFrame) -> pl.DataFrame:
    """Which rows of labels (FACT and `row`, a number of its own for each) contradict which others.

    Gives `row` and `other`, the first row that it contradicts; each row at most once. Only labels of one use
    can contradict each other. A pair in the other order is the same pair. Where a pair contradicts what two
    labels say of the entities of its records, the pair is the one that is named.
    """
    known = labels.drop_nulls(("subject_id", "value"))
    pairs = _in_order(known.filter(pl.col("label_kind") == "pair"))
    entities = known.filter(pl.col("label_kind") == "entity")
    found = pl.concat(
        [
            _of_two_values(pairs, "subject_id", "object_id"),
            _of_two_values(entities, "subject_id"),
            _against_entities(pairs, entities),
        ]
    )
    return found.group_by("row").agg(pl.col("other").min()).sort("row")


def _in_order(pairs: pl.DataFrame) -> pl.DataFrame:
    low, high = (choose("subject_id", "object_id") for choose in (pl.min_horizontal, pl.max_horizontal))
    return pairs.with_columns(subject_id=low, object_id=high)


def _of_two_values(labels: pl.DataFrame, *of: str) -> pl.DataFrame:
    """Labels of one thing that say different things of it."""
    first = labels.group_by("use", *of, "value").agg(other=pl.col("row").min())
    joined = labels.join(first, on=["use", *of]).filter(pl.col("value") != pl.col("value_right"))
    return joined.select("row", "other")


def _against_entities(pairs: pl.DataFrame, entities: pl.DataFrame) -> pl.DataFrame:
    held = entities.sort("row").unique(["use", "subject_id"], keep="first", maintain_order=True)
    held = held.select("use", record_id="subject_id", entity="value", other="row")
    joined = pairs.join(held, left_on=["use", "subject_id"], right_on=["use", "record_id"])
    joined = joined.join(held, left_on=["use", "object_id"], right_on=["use", "record_id"], suffix="_2")
    same = pl.col("entity") == pl.col("entity_2")
    return joined.filter(same != (pl.col("value") == "1")).select("row", "other")
