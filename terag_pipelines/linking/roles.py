"""Parties that belong together without being one: sole traders and owners, branches and head offices."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.branches import town_of_branch
from terag_pipelines.entities.names import BRANCH_FORM
from terag_pipelines.linking.encoding import plain_texts
from terag_pipelines.linking.model import ENTITY_ROLES
from terag_pipelines.tables import as_frame

MOST_WORDS = 12
"""Of the name of a branch that are looked at for the company's."""
UNITS = ("unit", "named_unit", "branch_town")
"""What tells the units of an organisation apart: two different ones of either kind are no one entity."""


def units_of(records: pa.Table) -> dict[str, pa.Array]:
    """By each of UNITS, what is known of each of ENTITY_RECORDS; null where nothing is."""
    unit = unit_of_organisation(records)
    if pc.any(pc.equal(plain_texts(records["party_type"]), "organisation"), min_count=0).as_py():
        named, town = _named_units(records, unit), _branch_towns(records, unit)
    else:  # what costs more is not looked for
        named = town = pa.nulls(records.num_rows, pa.string())
    return dict(zip(UNITS, (unit, named, town), strict=True))


def unit_of_organisation(records: pa.Table) -> pa.Array:
    """ "head" or "branch" for each of ENTITY_RECORDS where it is known, else null.

    The sixth digit of a BIN is 0 for a head office, 1 for a branch, 2 for a representative office (rules for
    making the BIN, Kazakhstan, 2007); else a name may say that it is a branch.
    """
    by_name = pc.if_else(_are_named_branches(records), "branch", pa.scalar(None, pa.string()))
    return pc.coalesce(_unit_by_bin(records), by_name)


def _unit_by_bin(records: pa.Table) -> pa.Array:
    digit = pc.utf8_slice_codeunits(plain_texts(records["bin"]), 5, 6)
    is_branch = pc.is_in(digit, value_set=pa.array(["1", "2"]))
    is_head = pc.fill_null(pc.equal(digit, "0"), False)
    return pc.if_else(is_branch, "branch", pc.if_else(is_head, "head", pa.scalar(None, pa.string())))


def _are_named_branches(records: pa.Table) -> pa.Array:
    return pc.fill_null(pc.equal(plain_texts(records["legal_form"]), BRANCH_FORM), False)


def _named_units(records: pa.Table, unit: pa.Array) -> pa.Array:
    """As the name of an organisation says, "branch" or "company"; null where its BIN says otherwise.

    What is named without a word of a branch is the company itself, though its BIN be not known.
    """
    is_named = pc.is_valid(plain_texts(records["organisation_key"]))
    is_named = pc.and_(is_named, pc.equal(plain_texts(records["party_type"]), "organisation"))
    is_branch = _are_named_branches(records)
    said = pc.if_else(is_branch, "branch", "company")
    otherwise = pc.fill_null(pc.equal(unit, pc.if_else(is_branch, "head", "branch")), False)
    return pc.if_else(pc.and_not(is_named, otherwise), said, pa.scalar(None, pa.string()))


def _branch_towns(records: pa.Table, unit: pa.Array) -> pa.Array:
    """The town of each branch, by its name or else its address."""
    at = np.flatnonzero(pc.fill_null(pc.equal(unit, "branch"), False).to_numpy(zero_copy_only=False))
    rows = records.select(["organisation_key", "locality"]).take(pa.array(at))
    names, places = (plain_texts(rows[column]).to_pylist() for column in rows.column_names)
    towns = np.full(records.num_rows, None, dtype=object)
    towns[at] = [town_of_branch(name or "", place) for name, place in zip(names, places, strict=True)]
    return pa.array(towns, pa.string())


def find_roles(records: pa.Table, members: pa.Table) -> pa.Table:
    """ENTITY_ROLES between the entities of ENTITY_MEMBERS: sole traders and owners, branches and heads."""
    frame = pl.DataFrame(
        pl.from_arrow(records.select(["record_id", "party_type", "iin", "organisation_key"]))
    )
    units = units_of(records)
    frame = frame.with_columns(pl.Series(name, units[name]) for name in ("unit", "named_unit"))
    frame = frame.join(as_frame(members), on="record_id")
    found = pl.concat([_sole_traders(frame), _branches(frame)]).unique()
    return ENTITY_ROLES.conform(found.to_arrow())


def _sole_traders(frame: pl.DataFrame) -> pl.DataFrame:
    """Organisations that bear a person's IIN."""
    held = frame.drop_nulls("iin")
    traders = held.filter(pl.col("party_type") == "organisation").select("iin", "record_id", "entity_id")
    owners = held.filter(pl.col("party_type") == "person").select("iin", owner="entity_id")
    return _as_roles(traders.join(owners, on="iin"), "owner", "sole_trader_of", "iin")


def _branches(frame: pl.DataFrame) -> pl.DataFrame:
    """Branches whose name is, or holds, that of exactly one company; the longest name goes before others."""
    named = frame.filter(pl.col("party_type") == "organisation").drop_nulls("organisation_key")
    branches, heads = named.filter(pl.col("unit") == "branch"), _heads(named)
    keys = branches["organisation_key"].unique().to_list()
    held = [(key, phrase, len(phrase)) for key in keys for phrase in _phrases_of(key)]
    phrases = pl.DataFrame(
        held, {"key": pl.String, "organisation_key": pl.String, "n": pl.Int64}, orient="row"
    )
    found = phrases.join(heads, on="organisation_key").unique(["key", "head", "n"])
    found = found.filter(pl.col("n") == pl.col("n").max().over("key"))
    found = found.filter(pl.len().over("key") == 1).select("key", "head")
    joined = branches.join(found, left_on="organisation_key", right_on="key")
    return _as_roles(joined, "head", "branch_of", "organisation_name")


def _heads(named: pl.DataFrame) -> pl.DataFrame:
    """By organisation_key, `head`: head offices by their BIN, or else companies that are called so."""
    is_sure = (pl.col("unit") == "head").fill_null(False)
    called_so = (pl.col("named_unit") == "company").fill_null(False)
    heads = named.filter(is_sure | called_so).select("organisation_key", head="entity_id", is_sure=is_sure)
    heads = heads.filter(pl.col("is_sure") == pl.col("is_sure").max().over("organisation_key"))
    return heads.select("organisation_key", "head").unique()


def _phrases_of(key: str) -> list[str]:
    """Every run of words of the name of a branch."""
    words = key.split()[:MOST_WORDS]
    return [" ".join(words[start:stop]) for start, stop in combinations(range(len(words) + 1), 2)]


def _as_roles(pairs: pl.DataFrame, other: str, role: str, basis: str) -> pl.DataFrame:
    apart = pairs.filter(pl.col("entity_id") != pl.col(other))
    roles = apart.group_by("entity_id", other).agg(record_id=pl.col("record_id").min())
    return roles.select(
        "entity_id",
        role=pl.lit(role),
        object_entity_id=other,
        basis=pl.lit(basis),
        record_id="record_id",
    )
