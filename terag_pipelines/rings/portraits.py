"""What a ring looks like from within: its flows, what its members share, its kind, the roles, the reasons
in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import polars as pl

from terag_pipelines.money import Money
from terag_pipelines.rings.features import FeatureParams, measure_pass_through
from terag_pipelines.rings.projection import Projection
from terag_pipelines.rings.trails import CycleParams, find_cycles
from terag_pipelines.rings.words import say_money

KINDS = ("shared_identity", "cycle", "fan_in", "fan_out")  # the first wins a tie
LEVY_WORDS = "exactly the same amount, of which it gets half of all payments or more"
HARD_KINDS = ("iin", "document", "device", "card", "phone", "email")


@dataclass(frozen=True)
class Core:
    """`members`: ring (0, 1, ...), node, entity_id, is_watchlist, community_id, score, probability; by ring
    and entity id.
    """

    members: pl.DataFrame


@dataclass(frozen=True)
class Portraits:
    """`rings`: one row per ring with every column of FRAUD_RINGS but severity; `members`: the columns of
    RING_MEMBERS.
    """

    rings: pl.DataFrame
    members: pl.DataFrame


@dataclass(frozen=True)
class Inside:
    """What happens between members of one ring, each row with its `ring`: transfers, identifiers that two or
    more hold, circles of three or more transfers (cycle, node), levies.
    """

    transfers: pl.DataFrame
    held: pl.DataFrame
    circles: pl.DataFrame
    levies: pl.DataFrame


def portray_rings(
    core: Core, projection: Projection, cycles: CycleParams, pass_through_days: float, max_holders: int
) -> Portraits:
    """Kind, amounts, roles and reasons of each ring; `core` must not be empty."""
    inside = look_inside(core, projection, cycles, max_holders)
    members = _measure_members(core, inside, projection, pass_through_days)
    rings = _sum_rings(members, inside)
    members = members.join(rings.select("ring", "kind"), on="ring").with_columns(role=_roles())
    reasons = _reasons(rings, members, inside)
    ids = _ring_ids(core.members)
    rings = rings.join(reasons, on="ring").join(ids, on="ring")
    return Portraits(rings, members.join(ids, on="ring"))


def identify_ring(entity_ids: list[str]) -> str:
    """The prefix "ring_" and 16 hex digits of BLAKE2b over the sorted entity ids: the same members, the
    same id.
    """
    text = "\n".join(sorted(entity_ids)).encode()
    return "ring_" + blake2b(text, digest_size=8).hexdigest()


def _ring_ids(members: pl.DataFrame) -> pl.DataFrame:
    by_ring = members.group_by("ring", maintain_order=True).agg("entity_id")
    ids = [identify_ring(entity_ids) for entity_ids in by_ring["entity_id"].to_list()]
    return by_ring.select("ring", ring_id=pl.Series(ids, dtype=pl.String))


def look_inside(core: Core, projection: Projection, params: CycleParams, max_holders: int) -> Inside:
    """What happens between the members of each ring of `core`, of which ring and node are looked at.

    What more than `max_holders` entities hold ties nobody, as in the projection.
    """
    ring_of = core.members.select("node", "ring")
    transfers = between_members(projection.transfers, ring_of, "source", "target")
    levies = between_members(projection.levies, ring_of, "payer", "payee")
    few = projection.holdings.filter(pl.col("n_holders") <= max_holders)
    held = few.join(ring_of, on="node").with_columns(n_members=pl.len().over("ring", "kind", "value"))
    community = -1 - np.arange(len(projection.index), dtype=np.int64)
    community[core.members["node"].to_numpy()] = core.members["ring"].to_numpy()
    cycles = find_cycles(transfers, community, projection.hubs, params)
    steps = cycles.with_columns(length=pl.len().over("cycle")).filter(pl.col("length") > 2)
    circles = steps.select("cycle").hstack(
        transfers.select("ring", node="source")[steps["transfer"].to_numpy()]
    )
    return Inside(transfers, held.filter(pl.col("n_members") > 1), circles, levies)


def between_members(rows: pl.DataFrame, ring_of: pl.DataFrame, one: str, other: str) -> pl.DataFrame:
    """The rows of which both ends, nodes, are in one ring of `ring_of` (node, ring), with that `ring`."""
    of_one = rows.join(ring_of.rename({"node": one}), on=one, maintain_order="left")
    return of_one.join(ring_of.rename({"node": other}), on=[other, "ring"], maintain_order="left")


def _measure_members(core: Core, inside: Inside, projection: Projection, days: float) -> pl.DataFrame:
    moved = inside.transfers
    currency = _main_currency(moved)
    in_main = moved.join(currency, on=["ring", "currency"], nulls_equal=True, maintain_order="left")
    into = moved.group_by("ring", node="target").agg(n_payers=pl.col("source").n_unique())
    out = moved.group_by("ring", node="source").agg(n_payees=pl.col("target").n_unique())
    in_sum = in_main.group_by("ring", node="target").agg(in_amount_minor=pl.col("amount_minor").sum())
    out_sum = in_main.group_by("ring", node="source").agg(out_amount_minor=pl.col("amount_minor").sum())
    hard = inside.held.filter(pl.col("kind").is_in(HARD_KINDS))
    shares = hard.group_by("ring", "node").agg(n_shared=pl.len())
    nodes = core.members["node"].implode()
    near = projection.transfers.filter(pl.col("source").is_in(nodes) | pl.col("target").is_in(nodes))
    passed = measure_pass_through(near, FeatureParams(pass_through_days=days))
    joined = core.members
    for part in (into, out, in_sum, out_sum, shares):
        joined = joined.join(part, on=["ring", "node"], how="left", maintain_order="left")
    joined = joined.join(passed.select("node", "pass_through"), on="node", how="left", maintain_order="left")
    counts = ["n_payers", "n_payees", "in_amount_minor", "out_amount_minor", "n_shared"]
    return joined.join(currency, on="ring", how="left", maintain_order="left").with_columns(
        pl.col(counts).cast(pl.Int64).fill_null(0),
        pl.col("pass_through").fill_null(0.0),
        on_cycle=pl.col("node").is_in(inside.circles["node"].unique().implode()),
        others=pl.len().over("ring").cast(pl.Int64) - 1,
    )


def _main_currency(moved: pl.DataFrame) -> pl.DataFrame:
    """ring, currency: the one in which most transfers were made, the first in the alphabet of several."""
    return (
        moved.group_by("ring", "currency")
        .len()
        .sort(["ring", "len", "currency"], descending=[False, True, False])
        .unique("ring", keep="first", maintain_order=True)
        .select("ring", "currency")
    )


def _sum_rings(members: pl.DataFrame, inside: Inside) -> pl.DataFrame:
    when = pl.col("at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    moved = inside.transfers.group_by("ring").agg(
        n_transfers=pl.len().cast(pl.Int64),
        n_in_others=(pl.len() - pl.col("currency").value_counts().struct.field("count").max()).cast(pl.Int64),
        first_at=when.min(),
        last_at=when.max(),
    )
    shared = (
        inside.held.unique(["ring", "kind", "value"])
        .group_by("ring")
        .agg(n_shared_identifiers=pl.len().cast(pl.Int64))
    )
    rings = members.group_by("ring", maintain_order=True).agg(
        pl.col("community_id", "currency").first(),
        n_members=pl.len().cast(pl.Int64),
        risk_score=pl.col("score").mean(),
        risk_probability=pl.col("probability").mean(),
        n_watchlist=pl.col("is_watchlist").sum().cast(pl.Int64),
        amount_minor=pl.col("in_amount_minor").sum(),
        shared_identity=(pl.col("n_shared") > 0).mean(),
        cycle=pl.col("on_cycle").mean(),
        fan_in=(pl.col("n_payers") / pl.col("others")).max(),
        fan_out=(pl.col("n_payees") / pl.col("others")).max(),
    )
    joined = rings.join(moved, on="ring", how="left").join(shared, on="ring", how="left").sort("ring")
    return joined.with_columns(pl.col("n_transfers", "n_shared_identifiers").fill_null(0), kind=_kind())


def _kind() -> pl.Expr:
    """What binds at least half of the members, the strongest of several; "mixed" where nothing does."""
    strongest = pl.max_horizontal(KINDS)
    found = [pl.when((pl.col(name) == strongest) & (strongest >= 0.5)).then(pl.lit(name)) for name in KINDS]
    return pl.coalesce(*found, pl.lit("mixed"))


def _roles() -> pl.Expr:
    # two payments make nobody a collector where it is something else that binds the ring
    fewest = pl.when(pl.col("kind") == "shared_identity").then(3).otherwise(2)
    half = pl.max_horizontal(pl.col("others") / 2, fewest)
    collects, spreads = pl.col("n_payers") >= half, pl.col("n_payees") >= half
    one_sided = pl.col("kind").is_in(["fan_in", "fan_out", "mixed"])
    moves = (pl.col("n_payers") > 0) | (pl.col("n_payees") > 0)
    return (
        pl.when(pl.col("on_cycle") & (pl.col("kind") == "cycle"))
        .then(pl.lit("link"))
        .when(collects & (pl.col("n_payers") >= pl.col("n_payees")))
        .then(pl.lit("collector"))
        .when(spreads)
        .then(pl.lit("distributor"))
        .when(one_sided & (pl.col("n_payers") > 0) & (pl.col("n_payees") == 0) & (pl.col("kind") == "fan_in"))
        .then(pl.lit("beneficiary"))
        .when(one_sided & moves)
        .then(pl.lit("mule"))
        .when(pl.col("n_shared") > 0)
        .then(pl.lit("shared_identity"))
        .otherwise(pl.lit("associate"))
    )


def _reasons(rings: pl.DataFrame, members: pl.DataFrame, inside: Inside) -> pl.DataFrame:
    """ring, reasons: the shape of its flows, what is shared, the watchlist; the kind of the ring first."""
    parts = [_flow_reasons(rings, members), _levy_reasons(inside.levies), _sharing_reasons(inside.held)]
    first = rings.select("ring", is_shared_first=pl.col("kind") == "shared_identity")
    told = pl.concat(parts).join(first, on="ring")
    rank = pl.when(pl.col("is_shared_first") & (pl.col("rank") >= 10)).then(pl.col("rank") - 10)
    ordered = told.with_columns(rank=rank.otherwise(pl.col("rank") + 1)).sort("ring", "rank", "text")
    texts = ordered.group_by("ring", maintain_order=True).agg(reasons="text")
    return (
        rings.select("ring").join(texts, on="ring", how="left").with_columns(pl.col("reasons").fill_null([]))
    )


def _widest(members: pl.DataFrame, breadth: str) -> pl.DataFrame:
    """The member of each ring with most others on that side."""
    ordered = members.sort(["ring", breadth, "entity_id"], descending=[False, True, False])
    return ordered.unique("ring", keep="first", maintain_order=True)


def _flow_facts(rings: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Each ring with its amount in words, members on a circle, and its widest collector and distributor."""
    columns = ("amount_minor", "currency", "n_in_others")
    amount = [_say_total(*row) for row in rings.select(columns).iter_rows()]
    told = rings.with_columns(money=pl.Series(amount, dtype=pl.String))
    on_cycle = members.group_by("ring", maintain_order=True).agg(on_cycle=pl.col("on_cycle").sum())
    collector, distributor = _widest(members, "n_payers"), _widest(members, "n_payees")
    return (
        told.join(on_cycle, on="ring")
        .join(collector.select("ring", "n_payers", kept="pass_through", got="in_amount_minor"), on="ring")
        .join(distributor.select("ring", "n_payees", gave="out_amount_minor"), on="ring")
    )


def _say_total(amount_minor: int, currency: str | None, n_in_others: int | None) -> str:
    if not (currency and amount_minor):
        return "no amount known"
    others = f", and {n_in_others:,} in other currencies" if n_in_others else ""
    return f"{Money(amount_minor, currency)}{others}"


def _flow_reasons(rings: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    told = _flow_facts(rings, members)
    percent = (pl.col("kept") * 100).round().cast(pl.Int64)
    return pl.concat(
        [
            _tell(told, pl.col("on_cycle") >= 3, 0, "{} members pass money round in a circle", "on_cycle"),
            _tell(
                told,
                (pl.col("n_payers") >= 3) & (pl.col("kept") >= 0.5),
                1,
                "{} members pay one member, which passes on {}% of what it gets within days",
                "n_payers",
                percent,
            ),
            _tell(
                told,
                (pl.col("n_payers") >= 3) & (pl.col("kept") < 0.5),
                1,
                "{} members pay one member",
                "n_payers",
            ),
            _tell(told, pl.col("n_payees") >= 3, 3, "one member pays {} others", "n_payees"),
            _tell(
                told, pl.col("n_transfers") > 0, 4, "{} transfers between members: {}", "n_transfers", "money"
            ),
            _tell(told, pl.col("n_watchlist") > 0, 5, "{} on a watchlist", "n_watchlist"),
        ]
    )


def _tell(told: pl.DataFrame, holds: pl.Expr, rank: int, words: str, *values: pl.Expr | str) -> pl.DataFrame:
    return told.filter(holds).select("ring", rank=pl.lit(rank), text=pl.format(words, *values))


def _levy_reasons(levies: pl.DataFrame) -> pl.DataFrame:
    """The levy of most members of each ring."""
    keys = ["ring", "payee", "currency", "amount_minor"]
    within = levies.group_by(keys).agg(n_members=pl.len(), n_payers=pl.col("n_payers").first())
    within = within.filter(pl.col("n_members") >= 3).sort("n_members", *keys, descending=[True] + 4 * [False])
    widest = within.unique("ring", keep="first", maintain_order=True)
    told = [_say_levy(**row) for row in widest.drop("ring", "payee").to_dicts()]
    return widest.select("ring", rank=pl.lit(2), text=pl.Series("text", told, dtype=pl.String))


def _say_levy(currency: str | None, amount_minor: int, n_members: int, n_payers: int) -> str:
    others = f" and {n_payers - n_members:,} others" if n_payers > n_members else ""
    money = say_money(Money(amount_minor, currency or ""))
    return f"{n_members} members{others} pay one member {LEVY_WORDS}: {money}"


def _sharing_reasons(held: pl.DataFrame) -> pl.DataFrame:
    widest = held.group_by("ring", "kind").agg(pl.col("n_members").max(), n_values=pl.col("value").n_unique())
    one = pl.format("{} members share one {}", "n_members", "kind")
    more = pl.format("up to {} members share one {} ({} such)", "n_members", "kind", "n_values")
    return widest.select(
        "ring",
        rank=pl.lit(10) + (pl.lit(9) - pl.min_horizontal("n_members", pl.lit(9))).cast(pl.Int32),
        text=pl.when(pl.col("n_values") == 1).then(one).otherwise(more),
    )
