"""Planted fraud rings: who is in them, what they share, and the payments that give them away."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from terag_pipelines.demo.accounts import Accounts
from terag_pipelines.demo.calendar import DAY_S, Calendar
from terag_pipelines.demo.flows import APP, ATM, BRANCH, Flow, make_flow, tiyn
from terag_pipelines.demo.identity import mobile_numbers
from terag_pipelines.demo.people import Addresses, People
from terag_pipelines.demo.randomness import Bools, Floats, Ints, Rng, between, happens, pick
from terag_pipelines.demo.words import CASH, GIFT, LOAN

CYCLE, FAN_IN, FAN_OUT, SHARED = range(4)
KIND_NAMES = ("cycle", "fan_in", "fan_out", "shared_identity")
MEMBER_SHARE = 0.015
SIZES = ((4, 8), (6, 15), (6, 15), (4, 10))
ROUNDS = 4


@dataclass(frozen=True)
class Rings:
    """Members of all rings, ring by ring; the first member of a ring (place 0) is its hub."""

    person: Ints
    ring: Ints
    place: Ints
    kind: Ints  # of each ring
    size: Ints  # of each ring
    start: Ints  # row of each ring's first member
    uses_ring_device: Bools

    @property
    def n_rings(self) -> int:
        """How many rings are planted."""
        return len(self.kind)

    def rows_of(self, kind: int) -> Ints:
        """Rows of the members of all rings of one kind."""
        return np.flatnonzero(self.kind[self.ring] == kind)


def plan_rings(people: People, calendar: Calendar, rng: Rng) -> Rings:
    """Rings of all four kinds in turn, about MEMBER_SHARE of the people, one member per household."""
    wanted = max(24, round(MEMBER_SHARE * len(people)))
    kind = np.arange(wanted) % len(SIZES)
    low, high = np.array(SIZES).T
    size = low[kind] + (rng.random(wanted) * (high - low + 1)[kind]).astype(np.int64)
    n_rings = max(4, int(np.searchsorted(np.cumsum(size), wanted)) + 1)
    candidates = _candidates(people, calendar, rng)
    while n_rings > 1 and size[:n_rings].sum() > len(candidates):
        n_rings -= 1
    kind, size = kind[:n_rings], size[:n_rings]
    start = np.cumsum(size) - size
    ring = np.repeat(np.arange(n_rings), size)
    herded = (kind == SHARED) | happens(rng, 0.4, n_rings)
    share = np.where(kind == SHARED, 0.8, 0.5) * herded
    person = candidates[: len(ring)]
    return Rings(
        person,
        ring,
        np.arange(len(ring)) - start[ring],
        kind,
        size,
        start,
        happens(rng, share[ring], len(ring)),
    )


def _candidates(people: People, calendar: Calendar, rng: Rng) -> Ints:
    age = (calendar.last_day - people.birth).astype(np.int64) / 365.25
    fitting = rng.permutation(np.flatnonzero(people.is_client & (age > 18) & (age < 52)))
    _, one_each = np.unique(people.household[fitting], return_index=True)
    return fitting[np.sort(one_each)]


def share_identities(people: People, rings: Rings, rng: Rng) -> People:
    """The people with what the members of shared-identity rings share: a phone, a drop address."""
    rows = rings.rows_of(SHARED)
    member, ring = rings.person[rows], rings.ring[rows]
    second_phone, address = people.second_phone.copy(), people.address.copy()
    has_phone, has_address = happens(rng, 0.75, len(rows)), happens(rng, 0.55, len(rows))
    second_phone[member[has_phone]] = mobile_numbers(80_000_000, rings.n_rings, 11)[ring[has_phone]]
    address[member[has_address]] = len(people.addresses.city) + ring[has_address]
    addresses = _add_drops(people.addresses, rings.n_rings, rng)
    return replace(people, second_phone=second_phone, address=address, addresses=addresses)


def _add_drops(addresses: Addresses, n: int, rng: Rng) -> Addresses:
    drawn = between(rng, 0, len(addresses.city) - 1, n)
    return Addresses(
        city=np.r_[addresses.city, addresses.city[drawn]],
        street=np.r_[addresses.street, addresses.street[drawn]],
        house=np.r_[addresses.house, between(rng, 1, 160, n)],
        flat=np.r_[addresses.flat, between(rng, 1, 120, n)],
    )


@dataclass(frozen=True)
class _Stage:
    """What the rings' payments are made with."""

    rings: Rings
    accounts: Accounts
    account: Ints  # that each member uses for the ring
    device: Ints  # of each member
    begins: Ints  # of each ring, UTC seconds, one row per round
    rng: Rng


def pay_within_rings(
    rings: Rings, accounts: Accounts, device: Ints, calendar: Calendar, rng: Rng
) -> list[Flow]:
    """All payments of the rings; `device` is what each member pays from."""
    last = calendar.end_s - calendar.start_s(2) - 9 * DAY_S
    begins = calendar.start_s(2) + np.sort(
        (rng.random((ROUNDS, rings.n_rings)) * last).astype(np.int64), axis=0
    )
    stage = _Stage(rings, accounts, accounts.of(rings.person, rng), device, begins, rng)
    return [
        flow
        for turn in range(ROUNDS)
        for flow in (
            *_cycle(stage, turn),
            *_fan_in(stage, turn),
            *_fan_out(stage, turn),
            *_share(stage, turn),
        )
    ]


def _cycle(stage: _Stage, turn: int) -> list[Flow]:
    """Money goes round: each passes on a little less than came, a few hours later."""
    rings, rng = stage.rings, stage.rng
    rows = rings.rows_of(CYCLE)
    ring, place = rings.ring[rows], rings.place[rows]
    after = rings.start[ring] + (place + 1) % rings.size[ring]
    base = _base_amounts(rings, 13.2, rng)[ring]
    amount = base * 0.985**place * rng.uniform(0.995, 1.0, len(rows))
    at = (
        stage.begins[turn, ring]
        + place * between(rng, 2, 9, rings.n_rings)[ring] * 3600
        + between(rng, 0, 3600, len(rows))
    )
    return [_flow(stage, rows, stage.account[rows], stage.account[after], amount, at)]


def _fan_in(stage: _Stage, turn: int) -> list[Flow]:
    """Victims pay mules, mules pay the collector within hours, the collector sends it to another bank."""
    rings, rng = stage.rings, stage.rng
    rows = rings.rows_of(FAN_IN)
    mules = rows[rings.place[rows] > 0]
    works = mules[happens(rng, 0.75, len(mules))]
    ring = rings.ring[works]
    amount = _around(rng, 12.2, 0.6, len(works))
    at = stage.begins[turn, ring] + between(rng, 0, 4 * DAY_S, len(works))
    hub = rings.start[ring]
    passed = amount * rng.uniform(0.9, 0.98, len(works))
    later = at + between(rng, 900, 8 * 3600, len(works))
    in_flow = _plain(stage.accounts.draw_outside(rng, len(works)), stage.account[works], amount, at, rng)
    return [
        in_flow,
        _flow(stage, works, stage.account[works], stage.account[hub], passed, later),
        *_cash_out(stage, turn, FAN_IN),
    ]


def _cash_out(stage: _Stage, turn: int, kind: int) -> list[Flow]:
    rings, rng = stage.rings, stage.rng
    hubs = rings.start[rings.kind == kind]
    ring = rings.ring[hubs]
    elsewhere = stage.accounts.n_own + (ring * 7919) % stage.accounts.n_outside
    at = stage.begins[turn, ring] + between(rng, 4 * DAY_S, 6 * DAY_S, len(hubs))
    return [_flow(stage, hubs, stage.account[hubs], elsewhere, _around(rng, 13.8, 0.3, len(hubs)), at)]


def _fan_out(stage: _Stage, turn: int) -> list[Flow]:
    """The hub receives a sum, splits it among mules, who take it out in cash."""
    rings, rng = stage.rings, stage.rng
    rows = rings.rows_of(FAN_OUT)
    hubs, mules = rows[rings.place[rows] == 0], rows[rings.place[rows] > 0]
    works = mules[happens(rng, 0.8, len(mules))]
    ring = rings.ring[works]
    amount = _around(rng, 12.4, 0.35, len(works))
    at = stage.begins[turn, ring] + 3600 + between(rng, 0, DAY_S, len(works))
    income = stage.begins[turn, rings.ring[hubs]]
    source = stage.accounts.draw_outside(rng, len(hubs))
    machines = stage.accounts.cash_machines[
        between(rng, 0, len(stage.accounts.cash_machines) - 1, len(works))
    ]
    takes = at + between(rng, 1800, 2 * DAY_S, len(works))
    return [
        _plain(source, stage.account[hubs], _around(rng, 14.6, 0.3, len(hubs)), income, rng),
        _flow(stage, works, stage.account[rings.start[ring]], stage.account[works], amount, at, by_hub=True),
        make_flow(stage.account[works], machines, tiyn(amount * 0.97, 500_000), takes, CASH, ATM),
    ]


def _share(stage: _Stage, turn: int) -> list[Flow]:
    """Members of one hand take loans and pass most of them to one account elsewhere, some to each other."""
    rings, rng = stage.rings, stage.rng
    rows = rings.rows_of(SHARED)
    works = rows[happens(rng, 0.6, len(rows))]
    ring = rings.ring[works]
    amount = _around(rng, 12.9, 0.4, len(works))
    at = stage.begins[turn, ring] + between(rng, 0, 5 * DAY_S, len(works))
    lender = np.full(len(works), stage.accounts.of_company[0])
    elsewhere = stage.accounts.n_own + (ring * 104_729 + 17) % stage.accounts.n_outside
    other = rings.start[ring] + (rings.place[works] + between(rng, 1, 3, len(works))) % rings.size[ring]
    soon, passes = at + between(rng, 1800, DAY_S, len(works)), happens(rng, 0.6, len(works))
    target = np.where(passes, elsewhere, stage.account[other])
    return [
        make_flow(lender, stage.account[works], tiyn(amount, 1_000_000), at, LOAN, BRANCH),
        _flow(stage, works, stage.account[works], target, amount * 0.9, soon),
    ]


def _base_amounts(rings: Rings, log_mean: float, rng: Rng) -> Floats:
    return _around(rng, log_mean, 0.5, rings.n_rings)


def _around(rng: Rng, log_mean: float, spread: float, n: int) -> Floats:
    return np.asarray(np.exp(rng.normal(log_mean, spread, n)))


def _flow(
    stage: _Stage, rows: Ints, source: Ints, target: Ints, amount: Floats, at: Ints, *, by_hub: bool = False
) -> Flow:
    payer = stage.rings.start[stage.rings.ring[rows]] if by_hub else rows
    return make_flow(source, target, tiyn(amount, 100_000), at, GIFT, APP, stage.device[payer])


def _plain(source: Ints, target: Ints, amount: Floats, at: Ints, rng: Rng) -> Flow:
    rounding = np.where(pick(rng, (1, 1), len(at)) == 1, 100_000, 1)
    return make_flow(source, target, tiyn(amount, rounding), at, GIFT, BRANCH)
