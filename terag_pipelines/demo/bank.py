"""The demo bank: everything that a bank exports, made from a seed, with the truth behind it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from terag_pipelines.demo.accounts import Accounts, open_accounts
from terag_pipelines.demo.breakage import break_rows
from terag_pipelines.demo.calendar import Calendar
from terag_pipelines.demo.companies import (
    Companies,
    CompanyRecords,
    found_companies,
    hire_people,
    lend_work_phones,
    own_and_direct,
    write_company_records,
)
from terag_pipelines.demo.devices import Devices, hand_out_devices
from terag_pipelines.demo.flows import put_together
from terag_pipelines.demo.labels import (
    know_records,
    label_client_effects,
    label_effects,
    label_entities,
    label_fraud,
    label_invoices,
    label_rings,
    review_clients,
    review_pairs,
)
from terag_pipelines.demo.manifest import write_manifest
from terag_pipelines.demo.names import NameBook, open_name_book
from terag_pipelines.demo.panel import observe_clients
from terag_pipelines.demo.people import People, settle_people
from terag_pipelines.demo.price_book import PRICE_BOOK
from terag_pipelines.demo.randomness import Ints, Rng, open_streams
from terag_pipelines.demo.records import (
    PersonRecords,
    incomes_of,
    plan_core,
    plan_online,
    write_core_records,
    write_online_records,
    write_watchlist,
)
from terag_pipelines.demo.rings import Rings, pay_within_rings, plan_rings, share_identities
from terag_pipelines.demo.tenants import serve_tenants
from terag_pipelines.demo.transfers import OrdinaryLife, Town, live_ordinarily, write_transfers
from terag_pipelines.errors import ConfigurationError

FEWEST_PEOPLE = 200


@dataclass(frozen=True)
class DemoParams:
    """What a demo bank is made from.

    `people` is how many live in its town, `month` ("YYYY-MM") ends its story, `broken_share` is the share of
    rows of each raw file that are broken.
    """

    people: int
    seed: int
    month: str = "2026-10"
    broken_share: float = 0.0


@dataclass(frozen=True)
class DemoBank:
    """The raw export: tables and texts by path within the source folder; `truth/` holds what is really so."""

    params: DemoParams
    tables: Mapping[str, pa.Table]
    texts: Mapping[str, str]


@dataclass(frozen=True)
class _Clientele:
    """People, companies, rings and their records: the first half of the making."""

    people: People
    companies: Companies
    employer: Ints
    rings: Rings
    company_records: CompanyRecords
    core: PersonRecords
    online: PersonRecords
    watchlist: PersonRecords
    client_of: pa.Array  # the first core record of each person, null for who has none


def make_bank(params: DemoParams) -> DemoBank:
    """The demo bank of these parameters; the same parameters give the same tables.

    Raises: ConfigurationError for fewer than FEWEST_PEOPLE people, a negative seed, a month that is not
    YYYY-MM or a share outside 0 to 1.
    """
    _check(params)
    calendar, names, streams = Calendar(params.month), open_name_book(), open_streams(params.seed)
    clientele = _gather(params.people, calendar, names, streams)
    accounts = open_accounts(
        clientele.people, clientele.core, clientele.companies, clientele.company_records, names, calendar,
        streams["accounts"],
    )  # fmt: skip
    devices = hand_out_devices(
        clientele.people, clientele.core, clientele.rings, calendar, streams["accounts"]
    )
    life = _live(clientele, accounts, devices, calendar, streams["transfers"])
    planted = pay_within_rings(
        clientele.rings, accounts, devices.of_ring_member, calendar, streams["ring_transfers"]
    )
    payments = put_together([*life.flows, *planted])
    transfers = write_transfers(payments, clientele.people, accounts, devices.device_id, streams["transfers"])
    raw = {
        "people.csv.gz": clientele.core.table.sort_by("client_id"),
        "applications.csv.gz": clientele.online.table.sort_by("application_id"),
        "companies.csv.gz": clientele.company_records.table.sort_by("company_id"),
        "watchlist.csv": clientele.watchlist.table.sort_by("entry_id"),
        "accounts.csv.gz": accounts.table.sort_by("account_no"),
        "device_usage.csv.gz": devices.table.sort_by(
            [("client_id", "ascending"), ("device_id", "ascending")]
        ),
        "ownership.csv.gz": own_and_direct(
            clientele.companies, clientele.client_of, clientele.company_records, streams["companies"]
        ),
        "transfers.parquet": transfers,
    }
    labels = _label(clientele, life.busy_innocents, names, streams["labels"])
    observed = _observe(clientele, calendar, streams)
    tables = break_rows({**raw, **observed}, params.broken_share, streams["breakage"])
    texts = {
        "source.yaml": write_manifest(params.people, params.seed, params.month),
        "price_book.yaml": PRICE_BOOK,
    }
    return DemoBank(params, {**tables, **labels}, texts)


def _check(params: DemoParams) -> None:
    if params.people < FEWEST_PEOPLE:
        raise ConfigurationError(f"a demo bank needs at least {FEWEST_PEOPLE} people, not {params.people}")
    if params.seed < 0:
        raise ConfigurationError("the seed of a demo bank must not be negative")
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", params.month):
        raise ConfigurationError("the month of a demo bank must be written YYYY-MM")
    if not 0.0 <= params.broken_share <= 1.0:
        raise ConfigurationError("the share of broken rows must be between 0 and 1")


def _gather(n: int, calendar: Calendar, names: NameBook, streams: Mapping[str, Rng]) -> _Clientele:
    today = calendar.last_day
    people = settle_people(n, today, names, streams["people"])
    companies = found_companies(people, today, streams["companies"])
    employer = hire_people(people, companies, today, streams["companies"])
    phones = lend_work_phones(people, companies, employer, streams["companies"])
    rings = plan_rings(people, calendar, streams["rings"])
    people = share_identities(replace(people, second_phone=phones), rings, streams["rings"])
    core = write_core_records(people, plan_core(people, streams["core"]), today, names, streams["core"])
    online = write_online_records(
        people, plan_online(people, streams["online"]), today, names, streams["online"]
    )
    strangers = settle_people(max(30, n // 500), today, names, streams["watchlist"])
    return _Clientele(
        people=people,
        companies=companies,
        employer=employer,
        rings=rings,
        company_records=write_company_records(companies, people, names, streams["companies"]),
        core=core,
        online=online,
        watchlist=write_watchlist(people, names, strangers, streams["watchlist"]),
        client_of=_first_records(people, core),
    )


def _first_records(people: People, core: PersonRecords) -> pa.Array:
    n_clients = int(people.is_client.sum())
    row = np.full(len(people), -1)
    row[core.person[:n_clients]] = np.arange(n_clients)
    return core.record_id.take(pa.array(row, mask=row < 0))


def _live(
    clientele: _Clientele, accounts: Accounts, devices: Devices, calendar: Calendar, rng: Rng
) -> OrdinaryLife:
    town = Town(
        people=clientele.people,
        companies=clientele.companies,
        accounts=accounts,
        employer=clientele.employer,
        income=incomes_of(clientele.people, clientele.employer),
        device=devices.main,
        clients=np.flatnonzero(clientele.people.is_client),
        calendar=calendar,
        rng=rng,
    )
    return live_ordinarily(town)


def _label(clientele: _Clientele, busy_innocents: Ints, names: NameBook, rng: Rng) -> dict[str, pa.Table]:
    core, online, watchlist = clientele.core, clientele.online, clientele.watchlist
    parts = {"people": core, "applications": online, "watchlist": watchlist}
    records = know_records({name: (part.record_id, part.person) for name, part in parts.items()})
    clients = np.flatnonzero(clientele.people.is_client)
    companies = clientele.company_records
    return {
        "reviewed_pairs.csv": review_pairs(records, clientele.people, names, rng),
        "reviewed_clients.csv": review_clients(
            clientele.rings, clientele.client_of, clients, busy_innocents, rng
        ),
        "truth/entities.csv.gz": label_entities(records, companies.record_id, companies.company),
        "truth/rings.csv": label_rings(clientele.rings, core.record_id, core.person),
        "truth/fraud.csv.gz": label_fraud(clientele.rings, core.record_id, core.person),
    }


def _observe(clientele: _Clientele, calendar: Calendar, streams: Mapping[str, Rng]) -> dict[str, pa.Table]:
    clients = np.flatnonzero(clientele.people.is_client)
    client_id = clientele.client_of.take(pa.array(clients))
    income = incomes_of(clientele.people, clientele.employer)[clients]
    panel = observe_clients(client_id, income, calendar, streams["panel"])
    tenancy = serve_tenants(calendar, streams["usage"])
    return {
        "client_panel.parquet": panel.table,
        "tenants.csv": tenancy.tenants,
        "usage_events.parquet": tenancy.usage,
        "truth/effects.csv": label_effects(panel.effects),
        "truth/client_effects.csv": label_client_effects(panel.effects, client_id, streams["panel"]),
        "truth/invoices.csv": label_invoices(tenancy.net_totals, calendar.month),
    }
