"""Parties that belong together without being one: sole traders and owners, branches and head offices."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.linking.encoding import plain_texts
from terag_pipelines.linking.model import ENTITY_ROLES

BRANCH_FORM = "branch"


def unit_of_organisation(records: pa.Table) -> pa.Array:
    """ "head" or "branch" for each of ENTITY_RECORDS where it is known, else null.

    The sixth digit of a BIN is 0 for a head office, 1 for a branch, 2 for a representative office (rules for
    making the BIN, Kazakhstan, 2007); else a name may say that it is a branch.
    """
    digit = pc.utf8_slice_codeunits(plain_texts(records["bin"]), 5, 6)
    is_branch = pc.is_in(digit, value_set=pa.array(["1", "2"]))
    named = pc.fill_null(pc.equal(plain_texts(records["legal_form"]), BRANCH_FORM), False)
    nothing = pa.scalar(None, pa.string())
    by_name = pc.if_else(named, "branch", nothing)
    by_number = pc.if_else(is_branch, "branch", pc.if_else(pc.equal(digit, "0"), "head", nothing))
    return pc.coalesce(by_number, by_name)


def find_roles(records: pa.Table, members: pa.Table) -> pa.Table:
    """ENTITY_ROLES between the entities of ENTITY_MEMBERS: sole traders and owners, branches and heads."""
    frame = pl.DataFrame(
        pl.from_arrow(records.select(["record_id", "party_type", "iin", "organisation_key"]))
    )
    frame = frame.with_columns(unit=pl.Series(values=unit_of_organisation(records)))
    frame = frame.join(pl.DataFrame(pl.from_arrow(members)), on="record_id")
    found = pl.concat([_sole_traders(frame), _branches(frame)]).unique()
    return ENTITY_ROLES.conform(found.to_arrow())


def _sole_traders(frame: pl.DataFrame) -> pl.DataFrame:
    """Organisations that bear a person's IIN."""
    held = frame.drop_nulls("iin")
    traders = held.filter(pl.col("party_type") == "organisation").select("iin", "record_id", "entity_id")
    owners = held.filter(pl.col("party_type") == "person").select("iin", owner="entity_id")
    return _as_roles(traders.join(owners, on="iin"), "owner", "sole_trader_of", "iin")


def _branches(frame: pl.DataFrame) -> pl.DataFrame:
    """Branches that bear the name of exactly one head office."""
    named = frame.filter(pl.col("party_type") == "organisation").drop_nulls("organisation_key")
    heads = named.filter(pl.col("unit") == "head").select("organisation_key", head="entity_id").unique()
    heads = heads.filter(pl.len().over("organisation_key") == 1)
    branches = named.filter(pl.col("unit") == "branch")
    return _as_roles(branches.join(heads, on="organisation_key"), "head", "branch_of", "organisation_name")


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
