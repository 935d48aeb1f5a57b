"""Which device each client uses: a phone of her own, a family tablet, a branch tablet, a ring's device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from terag_pipelines.demo.calendar import Calendar
from terag_pipelines.demo.identity import year_month_day
from terag_pipelines.demo.people import People
from terag_pipelines.demo.randomness import Ints, Rng, between, happens
from terag_pipelines.demo.records import PersonRecords
from terag_pipelines.demo.rings import Rings
from terag_pipelines.demo.texts import format_digits

TABLET_HOUSEHOLDS = 0.25
BRANCH_TABLET_USERS = 0.22
CLIENTS_PER_BRANCH = 900


@dataclass(frozen=True)
class Devices:
    """Names of all devices, the one each person pays from, and the raw file of who used which."""

    device_id: pa.Array
    main: Ints  # of each person
    of_ring_member: Ints  # what each row of the rings pays from
    table: pa.Table


def hand_out_devices(
    people: People, core: PersonRecords, rings: Rings, calendar: Calendar, rng: Rng
) -> Devices:
    """Devices and their use; ring devices are used by those members that `rings` says."""
    n, n_households = len(people), int(people.household[-1]) + 1
    n_branches = max(3, n // CLIENTS_PER_BRANCH)
    tablet, branch, ring_device = n, n + n_households, n + n_households + n_branches
    has_tablet = happens(rng, TABLET_HOUSEHOLDS, n_households)[people.household]
    shares_tablet = has_tablet & happens(rng, 0.7, n)
    main = np.where(shares_tablet & happens(rng, 0.3, n), tablet + people.household, np.arange(n))
    visitors = np.flatnonzero(happens(rng, BRANCH_TABLET_USERS, n))
    branches = branch + between(rng, 0, n_branches - 1, len(visitors))
    user = np.concatenate(
        [np.arange(n), np.flatnonzero(shares_tablet), visitors, rings.person[rings.uses_ring_device]]
    )  # fmt: skip
    used = np.concatenate(
        [np.arange(n), tablet + people.household[shares_tablet], branches,
         ring_device + rings.ring[rings.uses_ring_device]]
    )  # fmt: skip
    ids = _device_ids(ring_device + rings.n_rings)
    own = main[rings.person]
    return Devices(
        device_id=ids,
        main=main,
        of_ring_member=np.where(rings.uses_ring_device, ring_device + rings.ring, own),
        table=_table(user, used, core, people, ids, calendar, rng),
    )


def _device_ids(n: int) -> pa.Array:
    return format_digits((np.arange(n, dtype=np.int64) * 736_481_779 + 12_345_701) % 10**10, "dev-##########")


def _table(
    user: Ints, used: Ints, core: PersonRecords, people: People, ids: pa.Array, calendar: Calendar, rng: Rng
) -> pa.Table:
    """Devices are known for the first record of a client only."""
    row_of = np.full(len(people), -1)
    row_of[core.person[::-1]] = np.arange(len(core.person))[::-1]
    known = row_of[user] >= 0
    rows, used = row_of[user[known]], used[known]
    since = np.asarray(calendar.last_day - between(rng, 1, 1500, len(rows)).astype("timedelta64[D]"))
    year, month, day = year_month_day(since)
    return pa.table(
        {
            "client_id": core.record_id.take(pa.array(rows)),
            "device_id": ids.take(pa.array(used)),
            "first_used": format_digits((year * 100 + month) * 100 + day, "####-##-##"),
        }
    )
