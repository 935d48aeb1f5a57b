"""What a person hands in about pairs and records: labels to judge and calibrate by, pairs decided on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.distinct import as_series, as_texts, one_array
from terag_pipelines.entities.label_conflicts import FACT, find_contradictions
from terag_pipelines.entities.mapped_rows import as_text_column
from terag_pipelines.entities.model import LABELS, QUARANTINED_ROWS
from terag_pipelines.entities.raw_files import RawFile
from terag_pipelines.errors import LinkingError, MissingColumnError
from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.decisions import label_decisions
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


@dataclass(frozen=True)
class ReadLabels:
    """LABELS, the rows of the file that they are of (FACT and `row`), and QUARANTINED_ROWS of those that say
    nothing."""

    table: pa.Table
    stated: pl.DataFrame
    quarantine: pa.Table


@dataclass(frozen=True)
class ReadDecisions:
    """PAIR_DECISIONS, and the rows of the files that they are of: the pair, `is_match`, `file` and `row`."""

    table: pa.Table
    stated: pl.DataFrame


def read_labels(table: pa.Table, known: KnownRecords, where: str = "labels") -> ReadLabels:
    """LABELS out of columns left, right and is_match, or record_id and entity. A record paired with itself
    goes into quarantine.

    Raises: MissingColumnError where it has neither; LinkingError where an id is no record's, is_match is
    neither yes nor no, or two rows contradict each other.
    """
    if {"left", "right", "is_match"} <= set(table.column_names):
        ends = (known.find(table, "left", where), known.find(table, "right", where))
        return _labels("pair", *_in_order(*ends), _flags(table, where), (table, where))
    if {"record_id", "entity"} <= set(table.column_names):
        values = as_texts(as_series(as_text_column(one_array(table["entity"]))).cast(pl.String))
        subjects = known.find(table, "record_id", where)
        blank = pa.array([""] * len(subjects), pa.string())
        return _labels("entity", subjects, blank, values, (table, where))
    raise MissingColumnError(f"{where}: needs the columns left, right and is_match, or record_id and entity")


def read_decisions(
    known: KnownRecords,
    must: pa.Table | None,
    cannot: pa.Table | None,
    names: tuple[str, str] = ("must", "cannot"),
) -> ReadDecisions:
    """PAIR_DECISIONS out of tables of columns left and right.

    Raises: MissingColumnError, LinkingError where an id is no record's, or one pair must and must not.
    """
    parts = [
        _decided(known, table, is_match, where)
        for table, is_match, where in ((must, True, names[0]), (cannot, False, names[1]))
        if table is not None
    ]
    stated = pl.concat([pl.DataFrame(schema=_PAIR | {"file": pl.String, "row": pl.UInt32}), *parts])
    frame = stated.select(list(_PAIR)).unique(maintain_order=True)
    if clashing := int(frame.select("left_id", "right_id").is_duplicated().sum()) // 2:
        raise LinkingError(f"{names[0]} and {names[1]}: {clashing} pairs must be linked and must not")
    columns = {name: frame[name].to_arrow() for name in _PAIR}
    return ReadDecisions(PAIR_DECISIONS.from_columns(**columns, decided_by=[GIVEN_BY] * len(frame)), stated)


def refuse_disagreement(labels: ReadLabels, decisions: ReadDecisions, where: str = "labels") -> None:
    """Raises: LinkingError that names file and rows where a label says of a pair what a decision forbids."""
    n = len(labels.stated)
    decided = label_decisions(decisions.stated).select(FACT)
    both = pl.concat([labels.stated.select(FACT), decided]).with_row_index("row")
    found = find_contradictions(both).filter(pl.col("row") >= n)
    if found.is_empty():
        return
    one = decisions.stated.row(int(found["row"][0]) - n, named=True)
    ends = pl.lit(pl.Series([one["left_id"], one["right_id"]])).implode()
    of_pair = pl.col("subject_id").is_in(ends) & (
        pl.col("object_id").is_in(ends) | (pl.col("object_id") == "")
    )
    rows = labels.stated.filter(of_pair).unique("subject_id", keep="first", maintain_order=True)["row"]
    told = f"row {rows[0]}" if len(rows) == 1 else f"rows {rows[0]} and {rows[1]}"
    more = f"; {len(found)} pairs in all" if len(found) > 1 else ""
    raise LinkingError(
        f"{where}, {told} and {one['file']}, row {one['row']}: contradict each other on whether two records "
        f"match{more}"
    )


_PAIR = {"left_id": pl.String, "right_id": pl.String, "is_match": pl.Boolean}


def _decided(known: KnownRecords, table: pa.Table, is_match: bool, where: str) -> pl.DataFrame:
    if missing := [name for name in ("left", "right") if name not in table.column_names]:
        raise MissingColumnError(f"{where}: there is no column {missing[0]!r}; it needs left and right")
    left, right = _in_order(known.find(table, "left", where), known.find(table, "right", where))
    if (same := np.flatnonzero(np.asarray(pc.equal(left, right)))).size:
        raise LinkingError(f"{where}, row {same[0] + 1}: left and right are the same record")
    columns = {"left_id": as_series(left), "right_id": as_series(right)}
    told = pl.DataFrame(columns).with_columns(is_match=pl.lit(is_match), file=pl.lit(where))
    return told.with_row_index("row", 1).select(*_PAIR, "file", "row")


def _in_order(left: pa.Array, right: pa.Array) -> tuple[pa.Array, pa.Array]:
    is_ordered = pc.less_equal(left, right)
    return one_array(pc.if_else(is_ordered, left, right)), one_array(pc.if_else(is_ordered, right, left))


def _flags(table: pa.Table, where: str) -> pa.Array:
    texts = as_text_column(one_array(table["is_match"]))
    words = [(text or "").strip().casefold() for text in texts.to_pylist()]
    if bad := next((row for row, word in enumerate(words, start=1) if word not in YES | NO), None):
        raise LinkingError(f"{where}, row {bad}, column 'is_match': is neither yes nor no")
    return pa.array(["1" if word in YES else "0" for word in words], pa.string())


def _labels(
    kind: str, subjects: pa.Array, objects: pa.Array, values: pa.Array, of: tuple[pa.Table, str]
) -> ReadLabels:
    """Of the labels of a file's rows, in order, those that say something; `of` is the file and its name."""
    named = {"subject_id": subjects, "object_id": objects, "value": values}
    frame = pl.DataFrame({name: as_series(array) for name, array in named.items()})
    itself = (frame["subject_id"] == frame["object_id"]).fill_null(False)
    told = frame.with_columns(label_kind=pl.lit(kind), use=pl.lit("training")).with_row_index("row", 1)
    stated = told.filter(~itself).drop_nulls()
    _refuse_contradictions(kind, stated, of[1])
    distinct = stated.select(FACT).unique(maintain_order=True)
    table = LABELS.from_columns(**{name: distinct[name].to_arrow() for name in FACT})
    return ReadLabels(table, stated, _quarantine_itself(*of, np.flatnonzero(itself.to_numpy())))


def _quarantine_itself(table: pa.Table, where: str, places: npt.NDArray[np.int64]) -> pa.Table:
    raw = RawFile(table, np.arange(1, table.num_rows + 1), tuple(table.column_names))
    n = len(places)
    return QUARANTINED_ROWS.from_columns(
        file=[where] * n,
        row=raw.rows[places].tolist(),
        field=["right"] * n,
        reason=["is the record on the left itself"] * n,
        raw_row=list(raw.raw_rows(places)),
    )


def _refuse_contradictions(kind: str, stated: pl.DataFrame, where: str) -> None:
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
