"""What a person hands in about pairs and records: labels to judge and calibrate by, pairs decided on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.distinct import as_series, as_texts, one_array
from terag_pipelines.entities.label_conflicts import find_contradictions
from terag_pipelines.entities.mapped_rows import as_text_column
from terag_pipelines.entities.model import LABELS
from terag_pipelines.errors import LinkingError, MissingColumnError
from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.model import PAIR_DECISIONS

YES = frozenset(("1", "1.0", "true", "t", "yes", "y", "да", "иә"))
NO = frozenset(("0", "0.0", "false", "f", "no", "n", "нет", "жоқ"))
GIVEN_BY = "given"


@dataclass(frozen=True)
class KnownRecords:
    """The records that ids may mean: by record_id, or by their id in the source where it is one record's.

    `left` and `right` are the datasets that the columns of those names mean, where two sources are linked.
    """

    records: pa.Table
    left: str | None = None
    right: str | None = None

    def find(self, table: pa.Table, column: str, where: str) -> pa.Array:
        """The record_id that each id of a column means.

        Raises: LinkingError naming the first row that means no record, or more than one.
        """
        given = as_texts(as_series(as_text_column(one_array(table[column]))).cast(pl.String))
        found = pl.DataFrame({"id": as_series(given)}).join(
            self._names(self._dataset_of(column)), on="id", how="left", maintain_order="left"
        )
        if (bad := found["record_id"].is_null()).any():
            row = int(bad.arg_max() or 0)
            many = found["n"][row] is not None
            why = "is the id of several records: say <dataset>:<id>" if many else "is no record's id"
            raise LinkingError(f"{where}, row {row + 1}, column {column!r}: {why}")
        return as_texts(found["record_id"])

    def _dataset_of(self, column: str) -> str | None:
        return {"left": self.left, "right": self.right}.get(column)

    def _names(self, dataset: str | None) -> pl.DataFrame:
        """Each id with the one record that it means, null where it means several."""
        known = pl.DataFrame({name: as_series(one_array(self.records[name])) for name in _ID_COLUMNS})
        among = known if dataset is None else known.filter(pl.col("dataset") == dataset)
        whole = known.select(id="record_id", record_id="record_id", n=pl.lit(1, pl.UInt32))
        native = among.group_by("native_id").agg(record_id=pl.col("record_id").first(), n=pl.len())
        single = pl.when(pl.col("n") == 1).then("record_id")
        natives = native.select(id="native_id", record_id=single, n="n")
        return pl.concat([whole, natives]).unique("id", keep="first", maintain_order=True)


_ID_COLUMNS = ("record_id", "native_id", "dataset")


def read_labels(table: pa.Table, known: KnownRecords, where: str = "labels") -> pa.Table:
    """LABELS out of columns left, right and is_match, or record_id and entity.

    Raises: MissingColumnError where it has neither; LinkingError where an id is no record's, is_match is
    neither yes nor no, or two rows contradict each other.
    """
    if {"left", "right", "is_match"} <= set(table.column_names):
        ends = (known.find(table, "left", where), known.find(table, "right", where))
        return _labels("pair", *_in_order(*ends), _flags(table, where), where)
    if {"record_id", "entity"} <= set(table.column_names):
        values = as_texts(as_series(as_text_column(one_array(table["entity"]))).cast(pl.String))
        subjects = known.find(table, "record_id", where)
        return _labels("entity", subjects, pa.array([""] * len(subjects), pa.string()), values, where)
    raise MissingColumnError(f"{where}: needs the columns left, right and is_match, or record_id and entity")


def read_decisions(
    known: KnownRecords,
    must: pa.Table | None,
    cannot: pa.Table | None,
    names: tuple[str, str] = ("must", "cannot"),
) -> pa.Table:
    """PAIR_DECISIONS out of tables of columns left and right.

    Raises: MissingColumnError, LinkingError where an id is no record's, or one pair must and must not.
    """
    parts = [
        _decided(known, table, is_match, where)
        for table, is_match, where in ((must, True, names[0]), (cannot, False, names[1]))
        if table is not None
    ]
    frame = pl.concat([pl.DataFrame(schema=_PAIR), *parts]).unique()
    if clashing := int(frame.select("left_id", "right_id").is_duplicated().sum()) // 2:
        raise LinkingError(f"{names[0]} and {names[1]}: {clashing} pairs must be linked and must not")
    return PAIR_DECISIONS.from_columns(
        **{name: frame[name].to_arrow() for name in _PAIR}, decided_by=[GIVEN_BY] * len(frame)
    )


_PAIR = {"left_id": pl.String, "right_id": pl.String, "is_match": pl.Boolean}


def _decided(known: KnownRecords, table: pa.Table, is_match: bool, where: str) -> pl.DataFrame:
    if missing := [name for name in ("left", "right") if name not in table.column_names]:
        raise MissingColumnError(f"{where}: there is no column {missing[0]!r}; it needs left and right")
    left, right = _in_order(known.find(table, "left", where), known.find(table, "right", where))
    if (same := np.flatnonzero(np.asarray(pc.equal(left, right)))).size:
        raise LinkingError(f"{where}, row {same[0] + 1}: left and right are the same record")
    columns = {"left_id": as_series(left), "right_id": as_series(right)}
    return pl.DataFrame(columns).with_columns(is_match=pl.lit(is_match))


def _in_order(left: pa.Array, right: pa.Array) -> tuple[pa.Array, pa.Array]:
    is_ordered = pc.less_equal(left, right)
    return one_array(pc.if_else(is_ordered, left, right)), one_array(pc.if_else(is_ordered, right, left))


def _flags(table: pa.Table, where: str) -> pa.Array:
    texts = as_text_column(one_array(table["is_match"]))
    words = [(text or "").strip().casefold() for text in texts.to_pylist()]
    if bad := next((row for row, word in enumerate(words, start=1) if word not in YES | NO), None):
        raise LinkingError(f"{where}, row {bad}, column 'is_match': is neither yes nor no")
    return pa.array(["1" if word in YES else "0" for word in words], pa.string())


def _labels(kind: str, subjects: pa.Array, objects: pa.Array, values: pa.Array, where: str) -> pa.Table:
    frame = pl.DataFrame(
        {"subject_id": as_series(subjects), "object_id": as_series(objects), "value": as_series(values)}
    )
    _refuse_contradictions(kind, frame, where)
    frame = frame.drop_nulls()
    return LABELS.from_columns(
        label_kind=[kind] * len(frame := frame.unique(maintain_order=True)),
        use=["training"] * len(frame),
        **{name: frame[name].to_arrow() for name in frame.columns},
    )


def _refuse_contradictions(kind: str, labels: pl.DataFrame, where: str) -> None:
    stated = labels.with_columns(label_kind=pl.lit(kind), use=pl.lit("training")).with_row_index("row", 1)
    found = find_contradictions(stated)
    if found.is_empty():
        return
    row, other = found.row(0)
    told = {"pair": "whether two records match", "entity": "which entity a record is of"}[kind]
    more = f"; {len(found)} rows contradict others" if len(found) > 2 else ""
    raise LinkingError(f"{where}, rows {row} and {other}: contradict each other on {told}{more}")


def tell_broken_chains(labels: pa.Table, where: str = "labels") -> str:
    """How many pairs LABELS say not to match whose records other labels tie together; "" where none.

    Each label by itself may be right, so that none is left out: together they cannot be.
    """
    pairs = pl.DataFrame(labels.filter(pc.equal(labels["label_kind"], "pair")))
    ends = pl.concat([pairs["subject_id"], pairs["object_id"]]).rank("dense").to_numpy().astype(np.int64) - 1
    left, right = ends.reshape(2, -1)
    same, n = (pairs["value"] == "1").to_numpy(), int(ends.max(initial=-1)) + 1
    groups = label_components(left[same], right[same], n)
    broken = np.flatnonzero(~same & (groups[left] == groups[right]))
    if not len(broken):
        return ""
    first = pairs.row(int(broken[0]), named=True)
    told = f"{len(broken):,} pairs are said not to match whose records other labels tie together"
    return f"{where}: {told}, first {first['subject_id']} and {first['object_id']}"


@dataclass(frozen=True)
class JudgedPairs:
    """How the entities answer the labels: over labelled pairs, or over all pairs of labelled records."""

    kind: str
    n_labels: int
    n_matches: int
    precision: float
    recall: float
    f1: float


def judge_pairs(members: pa.Table, labels: pa.Table) -> JudgedPairs:
    """ENTITY_MEMBERS against LABELS of kind "pair": whether the two records are in one entity."""
    pairs = labels.filter(pc.equal(labels["label_kind"], "pair"))
    ids, entities = one_array(members["record_id"]), one_array(members["entity_id"])
    ends = [
        entities.take(pc.index_in(one_array(pairs[side]), value_set=ids))
        for side in ("subject_id", "object_id")
    ]
    found = np.asarray(pc.equal(*ends), np.bool_)
    truth = np.asarray(pc.equal(one_array(pairs["value"]), "1"), np.bool_)
    return JudgedPairs("pair", len(truth), int(truth.sum()), *_rates(found, truth))


def _rates(found: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    n_right, n_found, n_true = int((found & truth).sum()), int(found.sum()), int(truth.sum())
    f1 = 2 * n_right / (n_found + n_true) if n_found + n_true else 1.0
    return n_right / n_found if n_found else 1.0, n_right / n_true if n_true else 1.0, f1
