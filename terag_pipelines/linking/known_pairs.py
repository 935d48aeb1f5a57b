"""Comparisons that an earlier run made: pairs of records that have not changed need not be compared again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.comparison import FuzzyMatcher
from terag_pipelines.linking.encoding import EncodedRecords, plain_texts
from terag_pipelines.linking.patterns import ComparedPairs, parse_patterns
from terag_pipelines.tables import as_frame

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NOT_COMPARED = ("file", "row", "quality_flags", "first_seen", "display_name", "native_id")
_WHOLE_CORPUS = "description"  # words weigh by how rare they are among all records


@dataclass(frozen=True)
class EarlierEntities:
    """The entities of an earlier run: a later one takes over their ids."""

    records: pa.Table  # ENTITY_RECORDS
    members: pa.Table  # ENTITY_MEMBERS


@dataclass(frozen=True)
class EarlierRun(EarlierEntities):
    """What an earlier run left: with it a later one compares only what is new, and ids stay."""

    pair_scores: pa.Table  # PAIR_SCORES


@dataclass(frozen=True)
class ReusedPairs:
    """Compared pairs, and how many of them were taken from an earlier run."""

    compared: ComparedPairs
    n_reused: int


def unchanged_records(earlier: pa.Table, ordered: pa.Table) -> Mask:
    """Which of the sorted records were there before with the same values in all that is compared, (n,)."""
    earlier = ENTITY_RECORDS.complete(earlier)
    names = sorted(set(earlier.column_names) & set(ordered.column_names) - {*NOT_COMPARED})
    hashes = [_hash_rows(table, names) for table in (earlier, ordered)]
    before = pl.DataFrame({"record_id": pl.Series(values=earlier["record_id"]), "before": hashes[0]})
    now = pl.DataFrame({"record_id": pl.Series(values=ordered["record_id"]), "now": hashes[1]})
    joined = now.join(before, on="record_id", how="left", maintain_order="left")
    return (joined["now"] == joined["before"]).fill_null(False).to_numpy()


def _hash_rows(table: pa.Table, names: list[str]) -> pl.Series:
    plain = {name: plain_texts(table[name]) for name in names}
    frame = as_frame(pa.table(plain))
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    joined = [pl.col(name).cast(pl.List(pl.String)).list.join("\x1f") for name in lists]
    return frame.with_columns(joined).hash_rows(seed=0)


def compare_or_reuse(
    records: EncodedRecords, ordered: pa.Table, left: Codes, right: Codes, earlier: EarlierRun | None
) -> ReusedPairs:
    """The patterns of pairs of rows, those of unchanged records from the earlier run.

    Raises: LinkingError where the earlier run was made by a version that compared otherwise.
    """
    if earlier is None or earlier.pair_scores.num_rows == 0 or _WHOLE_CORPUS in records.columns:
        return ReusedPairs(FuzzyMatcher(records).compare(left, right), 0)
    n = len(records)
    unchanged = unchanged_records(earlier.records, ordered)
    before = [records.positions(earlier.pair_scores[side]) for side in ("left_id", "right_id")]
    usable = (before[0] >= 0) & (before[1] >= 0)
    usable &= unchanged[before[0]] & unchanged[before[1]]
    pair = before[0][usable] * n + before[1][usable]
    order = np.argsort(pair)
    wanted = left.astype(np.int64) * n + right
    at = np.searchsorted(pair[order], wanted)
    found = np.append(pair[order], -1)[at] == wanted
    fresh = FuzzyMatcher(records).compare(left[~found], right[~found])
    keys = np.zeros(len(left), np.int64)
    keys[~found] = fresh.keys
    keys[found] = parse_patterns(earlier.pair_scores["pattern"])[usable][order][at[found]]
    is_organisation = np.zeros(len(left), bool)
    is_organisation[~found] = fresh.is_organisation
    kinds = records.party_types == 1
    is_organisation[found] = kinds[left[found]] | kinds[right[found]]
    return ReusedPairs(ComparedPairs(keys, is_organisation), int(found.sum()))
