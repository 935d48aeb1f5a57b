"""Three months of ordinary payments, and the raw transfer file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from terag_pipelines.demo.accounts import OWN_BANK, Accounts
from terag_pipelines.demo.calendar import DAY_S, Calendar, seconds_of_day
from terag_pipelines.demo.companies import N_UTILITIES, Companies
from terag_pipelines.demo.flows import APP, ATM, BRANCH, CARD, CHANNELS, PAYROLL, Flow, make_flow, tiyn
from terag_pipelines.demo.identity import OUTSIDE_BANKS
from terag_pipelines.demo.people import People
from terag_pipelines.demo.randomness import Floats, Ints, Rng, between, happens, pick, zipf_weights
from terag_pipelines.demo.texts import format_digits
from terag_pipelines.demo.words import (
    CASH,
    GIFT,
    INVOICE,
    LOAN,
    MARKET,
    MERCHANT,
    PURPOSES,
    RENT,
    SALARY,
    SAVINGS,
    UTILITY,
)

COMMUNITY_SIZE = 50
PER_CLIENT = {MERCHANT: 3.6, GIFT: 2.5, UTILITY: 0.8, CASH: 1.0, LOAN: 0.06}
OUTGOING, INCOMING = 0.9, 0.6
SELLER_SHARE, SAVER_SHARE = 0.004, 0.008
CIRCLE_SIZE = 8


@dataclass(frozen=True)
class Town:
    """Everything that ordinary payments are made of."""

    people: People
    companies: Companies
    accounts: Accounts
    employer: Ints
    income: Floats
    device: Ints  # that each person pays from
    clients: Ints
    calendar: Calendar
    rng: Rng

    def someone(self, n: int) -> Ints:
        """`n` clients, the active ones more often."""
        return self.clients[pick(self.rng, self.rng.gamma(1.5, 1.0, len(self.clients)), n)]

    def amounts(self, median_kzt: float, spread: float, n: int) -> Floats:
        """Log-normal amounts in tenge."""
        return np.asarray(np.exp(self.rng.normal(np.log(median_kzt), spread, n)))


@dataclass(frozen=True)
class OrdinaryLife:
    """All innocent payments, and who looks guilty in them: market sellers and savers' treasurers."""

    flows: list[Flow]
    busy_innocents: Ints


def live_ordinarily(town: Town) -> OrdinaryLife:
    """Salaries, shopping, gifts, utilities, rent, cash, loans, payments of companies and with other banks."""
    sellers, market = _sell_on_market(town)
    savers, circles = _save_in_circles(town)
    flows = [
        *_pay_salaries(town),
        _shop(town),
        _give(town),
        _pay_utilities(town),
        *_rent(town),
        _take_cash(town),
    ]
    flows += [*_deal_with_outside(town), _invoice(town), market, *circles, _lend(town)]
    return OrdinaryLife(flows, np.unique(np.r_[sellers, savers]))


def _pay_salaries(town: Town) -> list[Flow]:
    paid = town.clients[town.employer[town.clients] >= 0]
    employer = town.employer[paid]
    day = np.array([4, 9, 14, 24])[employer % 4]
    account = town.accounts.of(paid, town.rng)
    flows = []
    for months_back in (2, 1, 0):
        amount = town.income[paid] * 1000.0 * town.rng.normal(1.0, 0.03, len(paid))
        at = town.calendar.start_s(months_back) + day * DAY_S + 10 * 3600 + employer * 37 % 20_000
        source = town.accounts.of_company[employer]
        flows.append(
            make_flow(
                source,
                account,
                tiyn(amount, 10_000),
                at + between(town.rng, 0, 120, len(at)),
                SALARY,
                PAYROLL,
            )
        )
    return flows


def _shop(town: Town) -> Flow:
    n = _count(town, MERCHANT)
    shops = np.arange(N_UTILITIES + 1, len(town.companies))
    shop = town.rng.permutation(shops)[pick(town.rng, zipf_weights(len(shops), 5.0, 0.9), n)]
    source, target = town.accounts.of(town.someone(n), town.rng), town.accounts.of_company[shop]
    return make_flow(
        source,
        target,
        tiyn(town.amounts(4200, 0.9, n), 1),
        town.calendar.draw_times(town.rng, n),
        MERCHANT,
        CARD,
    )


def _count(town: Town, category: int) -> int:
    return int(PER_CLIENT[category] * len(town.clients))


def _give(town: Town) -> Flow:
    """Gifts among friends: most within a community of one city, some in the family, a few to anybody."""
    n, rng, people = _count(town, GIFT), town.rng, town.people
    order = town.clients[
        np.lexsort((rng.random(len(town.clients)), people.addresses.city[people.address[town.clients]]))
    ]
    place = pick(rng, rng.gamma(1.5, 1.0, len(order)), n)
    friend = _within(place // COMMUNITY_SIZE * COMMUNITY_SIZE, COMMUNITY_SIZE, len(order), rng)
    anybody = between(rng, 0, len(order) - 1, n)
    target = order[np.where(happens(rng, 0.93, n), friend, anybody)]
    relative = np.minimum(order[place] + between(rng, -1, 1, n), len(people) - 1)
    is_family = (people.household[relative] == people.household[order[place]]) & people.is_client[relative]
    target = np.where(is_family & happens(rng, 0.3, n), relative, target)
    rounding = np.array([1, 10_000, 50_000, 100_000])[pick(rng, (1, 3, 4, 4), n)]
    source = order[place]
    accounts = town.accounts.of(source, rng), town.accounts.of(target, rng)
    amount = tiyn(town.amounts(7000, 1.1, n), rounding)
    return make_flow(*accounts, amount, town.calendar.draw_times(rng, n), GIFT, APP, town.device[source])


def _within(start: Ints, size: int, n_all: int, rng: Rng) -> Ints:
    return np.asarray(np.minimum(start + between(rng, 0, size - 1, len(start)), n_all - 1))


def _pay_utilities(town: Town) -> Flow:
    n = _count(town, UTILITY)
    payer = town.someone(n)
    target = town.accounts.of_company[between(town.rng, 1, N_UTILITIES, n)]
    at = town.calendar.draw_times(town.rng, n)
    amount = tiyn(town.amounts(9000, 0.6, n), 1)
    return make_flow(town.accounts.of(payer, town.rng), target, amount, at, UTILITY, APP, town.device[payer])


def _rent(town: Town) -> list[Flow]:
    tenants = town.clients[happens(town.rng, 0.12, len(town.clients))]
    landlords = town.accounts.of(town.someone(len(tenants)), town.rng)
    accounts = town.accounts.of(tenants, town.rng)
    amount = tiyn(town.amounts(130_000, 0.4, len(tenants)), 500_000)
    day = between(town.rng, 0, 9, len(tenants))
    flows = []
    for months_back in (2, 1, 0):
        at = town.calendar.start_s(months_back) + day * DAY_S + seconds_of_day(town.rng, len(tenants))
        flows.append(make_flow(accounts, landlords, amount, at, RENT, APP, town.device[tenants]))
    return flows


def _take_cash(town: Town) -> Flow:
    n = _count(town, CASH)
    machines = town.accounts.cash_machines[between(town.rng, 0, len(town.accounts.cash_machines) - 1, n)]
    source = town.accounts.of(town.someone(n), town.rng)
    amount = tiyn(town.amounts(30_000, 0.8, n), 100_000)
    return make_flow(source, machines, amount, town.calendar.draw_times(town.rng, n), CASH, ATM)


def _deal_with_outside(town: Town) -> list[Flow]:
    """Payments to and from other banks; each client knows three accounts there."""
    n_out, n_in = int(OUTGOING * len(town.clients)), int(INCOMING * len(town.clients))
    payer, payee = town.someone(n_out), town.someone(n_in)
    out_target, in_source = _contacts(town, payer), _contacts(town, payee)
    out = tiyn(town.amounts(15_000, 1.1, n_out), 1), town.calendar.draw_times(town.rng, n_out)
    into = tiyn(town.amounts(18_000, 1.1, n_in), 10_000), town.calendar.draw_times(town.rng, n_in)
    return [
        make_flow(town.accounts.of(payer, town.rng), out_target, *out, GIFT, APP, town.device[payer]),
        make_flow(in_source, town.accounts.of(payee, town.rng), *into, GIFT, BRANCH),
    ]


def _contacts(town: Town, person: Ints) -> Ints:
    choice = (person * 3 + between(town.rng, 0, 2, len(person))) * 48_271 % town.accounts.n_outside
    return town.accounts.n_own + choice


def _invoice(town: Town) -> Flow:
    n = 8 * len(town.companies)
    one, other = (between(town.rng, 1, len(town.companies) - 1, n) for _ in range(2))
    accounts = town.accounts.of_company[one], town.accounts.of_company[other]
    amount = tiyn(town.amounts(350_000, 1.2, n), 1)
    return make_flow(*accounts, amount, town.calendar.draw_times(town.rng, n), INVOICE, BRANCH)


def _lend(town: Town) -> Flow:
    """Loans of the bank to its clients: those that rings take must not be the only ones."""
    n = _count(town, LOAN)
    amount = tiyn(town.amounts(380_000, 0.5, n), 1_000_000)
    at = town.calendar.draw_times(town.rng, n)
    lender = np.full(n, town.accounts.of_company[0])
    return make_flow(lender, town.accounts.of(town.someone(n), town.rng), amount, at, LOAN, BRANCH)


def _sell_on_market(town: Town) -> tuple[Ints, Flow]:
    """Flea-market sellers: many small payments from many people, all innocent."""
    sellers = town.clients[happens(town.rng, SELLER_SHARE, len(town.clients))]
    seller = np.repeat(sellers, between(town.rng, 15, 60, len(sellers)))
    buyer = town.someone(len(seller))
    accounts = town.accounts.of(buyer, town.rng), town.accounts.of(seller, town.rng)
    at, amount = (
        town.calendar.draw_times(town.rng, len(seller)),
        tiyn(town.amounts(6000, 0.8, len(seller)), 10_000),
    )
    return sellers, make_flow(*accounts, amount, at, MARKET, APP, town.device[buyer])


def _save_in_circles(town: Town) -> tuple[Ints, list[Flow]]:
    """Savings circles ("black cash"): each month all pay the same sum to one of them; innocent fan-in."""
    n_circles = max(1, int(SAVER_SHARE * len(town.clients) / CIRCLE_SIZE))
    member = town.rng.permutation(town.clients)[: n_circles * CIRCLE_SIZE]
    circle = np.arange(len(member)) // CIRCLE_SIZE
    account = town.accounts.of(member, town.rng)
    amount = tiyn(town.amounts(40_000, 0.4, n_circles), 1_000_000)[circle]
    treasurers, flows = [], []
    for months_back in (2, 1, 0):
        treasurer = np.minimum(circle * CIRCLE_SIZE + months_back, len(member) - 1)
        at = (
            town.calendar.start_s(months_back)
            + (circle % 20 + 3) * DAY_S
            + seconds_of_day(town.rng, len(member))
        )
        flows.append(make_flow(account, account[treasurer], amount, at, SAVINGS, APP, town.device[member]))
        treasurers.append(member[treasurer])
    return np.concatenate(treasurers), flows


def write_transfers(
    payments: Flow, people: People, accounts: Accounts, device_ids: pa.Array, rng: Rng
) -> pa.Table:
    """The raw transfer file, in order of time; repeated texts are kept once."""
    n = len(payments)
    code, text, text_start, n_texts = _purposes()
    chosen = text_start[payments.category] + (rng.random(n) * n_texts[payments.category]).astype(np.int64)
    banks = pa.array([OWN_BANK, *(name for _, name in OUTSIDE_BANKS)])
    payer = accounts.person[payments.source]
    household = np.where((payments.device >= 0) & (payer >= 0), people.household[payer], -1)
    columns = {
        "transfer_id": format_digits(np.arange(n, dtype=np.int64) + 1, "T##########"),
        "payer_account": coded(payments.source, accounts.account_id),
        "payee_account": coded(payments.target, accounts.account_id),
        "payer_name": coded(payments.source, accounts.name),
        "payee_name": coded(payments.target, accounts.name),
        "payer_bank": coded(accounts.bank[payments.source], banks),
        "payee_bank": coded(accounts.bank[payments.target], banks),
        "amount": decimals(payments.amount_minor),
        "currency": coded(np.zeros(n, dtype=np.int8), pa.array(["KZT"])),
        "booked_at": pa.array(payments.at * 1_000_000, pa.timestamp("us", "UTC")),
        "channel": coded(payments.channel, pa.array(CHANNELS)),
        "cash": pa.array(payments.category == CASH),
        "purpose_code": coded(payments.category, pa.array(code)),
        "purpose": coded(chosen, pa.array(text)),
        "device": coded(payments.device, device_ids),
        "ip": coded(household, _home_ips(int(people.household[-1]) + 1)),
    }
    return pa.table(columns)


def _purposes() -> tuple[list[str], list[str], Ints, Ints]:
    n_texts = np.array([len(texts) for _, texts in PURPOSES])
    flat = [text for _, texts in PURPOSES for text in texts]
    return [code for code, _ in PURPOSES], flat, np.cumsum(n_texts) - n_texts, n_texts


def coded(positions: npt.NDArray[np.signedinteger[Any]], words: pa.Array) -> pa.Array:
    """A text column that keeps each word once; null where the position is negative.

    Words are made unique first: Parquet's writer leaves stray bytes of memory in a dictionary that repeats.
    """
    once = words.dictionary_encode()
    code = once.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    indices = pa.array(code[np.maximum(positions, 0)], mask=positions < 0)
    return pa.DictionaryArray.from_arrays(indices, once.dictionary)


def decimals(amount_minor: Ints) -> pa.Array:
    """Amounts as exact decimals with two digits, from minor units."""
    halves = np.stack([amount_minor, np.where(amount_minor < 0, -1, 0)], axis=1).astype(np.int64)
    return pa.Array.from_buffers(
        pa.decimal128(18, 2), len(amount_minor), [None, pa.py_buffer(np.ascontiguousarray(halves))]
    )


def _home_ips(n: int) -> pa.Array:
    spread = (np.arange(n, dtype=np.int64) * 40_503 + 7) % 2_250_000
    parts = (spread // 22_500 + 100, spread // 150 % 150 + 100, spread % 150 + 100)
    whole = (parts[0] * 1000 + parts[1]) * 1000 + parts[2]
    return format_digits(whole, "95.###.###.###")
