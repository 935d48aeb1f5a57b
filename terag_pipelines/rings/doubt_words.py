"""What the draws of uncertain links say of rings, in words: for the case of one, and for a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from terag_pipelines.rings.sections import Block, Row, Rows, Section, Told
from terag_pipelines.rings.words import say_count
from terag_pipelines.tables import as_frame

_SHOWN = [
    "ring_id",
    "holds_probability",
    "n_members_low",
    "n_members_high",
    "risk_low",
    "risk_high",
    "coverage",
    "weakest_probability",
    "n_members_without",
]


def say_doubts(ring_doubt: pa.Table) -> str | None:
    """How many rings of a batch rest on uncertain links, and how many hang on one; None without rings."""
    if not ring_doubt.num_rows:
        return None
    rings = as_frame(ring_doubt)
    n_doubtful = (rings["n_uncertain_links"] > 0).sum()
    n_fragile = (rings["n_members_without"] == 0).sum()
    told = f"rings that rest on uncertain links: {n_doubtful:,} of {rings.height:,}"
    return f"{told}; that fall apart without one of them: {n_fragile:,}"


def list_fragile(ring_doubt: pa.Table, n: int) -> pa.Table:
    """The rings that hold least surely, without record ids."""
    rings = as_frame(ring_doubt).filter(pl.col("n_uncertain_links") > 0)
    return rings.sort("holds_probability", "ring_id").head(n).select(_SHOWN).to_arrow()


def tell_doubt(
    doubt: Mapping[str, Any], members: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]
) -> Section:
    """The section "Doubt" of a case: a row of RING_DOUBT, rows of RING_MEMBER_DOUBT, numbers by entity id."""
    if not doubt["n_uncertain_links"]:
        return Section("Doubt", (Told(_say_sure(doubt)),))
    blocks: list[Block] = [Told(_say_interval(doubt)), Told(_say_weakest(doubt))]
    rows = tuple(_member_row(row, numbers) for row in _less_than_sure(members, numbers))
    if rows:
        head = ("member", "entity", "belongs in", "uncertain links of its own")
        blocks.append(Rows(head, rows, (0, 2, 3)))
    return Section("Doubt", (*blocks, Told(_say_method(doubt), is_quiet=True)))


def _say_sure(doubt: Mapping[str, Any]) -> str:
    told = "No link between records of its members is uncertain"
    if not doubt["n_worlds"]:
        return f"{told}: size and risk are as sure as the links."
    return f"{told}; those of others move it: {_say_range(doubt)} ({_say_coverage(doubt)})."


def _say_interval(doubt: Mapping[str, Any]) -> str:
    held = f"The ring holds in {doubt['holds_probability']:.0%} of draws"
    return f"{held}: {_say_range(doubt)} ({_say_coverage(doubt)}; 0 where it falls apart)."


def _say_range(doubt: Mapping[str, Any]) -> str:
    low, high = doubt["n_members_low"], doubt["n_members_high"]
    size = say_count(high, "member") if low == high else f"{low:,} to {high:,} members"
    risks = sorted({f"{doubt[name]:.2f}" for name in ("risk_low", "risk_high")})
    return f"{size}, risk {' to '.join(risks)}"


def _say_coverage(doubt: Mapping[str, Any]) -> str:
    """What the intervals claim: what scoring the bank anew has shown, or else nothing."""
    if not doubt["n_worlds"]:
        return "what 90% of draws give; the bank was not scored anew, so the truth is outside more often"
    if doubt["coverage"] is None:
        told = f"in {say_count(doubt['n_compared'], 'ring')} like it of banks scored anew"
        return f"widened by the most seen {told}: too few to say how often the truth is inside"
    return f"{doubt['coverage']:.0%} intervals, widened by {doubt['n_compared']:,} rings of banks scored anew"


def _say_weakest(doubt: Mapping[str, Any]) -> str:
    if doubt["weakest_left_id"] is None:
        return "It keeps all its members without any single one of its uncertain links."
    left, right = doubt["weakest_left_id"], doubt["weakest_right_id"]
    link = f"the link of {left} and {right} ({doubt['weakest_probability']:.0%} likely)"
    look = f"Look at it: terag review show {left} {right}"
    if not doubt["n_members_without"]:
        return f"It falls apart without {link}. {look}"
    kept = say_count(doubt["n_members_without"], "member")
    return f"No single link breaks it; most is lost without {link}: {kept} would stay. {look}"


def _less_than_sure(
    members: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]
) -> list[Mapping[str, Any]]:
    doubtful = [row for row in members if row["membership_probability"] < 1 or row["n_uncertain_links"]]
    return sorted(doubtful, key=lambda row: (row["membership_probability"], numbers[row["entity_id"]]))


def _member_row(row: Mapping[str, Any], numbers: Mapping[str, int]) -> Row:
    share, n_links = f"{row['membership_probability']:.0%}", str(row["n_uncertain_links"] or "")
    return str(numbers[row["entity_id"]]), row["entity_id"], share, n_links


def _say_method(doubt: Mapping[str, Any]) -> str:
    links = say_count(doubt["n_uncertain_links"], "uncertain link")
    told = f"{links} between records of members, drawn {doubt['n_draws']:,} times by their probabilities"
    meant = "" if doubt["is_calibrated"] else "; these are not calibrated, and may be too sure of themselves"
    return f"{told}{meant}. Pairs that are not linked are not drawn: nobody joins the ring in a draw."
