"""Usage to lines: golden lines by hand, every event accounted for, late usage priced as if on time."""

from __future__ import annotations

import json
import random
from datetime import date, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.billing.charges import charge_minor
from terag_pipelines.billing.history import History
from terag_pipelines.billing.model import BILLED_USAGE, RATED_LINES, UNRATED_USAGE
from terag_pipelines.billing.rating import rate_usage
from terag_pipelines.billing.usage import MAX_QUANTITY
from terag_pipelines.entities.model import TENANTS, USAGE_EVENTS
from terag_pipelines.errors import BillingError
from terag_pipelines.tables import digest
from tests.unit.billing.cases import at, price_book, tenants, usage

JULY = at(2026, 7, 3)


def _line_amounts(lines: pa.Table) -> list[tuple[str, int, str, str, int, int]]:
    columns = ("tenant_id", "line_number", "usage_month", "meter", "quantity", "amount_minor")
    return [tuple(row[column] for column in columns) for row in lines.to_pylist()]  # type: ignore[misc]


def test_golden_lines() -> None:
    events = usage(
        ("acme", "api_calls", 11_000, JULY),
        ("acme", "api_calls", 1_000, JULY),
        ("acme", "what_if_answers", 3, JULY),
        ("beta", "graph_reads", 1_001, JULY),
        ("beta", "api_calls", 2, JULY),
    )
    rated = rate_usage(events, tenants(acme="starter", beta="growth"), price_book(), "2026-07")
    assert _line_amounts(rated.lines) == [
        ("acme", 1, "2026-07", "base_fee", 1, 1_500_000),
        ("acme", 2, "2026-07", "api_calls", 12_000, 9_000 * 125 + 2_000 * 90),
        ("acme", 3, "2026-07", "what_if_answers", 3, 13_500),
        ("beta", 1, "2026-07", "api_calls", 2, 67),  # 0.666
        ("beta", 2, "2026-07", "graph_reads", 1_001, 180_000),
    ]
    assert set(rated.lines["tax_rate"].to_pylist()) == {"0.16"}
    assert rated.lines["unit_price"].to_pylist() == [None, None, "45", "0.333", None]
    assert [step["quantity"] for step in json.loads(rated.lines["price_steps"][1].as_py())] == [
        1000,
        9000,
        2000,
    ]


def test_every_event_is_rated_or_of_another_month_or_has_a_reason() -> None:
    events = usage(
        ("acme", "api_calls", 5, JULY),
        ("acme", "gone_meter", 6, JULY),
        ("nobody", "api_calls", 7, JULY),
        ("lost", "api_calls", 8, JULY),
        ("acme", "api_calls", -1, JULY),
        ("acme", "api_calls", MAX_QUANTITY + 1, JULY),
        ("acme", "api_calls", 9, at(2026, 8, 3)),
        ("acme", "api_calls", 9, at(1950, 8, 3)),
    )
    nulls = pa.Table.from_pylist(
        [{"event_id": "n1", "tenant_id": "acme"}, {"event_id": "n2", "meter": "api_calls"}],
        USAGE_EVENTS.schema,
    )
    rated = rate_usage(
        pa.concat_tables([events, nulls]), tenants(acme="starter", lost="vanished"), price_book(), "2026-07"
    )
    reasons = {(row["tenant_id"], row["meter"]): row["reason"] for row in rated.unrated.to_pylist()}
    assert "vanished" in reasons["lost", "api_calls"]
    assert reasons["nobody", "api_calls"] == "unknown tenant"
    assert "no such meter" in reasons["acme", "gone_meter"]
    assert {"a negative quantity", "no meter", "no tenant_id", "a time outside 2000 to 2099"} <= set(
        rated.unrated["reason"].to_pylist()
    )
    report = rated.report
    assert (report.n_events, report.n_rated_events, report.n_other_month_events) == (10, 1, 1)
    assert report.n_unrated_events == 8
    assert [(unbillable.tenant_id) for unbillable in report.unbillable] == ["lost"]


def test_one_broken_tenant_does_not_stop_the_others() -> None:
    table = TENANTS.from_columns(
        tenant_id=["a", "b", "c", "d"],
        name=["a", "b", "c", "d"],
        plan_id=["starter", "starter", None, "starter"],
        currency=["USD", None, "KZT", "KZT"],
        time_zone=[None, None, None, "Asia/Atlantis"],
    )
    rated = rate_usage(usage(), table, price_book(), "2026-07")
    assert set(rated.lines["tenant_id"].to_pylist()) == {"b"}
    reasons = {unbillable.tenant_id: unbillable.reason for unbillable in rated.report.unbillable}
    assert set(reasons) == {"a", "c", "d"}
    assert "USD" in reasons["a"]


def test_an_amount_that_no_invoice_can_say_does_not_stop_the_others() -> None:
    events = usage(
        ("acme", "what_if_answers", MAX_QUANTITY, JULY),  # 4.5 * 10^15 tiyn
        ("acme", "api_calls", 1_001, JULY),
        ("beta", "what_if_answers", 2, JULY),
    )
    rated = rate_usage(events, tenants(acme="starter", beta="starter"), price_book(), "2026-07")
    usage_lines = [line for line in _line_amounts(rated.lines) if line[3] != "base_fee"]
    assert usage_lines == [
        ("acme", 2, "2026-07", "api_calls", 1_001, 125),
        ("beta", 2, "2026-07", "what_if_answers", 2, 9_000),
    ]
    [unrated] = rated.unrated.to_pylist()
    assert (unrated["tenant_id"], unrated["quantity"]) == ("acme", MAX_QUANTITY)
    assert "10^15" in unrated["reason"]
    assert (rated.report.n_rated_events, rated.report.n_unrated_events) == (2, 1)


def test_the_same_event_a_thousand_times_counts_once() -> None:
    once = usage(("acme", "what_if_answers", 2, JULY))
    rated = rate_usage(pa.concat_tables([once] * 1000), tenants(acme="starter"), price_book(), "2026-07")
    assert _line_amounts(rated.lines)[1][4:] == (2, 9_000)
    assert rated.report.n_duplicate_events == 999


def test_two_tenants_may_use_the_same_event_id() -> None:
    events = pa.concat_tables(
        [usage(("acme", "api_calls", 1, JULY)), usage(("beta", "graph_reads", 1, JULY))]
    )
    rated = rate_usage(events, tenants(acme="starter", beta="growth"), price_book(), "2026-07")
    assert rated.report.n_rated_events == 2


@pytest.mark.parametrize(
    ("instant", "month"),
    [
        (at(2026, 6, 30, 18, 59, 59), "2026-06"),
        (at(2026, 6, 30, 19, 0, 0), "2026-07"),
        (at(2026, 7, 31, 18, 59, 59), "2026-07"),
        (at(2026, 7, 31, 19, 0, 0), "2026-08"),
    ],
)
def test_a_second_decides_on_the_invoice(instant: object, month: str) -> None:
    events = usage(("acme", "what_if_answers", 1, instant))  # type: ignore[arg-type]
    n_rated = {
        candidate: rate_usage(events, tenants(acme="starter"), price_book(), candidate).report.n_rated_events
        for candidate in ("2026-06", "2026-07", "2026-08")
    }
    assert n_rated == {candidate: int(candidate == month) for candidate in n_rated}


def test_a_fee_is_due_from_the_month_in_which_a_tenant_starts() -> None:
    table = TENANTS.from_columns(
        tenant_id=["new"], name=["new"], plan_id=["starter"], started_on=[date(2026, 7, 31)]
    )
    n_lines = [
        rate_usage(usage(), table, price_book(), month).lines.num_rows for month in ("2026-06", "2026-07")
    ]
    assert n_lines == [0, 1]


def test_empty_input_gives_empty_tables() -> None:
    rated = rate_usage(usage(), TENANTS.empty(), price_book(), "2026-07")
    assert (rated.lines.schema, rated.unrated.schema) == (RATED_LINES.schema, UNRATED_USAGE.schema)
    assert rated.lines.num_rows == rated.unrated.num_rows == 0


def test_the_order_of_rows_does_not_matter() -> None:
    rng = random.Random(7)
    rows = [
        (f"t{rng.randrange(5)}", rng.choice(["api_calls", "x"]), rng.randrange(99), JULY) for _ in range(200)
    ]
    events, table = usage(*rows), tenants(t0="starter", t1="growth", t2="enterprise", t3="gone")
    shuffled = events.take(rng.sample(range(200), 200))
    first, second = (rate_usage(given, table, price_book(), "2026-07") for given in (events, shuffled))
    assert digest(first.lines) == digest(second.lines)
    assert digest(first.unrated) == digest(second.unrated)


def test_late_usage_is_a_line_of_its_month_with_its_tax() -> None:
    events = usage(("acme", "what_if_answers", 5, at(2025, 12, 20)))
    billed = BILLED_USAGE.from_columns(
        tenant_id=["acme"],
        month=["2025-12"],
        meter=["what_if_answers"],
        usage_month=["2025-12"],
        quantity=[3],
    )
    history = History(billed, frozenset({("acme", "2025-12")}))
    rated = rate_usage(events, tenants(acme="starter"), price_book(), "2026-01", history)
    late = rated.lines.to_pylist()[1]
    assert (late["usage_month"], late["quantity"], late["amount_minor"]) == ("2025-12", 2, 9_000)
    assert (late["tax_rate"], rated.lines["tax_rate"][0].as_py()) == ("0.12", "0.16")
    assert rated.report.n_late_lines == 1


def test_usage_of_an_earlier_month_that_is_not_closed_waits_for_its_own_invoice() -> None:
    events = usage(("acme", "what_if_answers", 5, at(2026, 6, 20)))
    rated = rate_usage(events, tenants(acme="starter"), price_book(), "2026-07")
    assert rated.lines["meter"].to_pylist() == ["base_fee"]
    assert rated.report.n_other_month_events == 1


@settings(deadline=None)
@given(st.lists(st.integers(1, 9_000), min_size=1, max_size=5), st.sampled_from(["starter", "enterprise"]))
def test_what_is_billed_does_not_depend_on_when_usage_arrives(parts: list[int], plan: str) -> None:
    """June's usage comes in parts, one before each close: the invoices sum to what all of June costs."""
    book, table = price_book(), tenants(acme=plan)
    months = [f"2026-{6 + i:02d}" for i in range(len(parts))]
    billed, closed, amount = BILLED_USAGE.empty(), frozenset[tuple[str, str]](), 0
    for n, month in enumerate(months, start=1):
        events = usage(*(("acme", "api_calls", part, at(2026, 6, 9)) for part in parts[:n]))
        lines = rate_usage(events, table, book, month, History(billed, closed)).lines.to_pylist()
        june = [line for line in lines if line["meter"] == "api_calls"]
        assert [(line["usage_month"], line["quantity"]) for line in june] == [("2026-06", parts[n - 1])]
        amount += june[0]["amount_minor"]
        row = {**june[0], "month": month}
        billed = pa.concat_tables([billed, pa.Table.from_pylist([row], BILLED_USAGE.schema)])
        closed |= {("acme", month)}
    assert amount == charge_minor(book.plans[plan].meters["api_calls"].charge, sum(parts), "KZT")


def test_a_month_without_a_tax_is_an_error_and_no_taxes_at_all_are_none() -> None:
    gap = tenants(acme="starter")
    book = price_book()
    untaxed = type(book)(book.currency, book.plans, (), book.seller, book.time_zone)
    assert rate_usage(usage(), gap, untaxed, "2026-07").lines["tax_rate"].to_pylist() == [None]
    only_old = type(book)(book.currency, book.plans, book.taxes[:1], book.seller, book.time_zone)
    with pytest.raises(BillingError, match=r"no tax in force on 2026-07-31"):
        rate_usage(usage(), gap, only_old, "2026-07")


def test_a_tenant_is_billed_by_its_own_zone() -> None:
    instant = at(2026, 6, 30, 19) - timedelta(seconds=1)
    table = TENANTS.from_columns(
        tenant_id=["almaty", "tokyo"],
        name=["a", "t"],
        plan_id=["starter", "starter"],
        time_zone=["Asia/Almaty", "Asia/Tokyo"],
    )
    events = usage(("almaty", "what_if_answers", 1, instant), ("tokyo", "what_if_answers", 1, instant))
    lines = rate_usage(events, table, price_book(), "2026-07").lines.to_pylist()
    assert [(line["tenant_id"], line["meter"]) for line in lines] == [
        ("almaty", "base_fee"),
        ("tokyo", "base_fee"),
        ("tokyo", "what_if_answers"),
    ]
