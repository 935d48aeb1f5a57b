"""Scenes made by hand: rings of any kind and size, with flows and shared things as such rings have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import numpy as np

from terag_pipelines.rings.scenes import Member, RingScene, SharedIdentifier, Transfer

START = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"
KINDS = ("cycle", "fan_in", "fan_out", "shared_identity", "mixed")
Move = tuple[int, int]


def elements_of(svg: str) -> set[str]:
    """The names of all elements of a picture of ours, which is well-formed XML."""
    return {one.tag.removeprefix(SVG) for one in ElementTree.fromstring(svg).iter()}  # noqa: S314


def ring_row(kind: str, n_members: int, **changed: object) -> dict[str, object]:
    """A row of FRAUD_RINGS."""
    row: dict[str, object] = {
        "ring_id": "ring_00112233445566aa",
        "community_id": "e:001",
        "n_members": n_members,
        "kind": kind,
        "risk_score": 0.83,
        "risk_probability": None,
        "is_calibrated": False,
        "severity": "high",
        "amount_minor": 123_456_789,
        "currency": "KZT",
        "n_transfers": 3,
        "n_shared_identifiers": 1,
        "n_watchlist": 0,
        "first_at": START,
        "last_at": START + timedelta(days=2),
        "reasons": [],
    }
    return row | changed


def make_scene(
    kind: str,
    roles: Sequence[str],
    moves: Iterable[Move] = (),
    shared: Sequence[tuple[str, Sequence[int]]] = (),
    watched: Sequence[int] = (),
    currencies: Sequence[str] = ("KZT",),
) -> RingScene:
    """A scene with these roles, a transfer for each move, six hours after the one before."""
    transfers = [
        Transfer(
            transfer_id=f"t{at:04d}",
            payer=payer,
            payee=payee,
            amount_minor=1_000_000 + 137_000 * (at % 17),
            currency=currencies[at % len(currencies)],
            occurred_at=START + timedelta(hours=6 * at),
            size=1 + 0.137 * (at % 17),
        )
        for at, (payer, payee) in enumerate(moves)
    ]
    flow = dict.fromkeys(range(1, len(roles) + 1), 0.0)
    for one in transfers:
        flow[one.payer] += one.size
        flow[one.payee] += one.size
    members = [
        Member(number, f"ent_{number:016x}", role, 0.5, number in watched, 0, 0, flow[number])
        for number, role in enumerate(roles, start=1)
    ]
    held = [SharedIdentifier(kind, f"{kind}-{at}", tuple(who)) for at, (kind, who) in enumerate(shared)]
    return RingScene(ring_row(kind, len(roles)), tuple(members), tuple(transfers), tuple(held))


def typical_scene(kind: str, n: int, seed: int = 0) -> RingScene:
    """A ring of `n` members as rings of its kind are, with a few payments and shared things besides."""
    rng = np.random.default_rng([seed, n, KINDS.index(kind)])
    everyone = list(range(1, n + 1))
    roles, moves = _SHAPES[kind](n)
    besides = [tuple(map(int, rng.choice(everyone, 2, replace=False))) for _ in range(n // 3)]
    some = [sorted(map(int, rng.choice(everyone, min(n, 2 + at % 3), replace=False))) for at in range(n // 3)]
    kinds = ("phone", "device", "address")
    shared = [("device", everyone)] if kind == "shared_identity" else []
    shared += [(kinds[at % 3], who) for at, who in enumerate(some)]
    return make_scene(kind, roles, [*moves * 3, *besides], shared, watched=[1])  # type: ignore[list-item]


def _cycle(n: int) -> tuple[list[str], list[Move]]:
    return ["link"] * n, [(at, at % n + 1) for at in range(1, n + 1)]


def _fan_in(n: int) -> tuple[list[str], list[Move]]:
    roles = ["collector", "beneficiary", *["mule"] * (n - 2)]
    return roles, [*((at, 1) for at in range(3, n + 1)), (1, 2)]


def _fan_out(n: int) -> tuple[list[str], list[Move]]:
    return ["distributor", *["mule"] * (n - 1)], [(1, at) for at in range(2, n + 1)]


def _shared(n: int) -> tuple[list[str], list[Move]]:
    return ["shared_identity"] * n, [(at, at + 1) for at in range(1, n, 2)]


def _mixed(n: int) -> tuple[list[str], list[Move]]:
    roles = ["collector", "distributor", *["mule"] * (n - 4), "beneficiary", "associate"][-n:]
    spread = [(2, at) for at in range(3, n, 2)] + [(at, 1) for at in range(3, n)]
    return roles, spread if n > 3 else [(1, 2), (2, 3)]


_SHAPES = {
    "cycle": _cycle,
    "fan_in": _fan_in,
    "fan_out": _fan_out,
    "shared_identity": _shared,
    "mixed": _mixed,
}
