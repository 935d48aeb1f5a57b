"""Broken rows, as exports have them, for trying what the platform does with them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.demo.randomness import Bools, Rng, happens, pick

FAULTS: Mapping[str, tuple[tuple[str, object], ...]] = {
    "people.csv.gz": (
        ("client_id", None),
        ("born", "31.02.1990"),
        ("born", "1990 г."),
        ("client_since", "вчера"),
    ),
    "applications.csv.gz": (
        ("application_id", None),
        ("birth_date", "0000-00-00"),
        ("applied_on", "2026-13-40"),
    ),
    "companies.csv.gz": (("company_id", None), ("registered", "нет данных")),
    "accounts.csv.gz": (("account_no", None), ("opened", "99.99.9999")),
    "device_usage.csv.gz": (("device_id", None), ("client_id", None)),
    "ownership.csv.gz": (("company", None), ("share", "половина")),
    "transfers.parquet": (("payer_account", None), ("amount", None), ("booked_at", None)),
    "client_panel.parquet": (("client_id", None), ("month", "2026-1")),
    "usage_events.parquet": (("event_id", None), ("quantity", None), ("occurred_at", None)),
}
"""For each file the columns that break and what they then hold; None is nothing at all."""


def break_rows(tables: Mapping[str, pa.Table], share: float, rng: Rng) -> dict[str, pa.Table]:
    """The tables with about `share` of the rows of each broken in one of its ways."""
    if share <= 0.0:
        return dict(tables)
    return {path: _broken(table, FAULTS.get(path, ()), share, rng) for path, table in tables.items()}


def _broken(table: pa.Table, faults: tuple[tuple[str, object], ...], share: float, rng: Rng) -> pa.Table:
    n = table.num_rows
    if not faults or n == 0:
        return table
    hit, which = happens(rng, share, n), pick(rng, np.ones(len(faults)), n)
    for i, (column, value) in enumerate(faults):
        table = _spoil(table, column, hit & (which == i), value)
    return table


def _spoil(table: pa.Table, column: str, where: Bools, value: object) -> pa.Table:
    values = table[column].combine_chunks()
    plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    spoiled = pc.if_else(pa.array(where), pa.scalar(value, plain.type), plain)
    return table.set_column(table.column_names.index(column), column, spoiled)
