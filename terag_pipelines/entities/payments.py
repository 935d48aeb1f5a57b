"""Accounts, transfers and party events of a file, normalised.

Counterparties that are known from transfers alone.
"""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.amounts import digits_of
from terag_pipelines.entities.distinct import as_series, as_texts, map_distinct, one_array
from terag_pipelines.entities.identifiers import kz_iban, plain_account
from terag_pipelines.entities.known_ids import KnownIds
from terag_pipelines.entities.mapped_rows import NO_TEXT, MappedRows, as_mask, as_text_column, is_null
from terag_pipelines.entities.model import ACCOUNTS, PARTY_EVENTS, TRANSFERS

_CURRENCY = r"^[A-Z]{3}$"
MOST_MINOR = 10**15
TOO_LARGE = "is larger than any payment: above 10 trillion"
"""What one transfer may move, in minor units: sums of thousands of them stay exact in 64 bits."""


def normalise_accounts(rows: MappedRows, known: KnownIds) -> pa.Table:
    """Accounts of one file.

    A holder that no party file has, or an invalid IBAN, becomes null and is noted.
    """
    ids = map_distinct(rows.required_texts("id"), plain_account)
    known.leave_out_repeats(rows, "accounts", ids, "id")
    ibans = _valid_ibans(rows)
    columns = {
        "account_id": ids,
        "record_id": known.existing(rows, "records", rows.texts("holder"), "holder"),
        "bank": rows.texts("bank"),
        "iban": ibans,
        "currency": currencies(rows, required=False),
        "opened_on": rows.days("opened_on"),
        "is_outside": pa.array(np.zeros(rows.n, np.bool_)),
    }
    return kept(rows, columns, ACCOUNTS.schema)


def normalise_transfers(rows: MappedRows, known: KnownIds) -> pa.Table:
    """Transfers of one file; rows without both accounts, a readable amount and time are left out."""
    source, target = (
        map_distinct(rows.required_texts(name), plain_account)
        for name in ("source_account", "target_account")
    )
    currency = currencies(rows, required=True)
    amount = _required_amounts(rows, currency)
    occurred_at = rows.instants("occurred_at", required=True)
    columns = {
        "transfer_id": row_ids(rows, known, "transfers"),
        "source_account": source,
        "target_account": target,
        **{name: rows.texts(name) for name in ("source_name", "target_name", "source_bank", "target_bank")},
        "amount_minor": amount,
        "currency": currency,
        "occurred_at": occurred_at,
        "is_cash": rows.flags("is_cash"),
        **{name: rows.texts(name) for name in ("channel", "purpose_code", "purpose_text", "ip")},
        "device_id": rows.texts("device"),
    }
    return kept(rows, columns, TRANSFERS.schema)


def normalise_events(rows: MappedRows, known: KnownIds) -> pa.Table:
    """Events of one file; a party that no party file has becomes null and is noted."""
    kind = rows.required_texts("kind")
    occurred_at = rows.instants("occurred_at", required=True)
    currency = currencies(rows, required=False)
    given, amount = rows.amounts("amount", digits_of(currency))
    rows.ledger.lose_field(~is_null(given) & is_null(amount), "amount", "is no amount")
    columns = {
        "event_id": row_ids(rows, known, "events"),
        "record_id": known.existing(rows, "records", rows.texts("party"), "party"),
        "event_kind": kind,
        "counterparty": rows.texts("counterparty"),
        "amount_minor": amount,
        "currency": currency,
        "occurred_at": occurred_at,
    }
    return kept(rows, columns, PARTY_EVENTS.schema)


def outside_parties(ends: pl.DataFrame) -> pl.DataFrame:
    """Accounts that only transfers name, sorted: account, file, name, others, bank.

    `name` and `bank` are the most frequent, ties by alphabet; `others` lists the further names.

    `ends` has one line for each end of a transfer: account, name, bank, file.
    """
    whole = ends.group_by("account").agg(pl.col("file").min())
    names = _by_frequency(ends, "name")
    named = names.group_by("account", maintain_order=True).agg(
        pl.col("name").first(), others=pl.col("name").slice(1)
    )
    banks = _by_frequency(ends, "bank").group_by("account", maintain_order=True).agg(pl.col("bank").first())
    return whole.join(named, on="account", how="left").join(banks, on="account", how="left").sort("account")


def _by_frequency(ends: pl.DataFrame, column: str) -> pl.DataFrame:
    counts = ends.select("account", column).drop_nulls().group_by("account", column).len()
    return counts.sort(["account", "len", column], descending=[False, True, False])


def outside_accounts(parties: pl.DataFrame) -> pa.Table:
    """Accounts at other banks, one for each row of `outside_parties`."""
    ids = as_texts(parties["account"])
    return ACCOUNTS.from_columns(
        account_id=ids,
        record_id=as_texts("outside:" + parties["account"]),
        bank=as_texts(parties["bank"]),
        iban=map_distinct(ids, kz_iban),
        is_outside=[True] * len(parties),
    )


def currencies(rows: MappedRows, required: bool) -> pa.Array:
    """Each row's currency code, the manifest's where none is given.

    An unknown form is lost or, if required, left out.
    """
    given = rows.texts("currency")
    upper = pc.utf8_upper(given)
    bad = ~is_null(given) & ~as_mask(pc.match_substring_regex(upper, _CURRENCY))
    note = rows.ledger.leave_out if required else rows.ledger.lose_field
    note(bad, "currency", "is no currency code of three letters")
    filled = pc.coalesce(upper, pa.scalar(rows.manifest.currency))
    return one_array(pc.if_else(pa.array(bad), NO_TEXT, filled))


def row_ids(rows: MappedRows, known: KnownIds, kind: str) -> pa.Array:
    """Each row's own id, or where the manifest maps none, one made of the row's content and file.

    Equal rows get different ids, whatever their order.
    """
    if rows.has("id"):
        ids = rows.required_texts("id")
        known.leave_out_repeats(rows, kind, ids, "id")
        return ids
    return _content_ids(rows)


def _content_ids(rows: MappedRows) -> pa.Array:
    names = sorted(rows.raw.table.column_names)
    texts = [
        pc.fill_null(as_text_column(one_array(rows.raw.table[name])).cast(pa.string()), "\x00")
        for name in names
    ]
    joined = as_series(one_array(pc.binary_join_element_wise(*texts, "\x1f")))
    frame = pl.DataFrame({"content": joined}).with_columns(nth=pl.int_range(pl.len()).over("content"))
    digests = [hashlib.blake2b(text.encode(), digest_size=10).hexdigest() for text in frame["content"]]
    ids = f"{rows.spec.name}-" + pl.Series(digests, dtype=pl.String)
    again = frame["nth"] > 0
    return as_texts((ids + "-" + (frame["nth"] + 1).cast(pl.String)).zip_with(again, ids))


def _required_amounts(rows: MappedRows, currency: pa.Array) -> pa.Array:
    given, amount = rows.amounts("amount", digits_of(currency))
    rows.ledger.leave_out(is_null(given), "amount", "is missing")
    rows.ledger.leave_out(is_null(amount), "amount", "is no amount")
    rows.ledger.leave_out(as_mask(pc.less(amount, 0)), "amount", "is negative")
    rows.ledger.leave_out(as_mask(pc.greater(amount, MOST_MINOR)), "amount", TOO_LARGE)
    return amount


def _valid_ibans(rows: MappedRows) -> pa.Array:
    given = rows.texts("iban")
    ibans = map_distinct(given, kz_iban)
    rows.ledger.lose_field(
        ~is_null(given) & is_null(ibans), "iban", "is no valid IBAN (form or check digits)"
    )
    return ibans


def kept(rows: MappedRows, columns: dict[str, pa.Array], schema: pa.Schema) -> pa.Table:
    """The columns as a table of the schema, without the rows left out."""
    arrays = [one_array(columns[name]).cast(schema.field(name).type) for name in schema.names]
    table = pa.Table.from_arrays(arrays, schema=schema)
    return table.filter(pa.array(~rows.ledger.left_out)) if rows.ledger.left_out.any() else table
