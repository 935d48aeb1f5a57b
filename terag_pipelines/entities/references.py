"""Relationships, labels, the client panel, tenants and usage events of a file, checked against known ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.dates import days_of
from terag_pipelines.entities.distinct import as_series, as_texts, map_distinct, one_array
from terag_pipelines.entities.emails import plain_email
from terag_pipelines.entities.identifiers import plain_account, read_bins
from terag_pipelines.entities.known_ids import KnownIds
from terag_pipelines.entities.label_conflicts import FACT, find_contradictions
from terag_pipelines.entities.mapped_rows import MappedRows, is_day_or_instant, is_null, read_numbers
from terag_pipelines.entities.model import LABELS, RELATIONSHIPS, TENANTS, USAGE_EVENTS
from terag_pipelines.entities.payments import currencies, kept, row_ids

_KINDS_OF_SUBJECT = {
    "entity": ("records",),
    "pair": ("records",),
    "fraud": ("records", "accounts"),
    "ring": ("records", "accounts"),
    "invoice": ("tenants",),
}
_TRUTH_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "да", "1.0"), "1"),
    **dict.fromkeys(("false", "f", "no", "n", "нет", "0.0"), "0"),
}
_MAX_QUANTITY = 2**53


def normalise_relationships(rows: MappedRows, known: KnownIds) -> pa.Table:
    """Relationships of one file; a subject or object record that does not exist leaves the row out."""
    subject, target = rows.required_texts("subject"), rows.required_texts("object")
    kind, object_kind = (
        pc.utf8_lower(rows.required_texts("kind")),
        pc.utf8_lower(rows.required_texts("object_kind")),
    )
    known.leave_out_unknown(rows, subject, "subject", "records")
    named = pc.if_else(pc.equal(object_kind, "record"), target, pa.scalar(None, pa.string()))
    known.leave_out_unknown(rows, one_array(named), "object", "records")
    known.leave_out_repeats(rows, "relationships", _together(subject, object_kind, target, kind), "object")
    columns = {
        "record_id": subject,
        "object_kind": object_kind,
        "object_id": target,
        "relationship_kind": kind,
        "share": _shares(rows),
        "valid_from": rows.days("valid_from"),
        "valid_to": rows.days("valid_to"),
    }
    return kept(rows, columns, RELATIONSHIPS.schema)


def _shares(rows: MappedRows) -> pa.Array:
    given, numbers = rows.numbers("share")
    is_percent = any(source.unit == "percent" for source in rows.spec.fields.get("share", ()))
    shares = numbers / 100 if is_percent else numbers
    bad = ~is_null(given) & ~((shares >= 0) & (shares <= 1))
    rows.ledger.lose_field(bad, "share", "is no share from 0 to 1")
    return pa.array(shares, mask=bad | np.isnan(shares))


def normalise_labels(rows: MappedRows, known: KnownIds) -> pa.Table:
    """Labels of one file; a subject or object that does not exist leaves the row out.

    Labels that contradict each other are all left out, for which is right is not known; one that contradicts
    a label of an earlier file of the manifest is left out alone.
    """
    subject, value = rows.required_texts("subject"), rows.required_texts("value")
    target = rows.required_texts("object") if rows.spec.label == "pair" else rows.texts("object")
    kinds = _KINDS_OF_SUBJECT.get(rows.spec.label or "", ())
    if "accounts" in kinds:
        subject = map_distinct(subject, plain_account)
    if kinds:
        known.leave_out_unknown(rows, subject, "subject", *kinds)
    if rows.spec.label == "pair":
        known.leave_out_unknown(rows, target, "object", "records")
        itself = np.asarray(pc.fill_null(pc.equal(subject, target), False), np.bool_)
        rows.ledger.leave_out(itself, "object", "is the subject itself")
    if rows.spec.label in ("pair", "fraud"):
        value = _outcomes(rows, value)
    target = one_array(pc.fill_null(target, ""))
    label, use = _repeat(rows, rows.spec.label), _repeat(rows, rows.spec.use)
    fact = _together(use, label, subject, target, value)
    _leave_out_contradictions(rows, known, fact)
    known.leave_out_repeats(rows, "labels", fact, "subject")
    columns = {
        "label_kind": label,
        "subject_id": subject,
        "object_id": target,
        "value": value,
        "use": use,
    }
    return kept(rows, columns, LABELS.schema)


def _leave_out_contradictions(rows: MappedRows, known: KnownIds, facts: pa.Array) -> None:
    own = pl.DataFrame({"fact": as_series(facts).cast(pl.String), "number": rows.raw.rows})
    own = own.with_columns(place=pl.int_range(pl.len())).filter(pl.Series(~rows.ledger.left_out))
    before = pl.DataFrame({"fact": known.of("labels")}).with_columns(number=pl.lit(0), place=pl.lit(-1))
    both = pl.concat([before, own], how="vertical_relaxed").drop_nulls().with_row_index("row")
    parts = pl.col("fact").str.splitn("\x1f", len(FACT)).struct.rename_fields(list(FACT))
    found = find_contradictions(both.with_columns(parts).unnest("fact"))
    told = found.join(both.select("row", "place"), on="row").filter(pl.col("place") >= 0)
    told = told.join(both.select("number", other="row"), on="other").sort("place")
    reasons = [
        f"contradicts the label of row {number}" if number else "contradicts a label of another file"
        for number in told["number"].to_list()
    ]
    rows.ledger.leave_out_each(told["place"].to_numpy().astype(np.int64), "value", reasons)


def _outcomes(rows: MappedRows, values: pa.Array) -> pa.Array:
    outcomes = map_distinct(
        values, lambda text: _TRUTH_WORDS.get(text.casefold(), text if text in "01" else None)
    )
    rows.ledger.leave_out(~is_null(values) & is_null(outcomes), "value", "is neither yes nor no")
    return outcomes


def normalise_panel(rows: MappedRows, known: KnownIds) -> pa.Table:
    """The client panel of one file: client_id, month, and each variable as float64.

    Unknown clients are left out.
    """
    client = rows.required_texts("client")
    if len(known.of("records")):
        known.leave_out_unknown(rows, client, "client", "records")
    month = _months(rows)
    known.leave_out_repeats(rows, "panel", _together(client, month), "month")
    columns = {name: _variable(rows, name) for name in rows.spec.variables}
    table = pa.table({"client_id": client, "month": month, **columns})
    return table.filter(pa.array(~rows.ledger.left_out))


def _months(rows: MappedRows) -> pa.Array:
    """'YYYY-MM' of a month or of any date in it."""
    column = rows.first("month")
    if is_day_or_instant(column.type):
        months = as_texts(as_series(days_of(column)).dt.strftime("%Y-%m"))
    else:
        texts = as_series(rows.texts("month")).cast(pl.String)
        months = as_texts(texts.str.extract(r"^(\d{4}-(?:0[1-9]|1[0-2]))(?:-\d{2}.*)?$", 1))
    rows.ledger.leave_out(is_null(column), "month", "is missing")
    rows.ledger.leave_out(is_null(months), "month", "is no month (YYYY-MM)")
    return months


def _variable(rows: MappedRows, name: str) -> pa.Array:
    column: Any = one_array(rows.raw.table[name])
    if pa.types.is_boolean(column.type):
        return column.cast(pa.float64())
    given, numbers = read_numbers(column)
    rows.ledger.lose_field(~is_null(given) & np.isnan(numbers), name, "is no number")
    return pa.array(numbers, mask=np.isnan(numbers))


def normalise_tenants(rows: MappedRows, known: KnownIds) -> pa.Table:
    """Tenants of one file; a tenant without a name or plan is left out."""
    ids, name, plan = (rows.required_texts(field) for field in ("id", "name", "plan"))
    known.leave_out_repeats(rows, "tenants", ids, "id")
    given_bin, given_email = rows.texts("bin"), rows.texts("email")
    bins, emails = read_bins(given_bin), map_distinct(given_email, plain_email)
    rows.ledger.lose_field(
        ~is_null(given_bin) & is_null(bins), "bin", "is no valid BIN (12 digits, month, type, check digit)"
    )
    rows.ledger.lose_field(~is_null(given_email) & is_null(emails), "email", "is no e-mail address")
    columns = {
        "tenant_id": ids,
        "name": name,
        "bin": bins,
        "address": rows.texts("address"),
        "email": emails,
        "plan_id": plan,
        "currency": currencies(rows, required=False),
        "time_zone": rows.texts("time_zone"),
        "started_on": rows.days("started_on"),
    }
    return kept(rows, columns, TENANTS.schema)


def normalise_usage(rows: MappedRows, known: KnownIds) -> pa.Table:
    """Usage events of one file; an unknown tenant, no time or no whole quantity leaves the row out."""
    tenant, meter = rows.required_texts("tenant"), rows.required_texts("meter")
    known.leave_out_unknown(rows, tenant, "tenant", "tenants")
    occurred_at = rows.instants("occurred_at", required=True)
    _, numbers = rows.numbers("quantity")
    whole = (numbers >= 0) & (numbers < _MAX_QUANTITY) & (numbers == np.floor(numbers))
    rows.ledger.leave_out(~whole, "quantity", "is no whole number")
    columns = {
        "event_id": _usage_ids(rows, known, tenant),
        "tenant_id": tenant,
        "meter": meter,
        "quantity": pa.array(np.where(whole, numbers, 0).astype(np.int64)),
        "occurred_at": occurred_at,
    }
    return kept(rows, columns, USAGE_EVENTS.schema)


def _usage_ids(rows: MappedRows, known: KnownIds, tenant: pa.Array) -> pa.Array:
    """Event ids; an event is known by tenant and id: two tenants may both call one of theirs "1"."""
    if not rows.has("id"):
        return row_ids(rows, known, "usage")
    ids = rows.required_texts("id")
    known.leave_out_repeats(rows, "usage", _together(tenant, ids), "id")
    return ids


def _together(*columns: pa.Array) -> pa.Array:
    """The columns as one key; null where any is."""
    return one_array(pc.binary_join_element_wise(*columns, "\x1f"))


def _repeat(rows: MappedRows, text: str | None) -> pa.Array:
    return one_array(pa.repeat(pa.scalar(text, pa.string()), rows.n))
