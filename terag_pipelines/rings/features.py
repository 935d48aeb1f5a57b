"""What an entity does and whom it is near, in figures: one row per node of the ring graph, no label among
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import polars as pl

from terag_pipelines.rings.flows import MICROSECONDS_PER_DAY, sum_flows
from terag_pipelines.rings.model import SHARED_KINDS
from terag_pipelines.rings.motifs import count_motifs, payment_graph
from terag_pipelines.rings.nodes import NodeIndex, Tables, read_frame, read_in_window
from terag_pipelines.rings.passing import sum_passed
from terag_pipelines.rings.projection import Projection
from terag_pipelines.rings.surroundings import average_around

Membership = npt.NDArray[np.int64]

REPORTING_LIMITS: Mapping[str, int] = MappingProxyType(
    {"KZT": 1_000_000_000, "USD": 1_000_000, "EUR": 1_000_000}
)
"""Amounts in minor units from which a bank reports: ten million tenge, ten thousand dollars or euros."""

SEEN_AROUND = (
    "in_partners", "out_partners", "n_mutual", "n_triangles", "clustering", "n_closed_threes",
    "n_closed_fours",
)  # fmt: skip
"""What payers and payees are looked at for: shapes, which hold in another month as amounts do not."""


@dataclass(frozen=True)
class FeatureParams:
    """Windows, in days: money that leaves within `pass_through_days` of coming in has passed through; a
    burst is the number of counterparties within `burst_days`. `round_minor` is the unit of a round amount;
    an amount is just below a reporting limit where it lacks at most the share `just_below` of it. A pair
    shares an identifier of no more than `max_identifier_holders` holders, as in the projection.
    """

    pass_through_days: float = 3.0
    burst_days: float = 3.0
    round_minor: int = 1_000_000
    reporting_limits: Mapping[str, int] = field(default_factory=lambda: REPORTING_LIMITS)
    just_below: float = 0.1
    max_identifier_holders: int = 20
    night_ends_hour: int = 6


@dataclass(frozen=True)
class NodeFeatures:
    """`table`: node and one float64 column per feature, in node order, no nulls; `communities`: the same
    per community.
    """

    table: pl.DataFrame
    communities: pl.DataFrame

    @property
    def names(self) -> list[str]:
        """The features' names, in column order."""
        return [name for name in self.table.columns if name != "node"]

    def matrix(self) -> npt.NDArray[np.float64]:
        """n nodes x n features."""
        return self.table.select(self.names).to_numpy()


def measure_nodes(
    tables: Tables, projection: Projection, community: Membership, cycles: pl.DataFrame, params: FeatureParams
) -> NodeFeatures:
    """All features of all nodes; zero where an entity has nothing of the kind."""
    moved = projection.transfers
    communities = measure_communities(projection, community)
    graph = payment_graph(len(projection.index), moved, projection.hubs)
    parts = [
        _shared_identifiers(projection, params),
        _turnover(moved),
        measure_pass_through(moved, params),
        _relay_habits(projection),
        _fellow_relayers(projection),
        _bursts(moved, params),
        _cycle_shares(moved, cycles),
        count_motifs(graph),
        _levied(projection),
        _amount_habits(moved, params),
        _pace(moved),
        _inside_share(projection, community),
        _watchlist_closeness(projection),
        _record_signs(tables, projection.index),
        _events(tables, projection.index, params),
        _account_ages(tables, projection),
    ]
    nodes = projection.index.nodes.select(
        "node", "is_partial", is_organisation=pl.col("party_type") == "organisation"
    )
    table = nodes.with_columns(community=pl.Series(community))
    for part in parts:
        table = table.join(part, on="node", how="left", maintain_order="left")
    table = table.join(communities, on="community", how="left", maintain_order="left").drop("community")
    hubs = pl.col("node").is_in(projection.hubs.implode())
    table = table.with_columns(
        is_hub=hubs,
        gathering=pl.col("fan_in_burst") * pl.col("pass_through"),
        scattering=pl.col("fan_out_burst") * pl.col("flow_balance"),
    ).with_columns(pl.exclude("node").cast(pl.Float64).fill_nan(0.0).fill_null(0.0))
    around = average_around(table, graph, SEEN_AROUND)
    return NodeFeatures(table.hstack(around.drop("node")), communities)


def measure_communities(projection: Projection, community: Membership) -> pl.DataFrame:
    """community, size, density, tie weight, shared identifiers and inside share of the flow of each
    community.
    """
    of = pl.Series(community)
    sizes = (
        of.rename("community")
        .to_frame()
        .group_by("community", maintain_order=True)
        .agg(community_size=pl.len())
    )
    ties = _inside(projection.edges, of, "left", "right").agg(
        n_ties=pl.len(), community_tie_weight=pl.col("weight").sum()
    )
    shared = _inside(projection.shared, of, "left", "right").agg(community_shared_identifiers=pl.len())
    flows = sum_flows(projection.transfers)
    inner = _inside(flows, of, "source", "target").agg(inner=pl.col("amount").sum())
    outgoing = flows.group_by(of.gather(flows["source"]).alias("community"), maintain_order=True).agg(
        outgoing=pl.col("amount").sum()
    )
    joined = sizes
    for part in (ties, shared, inner, outgoing):
        joined = joined.join(part, on="community", how="left")
    pairs = pl.col("community_size") * (pl.col("community_size") - 1) / 2
    return joined.sort("community").select(
        "community",
        pl.col("community_size").cast(pl.Float64),
        community_density=pl.when(pairs > 0).then(pl.col("n_ties").fill_null(0) / pairs).otherwise(0.0),
        community_tie_weight=pl.col("community_tie_weight").fill_null(0.0),
        community_shared_identifiers=pl.col("community_shared_identifiers").fill_null(0).cast(pl.Float64),
        community_inside_share=(pl.col("inner") / pl.col("outgoing")).fill_null(0.0),
    )


def _inside(pairs: pl.DataFrame, of: pl.Series, left: str, right: str) -> pl.dataframe.group_by.GroupBy:
    placed = pairs.with_columns(community=of.gather(pairs[left]), other=of.gather(pairs[right]))
    return placed.filter(pl.col("community") == pl.col("other")).group_by("community", maintain_order=True)


def _both_ways(pairs: pl.DataFrame) -> pl.DataFrame:
    swapped = pairs.rename({"left": "right", "right": "left"}).select(pairs.columns)
    return pl.concat([pairs, swapped]).rename({"left": "node", "right": "other"})


def _shared_identifiers(projection: Projection, params: FeatureParams) -> pl.DataFrame:
    few = projection.holdings.filter(pl.col("n_holders") <= params.max_identifier_holders)
    by_kind = [pl.col("kind").eq(kind).sum().alias(f"shared_{kind}") for kind in SHARED_KINDS]
    held = few.group_by("node", maintain_order=True).agg(*by_kind, max_holders=pl.col("n_holders").max())
    hard = projection.shared.filter(~pl.col("kind").is_in(["address", "ip"]))
    sharers = (
        _both_ways(hard.select("left", "right", "kind"))
        .group_by("node", maintain_order=True)
        .agg(n_sharers=pl.col("other").n_unique(), n_sharing_kinds=pl.col("kind").n_unique())
    )
    return held.join(sharers, on="node", how="left")


def _turnover(moved: pl.DataFrame) -> pl.DataFrame:
    out = moved.group_by(node="source", maintain_order=True).agg(
        n_out=pl.len(), out_amount=pl.col("amount").sum(), out_partners=pl.col("target").n_unique()
    )
    into = moved.group_by(node="target", maintain_order=True).agg(
        n_in=pl.len(), in_amount=pl.col("amount").sum(), in_partners=pl.col("source").n_unique()
    )
    both = out.join(into, on="node", how="full", coalesce=True).fill_null(0)
    total = pl.col("out_amount") + pl.col("in_amount")
    return both.with_columns(
        flow_balance=1 - (pl.col("out_amount") - pl.col("in_amount")).abs() / total,
        partner_turnover=total / (pl.col("out_partners") + pl.col("in_partners")),
        transfers_per_partner=(pl.col("n_out") + pl.col("n_in"))
        / (pl.col("out_partners") + pl.col("in_partners")),
    )


def measure_pass_through(moved: pl.DataFrame, params: FeatureParams) -> pl.DataFrame:
    """Per node the share and the sum of what came in and left within the window; a payment counts once."""
    came = moved.group_by(node="target", maintain_order=True).agg(came=pl.col("amount").sum())
    passed = sum_passed(moved, params.pass_through_days)
    return (
        came.join(passed, on="node", how="left", maintain_order="left")
        .with_columns(passed_amount=pl.min_horizontal(pl.col("passed_amount").fill_null(0.0), "came"))
        .select("node", pass_through=pl.col("passed_amount") / pl.col("came"), passed_amount="passed_amount")
    )


def _relay_habits(projection: Projection) -> pl.DataFrame:
    """What an entity passes on at once, from how many it gets money just received, to how many it sends
    money passed on.
    """
    moved, relays = projection.transfers, projection.relays
    first, second = (
        moved.select(pl.col("source", "target", "amount").gather(relays[side]))
        for side in ("first", "second")
    )
    pairs = pl.concat([first.select(node="target", amount="amount"), relays], how="horizontal")
    receipts = pairs.unique("first", maintain_order=True)
    passing = receipts.group_by("node", maintain_order=True).agg(
        n_receipts=pl.len(), relayed_amount=pl.col("amount").sum()
    )
    payments = pairs.group_by("node", maintain_order=True).agg(n_payments=pl.col("second").n_unique())
    passing = passing.join(payments, on="node", maintain_order="left").select(
        "node", "relayed_amount", n_relayed=pl.min_horizontal("n_receipts", "n_payments")
    )
    came = moved.group_by(node="target", maintain_order=True).agg(came=pl.col("amount").sum())
    ends = second.group_by(node="target", maintain_order=True).agg(
        n_relay_sources=pl.col("source").n_unique()
    )
    starts = first.group_by(node="source", maintain_order=True).agg(
        n_relay_targets=pl.col("target").n_unique()
    )
    joined = passing.join(ends, on="node", how="full", coalesce=True).join(
        starts, on="node", how="full", coalesce=True
    )
    return (
        joined.join(came, on="node", how="left")
        .with_columns(relayed_share=pl.col("relayed_amount") / pl.col("came"))
        .drop("came")
    )


def _fellow_relayers(projection: Projection) -> pl.DataFrame:
    """How many others pass money on to the same payee, or pass on what the same payer sent; hubs apart.

    So a mule is known by her collector: the ring's size speaks for each member.
    """
    moved, relays = projection.transfers, projection.relays
    first, second = (
        moved.select(pl.col("source", "target").gather(relays[side])) for side in ("first", "second")
    )
    through = first.select(node="target")
    ends = [
        through.with_columns(end=second["target"], side=pl.lit(1)),
        through.with_columns(end=first["source"], side=pl.lit(0)),
    ]
    known = pl.concat(ends).unique().filter(~pl.col("end").is_in(projection.hubs.implode()))
    counted = known.with_columns(fellow_relayers=pl.len().over("end", "side").cast(pl.Int64) - 1)
    return counted.group_by("node").agg(pl.col("fellow_relayers").max())


def _bursts(moved: pl.DataFrame, params: FeatureParams) -> pl.DataFrame:
    fan_in = _most_partners(moved, "target", "source", params).rename(
        {"most": "fan_in_burst", "most_amount": "fan_in_amount"}
    )
    fan_out = _most_partners(moved, "source", "target", params).rename(
        {"most": "fan_out_burst", "most_amount": "fan_out_amount"}
    )
    return fan_in.join(fan_out, on="node", how="full", coalesce=True).fill_null(0)


def _most_partners(moved: pl.DataFrame, node: str, partner: str, params: FeatureParams) -> pl.DataFrame:
    # two grids of windows, half a window apart: a burst of half a window always lies whole in one of them
    width = max(int(params.burst_days * MICROSECONDS_PER_DAY), 1)
    grids = [
        moved.group_by(
            pl.col(node).alias("node"), ((pl.col("at") + shift) // width).alias("window"), maintain_order=True
        ).agg(most=pl.col(partner).n_unique(), most_amount=pl.col("amount").sum())
        for shift in (0, width // 2)
    ]
    return pl.concat(grids).group_by("node", maintain_order=True).agg(pl.col("most", "most_amount").max())


def _cycle_shares(moved: pl.DataFrame, cycles: pl.DataFrame) -> pl.DataFrame:
    steps = cycles.join(moved.with_row_index("transfer").cast({"transfer": pl.Int64}), on="transfer")
    sized = steps.with_columns(length=pl.len().over("cycle"))
    counts = sized.group_by(node="source", maintain_order=True).agg(
        n_cycles=pl.col("cycle").n_unique(),
        longest_cycle=pl.col("length").max(),
        n_long_cycles=pl.col("cycle").filter(pl.col("length") >= 3).n_unique(),
    )
    once = (
        steps.unique("transfer")
        .group_by(node="source", maintain_order=True)
        .agg(cycle_amount=pl.col("amount").sort().sum())
    )
    total = moved.group_by(node="source", maintain_order=True).agg(out=pl.col("amount").sum())
    shares = once.join(total, on="node").select("node", cycle_share=pl.col("cycle_amount") / pl.col("out"))
    return counts.join(shares, on="node", how="left")


def _levied(projection: Projection) -> pl.DataFrame:
    """Per node the payers of the largest levy that it takes or pays, and how far beyond chance it is."""
    ends = pl.concat([projection.levies.with_columns(node=pl.col(side)) for side in ("payee", "payer")])
    return ends.group_by("node", maintain_order=True).agg(
        levy_payers=pl.col("n_payers").max(), levy_decades=pl.col("decades").max()
    )


def _amount_habits(moved: pl.DataFrame, params: FeatureParams) -> pl.DataFrame:
    marked = moved.with_columns(
        rarity=_amount_rarity(moved["amount"]),
        is_round=(pl.col("amount_minor") % params.round_minor == 0).cast(pl.Float64),
        is_just_below=is_just_below(params.reporting_limits, params.just_below),
        is_repeated=(pl.len().over("source", "target", "amount_minor") > 1).cast(pl.Float64),
        is_same_day=(pl.len().over("source", "target", pl.col("at") // MICROSECONDS_PER_DAY) > 1).cast(
            pl.Float64
        ),
        size=pl.col("amount").log(),
    )
    ends = [marked.with_columns(node=pl.col(side)) for side in ("source", "target")]
    return (
        pl.concat(ends)
        .group_by("node", maintain_order=True)
        .agg(
            n_rare_amounts=(pl.col("rarity") > 1.0).sum(),
            n_just_below=pl.col("is_just_below").sum(),
            round_share=pl.col("is_round").mean(),
            repeated_amount_share=pl.col("is_repeated").mean(),
            same_day_repeats=pl.col("is_same_day").sum(),
            cash_share=pl.col("is_cash").cast(pl.Float64).mean(),
            amount_median=pl.col("size").median(),
            amount_spread=pl.col("size").std().fill_null(0.0),
            smallest_amount=pl.col("size").min(),
            largest_amount=pl.col("size").max(),
        )
    )


def is_just_below(limits: Mapping[str, int], share: float) -> pl.Expr:
    """Amounts kept a little below a reporting limit of their currency (structuring)."""
    limit = pl.col("currency").replace_strict(dict(limits), default=None, return_dtype=pl.Int64)
    below = (pl.col("amount_minor") < limit) & (pl.col("amount_minor") >= (1 - share) * limit)
    return below.fill_null(value=False).cast(pl.Float64)


def _amount_rarity(amount: pl.Series) -> npt.NDArray[np.float64]:
    """log10 of how many times rarer an amount of this size is than the commonest; bins of a tenth of the
    log10.
    """
    bins = np.floor(np.log10(amount.to_numpy()) * 10).astype(np.int64)
    if not len(bins):
        return np.empty(0)
    counts = np.bincount(bins - bins.min()).astype(np.float64)
    rarity: npt.NDArray[np.float64] = np.log10(counts.max() / np.maximum(counts, 1.0))
    each: npt.NDArray[np.float64] = rarity[bins - bins.min()]
    return each


def _pace(moved: pl.DataFrame) -> pl.DataFrame:
    ends = pl.concat([moved.select("at", node=side) for side in ("source", "target")])
    day = pl.col("at") // MICROSECONDS_PER_DAY
    paced = ends.sort("node", "at").with_columns(gap=pl.col("at").diff().over("node") / MICROSECONDS_PER_DAY)
    return paced.group_by("node", maintain_order=True).agg(
        active_days=day.n_unique(),
        transfers_per_active_day=pl.len() / day.n_unique(),
        span_days=(pl.col("at").max() - pl.col("at").min()) / MICROSECONDS_PER_DAY,
        median_gap_days=pl.col("gap").median(),
    )


def _inside_share(projection: Projection, community: Membership) -> pl.DataFrame:
    of = pl.Series(community)
    flows = sum_flows(projection.transfers)
    placed = flows.with_columns(same=of.gather(flows["source"]) == of.gather(flows["target"]))
    ends = pl.concat([placed.select("amount", "same", node=side) for side in ("source", "target")])
    return ends.group_by("node", maintain_order=True).agg(
        inside_share=pl.col("amount").filter(pl.col("same")).sum() / pl.col("amount").sum(),
        n_inside=pl.col("same").sum(),
    )


def _watchlist_closeness(projection: Projection) -> pl.DataFrame:
    nodes = projection.index.nodes
    closeness = measure_closeness(projection, nodes.filter(pl.col("is_watchlist"))["node"])
    return nodes.select("node", watchlist_closeness=closeness)


def measure_closeness(projection: Projection, listed: pl.Series) -> pl.Series:
    """By node: 1 among the `listed`, 1/2 next to one by a tie or a transfer, 1/4 two steps away, else 0; no
    way leads through a hub.
    """
    nodes = projection.index.nodes
    flows = projection.transfers.select(left="source", right="target").unique()
    links = _both_ways(pl.concat([flows, projection.edges.select("left", "right")]))
    hubs = projection.hubs.implode()
    first = links.filter(pl.col("other").is_in(listed.implode()))["node"].unique()
    through = links.filter(pl.col("other").is_in(first.implode()) & ~pl.col("other").is_in(hubs))
    second = through["node"].unique()
    steps = ((listed, 1.0), (first, 0.5), (second, 0.25))
    near = [pl.when(pl.col("node").is_in(reached.implode())).then(close) for reached, close in steps]
    return nodes.select(pl.coalesce(*near, 0.0)).to_series()


def _record_signs(tables: Tables, index: NodeIndex) -> pl.DataFrame:
    """Whether an e-mail address fits its holder: the family name or the given name, and digits of a
    document, in it.
    """
    columns = ["record_id", "given_key", "family_key", "emails", "identifiers"]
    records = read_frame(tables, "entity_records", columns).join(index.records, on="record_id")
    mail = (
        records.explode("emails", empty_as_null=True)
        .drop_nulls("emails")
        .with_columns(local=pl.col("emails").str.to_lowercase().str.split("@").list.first())
    )
    digits = pl.col("local").str.extract(r"(\d{3,})", 1)
    documents = pl.col("identifiers").list.join(" ")
    names_fit = pl.any_horizontal(
        pl.col("local").str.contains(pl.col(key), literal=True).fill_null(value=False)
        for key in ("given_key", "family_key")
    )
    named = pl.col("given_key").is_not_null() | pl.col("family_key").is_not_null()
    return mail.group_by("node", maintain_order=True).agg(
        mail_name_misfit=(named & ~names_fit).any().cast(pl.Float64),
        mail_digits_misfit=(
            digits.is_not_null() & (documents != "") & ~documents.str.contains(digits, literal=True)
        )
        .any()
        .cast(pl.Float64),
    )


def _events(tables: Tables, index: NodeIndex, params: FeatureParams) -> pl.DataFrame:
    """Events of an entity as the party, or as the counterparty where that is a record of the source."""
    columns = ["record_id", "counterparty", "amount_minor", "occurred_at"]
    events = read_in_window(tables, "party_events", columns)
    ways = [("record_id", "counterparty"), ("counterparty", "record_id")]
    sides = [events.select("amount_minor", "occurred_at", own=own, other=other) for own, other in ways]
    placed = (
        pl.concat(sides)
        .join(index.records, left_on="own", right_on="record_id")
        .drop_nulls("occurred_at")
        .sort("node", "occurred_at", "other", "amount_minor")
    )
    at, day = pl.col("occurred_at").dt.epoch("us"), pl.col("occurred_at").dt.date()
    start = pl.lit(placed["occurred_at"].min(), pl.Datetime("us", "UTC"))
    return placed.group_by("node", maintain_order=True).agg(
        n_events=pl.len(),
        n_event_days=day.n_unique(),
        n_event_partners=pl.col("other").n_unique(),
        event_amount=pl.col("amount_minor").sum() / 100,
        events_per_day=pl.len() / day.n_unique(),
        night_event_share=(pl.col("occurred_at").dt.hour() < params.night_ends_hour).mean(),
        first_event_day=(pl.col("occurred_at").min() - start).dt.total_seconds() / 86_400,
        last_event_day=(pl.col("occurred_at").max() - start).dt.total_seconds() / 86_400,
        median_event_gap_days=at.diff().median().fill_null(0.0) / MICROSECONDS_PER_DAY,
    )


def _account_ages(tables: Tables, projection: Projection) -> pl.DataFrame:
    opened = read_frame(tables, "accounts", ["account_id", "opened_on"]).join(
        projection.index.accounts, on="account_id"
    )
    last = projection.transfers["at"].max()
    newest = pl.lit(last, pl.Int64).cast(pl.Datetime("us")).dt.date()
    return (
        opened.drop_nulls("opened_on")
        .group_by("node", maintain_order=True)
        .agg(n_accounts=pl.len(), account_age_days=(newest - pl.col("opened_on").max()).dt.total_days())
    )
