"""Which features speak of a ring, how much each says, and how it is put into words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Signal:
    """A feature whose large values are suspicious.

    Of the signals of one `group` only the strongest counts, as they see the same thing. `words` has one
    `{}` for the value, which is shown times `scale` with `digits` decimals; where the value is a product that
    nobody could check, `told` names the feature to show instead. `least` is the value below which it says
    nothing.
    """

    feature: str
    group: str
    weight: float
    words: str
    scale: float = 1.0
    digits: int = 0
    least: float = 0.0
    from_hubs: bool = True
    told: str = ""
    is_decades: bool = False


MOST_DECADES = 4.0
"""As much as the most extreme of ten thousand peers says."""

SIGNALS = (
    Signal("n_sharers", "identity", 1.5, "shares identifiers other than addresses and IPs with {} others"),
    Signal("shared_device", "identity", 1.5, "uses {} devices that others use too"),
    Signal("shared_document", "identity", 1.5, "holds {} documents that others hold too"),
    Signal("n_sharing_kinds", "identity", 1.5, "shares {} kinds of identifiers with others", least=2.0),
    Signal("mail_name_misfit", "mail", 0.5, "has at least {} e-mail address without its own name in it"),
    Signal("cycle_share", "cycle", 1.5, "{}% of what it sends goes round in a cycle", 100.0),
    Signal(
        "n_long_cycles",
        "cycle",
        1.5,
        "is on {} ways of money round a circle, each of three or more transfers",
    ),
    Signal("n_relayed", "relay", 1.5, "passes on {} receipts nearly whole within days", from_hubs=False),
    Signal(
        "n_relay_sources", "relay", 1.5, "is paid by {} who just got that money themselves", from_hubs=False
    ),
    Signal("n_relay_targets", "relay", 1.5, "pays {} who pass the money on at once", from_hubs=False),
    Signal(
        "fellow_relayers",
        "fellows",
        1.5,
        "passes money on with {} others, to one payee or from one payer",
        least=2.0,
        from_hubs=False,
    ),
    Signal(
        "gathering",
        "fan",
        1.0,
        "gathers from {} payers within days and passes money on",
        least=2.0,
        from_hubs=False,
        told="fan_in_burst",
    ),
    Signal(
        "scattering",
        "fan",
        1.0,
        "spreads what came in to {} payees within days",
        least=2.0,
        from_hubs=False,
        told="fan_out_burst",
    ),
    Signal(
        "pass_through", "pass_through", 0.75, "{}% of what comes in leaves within days", 100.0, 0, 0.5, False
    ),
    Signal("n_rare_amounts", "amounts", 1.0, "{} transfers of amounts that are rare here", from_hubs=False),
    Signal(
        "same_day_repeats",
        "repeats",
        1.0,
        "{} transfers repeat on one day between the same two",
        from_hubs=False,
    ),
    Signal("transfers_per_partner", "repeats", 1.0, "{} transfers per counterparty", 1.0, 1, 1.01, False),
    Signal(
        "levy_decades",
        "levy",
        1.5,
        "is one of {} who pay one payee exactly the same amount, or that payee",
        from_hubs=False,
        told="levy_payers",
        is_decades=True,
    ),
    Signal("n_just_below", "structuring", 1.0, "{} transfers just below a reporting limit", from_hubs=False),
    Signal("events_per_day", "pace", 0.75, "{} events on each active day", 1.0, 1, 1.0),
    Signal("n_events", "pace", 0.75, "{} events, more than most"),
    Signal(
        "watchlist_closeness", "watchlist", 1.0, "closeness {} to someone on a watchlist (1 is on it)", 1.0, 2
    ),
)


def weigh_tails(values: Floats) -> Floats:
    """How rare a value so large is: -log10 of the share of peers with a value at least as large; 0 for 0 or
    less.

    The right tail of ECOD (Li et al., ECOD: Unsupervised outlier detection using empirical cumulative
    distribution functions, 2022), with zeros uninformative because most features are zero for most
    entities.
    """
    ordered = np.sort(values)
    n_above = len(values) - np.searchsorted(ordered, values, side="left")
    evidence: Floats = -np.log10(n_above / max(len(values), 1))
    return np.where(values > 0, evidence, 0.0)


def weigh_signals(features: pl.DataFrame) -> pl.DataFrame:
    """node, then for each signal its evidence times its weight.

    People are compared with people, organisations with organisations, partial entities with such (peer
    groups, Bolton and Hand, Unsupervised profiling methods for fraud detection, 2001): what is usual for a
    shop is not for a person.
    """
    is_hub = features["is_hub"].to_numpy() > 0
    peers = (features["is_partial"] * 2 + features["is_organisation"]).to_numpy()
    groups = [np.flatnonzero(peers == peer) for peer in np.unique(peers)]
    columns = {"node": features["node"]}
    for signal in SIGNALS:
        values = features[signal.feature].to_numpy()
        heard = np.where((values >= signal.least) & (signal.from_hubs | ~is_hub), values, 0.0)
        evidence = np.minimum(heard, MOST_DECADES)
        for group in () if signal.is_decades else groups:
            evidence[group] = weigh_tails(heard[group])
        columns[signal.feature] = pl.Series(signal.weight * evidence)
    return pl.DataFrame(columns)


def sum_groups(evidence: pl.DataFrame) -> Floats:
    """Per node the sum over groups of the strongest evidence in each."""
    total = np.zeros(evidence.height)
    for group in sorted({signal.group for signal in SIGNALS}):  # in this order: a float sum depends on it
        names = [signal.feature for signal in SIGNALS if signal.group == group]
        total += evidence.select(names).to_numpy().max(axis=1)
    return total


def explain_nodes(
    features: pl.DataFrame, evidence: pl.DataFrame, min_evidence: float, n_reasons: int
) -> pl.DataFrame:
    """node, features (JSON), reasons: per node what speaks loudest; nodes about which nothing speaks left
    out.
    """
    heard = pl.concat(_one_signal(features, evidence, signal, min_evidence) for signal in SIGNALS)
    strongest = heard.sort(["node", "evidence", "name"], descending=[False, True, False])
    reasons = (
        strongest.unique(["node", "group"], keep="first", maintain_order=True)
        .group_by("node", maintain_order=True)
        .agg(reasons=pl.col("text").head(n_reasons))
    )
    as_json = (
        strongest.sort("node", "name")
        .group_by("node", maintain_order=True)
        .agg(features=pl.lit("{") + pl.format('"{}": {}', "name", "value").str.join(", ") + pl.lit("}"))
    )
    return as_json.join(reasons, on="node").sort("node")


def _one_signal(
    features: pl.DataFrame, evidence: pl.DataFrame, signal: Signal, min_evidence: float
) -> pl.DataFrame:
    strength = evidence[signal.feature]
    loud = (strength >= min_evidence * signal.weight) & (strength > 0)
    value = features.filter(loud)[signal.feature]
    shown = (features.filter(loud)[signal.told or signal.feature] * signal.scale).round(signal.digits)
    text = shown.cast(pl.Int64) if signal.digits == 0 else shown
    return pl.DataFrame(
        {
            "node": features.filter(loud)["node"],
            "name": [signal.feature] * len(value),
            "group": [signal.group] * len(value),
            "value": value.round(4),
            "evidence": strength.filter(loud),
            "text": pl.select(pl.format(signal.words, text)).to_series()
            if len(value)
            else pl.Series([], dtype=pl.String),
        },
        schema_overrides={"name": pl.String, "group": pl.String, "value": pl.Float64},
    )
