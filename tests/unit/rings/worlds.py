"""Small worlds to find rings in: people who pay each other at random, and rings that were planted among
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from terag_pipelines.entities import model
from terag_pipelines.linking.model import ENTITY_MEMBERS
from terag_pipelines.tables import TableSchema

START = datetime(2026, 1, 1, tzinfo=UTC)
Row = dict[str, object]


def make_table(schema: TableSchema, rows: list[Row]) -> pa.Table:
    """A conforming table of these rows; what a row leaves out is false, an empty list or null."""
    columns = {}
    for column in schema.schema:
        blank: object = None
        if pa.types.is_list(column.type):
            blank = []
        elif pa.types.is_boolean(column.type):
            blank = False
        columns[column.name] = pa.array([row.get(column.name, blank) for row in rows], column.type)
    return schema.conform(pa.table(columns, schema=schema.schema))


@dataclass
class World:
    """Records, payments, shared things and labels; person 3 is record "p:3" and entity "e:003".

    The last `n_outside` are people of other banks: partial entities who take no part in ordinary life.
    """

    n_people: int
    n_outside: int = 0
    payments: list[tuple[int, int, int, float]] = field(default_factory=list)
    people: dict[int, Row] = field(default_factory=dict)
    devices: list[tuple[int, str]] = field(default_factory=list)
    labels: list[Row] = field(default_factory=list)

    def pay(self, source: int, target: int, amount_minor: int, day: float) -> None:
        """One payment, `day` days after the start."""
        self.payments.append((source, target, amount_minor, day))

    def live(self, n_payments: int, seed: int = 1) -> World:
        """Ordinary payments: everybody has a few friends, amounts are log-normal."""
        rng = np.random.default_rng(seed)
        friends = rng.integers(0, self.n_people, (self.n_people, 4))
        source = rng.integers(0, self.n_people, n_payments)
        target = friends[source, rng.integers(0, 4, n_payments)]
        amounts = np.exp(rng.normal(13.0, 0.8, n_payments)).astype(int)
        days = rng.uniform(0, 90, n_payments)
        for row in zip(source.tolist(), target.tolist(), amounts.tolist(), days.tolist(), strict=True):
            self.pay(*row)
        return self

    def plant_cycle(self, members: list[int], day: float, amount_minor: int = 9_000_000) -> World:
        """Money goes round once: each member passes on 99% of it, six hours later."""
        for place, member in enumerate(members):
            following = members[(place + 1) % len(members)]
            self.pay(member, following, round(amount_minor * 0.99**place), day + place / 4)
        return self

    def plant_fan_in(self, members: list[int], day: float, amount_minor: int = 3_000_000) -> World:
        """Outsiders pay the mules, who pay the first member within hours; she sends it to one outsider."""
        hub, *mules = members
        for place, mule in enumerate(mules):
            amount = amount_minor + 50_000 * place
            self.pay(self.n_people + (place + int(day)) % self.n_outside, mule, amount, day + place / 10)
            self.pay(mule, hub, round(0.95 * amount), day + place / 10 + 0.1)
        outsider = self.n_people + (len(mules) + int(day)) % self.n_outside
        self.pay(hub, outsider, round(0.9 * amount_minor * len(mules)), day + 2)
        return self

    def label(self, members: list[int], kind: str, value: str, *uses: str) -> World:
        """The same label for each of `members`."""
        self.labels += [
            {"label_kind": kind, "subject_id": f"p:{member}", "object_id": "", "value": value, "use": use}
            for member in members
            for use in uses
        ]
        return self

    def tables(self, shuffle: int | None = None) -> dict[str, pa.Table]:
        """The input tables of the rings room; rows in another order where `shuffle` is a seed."""
        every = range(self.n_people + self.n_outside)
        tables = {
            "entity_records": make_table(
                model.ENTITY_RECORDS,
                [
                    {
                        "record_id": f"p:{i}",
                        "party_type": "person",
                        "is_partial": i >= self.n_people,
                        **self.people.get(i, {}),
                    }
                    for i in every
                ],
            ),
            "entity_members": make_table(
                ENTITY_MEMBERS, [{"record_id": f"p:{i}", "entity_id": f"e:{i:03d}"} for i in every]
            ),
            "accounts": make_table(
                model.ACCOUNTS, [{"account_id": f"a{i}", "record_id": f"p:{i}"} for i in every]
            ),
            "transfers": make_table(model.TRANSFERS, self._transfer_rows()),
            "party_events": model.PARTY_EVENTS.empty(),
            "relationships": make_table(
                model.RELATIONSHIPS,
                [
                    {
                        "record_id": f"p:{i}",
                        "object_kind": "device",
                        "object_id": device,
                        "relationship_kind": "uses",
                    }
                    for i, device in self.devices
                ],
            ),
            "labels": make_table(model.LABELS, self.labels),
        }
        if shuffle is None:
            return tables
        rng = np.random.default_rng(shuffle)
        return {name: table.take(rng.permutation(table.num_rows)) for name, table in tables.items()}

    def _transfer_rows(self) -> list[Row]:
        return [
            {
                "transfer_id": f"t{number:05d}",
                "source_account": f"a{source}",
                "target_account": f"a{target}",
                "amount_minor": amount_minor,
                "currency": "KZT",
                "occurred_at": START + timedelta(days=day),
            }
            for number, (source, target, amount_minor, day) in enumerate(self.payments)
        ]


CYCLE = [10, 40, 70, 100, 130]
FAN_IN = [15, 45, 75, 105, 135, 165, 195]
SHARED = [20, 50, 80, 110]
INNOCENT = [i for i in range(300) if i % 5 == 3]


def planted_world() -> World:
    """300 people, 60 at other banks, 900 ordinary payments, and one ring of each of three kinds, with the
    truth about them.
    """
    world = World(300, n_outside=60).live(900)
    for day in (10, 40, 70):
        world.plant_cycle(CYCLE, day)
        world.plant_fan_in(FAN_IN, day)
    world.devices += [(member, device) for member in SHARED for device in ("device-1", "device-2")]
    for place, member in enumerate(SHARED):
        world.pay(345 + place, member, 4_000_000, 20 + place)  # a loan, most of which goes to the next
        world.pay(member, SHARED[(place + 1) % len(SHARED)], 3_700_000, 20.5 + place)
        world.people[member] = {"phones": ["+77010000001"]}
    for name, members in (("cycle", CYCLE), ("fan_in", FAN_IN), ("shared", SHARED)):
        world.label(members, "ring", name, "truth").label(members, "fraud", "1", "truth")
    return world.label(INNOCENT, "fraud", "0", "truth")
