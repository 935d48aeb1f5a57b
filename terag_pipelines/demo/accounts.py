"""Accounts at the bank and at other banks, and the devices that clients use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from terag_pipelines.demo.calendar import Calendar
from terag_pipelines.demo.companies import Companies, CompanyRecords
from terag_pipelines.demo.identity import (
    OUTSIDE_BANKS,
    OWN_BANK_CODE,
    account_numbers,
    kz_ibans,
    year_month_day,
)
from terag_pipelines.demo.names import GROUP_WEIGHTS, NameBook
from terag_pipelines.demo.people import People
from terag_pipelines.demo.randomness import Ints, Rng, between, happens, pick
from terag_pipelines.demo.records import PersonRecords
from terag_pipelines.demo.spelling import HOME, PASSPORT, RUSSIFIED
from terag_pipelines.demo.texts import format_digits, glue, join

OWN_BANK = "OWN"
OUTSIDE_SHARE = 0.35
IBAN = "KZ##################"


@dataclass(frozen=True)
class Accounts:
    """All accounts of the story: own ones first, then those at other banks, known from transfers only."""

    account_id: pa.Array
    name: pa.Array  # of the holder, as payments show it
    bank: Ints  # 0 own, else 1 + position in OUTSIDE_BANKS
    person: Ints  # of own accounts; negative for companies and outside
    n_own: int
    first_of_person: Ints  # own accounts of one person stand together
    count_of_person: Ints
    of_company: Ints  # main account of each company
    cash_machines: Ints
    table: pa.Table  # the raw file: own accounts only

    @property
    def n_outside(self) -> int:
        """How many accounts at other banks take part."""
        return len(self.bank) - self.n_own

    def of(self, person: Ints, rng: Rng) -> Ints:
        """One account of each person, at random among hers; each must be a client."""
        return self.first_of_person[person] + (rng.random(len(person)) * self.count_of_person[person]).astype(
            np.int64
        )

    def draw_outside(self, rng: Rng, n: int) -> Ints:
        """Random accounts at other banks."""
        return between(rng, self.n_own, len(self.bank) - 1, n)


def open_accounts(
    people: People,
    core: PersonRecords,
    companies: Companies,
    company_records: CompanyRecords,
    names: NameBook,
    calendar: Calendar,
    rng: Rng,
) -> Accounts:
    """An account or two for each core record and company, cash machines of the bank, accounts elsewhere."""
    n_records = len(core.person)
    row = np.repeat(np.arange(n_records), 1 + happens(rng, 0.22, n_records))
    row = row[np.argsort(core.person[row], kind="stable")]
    n_machines = max(4, len(people) // 1500)
    company = np.r_[np.arange(len(companies)), np.zeros(n_machines, dtype=np.int64)]
    person = np.r_[core.person[row], np.full(len(company), -1)]
    n_own, n_outside = len(person), max(60, int(OUTSIDE_SHARE * len(people)))
    numbers = account_numbers(0, n_own + n_outside)
    outside_bank = pick(rng, (40, 25, 10, 6, 7, 5, 4, 3), n_outside) + 1
    own_ids = format_digits(rng.permutation(n_own) + 1, "AC########")
    ids = pa.concat_arrays([own_ids, _outside_ibans(numbers[n_own:], outside_bank)])
    holder, own_names = _holders(core, row, company_records, company)
    count = np.bincount(core.person[row], minlength=len(people))
    n_personal = len(row)
    return Accounts(
        account_id=ids,
        name=pa.concat_arrays([own_names, _outside_names(n_outside, names, rng)]),
        bank=np.r_[np.zeros(n_own, dtype=np.int64), outside_bank],
        person=np.r_[person, np.full(n_outside, -1)],
        n_own=n_own,
        first_of_person=np.cumsum(count) - count,
        count_of_person=count,
        of_company=n_personal + np.arange(len(companies)),
        cash_machines=n_personal + len(companies) + np.arange(n_machines),
        table=_table(ids[:n_own], holder, numbers[:n_own], calendar, rng),
    )


def _holders(
    core: PersonRecords, row: Ints, company_records: CompanyRecords, company: Ints
) -> tuple[pa.Array, pa.Array]:
    """Record id and name of the holder of each own account: the people's first, then the companies'."""
    parts = (core.table[part].combine_chunks() for part in ("surname", "first_name", "patronymic"))
    people, companies = pa.array(row), pa.array(company)
    ids = (
        glue("people:", core.record_id.take(people)),
        glue("companies:", company_records.record_id.take(companies)),
    )
    names = join(" ", *parts).take(people), company_records.name.take(companies)
    return pa.concat_arrays(ids), pa.concat_arrays(names)


def _outside_ibans(numbers: Ints, bank: Ints) -> pa.Array:
    codes = np.array([code for code, _ in OUTSIDE_BANKS])[bank - 1]
    return format_digits(kz_ibans(codes, numbers), IBAN)


def _outside_names(n: int, names: NameBook, rng: Rng) -> pa.Array:
    sex, group = between(rng, 0, 1, n), pick(rng, GROUP_WEIGHTS, n)
    family = names.draw_family(group, rng) + names.n_families * sex
    script = np.array([HOME, RUSSIFIED, PASSPORT])[pick(rng, (3, 4, 3), n)]
    return join(
        " ", names.family.spell(family, script), names.given.spell(names.draw_given(sex, group, rng), script)
    )


def _table(ids: pa.Array, holder: pa.Array, numbers: Ints, calendar: Calendar, rng: Rng) -> pa.Table:
    n = len(ids)
    opened = calendar.last_day - between(rng, 100, 4000, n).astype("timedelta64[D]")
    year, month, day = year_month_day(np.asarray(opened))
    return pa.table(
        {
            "account_no": ids,
            "holder": holder,
            "iban": format_digits(kz_ibans(np.full(n, OWN_BANK_CODE), numbers), IBAN),
            "currency": pa.repeat(pa.scalar("KZT"), n),
            "opened": format_digits((year * 100 + month) * 100 + day, "####-##-##"),
        }
    )
