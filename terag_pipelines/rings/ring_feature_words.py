"""The features of a ring in words, beside those of the other rings of its batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from terag_pipelines.rings.model import SHARED_KINDS
from terag_pipelines.rings.sections import Row, Rows, Section, Told
from terag_pipelines.rings.words import say_count

TITLE = "How this ring compares"


def _share(value: float) -> str:
    return f"{value:.0%}"


def _count(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def _decimal(value: float) -> str:
    return f"{value:,.2f}"


_TOLD: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("n_members", "members", _count),
    ("density", "pairs of members that are tied", _share),
    ("mean_tie", "weight of ties for each pair", _decimal),
    ("fan_in", "others who pay one member, at most", _share),
    ("fan_out", "others whom one member pays, at most", _share),
    ("n_circles", "circles of three or more transfers", _count),
    ("circle_share", "members on a circle", _share),
    ("pass_through", "of what members get, what leaves within days", _share),
    ("n_relayed", "receipts passed on nearly whole", _count),
    ("relay_hours", "hours until they are passed on, the median", _decimal),
    ("inside_share", "of what members pay, what stays among them", _share),
    ("span_days", "days from the first transfer to the last", _count),
    ("round_share", "transfers of round amounts", _share),
    ("n_just_below", "transfers just below a reporting limit", _count),
    *((f"shared_{kind}", f"shared by two or more: {kind}", _count) for kind in SHARED_KINDS),
    ("watchlist_closeness", "closeness to a watchlist (1 is on it)", _decimal),
    ("fraud_closeness", "closeness to fraud that analysts found", _decimal),
    ("n_labelled_fraud", "members whom analysts found to be frauds", _count),
    ("new_account_share", "accounts that were new at the first transfer", _share),
)


def tell_features(ring_id: str, features: Sequence[Mapping[str, Any]]) -> tuple[Section, ...]:
    """The section of a case, from the rows of RING_FEATURES of a batch; none where the ring is not in them.

    Figures that are not known of the ring are left out, and those that are zero in every ring.
    """
    own = next((row for row in features if row["ring_id"] == ring_id), None)
    if own is None:
        return ()
    others = [row for row in features if row is not own]
    rows = tuple(
        _row(words, own[name], [row[name] for row in others if row[name] is not None], say)
        for name, words, say in _TOLD
        if own[name] is not None and any(row[name] for row in features)
    )
    head = ("figure", "this ring", f"median of {say_count(len(others), 'other ring')}")
    quiet = "Figures describe the ring; its risk is that of its members, each scored by signs of its own."
    return (Section(TITLE, (Rows(head, rows, (1, 2)), Told(quiet, is_quiet=True))),)


def _row(words: str, own: float, others: Sequence[float], say: Callable[[float], str]) -> Row:
    return words, say(own), say(median(others)) if others else "-"
