"""Ids met so far in a source: repeats and references to what does not exist are found against them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.distinct import as_series, as_texts, one_array
from terag_pipelines.entities.mapped_rows import NO_TEXT, MappedRows, is_null
from terag_pipelines.entities.quarantine import Mask


@dataclass
class KnownIds:
    """Ids by kind ("records", "accounts", "tenants", ...), filled file by file."""

    ids: dict[str, list[pa.Array]] = field(default_factory=dict)

    def add(self, kind: str, ids: pa.Array) -> None:
        """Adds ids to those of a kind."""
        self.ids.setdefault(kind, []).append(ids)

    def of(self, *kinds: str) -> pl.Series:
        """All ids of these kinds."""
        found = [as_series(ids).cast(pl.String) for kind in kinds for ids in self.ids.get(kind, ())]
        return pl.concat(found) if found else pl.Series([], dtype=pl.String)

    def has(self, values: pa.Array, *kinds: str) -> Mask:
        """Whether each value (n,) is a known id of one of the kinds."""
        series = as_series(values).cast(pl.String)
        return np.asarray(series.is_in(self.of(*kinds).implode()).fill_null(False).to_numpy(), np.bool_)

    def leave_out_repeats(self, rows: MappedRows, kind: str, ids: pa.Array, name: str) -> None:
        """Leaves out rows whose id an earlier row or file has, and remembers the others; to be called last.

        Rows that are left out already do not count as earlier ones.
        """
        ids = (
            one_array(pc.if_else(pa.array(rows.ledger.left_out), NO_TEXT, ids))
            if rows.ledger.left_out.any()
            else ids
        )
        if len(self.of(kind)):
            rows.ledger.leave_out(self.has(ids, kind), name, "repeats the value of another file")
        rows.ledger.leave_out_repeats(earlier_rows(ids, rows), name)
        self.add(kind, ids.filter(pa.array(~rows.ledger.left_out)))

    def existing(self, rows: MappedRows, kind: str, values: pa.Array, name: str) -> pa.Array:
        """The values that are known, null elsewhere; an unknown one is noted as lost."""
        unknown = ~is_null(values) & ~self.has(values, kind)
        rows.ledger.lose_field(unknown, name, "refers to nothing that the source holds")
        return (
            as_texts(as_series(values).cast(pl.String).set(pl.Series(unknown), None))
            if unknown.any()
            else values
        )

    def leave_out_unknown(self, rows: MappedRows, values: pa.Array, name: str, *kinds: str) -> None:
        """Leaves out rows whose value is not known; nulls are not judged."""
        unknown = ~is_null(values) & ~self.has(values, *kinds)
        rows.ledger.leave_out(unknown, name, "refers to nothing that the source holds")


def earlier_rows(ids: pa.Array, rows: MappedRows) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each row the number of the first row that has the same id.

    0 for that first row itself and for null.
    """
    series = as_series(ids).cast(pl.String)
    if series.null_count() == 0 and series.is_sorted():
        repeated = (series == series.shift(1)).fill_null(False)
    else:
        repeated = series.is_not_null() & ~series.is_first_distinct()
    earlier = np.zeros(len(series), np.int64)
    if repeated.any():
        frame = pl.DataFrame({"id": series, "row": rows.raw.rows})
        first = frame.group_by("id").agg(pl.col("row").min())
        again = frame.filter(repeated).select("id").join(first, on="id", how="left", maintain_order="left")
        earlier[repeated.arg_true().to_numpy()] = again["row"].to_numpy()
    return earlier
