"""A handful of records as the lake's tables, small enough to know by heart."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from terag_pipelines.entities.model import ACCOUNTS, ENTITY_RECORDS, RELATIONSHIPS, TRANSFERS
from terag_pipelines.linking.model import ENTITIES, ENTITY_MEMBERS, LINKS

PHONE = "+77011234567"
NAMES = ("Айгерім Сәрсенова", "Aigerim Sarsenova", "Bolat Nurlanov", "Dana Lee")
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
MIDNIGHT = datetime(2025, 3, 2, tzinfo=UTC)


def small_tables() -> dict[str, pa.Table]:
    """Three entities, the first of two records, that share a phone, an address, a card and pay each other."""
    records = ["people:1", "people:2", "people:3", "people:4"]
    entities = ["ent_a", "ent_a", "ent_b", "ent_c"]
    return {
        "entity_records": ENTITY_RECORDS.from_columns(
            record_id=records,
            dataset=["people"] * 4,
            native_id=["1", "2", "3", "4"],
            party_type=["person"] * 4,
            is_partial=[False] * 4,
            is_watchlist=[False] * 4,
            display_name=list(NAMES),
            phones=[[PHONE], [PHONE, "+77010000001"], [PHONE], []],
            emails=[["a@mail.kz"], None, [], ["d@mail.kz"]],
            iin=["900101400016", "900101400016", None, None],
            identifiers=[["passport:KZ:N1"], [], ["PASSPORT:KZ:N1"], []],
            address_key=["abay 1 almaty", None, None, "abay 1 almaty"],
        ),
        "entities": ENTITIES.from_columns(
            entity_id=["ent_a", "ent_b", "ent_c"],
            party_type=["person"] * 3,
            display_name=[NAMES[0], NAMES[2], NAMES[3]],
            n_records=[2, 1, 1],
            is_partial=[False, False, True],
            is_watchlist=[False, True, False],
        ),
        "entity_members": ENTITY_MEMBERS.from_columns(
            record_id=records, entity_id=entities, link_probability=[0.98, 0.98, None, None]
        ),
        "links": LINKS.from_columns(
            left_id=["people:1"],
            right_id=["people:2"],
            pattern=["phone:exact"],
            match_weight=[9.5],
            match_probability=[0.97],
            link_probability=[0.98],
            is_calibrated=[True],
        ),
        "accounts": ACCOUNTS.from_columns(
            account_id=["acc1", "acc2", "acc3", "out9"],
            record_id=["people:2", "people:3", "people:4", None],
            bank=["OWN", "OWN", "OWN", "OTHER"],
            currency=["KZT", "KZT", None, None],
            is_outside=[False, False, False, True],
        ),
        "transfers": TRANSFERS.from_columns(
            transfer_id=["t1", "t2", "t3", "t4", "t5"],
            source_account=["acc1", "acc1", "acc1", "acc2", "acc1"],
            target_account=["acc2", "acc2", "acc2", "acc1", "nowhere"],
            amount_minor=[1_000, 2_500, 40, 7, 9],
            currency=["KZT", "KZT", "USD", None, "KZT"],
            occurred_at=[NOON, MIDNIGHT, NOON, NOON, NOON],
            device_id=["dev1", None, "dev1", "dev1", None],
        ),
        "relationships": RELATIONSHIPS.from_columns(
            record_id=["people:1", "people:2", "people:1", "people:3", "people:4", "people:3"],
            object_kind=["record", "record", "record", "card", "card", "device"],
            object_id=["people:3", "people:3", "people:2", "4400", "4400", "dev2"],
            relationship_kind=["owns", "owns", "spouse", "pays_with", "pays_with", "uses"],
            share=[0.25, 0.4, None, None, None, None],
        ),
    }
