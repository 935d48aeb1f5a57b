"""What every billing store must do, and what MongoDB must survive: racers, kill -9, hands in the database."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pyarrow as pa
import pymongo
import pymongo.monitoring
import pytest
from pymongo.database import Database

from resources.mongo_billing import MongoBilling
from resources.stores import connect_documents
from terag_pipelines.billing.core import BillingCore
from terag_pipelines.billing.periods import first_day, month_at, month_index, next_month
from terag_pipelines.billing.ports import BillingStore, RecordedUsage
from terag_pipelines.billing.usage import assign_months
from terag_pipelines.errors import NotFoundError, StoreError, StoreUnavailableError
from terag_pipelines.tables import digest
from tests.conftest import RunningPair
from tests.unit.billing.cases import at, price_book, tenants, usage
from tests.unit.billing.memory_store import MemoryBilling

JULY = at(2026, 7, 3)
AUGUST = date(2026, 8, 1)
FORK = multiprocessing.get_context("forkserver")
Document = dict[str, Any]


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.stores)])
def store(request: pytest.FixtureRequest) -> BillingStore:
    if request.param == "memory":
        return MemoryBilling()
    return MongoBilling(request.getfixturevalue("documents"))


def _recorded(*events: Any, start: int = 0) -> pa.Table:
    return assign_months(usage(*events, start=start), tenants(acme="starter"), "Asia/Almaty").recorded()


def _numbers(store: BillingStore) -> list[str]:
    return [invoice.number for invoice in store.invoices()]


def _gapless(n: int, year: int = 2026) -> list[str]:
    return [f"{year}-{position:06d}" for position in range(1, n + 1)]


# usage


def test_an_event_is_stored_once_however_often_it_comes(store: BillingStore) -> None:
    events = _recorded(("acme", "api_calls", 3, JULY))
    assert store.record_usage(events) == RecordedUsage(n_new=1, n_known=0, n_conflicting=0)
    for _ in range(20):
        assert store.record_usage(events) == RecordedUsage(n_new=0, n_known=1, n_conflicting=0)
    assert store.usage_totals("2026-07").to_pylist()[0]["quantity"] == 3


def test_a_known_id_with_other_content_is_told_and_the_first_stays(store: BillingStore) -> None:
    store.record_usage(_recorded(("acme", "api_calls", 3, JULY)))
    assert store.record_usage(_recorded(("acme", "api_calls", 4, JULY))).n_conflicting == 1
    assert store.usage_totals("2026-07")["quantity"].to_pylist() == [3]


def test_two_tenants_may_use_the_same_id(store: BillingStore) -> None:
    for tenant in ("acme", "beta"):
        assert store.record_usage(_recorded((tenant, "api_calls", 1, JULY))).n_new == 1


def test_totals_by_tenant_meter_and_month_up_to_a_month(store: BillingStore) -> None:
    store.record_usage(
        _recorded(
            ("acme", "api_calls", 3, JULY),
            ("acme", "api_calls", 4, JULY),
            ("acme", "what_if_answers", 5, at(2026, 6, 3)),
            ("acme", "api_calls", 6, at(2026, 8, 3)),
        )
    )
    rows = [tuple(row.values()) for row in store.usage_totals("2026-07").to_pylist()]
    assert rows == [("acme", "api_calls", "2026-07", 7, 2), ("acme", "what_if_answers", "2026-06", 5, 1)]
    assert store.usage_totals("2020-01").num_rows == 0


def test_the_events_of_a_month_come_back_to_the_microsecond(store: BillingStore) -> None:
    instant = JULY.replace(microsecond=123_457)
    events = _recorded(("acme", "api_calls", 3, instant), ("acme", "api_calls", 3, at(2026, 8, 3)))
    store.record_usage(events)
    found = store.usage_of("acme", "2026-07")
    assert digest(found) == digest(events.slice(0, 1))
    assert store.usage_of("nobody", "2026-07").num_rows == 0


def test_tenants_come_back_and_are_replaced(store: BillingStore) -> None:
    store.put_tenants(tenants(acme="starter", beta="growth"))
    store.put_tenants(tenants(beta="enterprise"))
    plans = {row["tenant_id"]: row["plan_id"] for row in store.tenants().to_pylist()}
    assert plans == {"acme": "starter", "beta": "enterprise"}


# closing


def test_closing_gives_gapless_numbers_per_seller_and_year(store: BillingStore) -> None:
    core, table = BillingCore(store), tenants(acme="starter", beta="starter", none="growth")
    core.close_month(table, price_book(), "2026-11", date(2026, 12, 1))
    core.close_month(table, price_book(), "2026-12", date(2027, 1, 1))
    core.close_month(table, price_book(), "2026-10", date(2026, 12, 2))
    numbers = {
        month: [invoice.number for invoice in store.invoices(month=month)]
        for month in ("2026-10", "2026-11", "2026-12")
    }
    assert numbers["2026-11"] + numbers["2026-10"] == _gapless(4)
    assert numbers["2026-12"] == _gapless(2, 2027)


def test_a_close_from_an_old_revision_is_sent_back(store: BillingStore) -> None:
    core, book = BillingCore(store), price_book()
    drafts = core.draft_month(tenants(acme="starter"), book, "2026-07")
    core.close_month(tenants(acme="starter"), book, "2026-06", AUGUST)
    assert store.close(book.seller.party_id, "2026-07", drafts.closing, AUGUST) == {"acme"}
    assert store.close(book.seller.party_id, "2026-06", drafts.closing, AUGUST) == frozenset()
    assert _numbers(store) == _gapless(1)


def test_the_books_say_what_is_billed_and_closed(store: BillingStore) -> None:
    core, book = BillingCore(store), price_book()
    store.record_usage(_recorded(("acme", "api_calls", 3, JULY)))
    core.close_month(tenants(acme="starter", idle="growth"), book, "2026-07", AUGUST)
    books = store.seller_books(book.seller.party_id)
    assert books.history.billed.to_pylist() == [
        {
            "tenant_id": "acme",
            "month": "2026-07",
            "meter": "api_calls",
            "usage_month": "2026-07",
            "quantity": 3,
        }
    ]
    assert books.history.closed == {("acme", "2026-07"), ("idle", "2026-07")}
    assert books.revisions == {"acme": 1, "idle": 1}
    assert store.seller_books("another").revisions == {}


def test_invoices_are_found_by_id_tenant_month_and_seller(store: BillingStore) -> None:
    core, book = BillingCore(store), price_book()
    for month in ("2026-06", "2026-07"):
        core.close_month(tenants(acme="starter", beta="starter"), book, month, AUGUST)
    assert len(store.invoices()) == 4
    (found,) = store.invoices(tenant_id="beta", month="2026-07", seller_id=book.seller.party_id)
    assert store.invoice(found.invoice_id) == found
    assert store.invoices(seller_id="another") == ()
    with pytest.raises(NotFoundError):
        store.invoice("inv_none")


def test_the_first_document_stays(store: BillingStore) -> None:
    core = BillingCore(store)
    (invoice,) = core.close_month(tenants(acme="starter"), price_book(), "2026-07", AUGUST).invoices
    assert store.attach_document(invoice.invoice_id, b"%PDF one") == b"%PDF one"
    assert store.attach_document(invoice.invoice_id, b"%PDF two") == b"%PDF one"
    assert store.document(invoice.invoice_id) == b"%PDF one"
    for ask in (store.document, lambda invoice_id: store.attach_document(invoice_id, b"x")):
        with pytest.raises(NotFoundError):
            ask("inv_none")


# faults


@pytest.mark.stores
def test_a_thousand_writers_of_one_event_store_it_once(documents: Database[Document]) -> None:
    store = MongoBilling(documents)
    events = _recorded(("acme", "api_calls", 3, JULY))
    with ThreadPoolExecutor(16) as threads:
        outcomes = list(threads.map(lambda _: store.record_usage(events), range(1000)))
    assert sum(outcome.n_new for outcome in outcomes) == 1
    assert sum(outcome.n_known for outcome in outcomes) == 999
    assert store.usage_totals("2026-07")["quantity"].to_pylist() == [3]


@pytest.mark.stores
def test_of_fifty_closers_one_wins(documents: Database[Document]) -> None:
    table, book = tenants(**{f"t{n:02d}": "starter" for n in range(20)}), price_book()
    MongoBilling(documents).record_usage(_recorded(("t03", "api_calls", 3_000, JULY)))
    barrier = threading.Barrier(50)

    def close(_: int) -> Any:
        core = BillingCore(MongoBilling(documents))
        barrier.wait()
        return core.close_month(table, book, "2026-07", AUGUST)

    with ThreadPoolExecutor(50) as threads:
        closed = list(threads.map(close, range(50)))
    assert {month.invoices for month in closed} == {closed[0].invoices}
    assert [invoice.number for invoice in closed[0].invoices] == _gapless(20)
    assert documents["billing_counters"].find_one()["last"] == 20  # type: ignore[index]
    assert documents["billing_invoices"].count_documents({}) == 20


@pytest.mark.stores
def test_sixteen_closers_of_different_months_share_the_late_usage_out_once(
    documents: Database[Document],
) -> None:
    table, book = tenants(acme="starter"), price_book()
    core = BillingCore(MongoBilling(documents))
    core.close_month(table, book, "2024-12", date(2025, 1, 1))
    core.record_usage(usage(("acme", "what_if_answers", 9, at(2024, 12, 9))), table, book)
    months = [month_at(month_index("2025-01") + n) for n in range(16)]

    def close(month: str) -> object:
        return BillingCore(MongoBilling(documents)).close_month(
            table, book, month, first_day(next_month(month))
        )

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(close, months))
    invoices = MongoBilling(documents).invoices()
    late = [line for invoice in invoices for line in invoice.content.lines if line.meter != "base_fee"]
    assert [(line.usage_month, line.quantity) for line in late] == [("2024-12", 9)]
    for year, n in ((2025, 12), (2026, 5)):
        numbers = sorted(invoice.number for invoice in invoices if invoice.issued_on.year == year)
        assert numbers == _gapless(n, year)


@pytest.mark.stores
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", "2026-000009"),
        ("position", 9),
        ("issued_on", "2026-08-02"),
        ("due_on", "2027-08-15"),
        ("tenant_id", "beta"),
        ("month", "2026-08"),
        ("kind", "credit_note"),
        ("content_digest", "0" * 64),
        ("content.currency", "USD"),
        ("content.seller.iban", "KZ000000000000000000"),
        ("content.buyer.name", "someone else"),
        ("content.lines.0.net_minor", 1),
        ("content.lines.0.quantity", 2),
        ("content.lines.0.tax_rate", "0.00"),
    ],
)
def test_an_invoice_changed_in_the_database_is_refused(
    documents: Database[Document], name: str, value: object
) -> None:
    store = MongoBilling(documents)
    closed = BillingCore(store).close_month(tenants(acme="starter"), price_book(), "2026-07", AUGUST)
    documents["billing_invoices"].update_one({}, {"$set": {name: value}})
    with pytest.raises(StoreError, match="changed in the store"):
        store.invoice(closed.invoices[0].invoice_id)


@pytest.mark.stores
def test_a_document_changed_in_the_database_is_refused(documents: Database[Document]) -> None:
    store = MongoBilling(documents)
    (invoice,) = (
        BillingCore(store).close_month(tenants(acme="starter"), price_book(), "2026-07", AUGUST).invoices
    )
    store.attach_document(invoice.invoice_id, b"%PDF one")
    documents["billing_documents"].update_one({}, {"$set": {"content": b"%PDF two"}})
    with pytest.raises(StoreError, match="changed in the store"):
        store.document(invoice.invoice_id)


def test_a_store_that_is_not_there_is_unavailable() -> None:
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(
        "mongodb://127.0.0.1:9/", serverSelectionTimeoutMS=100
    )
    with pytest.raises(StoreUnavailableError):
        MongoBilling(client["nowhere"]).invoices()
    client.close()


# kill -9


class _KillItself(pymongo.monitoring.CommandListener):
    """Kill -9 of this process right before a command is sent, or right after its answer came."""

    def __init__(self, command: str, moment: str) -> None:
        self._point = (command, moment)

    def started(self, event: pymongo.monitoring.CommandStartedEvent) -> None:
        self._strike(event.command_name, "before")

    def succeeded(self, event: pymongo.monitoring.CommandSucceededEvent) -> None:
        self._strike(event.command_name, "after")

    def failed(self, event: pymongo.monitoring.CommandFailedEvent) -> None:
        pass

    def _strike(self, command: str, moment: str) -> None:
        if (command, moment) == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


class _Closer:
    """A process that waits for a word, then closes a month; for killing."""

    def __init__(
        self, uri: str, database: str, table: pa.Table, month: str, point: tuple[str, str] | None = None
    ) -> None:
        self._go, go = FORK.Pipe()
        self.process = FORK.Process(target=_close_on_word, args=(uri, database, table, month, go, point))
        self.process.start()
        assert self._go.recv() == "ready"

    def go(self) -> None:
        self._go.send("go")

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def finish(self) -> None:
        self.process.join()
        assert self.process.exitcode == 0


def _close_on_word(
    uri: str, database: str, table: pa.Table, month: str, word: Any, point: tuple[str, str] | None
) -> None:
    listeners = [_KillItself(*point)] if point else []
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(uri, event_listeners=listeners)
    core = BillingCore(MongoBilling(client[database]))
    core.draft_month(table, price_book(), month)
    word.send("ready")
    word.recv()
    core.close_month(table, price_book(), month, first_day(next_month(month)))


@pytest.fixture(scope="module")
def short_lived_transactions(stores: RunningPair) -> Iterator[None]:
    """A killed closer's transaction holds its documents until the server gives it up: a minute by default."""
    admin = connect_documents(stores.settings, stores.addresses).client.admin
    lifetime = admin.command("getParameter", transactionLifetimeLimitSeconds=1)
    admin.command("setParameter", transactionLifetimeLimitSeconds=2)
    yield
    seconds = lifetime["transactionLifetimeLimitSeconds"]
    admin.command("setParameter", transactionLifetimeLimitSeconds=seconds)
    admin.client.close()


def _kill_and_close_again(stores: RunningPair, documents: Database[Document], n_kills: int) -> None:
    uri, table = stores.addresses.mongo_uri.get_secret_value(), tenants(a="starter", b="starter", c="starter")
    store, rng = MongoBilling(documents), random.Random(7)
    FORK.set_forkserver_preload(["tests.contract.test_billing_store"])
    duration_s = _duration_of_a_close(uri, documents.name, table)
    months = [month_at(month_index("2005-02") + n) for n in range(n_kills)]
    n_before, n_after = 0, 0
    for month in months:
        closer = _Closer(uri, documents.name, table, month)
        closer.go()
        time.sleep(rng.uniform(0, 1.3 * duration_s))
        closer.kill()
        found = len(store.invoices(month=month))
        assert found in (0, 3)
        n_before, n_after = n_before + (found == 0), n_after + (found == 3)
        BillingCore(store).close_month(table, price_book(), month, first_day(next_month(month)))
    for year in {int(next_month(month)[:4]) for month in ["2005-01", *months]}:
        numbers = [invoice.number for invoice in store.invoices() if invoice.issued_on.year == year]
        assert numbers == _gapless(len(numbers), year)
    assert len(store.invoices()) == 3 * (n_kills + 1)
    print(f"killed before the commit {n_before} times, after it {n_after} times")  # noqa: T201


def _duration_of_a_close(uri: str, database: str, table: pa.Table) -> float:
    closer = _Closer(uri, database, table, "2005-01")
    started = time.monotonic()
    closer.go()
    closer.finish()
    return time.monotonic() - started


@pytest.mark.stores
@pytest.mark.usefixtures("short_lived_transactions")
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("command", ["findAndModify", "insert", "update", "commitTransaction"])
def test_a_closer_killed_at_a_command_of_its_transaction(
    stores: RunningPair, documents: Database[Document], command: str, moment: str
) -> None:
    uri, table = stores.addresses.mongo_uri.get_secret_value(), tenants(a="starter", b="starter", c="starter")
    FORK.set_forkserver_preload(["tests.contract.test_billing_store"])
    closer = _Closer(uri, documents.name, table, "2026-07", (command, moment))
    closer.go()
    closer.process.join()
    assert closer.process.exitcode == -signal.SIGKILL
    store = MongoBilling(documents)
    is_committed = (command, moment) == ("commitTransaction", "after")
    assert _numbers(store) == (_gapless(3) if is_committed else [])
    closed = BillingCore(store).close_month(table, price_book(), "2026-07", AUGUST)
    assert len(closed.new_invoice_ids) == (0 if is_committed else 3)
    assert _numbers(store) == _gapless(3)


@pytest.mark.stores
@pytest.mark.usefixtures("short_lived_transactions")
def test_a_closer_killed_at_any_point_leaves_no_gap(
    stores: RunningPair, documents: Database[Document]
) -> None:
    _kill_and_close_again(stores, documents, n_kills=4)


@pytest.mark.stores
@pytest.mark.torture
@pytest.mark.usefixtures("short_lived_transactions")
def test_a_closer_killed_at_two_hundred_points_leaves_no_gap(
    stores: RunningPair, documents: Database[Document]
) -> None:
    _kill_and_close_again(stores, documents, n_kills=200)
