"""Name parity: whether people of one script, name origin or region are merged or missed more than the rest.

Counted in records with a truth label. A record is falsely merged where its entity holds a record of someone
else, and missed where its entity lacks a record of its own person. Records of one person go wrong together:
intervals (Wilson, 1927) and ratios (Katz et al., 1978) count true persons, not records.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from scipy.special import ndtri

from terag_pipelines.calibration.metrics import wilson_interval
from terag_pipelines.linking.quality import truth_of
from terag_pipelines.tables import as_frame

DIMENSIONS = ("script", "origin", "region")
KINDS = ("false merge", "miss")
UNKNOWN, FURTHER = "not known", "further regions"
KAZAKH_LETTERS = "[әғқңөұүһӘҒҚҢӨҰҮҺ]"
KAZAKH_PATRONYMIC = r"(?:uli|kizi)$"
KAZAKH_WORD = (
    r"^(?:nur|kair|daulet|temir|sultan|serik|jum|jaks|bek|esen|tursin|orin|kuan|abil|abdr)"
    r"|(?:bek|bai|gul|gali|mbet|uli|kizi|[a-z]{2}jan|[a-z]{2}tai)(?:ov|ev|ova|eva)?$"
)
RUSSIAN_PATRONYMIC = r"(?:ovich|evich|ovna|evna|ichna)$"
RUSSIAN_WORD = r"[a-z]{2}(?:ov|ova|ev|eva|ski|skaia|enko)$"
RUSSIAN_WORD_IN_CYRILLIC = r"[a-z]{2}(?:in|ina|ko|uk|ih)$"
"""Spelling rules over name keys (entities/transliteration.py: zh is j, kh is h, y is i), Kazakh ones first.

They tell how a name is spelled, not who somebody is: Ахметов reads Russian, Нұрлан Ахметов Kazakh.
"""


@dataclass(frozen=True)
class ParityParams:
    """A group is worse where its rate is surely more than `max_factor` times that of all others.

    Surely: at `level`, divided among all groups that are judged. Groups of fewer than `min_persons` true
    persons, and records that do not tell theirs, are told and not judged. Beyond the `n_regions` largest,
    regions are one group.
    """

    max_factor: float = 1.5
    level: float = 0.95
    min_persons: int = 30
    n_regions: int = 20


@dataclass(frozen=True)
class GroupRate:
    """How often records of one group go wrong in one way, with its interval, against all other groups.

    `factor` is the rate over that of the rest, None where the rest never goes wrong; `least_factor` is its
    lower bound. Both are None where the group is not judged.
    """

    dimension: str
    group: str
    kind: str
    n_records: int
    n_persons: int
    n_wrong: int
    rate: float
    rate_low: float
    rate_high: float
    factor: float | None
    least_factor: float | None
    is_worse: bool


def measure_parity(
    records: pa.Table, members: pa.Table, labels: pa.Table, params: ParityParams = ParityParams()
) -> list[GroupRate]:
    """The rates of every group of ENTITY_RECORDS, from ENTITY_MEMBERS and LABELS of use "truth".

    Empty where there are no such labels. Groups of organisations are those of their names' script and region.
    """
    judged = _judge_records(records, members, labels, params)
    counted = [_count_groups(judged, dimension, kind) for dimension in DIMENSIONS for kind in KINDS]
    n_tests = sum(int((part["n_persons"] >= params.min_persons).sum()) for part in counted)
    return [rate for part in counted for rate in _rates(part, max(n_tests, 1), params)]


def _judge_records(
    records: pa.Table, members: pa.Table, labels: pa.Table, params: ParityParams
) -> pl.DataFrame:
    """The labelled records with their groups, whether merged with others, whether apart from their own."""
    known = as_frame(members, ["record_id", "entity_id"])
    judged = known.join(truth_of(labels), on="record_id", how="inner")
    judged = judged.with_columns(
        n_entity=pl.len().over("entity_id"),
        n_own=pl.len().over("truth"),
        n_right=pl.len().over("entity_id", "truth"),
    )
    return judged.with_columns(
        is_merged=pl.col("n_entity") > pl.col("n_right"),
        is_missed=pl.col("n_own") > pl.col("n_right"),
    ).join(group_records(records, params), on="record_id", how="inner")


def group_records(records: pa.Table, params: ParityParams = ParityParams()) -> pl.DataFrame:
    """record_id, script, origin and region of each record; "not known" where a record does not tell."""
    names = ["display_name", "given_key", "family_key", "patronymic_key", "name_key"]
    frame = as_frame(records, ["record_id", "party_type", "region", *names])
    region = pl.col("region").fill_null(UNKNOWN)
    largest = frame["region"].drop_nulls().value_counts().sort("count", "region", descending=[True, False])
    kept = [*largest["region"].head(params.n_regions).to_list(), UNKNOWN]
    return frame.select(
        "record_id",
        script=_script(),
        origin=_origin(),
        region=pl.when(region.is_in(kept)).then(region).otherwise(pl.lit(FURTHER)),
    )


def _script() -> pl.Expr:
    name = pl.col("display_name").fill_null("")
    cyrillic, latin = name.str.contains(r"\p{Cyrillic}"), name.str.contains(r"\p{Latin}")
    return (
        pl.when(cyrillic & latin)
        .then(pl.lit("mixed"))
        .when(cyrillic)
        .then(pl.lit("Cyrillic"))
        .when(latin)
        .then(pl.lit("Latin"))
        .when(name.str.contains(r"\p{L}"))
        .then(pl.lit("other"))
        .otherwise(pl.lit(UNKNOWN))
    )


def _origin() -> pl.Expr:
    parts = [pl.coalesce("given_key", "name_key"), pl.col("family_key")]
    patronymic = pl.col("patronymic_key").fill_null("")
    cyrillic = pl.col("display_name").fill_null("").str.contains(r"\p{Cyrillic}")
    kazakh = pl.col("display_name").fill_null("").str.contains(KAZAKH_LETTERS)
    kazakh |= patronymic.str.contains(KAZAKH_PATRONYMIC)
    russian = patronymic.str.contains(RUSSIAN_PATRONYMIC)
    for part in parts:
        words = part.fill_null("").str.split(" ").list
        kazakh |= words.eval(pl.element().str.contains(KAZAKH_WORD)).list.any()
        russian |= words.eval(pl.element().str.contains(RUSSIAN_WORD)).list.any()
        russian |= cyrillic & words.eval(pl.element().str.contains(RUSSIAN_WORD_IN_CYRILLIC)).list.any()
    return (
        pl.when(pl.col("party_type") == "organisation")
        .then(pl.lit("organisation"))
        .when(pl.col("name_key").is_null())
        .then(pl.lit(UNKNOWN))
        .when(kazakh)
        .then(pl.lit("Kazakh"))
        .when(russian)
        .then(pl.lit("Russian"))
        .otherwise(pl.lit("other"))
    )


def _count_groups(judged: pl.DataFrame, dimension: str, kind: str) -> pl.DataFrame:
    """Records, true persons and wrong records of each group; a record without a partner cannot be missed."""
    wrong = "is_merged" if kind == "false merge" else "is_missed"
    able = judged if kind == "false merge" else judged.filter(pl.col("n_own") > 1)
    return (
        able.group_by(pl.col(dimension).alias("group"))
        .agg(
            n_records=pl.len().cast(pl.Int64),
            n_persons=pl.col("truth").n_unique().cast(pl.Int64),
            n_wrong=pl.col(wrong).sum().cast(pl.Int64),
        )
        .with_columns(dimension=pl.lit(dimension), kind=pl.lit(kind))
        .sort("group")
    )


def _rates(counted: pl.DataFrame, n_tests: int, params: ParityParams) -> list[GroupRate]:
    total = counted.select(pl.col("n_records", "n_persons", "n_wrong").sum())
    all_records, all_persons, all_wrong = total.row(0)
    found = []
    for row in counted.to_dicts():
        rest = (all_records - row["n_records"], all_persons - row["n_persons"], all_wrong - row["n_wrong"])
        found.append(_rate(row, rest, n_tests, params))
    return found


def _rate(
    row: dict[str, object], rest: tuple[int, int, int], n_tests: int, params: ParityParams
) -> GroupRate:
    n_records, n_persons, n_wrong = (int(str(row[name])) for name in ("n_records", "n_persons", "n_wrong"))
    rate = n_wrong / n_records
    low, high = wilson_interval([rate * n_persons], [n_persons], params.level)
    factor = least = None
    if row["group"] != UNKNOWN and min(n_persons, rest[1]) >= params.min_persons:
        other_rate = rest[2] / rest[0]
        factor = rate / other_rate if other_rate else None
        least = _least_ratio(rate, n_persons, other_rate, rest[1], n_tests, params.level)
    return GroupRate(
        dimension=str(row["dimension"]),
        group=str(row["group"]),
        kind=str(row["kind"]),
        n_records=n_records,
        n_persons=n_persons,
        n_wrong=n_wrong,
        rate=rate,
        rate_low=float(low[0]),
        rate_high=float(high[0]),
        factor=factor,
        least_factor=least,
        is_worse=least is not None and least > params.max_factor,
    )


def _least_ratio(rate: float, n: int, other_rate: float, n_other: int, n_tests: int, level: float) -> float:
    """The lower bound of the ratio of two shares, half a case added to each (Katz's log interval)."""
    one, other = rate * n + 0.5, other_rate * n_other + 0.5
    ratio = (one / (n + 0.5)) / (other / (n_other + 0.5))
    variance = 1 / one - 1 / (n + 0.5) + 1 / other - 1 / (n_other + 0.5)
    z = float(ndtri(1 - (1 - level) / n_tests))
    return float(ratio * np.exp(-z * np.sqrt(max(variance, 0.0))))


def say_parity(rates: list[GroupRate], params: ParityParams = ParityParams()) -> str:
    """Which groups are worse than the rest, in one line; that none is; or that nothing can be judged."""
    worse = [_say_worse(rate) for rate in rates if rate.is_worse]
    if worse:
        return "; ".join(worse)
    n_judged = sum(rate.least_factor is not None for rate in rates)
    if not n_judged:
        return f"not judged: no two groups have {params.min_persons} persons with truth labels"
    return f"{n_judged} rates judged; none is surely over {params.max_factor:g} times that of the rest"


def _say_worse(rate: GroupRate) -> str:
    against = "none of the rest" if rate.factor is None else f"{rate.factor:.1f} times the rest"
    return f"{rate.kind} of {rate.group} ({rate.dimension}) {rate.rate:.2%}, {against}"
