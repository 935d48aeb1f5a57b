"""From the files of a source to the tables of a batch: each row conformed, or in quarantine and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa

from terag_pipelines.entities import model
from terag_pipelines.entities.distinct import as_plain, as_series, one_array
from terag_pipelines.entities.joined_texts import written_out
from terag_pipelines.entities.known_ids import KnownIds
from terag_pipelines.entities.manifests import FileSpec, Manifest
from terag_pipelines.entities.mapped_rows import MappedRows, check_columns
from terag_pipelines.entities.parties import normalise_parties, partial_parties
from terag_pipelines.entities.payments import (
    normalise_accounts,
    normalise_events,
    normalise_transfers,
    outside_accounts,
    outside_parties,
)
from terag_pipelines.entities.quarantine import FaultLedger
from terag_pipelines.entities.raw_files import RawFile
from terag_pipelines.entities.references import (
    normalise_labels,
    normalise_panel,
    normalise_relationships,
    normalise_tenants,
    normalise_usage,
)
from terag_pipelines.entities.vocabulary import PARTY_HOLDS
from terag_pipelines.tables import TableSchema

ReadFile = Callable[[FileSpec], RawFile]
Normalise = Callable[[MappedRows, KnownIds], pa.Table]

TABLES = (
    model.ENTITY_RECORDS,
    model.ACCOUNTS,
    model.TRANSFERS,
    model.PARTY_EVENTS,
    model.RELATIONSHIPS,
    model.LABELS,
    model.CLIENT_PANEL,
    model.TENANTS,
    model.USAGE_EVENTS,
    model.PRICE_BOOKS,
    model.QUARANTINED_ROWS,
    model.SOURCE_FILES,
)
"""Every table that a source is turned into."""


def _parties(rows: MappedRows, known: KnownIds) -> pa.Table:
    table = normalise_parties(rows)
    known.add("records", table["record_id"].combine_chunks())
    return table


# In this order: what is referred to comes before what refers to it.
_STEPS: tuple[tuple[TableSchema, tuple[str, ...], Normalise], ...] = (
    (model.ENTITY_RECORDS, PARTY_HOLDS, _parties),
    (model.ACCOUNTS, ("accounts",), normalise_accounts),
    (model.TRANSFERS, ("transfers",), normalise_transfers),
    (model.PARTY_EVENTS, ("events",), normalise_events),
    (model.RELATIONSHIPS, ("relationships", "ownership"), normalise_relationships),
    (model.TENANTS, ("tenants",), normalise_tenants),
    (model.USAGE_EVENTS, ("usage",), normalise_usage),
    (model.CLIENT_PANEL, ("panel",), normalise_panel),
    (model.LABELS, ("labels",), normalise_labels),
)

_HOLDS_OF: dict[str, tuple[str, ...]] = {schema.name: holds for schema, holds, _ in _STEPS} | {
    model.PRICE_BOOKS.name: ("price_book",),
    model.SOURCE_FILES.name: ("anything",),
}


@dataclass(frozen=True)
class FileCounts:
    """What became of a file's rows: all, those left out, and the fields lost in rows that stayed."""

    file: str
    holds: str
    n_rows: int
    n_rejected: int
    n_lost_fields: int


@dataclass(frozen=True)
class SourceTables:
    """A whole source in its declared tables, empty where the source has nothing; `reasons` says why."""

    tables: Mapping[str, pa.Table]
    reasons: Mapping[str, str]
    file_counts: Mapping[str, FileCounts]
    price_book: dict[str, object] | None = None


@dataclass
class _Intake:
    manifest: Manifest
    read: ReadFile
    known: KnownIds = field(default_factory=KnownIds)
    parts: dict[str, list[pa.Table]] = field(default_factory=dict)
    quarantined: list[pa.Table] = field(default_factory=list)
    counts: dict[str, FileCounts] = field(default_factory=dict)
    transfers: list[tuple[FileSpec, pa.Table]] = field(default_factory=list)


def ingest(manifest: Manifest, read: ReadFile, coded: bool = False) -> SourceTables:
    """All tables of a source, conforming to entities/model.py; `read` gives a file entry's raw content.

    With `coded`, texts of ENTITY_RECORDS may stay dictionaries or be joined later (entities/joined_texts.py)
    and records in the order of their file: linking takes them as they are, in a third of the memory.

    Raises: MissingColumnError for a mapping to a column that a file lacks, TooManyBadRowsError where more
    rows of a file are left out than the manifest allows, and whatever `read` raises.
    """
    intake = _Intake(manifest, read)
    for schema, holds, normalise in _STEPS:
        for spec in manifest.files:
            if spec.holds in holds:
                _take_in(intake, schema, spec, normalise)
        if schema is model.TRANSFERS:
            _add_outside_parties(intake)
    price_book = _read_price_books(intake)
    return _finish(intake, price_book, coded)


def _take_in(intake: _Intake, schema: TableSchema, spec: FileSpec, normalise: Normalise) -> None:
    raw = intake.read(spec)
    check_columns(spec, raw)
    raw = _without_skipped(intake.manifest, spec, raw)
    known_texts: dict[str, pa.Array] = {}
    if schema is model.ENTITY_RECORDS:
        raw, known_texts["id"] = _in_order_of_ids(intake.manifest, spec, raw)
    ledger = FaultLedger(spec, raw)
    rows = MappedRows(spec, raw, intake.manifest, ledger, known_texts=known_texts)
    table = normalise(rows, intake.known)
    ledger.check_share()
    intake.parts.setdefault(schema.name, []).append(table)
    intake.quarantined.append(ledger.quarantined_rows())
    intake.counts[spec.name] = FileCounts(
        spec.path, spec.holds, raw.n_rows, ledger.n_left_out, ledger.n_lost_fields
    )
    if schema is model.TRANSFERS:
        intake.transfers.append((spec, table))


def _without_skipped(manifest: Manifest, spec: FileSpec, raw: RawFile) -> RawFile:
    """The file without the rows that the manifest passes over because a field is blank."""
    if not spec.skip_where_blank:
        return raw
    rows = MappedRows(spec, raw, manifest, FaultLedger(spec, raw))
    keep = np.ones(rows.n, np.bool_)
    for name in spec.skip_where_blank:
        keep &= np.asarray(rows.texts(name).is_valid(), np.bool_)
    return raw.keep(keep)


def _in_order_of_ids(manifest: Manifest, spec: FileSpec, raw: RawFile) -> tuple[RawFile, pa.Array]:
    """The rows in the order that their records will have, and their ids.

    Few columns are moved now instead of many later. Rows of one id stay in their order, for the first counts.
    """
    texts = as_plain(MappedRows(spec, raw, manifest, FaultLedger(spec, raw)).texts("id"))
    ids = as_series(texts)
    if ids.is_sorted():
        return raw, texts
    ordered = pl.DataFrame({"id": ids}).with_row_index("place").sort("id", maintain_order=True)
    order = ordered["place"].to_numpy().astype(np.int64)
    return raw.in_order(order), texts.take(pa.array(order))


def _add_outside_parties(intake: _Intake) -> None:
    """Accounts that no file lists become outside accounts, each with a partial record of its holder."""
    ends = [_unknown_ends(spec, table, intake.known) for spec, table in intake.transfers]
    parties = outside_parties(pl.concat(ends)) if ends else pl.DataFrame()
    if not len(parties):
        return
    records = partial_parties(parties)
    intake.parts.setdefault(model.ENTITY_RECORDS.name, []).append(records)
    intake.parts.setdefault(model.ACCOUNTS.name, []).append(outside_accounts(parties))
    intake.known.add("records", records["record_id"].combine_chunks())
    intake.known.add("accounts", records["native_id"].combine_chunks())


def _unknown_ends(spec: FileSpec, transfers: pa.Table, known: KnownIds) -> pl.DataFrame:
    """Both ends of each transfer as account, name, bank and file, where the account is not known."""
    ends = []
    for side in ("source", "target"):
        columns = {
            part: as_series(one_array(transfers[f"{side}_{part}"])) for part in ("account", "name", "bank")
        }
        frame = pl.DataFrame(columns).with_columns(file=pl.lit(spec.path))
        ends.append(frame.filter(pl.Series(~known.has(one_array(transfers[f"{side}_account"]), "accounts"))))
    return pl.concat(ends)


def _read_price_books(intake: _Intake) -> dict[str, object] | None:
    books: dict[str, dict[str, object]] = {}
    for spec in intake.manifest.files:
        if spec.holds == "price_book":
            books[spec.name] = dict(intake.read(spec).document or {})
            intake.counts[spec.name] = FileCounts(spec.path, spec.holds, 1, 0, 0)
    content = [json.dumps(book, sort_keys=True, ensure_ascii=False, default=str) for book in books.values()]
    intake.parts[model.PRICE_BOOKS.name] = [
        model.PRICE_BOOKS.from_columns(price_book_id=list(books), content=content)
    ]
    return next(iter(books.values()), None)


def _finish(intake: _Intake, price_book: dict[str, object] | None, coded: bool) -> SourceTables:
    intake.parts[model.QUARANTINED_ROWS.name] = [_distinct_quarantine(intake.quarantined)]
    intake.parts[model.SOURCE_FILES.name] = [_source_files(intake.counts)]
    records = _as_coded(intake.parts.pop(model.ENTITY_RECORDS.name, [])) if coded else None
    tables = {schema.name: _whole(schema, intake.parts.pop(schema.name, [])) for schema in TABLES}
    tables |= {} if records is None else {model.ENTITY_RECORDS.name: records}
    reasons = {
        schema.name: _why_empty(schema, intake) for schema in TABLES if not tables[schema.name].num_rows
    }
    return SourceTables(tables, reasons, intake.counts, price_book)


def _whole(schema: TableSchema, parts: list[pa.Table]) -> pa.Table:
    if schema is model.ENTITY_RECORDS:
        parts = [written_out(part).cast(schema.schema) for part in parts]
    return schema.conform(pa.concat_tables(parts, promote_options="default")) if parts else schema.empty()


def _as_coded(parts: list[pa.Table]) -> pa.Table:
    """Entity records of all files; those of one file keep their dictionaries."""
    return parts[0] if len(parts) == 1 else _whole(model.ENTITY_RECORDS, parts)


def _distinct_quarantine(parts: list[pa.Table]) -> pa.Table:
    """The quarantine of all files; one file that two entries read may give the same row twice."""
    rows = pa.concat_tables([model.QUARANTINED_ROWS.empty(), *parts])
    frame = pl.DataFrame(rows).unique(list(model.QUARANTINED_ROWS.key), keep="first", maintain_order=True)
    return frame.to_arrow().cast(model.QUARANTINED_ROWS.schema)


def _source_files(counts: Mapping[str, FileCounts]) -> pa.Table:
    return model.SOURCE_FILES.from_columns(
        dataset=list(counts),
        file=[count.file for count in counts.values()],
        holds=[count.holds for count in counts.values()],
        n_rows=[count.n_rows for count in counts.values()],
        n_rejected=[count.n_rejected for count in counts.values()],
    )


def _why_empty(schema: TableSchema, intake: _Intake) -> str:
    if schema is model.QUARANTINED_ROWS:
        return "every row could be used"
    holds = _HOLDS_OF[schema.name]
    files = [count for count in intake.counts.values() if count.holds in holds]
    if not files:
        return f"the manifest names no file that holds {' or '.join(holds)}"
    n_rows = sum(count.n_rows for count in files)
    names = ", ".join(sorted({count.file for count in files}))
    return f"{names}: all {n_rows} rows were left out" if n_rows else f"{names}: no rows"
