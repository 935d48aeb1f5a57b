"""Golden records: for each entity and field the value to trust, where it comes from, and who agrees.

Survivorship by field: a rule orders the values of the members and the first one survives. Agreement is
counted on keys, so that one name in two scripts agrees with itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.errors import ConfigurationError
from terag_pipelines.linking.entity_tables import are_unlike, order_members
from terag_pipelines.linking.model import GOLDEN_RECORDS
from terag_pipelines.tables import as_frame

Rule = Literal["most_complete", "most_frequent", "most_recent", "longest", "most_trusted", "all"]
DEFAULT_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "display_name": "most_complete",
        "given_name": "most_complete",
        "family_name": "most_complete",
        "patronymic": "most_complete",
        "legal_form": "most_frequent",
        "birth_date": "most_frequent",
        "sex": "most_frequent",
        "iin": "most_complete",
        "bin": "most_complete",
        "phones": "all",
        "emails": "all",
        "identifiers": "all",
        "address": "most_recent",
    }
)
AGREE_BY: Mapping[str, str] = MappingProxyType(
    {
        "display_name": "name_key",
        "given_name": "given_key",
        "family_name": "family_key",
        "patronymic": "patronymic_key",
    }
)
LIST_FIELDS = ("phones", "emails", "identifiers")
ADDRESS_FIELDS = ("street", "house", "locality", "region", "postcode", "country", "address_key")
FORMER, OTHER, HISTORY = "former_family_name", "other_family_name", "history"


@dataclass(frozen=True)
class GoldenParams:
    """The rule of each field, where it is not that of DEFAULT_RULES, and datasets, the most trusted first.

    most_complete: of the record with most fields filled, those under a former family name last.
    most_frequent: of most records. most_recent: of the record whose first_seen is latest, undated ones last.
    longest: the longest text. most_trusted: of the dataset named first in `trusted_datasets`, unnamed last.
    all: every value, for telephones, e-mails and documents. Ties go to the most complete record; those of
    most_frequent first to the smaller value.
    """

    rules: Mapping[str, Rule] = field(default_factory=dict)
    trusted_datasets: tuple[str, ...] = ()

    def rule_of(self, name: str) -> Rule:
        """The rule of a field."""
        return self.rules.get(name, DEFAULT_RULES[name])


def make_golden_records(
    records: pa.Table, members: pa.Table, params: GoldenParams = GoldenParams()
) -> pa.Table:
    """GOLDEN_RECORDS out of ENTITY_RECORDS and ENTITY_MEMBERS.

    The parts of an address come from one record. Family names unlike the one that survives are kept as
    history: former ones where the dates tell that they came before, else others.

    Raises: ConfigurationError for a rule that does not exist or a field that has none.
    """
    _check(params)
    frame = _ranked_members(records, members, params)
    names = [name for name in DEFAULT_RULES if name != "address"]
    chosen = {name: _choose(_values(frame, name), name, params.rule_of(name)) for name in names}
    history = _name_history(frame, chosen["family_name"])
    parts = [*chosen.values(), *_choose_address(frame, params.rule_of("address")), history]
    return GOLDEN_RECORDS.conform(pl.concat(parts).to_arrow())


def _check(params: GoldenParams) -> None:
    for name, rule in params.rules.items():
        if name not in DEFAULT_RULES:
            raise ConfigurationError(f"golden records have no field {name!r}; known: {sorted(DEFAULT_RULES)}")
        allowed = [each for each in get_args(Rule) if each != "all" or name in LIST_FIELDS]
        if rule not in allowed:
            raise ConfigurationError(f"field {name!r} cannot have rule {rule!r}; known: {allowed}")


def _ranked_members(records: pa.Table, members: pa.Table, params: GoldenParams) -> pl.DataFrame:
    """The members, the most complete of each entity first; `rank` is their order, `trust` their dataset's."""
    at = pc.index_in(records["record_id"], value_set=members["record_id"].combine_chunks())
    entity_ids = members["entity_id"].combine_chunks().take(at.combine_chunks())
    trust = {name: at for at, name in enumerate(params.trusted_datasets)}
    return (
        order_members(records, entity_ids)
        .with_row_index("rank")
        .with_columns(
            trust=pl.col("dataset").replace_strict(trust, default=len(trust), return_dtype=pl.Int64)
        )
    )


def _values(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """The known values of a field, one row for each member and value, as text; `key` is what agrees."""
    key = AGREE_BY.get(name, name)
    long = frame.select(
        "entity_id", "record_id", "rank", "trust", "first_seen", value=pl.col(name), key=pl.col(key)
    )
    if name in LIST_FIELDS:
        long = long.drop("key").explode("value").with_columns(key="value")
    long = long.with_columns(pl.col("value").cast(pl.String), pl.col("key").cast(pl.String))
    long = long.filter(pl.col("value").is_not_null() & (pl.col("value") != ""))
    long = long.unique(["rank", "value"], maintain_order=True)
    return long.with_columns(key=pl.coalesce("key", "value")).with_columns(
        n_agreeing=pl.len().over("entity_id", "key").cast(pl.Int64),
        n_known=pl.col("rank").n_unique().over("entity_id").cast(pl.Int64),
    )


def _choose(values: pl.DataFrame, name: str, rule: Rule) -> pl.DataFrame:
    """The surviving value of each entity; with "all" every value, from its most complete record."""
    by = ["entity_id", "value"] if rule == "all" else ["entity_id"]
    found = _in_order(values, rule).unique(by, keep="first", maintain_order=True)
    conflicting = pl.lit(0, pl.Int64) if rule == "all" else pl.col("n_known") - pl.col("n_agreeing")
    return _tell(found, name, rule, conflicting)


def _in_order(values: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Sorted so that the first row of each entity is the one that survives."""
    undated = pl.col("first_seen").is_null()
    newest = -pl.col("first_seen").cast(pl.Int64).fill_null(0)
    keys: dict[Rule, list[pl.Expr]] = {
        "most_complete": [],
        "all": [],
        "most_frequent": [-pl.col("n_agreeing"), pl.col("key")],
        "most_recent": [undated, newest],
        "longest": [-pl.col("value").str.len_chars().cast(pl.Int64)],
        "most_trusted": [pl.col("trust")],
    }
    return values.sort(pl.col("entity_id"), *keys[rule], pl.col("rank"), pl.col("value"))


def _tell(found: pl.DataFrame, name: str, rule: str, n_conflicting: pl.Expr) -> pl.DataFrame:
    return found.select(
        "entity_id",
        pl.lit(name).alias("field"),
        "value",
        "record_id",
        pl.lit(rule).alias("rule"),
        "n_agreeing",
        n_conflicting.alias("n_conflicting"),
    )


def _choose_address(frame: pl.DataFrame, rule: Rule) -> list[pl.DataFrame]:
    """The address of one record of each entity, part by part; of equals the one with most parts known."""
    known = pl.sum_horizontal(pl.col(name).is_not_null().cast(pl.Int64) for name in ADDRESS_FIELDS)
    text = pl.coalesce("address_key", pl.concat_str(ADDRESS_FIELDS[:-1], separator=" ", ignore_nulls=True))
    addressed = frame.with_columns(n_parts=known, value=text, key=text).filter(pl.col("n_parts") > 0)
    addressed = addressed.sort(-pl.col("n_parts"), "rank").drop("rank").with_row_index("rank")
    addressed = addressed.with_columns(n_agreeing=pl.len().over("entity_id", "value").cast(pl.Int64))
    winners = _in_order(addressed, rule).unique("entity_id", keep="first", maintain_order=True)
    chosen = winners.select("entity_id", "record_id")
    parts = []
    for name in ADDRESS_FIELDS:
        values = _values(frame, name).join(chosen, on=["entity_id", "record_id"], how="semi")
        parts.append(_tell(values, name, rule, pl.col("n_known") - pl.col("n_agreeing")))
    return parts


def _name_history(frame: pl.DataFrame, survivors: pl.DataFrame) -> pl.DataFrame:
    """Family names unlike the surviving one: former ones where the dates tell, else others."""
    chosen = survivors.select("entity_id", chosen_id="record_id")
    keys = frame.select(chosen_id="record_id", chosen_key="family_key")
    values = _values(frame, "family_name").join(chosen, on="entity_id").join(keys, on="chosen_id")
    former = frame.select("record_id", "bears_former_name")
    values = values.filter(pl.col("key") != pl.col("chosen_key")).join(former, on="record_id")
    unlike = are_unlike(values["key"], values["chosen_key"])
    values = values.filter(unlike).sort("entity_id", "rank")
    values = values.unique(["entity_id", "key"], keep="first", maintain_order=True)
    told = _tell(values, FORMER, HISTORY, pl.lit(0, pl.Int64))
    name = pl.when(values["bears_former_name"]).then(pl.lit(FORMER)).otherwise(pl.lit(OTHER))
    return told.with_columns(field=name)


@dataclass(frozen=True)
class FieldCount:
    """One field of GOLDEN_RECORDS: its values, and how many of them some record of the entity contradicts."""

    field: str
    n_values: int
    n_contradicted: int


def count_golden(golden: pa.Table) -> list[FieldCount]:
    """The fields of GOLDEN_RECORDS, those with most contradictions first."""
    frame = as_frame(golden, ["field", "n_conflicting"])
    counted = frame.group_by("field").agg(n=pl.len(), contradicted=(pl.col("n_conflicting") > 0).sum())
    ordered = counted.sort(["contradicted", "field"], descending=[True, False])
    return [FieldCount(name, int(n), int(contradicted)) for name, n, contradicted in ordered.rows()]
