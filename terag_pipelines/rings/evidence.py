"""The evidence behind each reason of a ring: the circle, the payments, the holders, whoever is listed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from terag_pipelines.rings.case_files import CaseFile
from terag_pipelines.rings.portraits import LEVY_WORDS
from terag_pipelines.rings.scenes import Flow, SharedIdentifier, Transfer
from terag_pipelines.rings.sections import Block, Rows, Told
from terag_pipelines.rings.trails import find_cycles
from terag_pipelines.rings.words import plain_kind, say_count, say_instant, say_member, say_money, say_sums

N_SHOWN = 10
N_LARGEST = 3
MAX_PATHS = 50_000  # enough to show circles; the ring's own search was wider
Find = Callable[[CaseFile, str], tuple[Block, ...]]


def evidence_of(case: CaseFile, reason: str) -> tuple[Block, ...]:
    """What a reason of the ring rests on; nothing for one whose words are not known here."""
    found = next((find for pattern, find in _EVIDENCE if re.search(pattern, reason)), None)
    return found(case, reason) if found else ()


def find_circles(case: CaseFile) -> list[list[Transfer]]:
    """Circles of three or more transfers, those of most money first; no transfer is in two of them."""
    scene = case.scene
    numbers = range(max((member.number for member in scene.members), default=0) + 1)
    moved = pl.DataFrame(
        {
            "source": [one.payer for one in scene.transfers],
            "target": [one.payee for one in scene.transfers],
            "amount": [one.size for one in scene.transfers],
            "at": [_microseconds(one) for one in scene.transfers],
        },
        schema={"source": pl.Int64, "target": pl.Int64, "amount": pl.Float64, "at": pl.Int64},
    )
    alike = np.zeros(len(numbers), dtype=np.int64)
    params = replace(case.provenance.params.cycles, max_paths=MAX_PATHS)
    found = find_cycles(moved, alike, pl.Series([], dtype=pl.Int64), params)
    circles: dict[int, list[Transfer]] = {}
    for cycle, row in found.sort("cycle", "position").select("cycle", "transfer").iter_rows():
        circles.setdefault(cycle, []).append(scene.transfers[row])
    long = _apart([circle for circle in circles.values() if len(circle) > 2])
    return sorted(long, key=lambda c: (-sum(one.size for one in c), c[0].transfer_id))


def _apart(circles: Sequence[list[Transfer]]) -> list[list[Transfer]]:
    """The quickest circles, without those that share a transfer with a quicker one.

    One circle can be told from each of its members, and joined from parts of two rounds.
    """
    kept, used = [], set[str]()
    for circle in sorted(circles, key=lambda c: (c[-1].occurred_at - c[0].occurred_at, c[0].transfer_id)):
        ids = {one.transfer_id for one in circle}
        if not ids & used:
            kept.append(circle)
            used |= ids
    return kept


def _microseconds(one: Transfer) -> int:
    return round(one.occurred_at.timestamp() * 1_000_000)


def _circles(case: CaseFile, _reason: str) -> tuple[Block, ...]:
    circles = find_circles(case)
    rows = [
        (
            " → ".join(str(one.payer) for one in [*circle, circle[0]]),
            f"{say_instant(circle[0].occurred_at)} to {say_instant(circle[-1].occurred_at)}",
            say_money(circle[0].money),
            say_money(circle[-1].money),
        )
        for circle in circles[:N_SHOWN]
    ]
    head = ("members, in order", "from, to (UTC)", "sent first", "came back")
    return _table(f"{say_count(len(circles), 'circle')} of transfers", head, rows, len(circles), (2, 3))


def _collection(case: CaseFile, _reason: str) -> tuple[Block, ...]:
    return _star(case, lambda flow: flow.payee, "Paid to member")


def _levy(case: CaseFile, reason: str) -> tuple[Block, ...]:
    """The transfers of the reason's amount to the member that most members pay it."""
    alike = [one for one in case.scene.transfers if reason.endswith(f": {say_money(one.money)}")]
    payers: dict[int, set[int]] = {}
    for one in alike:
        payers.setdefault(one.payee, set()).add(one.payer)
    payee = min(payers, key=lambda number: (-len(payers[number]), number), default=None)
    paid = [one for one in alike if one.payee == payee]
    return _listing(case, "Each payment of it", paid, N_SHOWN)


def _distribution(case: CaseFile, _reason: str) -> tuple[Block, ...]:
    return _star(case, lambda flow: flow.payer, "Paid by member")


def _star(case: CaseFile, centre_of: Callable[[Flow], int], words: str) -> tuple[Block, ...]:
    """All flows of the member with most counterparties on that side."""
    stars: dict[int, list[Flow]] = {}
    for flow in case.scene.flows():
        stars.setdefault(centre_of(flow), []).append(flow)
    if not stars:
        return ()
    centre = min(stars, key=lambda number: (-len(stars[number]), number))
    flows = sorted(stars[centre], key=lambda flow: (-flow.size, flow.payer, flow.payee))
    rows = [
        (_called(case, flow.payer), _called(case, flow.payee), str(flow.n_transfers), say_sums(flow.sums))
        for flow in flows[:N_SHOWN]
    ]
    title = f"{words} {_called(case, centre)}"
    return _table(title, ("payer", "payee", "transfers", "sum"), rows, len(flows), (2, 3))


def _transfers(case: CaseFile, _reason: str) -> tuple[Block, ...]:
    largest = sorted(case.scene.transfers, key=lambda one: (-one.size, one.occurred_at, one.transfer_id))
    return _listing(case, "The largest", largest[:N_LARGEST], N_LARGEST)


def _listing(case: CaseFile, title: str, transfers: Sequence[Transfer], n_most: int) -> tuple[Block, ...]:
    rows = [
        (
            say_instant(one.occurred_at),
            _called(case, one.payer),
            _called(case, one.payee),
            say_money(one.money),
        )
        for one in transfers[:n_most]
    ]
    return _table(title, ("when (UTC)", "payer", "payee", "amount"), rows, len(transfers), (3,))


def _watched(case: CaseFile, _reason: str) -> tuple[Block, ...]:
    listed = tuple(_called(case, one.number) for one in case.scene.members if one.is_watchlist)
    return (Told("; ".join(listed)),) if listed else ()


def _sharing(case: CaseFile, reason: str) -> tuple[Block, ...]:
    kinds = sorted({one.kind for one in case.scene.shared}, key=lambda kind: (-len(kind), kind))
    kind = next((kind for kind in kinds if re.search(rf"\b{re.escape(kind)}\b", reason)), None)
    most = case.provenance.params.projection.max_identifier_holders
    few = [one for one in case.scene.shared if len(one.holders) + one.n_outside <= most]
    shared = [one for one in few if one.kind == kind]
    if not shared:
        return ()
    title = say_count(
        len(shared),
        f"shared {plain_kind(shared[0].kind)}",
        f"shared things of kind {plain_kind(shared[0].kind)}",
    )
    return _table(title, SHARED_HEAD, [shared_row(case, one) for one in shared[:N_SHOWN]], len(shared), (3,))


SHARED_HEAD = ("kind", "value", "held by members", "others who hold it")


def shared_row(case: CaseFile, one: SharedIdentifier) -> tuple[str, ...]:
    """A shared identifier with its holders, as a row below SHARED_HEAD."""
    holders = ", ".join(_called(case, number) for number in one.holders)
    return plain_kind(one.kind), one.value, holders, str(one.n_outside)


def _called(case: CaseFile, number: int) -> str:
    return say_member(number, case.people[number].name)


def _table(
    title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]], n_all: int, numeric: tuple[int, ...]
) -> tuple[Block, ...]:
    if not rows:
        return ()
    more = f" ({len(rows)} of {n_all:,} shown)" if n_all > len(rows) else ""
    return Told(f"{title}{more}:", is_quiet=True), Rows(head, tuple(rows), numeric)


# By the words of rings/portraits.py; the first that fits counts.
_EVIDENCE: tuple[tuple[str, Find], ...] = (
    (r"circle", _circles),
    (re.escape(LEVY_WORDS), _levy),
    (r"\bpay one member", _collection),
    (r"one member pays", _distribution),
    (r"transfers? between members", _transfers),
    (r"watchlist", _watched),
    (r"\bshare", _sharing),
)
