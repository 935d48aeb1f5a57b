"""Namesakes at one address: a record without a birth date that fits two of them says nothing about which."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from terag_pipelines.linking.blocks import Codes, hash_keys
from terag_pipelines.linking.comparing_identities import compare_birth_dates
from terag_pipelines.linking.encoding import EncodedRecords
from terag_pipelines.linking.levels import Compared, rank

Mask = npt.NDArray[np.bool_]
_NAMES = ("given_key", "family_key")
_IN_PARTS, _WHOLE = ("street", "house"), ("address_key",)


def are_between_namesakes(records: EncodedRecords, left: Codes, right: Codes, compared: Compared) -> Mask:
    """Pairs of one name at one address of which one has no birth date, where others tell namesakes apart.

    Father and son of one name live here, by their birth dates: a record without one may be of either.
    """
    asked = np.zeros(len(left), bool)
    if "birth_date" not in records.columns or not {"given_name", "family_name", "address"} <= compared.keys():
        return asked
    born = records.columns["birth_date"].first
    asked = (compared["given_name"] == 1) & (compared["family_name"] == 1) & (compared["address"] <= 2)
    asked &= (compared["address"] > 0) & ((born[left] < 0) != (born[right] < 0))
    at = np.flatnonzero(asked)
    undated = np.where(born[left[at]] < 0, left[at], right[at])
    asked[at] = np.isin(undated, _rows_between_namesakes(records, undated))
    return np.asarray(asked)


def _rows_between_namesakes(records: EncodedRecords, undated: Codes) -> npt.NDArray[np.int64]:
    """Those of the rows whose name and home are of two people who were not born on the same day."""
    home = _IN_PARTS if all(name in records.columns for name in _IN_PARTS) else _WHOLE
    if not len(undated) or any(name not in records.columns for name in home):
        return np.zeros(0, np.int64)
    rows, hashes = hash_keys([records.columns[name].first[:, None] for name in (*_NAMES, *home)])
    homes = pl.DataFrame({"row": rows, "home": hashes})
    asked = homes.filter(pl.col("row").is_in(np.unique(undated).astype(np.int64)))
    shared = homes.join(asked.select("home").unique(), on="home")
    crowded = _homes_of_namesakes(records, shared)
    return asked.filter(pl.col("home").is_in(crowded.implode()))["row"].to_numpy()


def _homes_of_namesakes(records: EncodedRecords, shared: pl.DataFrame) -> pl.Series:
    """The homes (row, home) in which a birth date is no slip of the first one."""
    born = records.columns["birth_date"].first
    dated = shared.filter(pl.Series(born[shared["row"].to_numpy()] >= 0)).sort("home", "row")
    dated = dated.with_columns(first=pl.col("row").first().over("home"))
    one, other = (dated[name].to_numpy().astype(np.int32) for name in ("first", "row"))
    levels = compare_birth_dates(records, one, other)["birth_date"]
    return dated.filter(pl.Series(levels == rank("birth_date", "different")))["home"].unique()
