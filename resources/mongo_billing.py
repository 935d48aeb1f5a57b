"""The books of billing in MongoDB (a replica set): usage once, months closed once, numbers without gaps.

Number, ledger and invoice are written in one transaction, with majority and journaled write concern. Unique
indexes stand behind it: one event per tenant and id, one invoice per seller, tenant, month and kind, one per
number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from bson import Binary
from pymongo import ASCENDING, InsertOne, ReplaceOne, ReturnDocument, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from resources.stores import document_errors
from terag_pipelines.billing.history import History
from terag_pipelines.billing.invoices import DraftInvoice, Invoice, draft_of
from terag_pipelines.billing.model import BILLED_USAGE, RECORDED_USAGE, USAGE_TOTALS
from terag_pipelines.billing.ports import RecordedUsage, SellerBooks, TenantClose
from terag_pipelines.entities.model import TENANTS
from terag_pipelines.errors import NotFoundError, StoreError, StoreUnavailableError

Document = dict[str, Any]
Books = tuple[Collection[Document], Collection[Document], Collection[Document]]
Result = TypeVar("Result")

N_EVENTS_PER_WRITE = 10_000
N_TENANTS_PER_TRANSACTION = 200
MAX_RACES = 50
DUPLICATE_KEY = 11000
_DURABLE = WriteConcern(w="majority", j=True)
_MAJORITY = ReadConcern("majority")
_SNAPSHOT = ReadConcern("snapshot")


class MongoBilling:
    """Implements BillingStore over a pymongo database; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._client = database.client
        durable = database.with_options(write_concern=_DURABLE, read_concern=_MAJORITY)
        self._usage = durable["billing_usage"]
        self._tenants = durable["billing_tenants"]
        self._ledgers = durable["billing_ledgers"]
        self._counters = durable["billing_counters"]
        self._invoices = durable["billing_invoices"]
        self._documents = durable["billing_documents"]
        self._is_prepared = False

    def record_usage(self, usage: pa.Table) -> RecordedUsage:
        """Stores each event once; the unique key is the event's own, so dedup and storing are one write."""
        counts = [0, 0, 0]
        with self._translated():
            for batch in _with_microseconds(usage).to_batches(max_chunksize=N_EVENTS_PER_WRITE):
                found = self._record([_event_document(row) for row in batch.to_pylist()])
                counts = [sum(pair) for pair in zip(counts, found, strict=True)]
        return RecordedUsage(*counts)

    def usage_totals(self, until_month: str) -> pa.Table:
        """USAGE_TOTALS up to and including a month, summed in the server over a covering index."""
        key = {"tenant_id": "$_id.tenant_id", "meter": "$meter", "usage_month": "$usage_month"}
        stages: list[Mapping[str, Any]] = [
            {"$match": {"usage_month": {"$lte": until_month}}},
            {"$project": {"_id.tenant_id": 1, "meter": 1, "usage_month": 1, "quantity": 1}},
            {"$group": {"_id": key, "quantity": {"$sum": "$quantity"}, "n_events": {"$sum": 1}}},
        ]
        with self._translated():
            rows = [
                {**found["_id"], "quantity": found["quantity"], "n_events": found["n_events"]}
                for found in self._usage.aggregate(stages, allowDiskUse=True)
            ]
        return USAGE_TOTALS.conform(pa.Table.from_pylist(rows, USAGE_TOTALS.schema))

    def usage_of(self, tenant_id: str, usage_month: str) -> pa.Table:
        """The recorded events of one tenant and month (RECORDED_USAGE)."""
        with self._translated():
            rows = [
                {**found, **found["_id"], "occurred_at": found["occurred_at_us"]}
                for found in self._usage.find({"_id.tenant_id": tenant_id, "usage_month": usage_month})
            ]
        columns = {name: [row[name] for row in rows] for name in RECORDED_USAGE.schema.names}
        return RECORDED_USAGE.from_columns(**columns)

    def put_tenants(self, tenants: pa.Table) -> None:
        """Stores TENANTS, replacing those with the same id."""
        writes = [
            ReplaceOne({"_id": row["tenant_id"]}, _tenant_document(row), upsert=True)
            for row in tenants.to_pylist()
        ]
        if writes:
            with self._translated():
                self._tenants.bulk_write(writes, ordered=False)

    def tenants(self) -> pa.Table:
        """All stored TENANTS."""
        with self._translated():
            rows = [_tenant_row(found) for found in self._tenants.find()]
        return TENANTS.conform(pa.Table.from_pylist(rows, TENANTS.schema))

    def seller_books(self, seller_id: str) -> SellerBooks:
        """Revisions first, then what is billed: a draft is stale if an invoice came between the two."""
        with self._translated():
            ledgers = list(self._ledgers.find({"_id.seller_id": seller_id}))
            billed = list(self._invoices.aggregate(_billed_stages(seller_id), allowDiskUse=True))
        closed = {(found["_id"]["tenant_id"], month) for found in ledgers for month in found["closed_months"]}
        rows = [{**found["_id"], "quantity": found["quantity"]} for found in billed]
        table = BILLED_USAGE.conform(pa.Table.from_pylist(rows, BILLED_USAGE.schema))
        revisions = {found["_id"]["tenant_id"]: found["revision"] for found in ledgers}
        return SellerBooks(History(table, frozenset(closed)), revisions)

    def close(
        self, seller_id: str, month: str, closes: Sequence[TenantClose], issued_on: date
    ) -> frozenset[str]:
        """Closes the month, some hundred tenants in one transaction; gives those to be drafted again."""
        stale: set[str] = set()
        books = (self._ledgers, self._counters, self._invoices)
        with self._translated():
            for start in range(0, len(closes), N_TENANTS_PER_TRANSACTION):
                chunk = closes[start : start + N_TENANTS_PER_TRANSACTION]
                stale |= self._in_transaction(_Closing(books, seller_id, month, chunk, issued_on).write)
        return frozenset(stale)

    def invoice(self, invoice_id: str) -> Invoice:
        """A finalised invoice. Raises: NotFoundError; StoreError where it was changed behind our back."""
        with self._translated():
            found = self._invoices.find_one({"_id": invoice_id})
        if found is None:
            raise NotFoundError(f"there is no invoice {invoice_id}")
        return _invoice(found)

    def invoices(
        self, *, seller_id: str | None = None, tenant_id: str | None = None, month: str | None = None
    ) -> tuple[Invoice, ...]:
        """The finalised invoices that match, in the order of their numbers."""
        wanted = {"seller_id": seller_id, "tenant_id": tenant_id, "month": month}
        query = {key: value for key, value in wanted.items() if value is not None}
        with self._translated():
            found = list(self._invoices.find(query).sort([("year", ASCENDING), ("position", ASCENDING)]))
        return tuple(_invoice(document) for document in found)

    def attach_document(self, invoice_id: str, content: bytes) -> bytes:
        """Keeps the first document of an invoice and gives it. Raises: NotFoundError."""
        self.invoice(invoice_id)
        sha256 = hashlib.sha256(content).hexdigest()
        with self._translated():
            try:
                self._documents.insert_one({"_id": invoice_id, "sha256": sha256, "content": Binary(content)})
            except DuplicateKeyError:
                return self.document(invoice_id)
        return content

    def document(self, invoice_id: str) -> bytes:
        """The kept document. Raises: NotFoundError; StoreError where its digest does not hold."""
        with self._translated():
            found = self._documents.find_one({"_id": invoice_id})
        if found is None:
            raise NotFoundError(f"no document is kept for the invoice {invoice_id}")
        content = bytes(found["content"])
        if hashlib.sha256(content).hexdigest() != found["sha256"]:
            raise StoreError(f"the document of the invoice {invoice_id} was changed in the store")
        return content

    def _record(self, events: Sequence[Document]) -> tuple[int, int, int]:
        """New, known and conflicting among some events; asking first spares an error for each known one."""
        known = {
            _identity(found): found
            for found in self._usage.find({"_id": {"$in": [event["_id"] for event in events]}})
        }
        new = [event for event in events if _identity(event) not in known]
        n_new, raced = self._insert(new)
        if raced:
            known |= {
                _identity(found): found
                for found in self._usage.find({"_id": {"$in": [event["_id"] for event in raced]}})
            }
        n_conflicting = sum(known.get(_identity(event), event) != event for event in events)
        return n_new, len(events) - n_new - n_conflicting, n_conflicting

    def _insert(self, events: Sequence[Document]) -> tuple[int, list[Document]]:
        if not events:
            return 0, []
        try:
            self._usage.bulk_write([InsertOne(event) for event in events], ordered=False)
        except BulkWriteError as error:
            raced = _raced(error, events)
            return len(events) - len(raced), raced
        return len(events), []

    def _in_transaction(self, write: Callable[[ClientSession], Result]) -> Result:
        """Runs `write` in a transaction until it commits; a racer's unique key counts as a lost race."""
        for _ in range(MAX_RACES):
            try:
                with self._client.start_session() as session:
                    return session.with_transaction(write, read_concern=_SNAPSHOT, write_concern=_DURABLE)
            except (DuplicateKeyError, BulkWriteError) as error:
                if not _is_duplicate(error):
                    raise
        raise StoreUnavailableError("MongoDB: the transaction lost every race")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with document_errors():
            try:
                self._prepare()
                yield
            except OperationFailure as error:
                if error.has_error_label("TransientTransactionError"):
                    raise StoreUnavailableError(
                        "MongoDB: other transactions kept this one waiting"
                    ) from error
                raise

    def _prepare(self) -> None:
        """Indexes; creating one that exists changes nothing."""
        if self._is_prepared:
            return
        self._usage.create_index(
            [("usage_month", 1), ("_id.tenant_id", 1), ("meter", 1), ("quantity", 1)], name="totals"
        )
        self._ledgers.create_index([("_id.seller_id", 1)], name="seller")
        identity = [("seller_id", 1), ("tenant_id", 1), ("month", 1), ("kind", 1)]
        self._invoices.create_index(identity, unique=True, name="identity")
        self._invoices.create_index([("seller_id", 1), ("number", 1)], unique=True, name="number")
        self._invoices.create_index([("tenant_id", 1), ("month", 1)], name="tenant")
        self._is_prepared = True


class _Closing:
    """One transaction of a close: reads the ledgers, takes numbers, writes invoices and ledgers."""

    def __init__(
        self, books: Books, seller_id: str, month: str, closes: Sequence[TenantClose], issued_on: date
    ) -> None:
        self._ledgers, self._counters, self._invoices = books
        self._seller_id, self._month = seller_id, month
        self._closes, self._issued_on = closes, issued_on

    def write(self, session: ClientSession) -> set[str]:
        """Gives the tenants whose ledger moved on; runs again from the start when a racer committed first."""
        keys = [self._key(close) for close in self._closes]
        ledgers = {
            found["_id"]["tenant_id"]: found
            for found in self._ledgers.find({"_id": {"$in": keys}}, session=session)
        }
        open_closes = [close for close in self._closes if not self._is_closed(ledgers.get(close.tenant_id))]
        fresh = [close for close in open_closes if _revision(ledgers.get(close.tenant_id)) == close.revision]
        if fresh:
            self._issue([close.draft for close in fresh if close.draft is not None], session)
            self._ledgers.bulk_write([self._turn_page(close) for close in fresh], session=session)
        return {close.tenant_id for close in open_closes} - {close.tenant_id for close in fresh}

    def _issue(self, drafts: Sequence[DraftInvoice], session: ClientSession) -> None:
        if not drafts:
            return
        last = self._counters.find_one_and_update(
            {"_id": {"seller_id": self._seller_id, "year": self._issued_on.year}},
            {"$inc": {"last": len(drafts)}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )["last"]  # type: ignore[index]  # an upsert that returns what is there after it
        documents = [
            _invoice_document(self._seller_id, draft, position, self._issued_on)
            for position, draft in enumerate(drafts, start=last - len(drafts) + 1)
        ]
        self._invoices.insert_many(documents, session=session)

    def _turn_page(self, close: TenantClose) -> UpdateOne:
        page = {"$inc": {"revision": 1}, "$push": {"closed_months": self._month}}
        if close.revision == 0:
            return UpdateOne({"_id": self._key(close)}, page, upsert=True)
        return UpdateOne({"_id": self._key(close), "revision": close.revision}, page)

    def _key(self, close: TenantClose) -> Document:
        return {"seller_id": self._seller_id, "tenant_id": close.tenant_id}

    def _is_closed(self, ledger: Document | None) -> bool:
        return ledger is not None and self._month in ledger["closed_months"]


def _revision(ledger: Document | None) -> int:
    return 0 if ledger is None else int(ledger["revision"])


def _invoice_document(seller_id: str, draft: DraftInvoice, position: int, issued_on: date) -> Document:
    number = f"{issued_on.year}-{position:06d}"
    due_on = issued_on + timedelta(days=draft.payment_days)
    document = {
        "_id": draft.invoice_id,
        "seller_id": seller_id,
        "tenant_id": draft.tenant_id,
        "month": draft.month,
        "kind": draft.kind,
        "year": issued_on.year,
        "position": position,
        "number": number,
        "issued_on": issued_on.isoformat(),
        "due_on": due_on.isoformat(),
        "content_digest": draft.content_digest,
        "content": draft.as_mapping(),
    }
    return {**document, "seal": _seal(document)}


def _invoice(document: Document) -> Invoice:
    if document["seal"] != _seal(document):
        raise StoreError(f"the invoice {document['_id']} was changed in the store")
    return Invoice(
        content=draft_of(document["content"]),
        number=document["number"],
        issued_on=date.fromisoformat(document["issued_on"]),
        due_on=date.fromisoformat(document["due_on"]),
    )


def _seal(document: Mapping[str, Any]) -> str:
    """SHA-256 over every field but itself: a change of a finalised invoice is seen when it is read."""
    sealed = {key: value for key, value in document.items() if key != "seal"}
    return hashlib.sha256(json.dumps(sealed, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _billed_stages(seller_id: str) -> list[Mapping[str, Any]]:
    key = {
        "tenant_id": "$tenant_id",
        "month": "$month",
        "meter": "$content.lines.meter",
        "usage_month": "$content.lines.usage_month",
    }
    return [
        {"$match": {"seller_id": seller_id}},
        {"$unwind": "$content.lines"},
        {"$match": {"content.lines.charge_model": {"$ne": "flat"}}},
        {"$group": {"_id": key, "quantity": {"$sum": "$content.lines.quantity"}}},
    ]


def _with_microseconds(usage: pa.Table) -> pa.Table:
    instants = pc.cast(usage["occurred_at"], pa.int64())
    return usage.drop_columns("occurred_at").append_column("occurred_at_us", instants)


def _event_document(row: Mapping[str, Any]) -> Document:
    return {
        "_id": {"tenant_id": row["tenant_id"], "event_id": row["event_id"]},
        "meter": row["meter"],
        "quantity": row["quantity"],
        # MongoDB's own dates end at milliseconds
        "occurred_at_us": row["occurred_at_us"],
        "usage_month": row["usage_month"],
    }


def _identity(event: Document) -> tuple[str, str]:
    return event["_id"]["tenant_id"], event["_id"]["event_id"]


def _raced(error: BulkWriteError, events: Sequence[Document]) -> list[Document]:
    failures = error.details["writeErrors"]
    if any(failure["code"] != DUPLICATE_KEY for failure in failures):
        raise error
    return [events[failure["index"]] for failure in failures]


def _is_duplicate(error: DuplicateKeyError | BulkWriteError) -> bool:
    if isinstance(error, DuplicateKeyError):
        return True
    failures: Iterable[Mapping[str, Any]] = (error.details or {}).get("writeErrors", [])
    return any(failure["code"] == DUPLICATE_KEY for failure in failures)


def _tenant_document(row: Mapping[str, Any]) -> Document:
    started_on = row["started_on"]
    return {**row, "_id": row["tenant_id"], "started_on": started_on and started_on.isoformat()}


def _tenant_row(found: Mapping[str, Any]) -> Document:
    started_on = found["started_on"]
    return {**found, "started_on": started_on and date.fromisoformat(started_on)}
