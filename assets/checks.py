"""Great Expectations over what a source gave: a batch that breaks them goes no further."""

from collections.abc import Sequence

import dagster as dg
import pyarrow as pa

from resources.expectations import Expectation, ExpectationOutcome, validate

IDENTIFIED = "ExpectColumnValuesToNotBeNull"
UNIQUE = "ExpectColumnValuesToBeUnique"
AMONG = "ExpectColumnValuesToBeInSet"
BETWEEN = "ExpectColumnValuesToBeBetween"
MATCHES = "ExpectColumnValuesToMatchRegex"


def _expect(kind: str, column: str, **arguments: object) -> Expectation:
    return Expectation(kind, {"column": column} | arguments)


SUITES: dict[str, Sequence[Expectation]] = {
    "entity_records": (
        Expectation("ExpectTableRowCountToBeBetween", {"min_value": 1}),
        _expect(IDENTIFIED, "record_id"),
        _expect(UNIQUE, "record_id"),
        _expect(AMONG, "party_type", value_set=["person", "organisation", "unknown"]),
        _expect(MATCHES, "iin", regex=r"^\d{12}$"),
        _expect(MATCHES, "bin", regex=r"^\d{12}$"),
        _expect(AMONG, "sex", value_set=["female", "male"]),
    ),
    "accounts": (
        _expect(IDENTIFIED, "account_id"),
        _expect(UNIQUE, "account_id"),
        _expect(MATCHES, "iban", regex=r"^[A-Z]{2}\d{2}[A-Z0-9]+$"),
    ),
    "transfers": (
        _expect(UNIQUE, "transfer_id"),
        _expect(IDENTIFIED, "source_account"),
        _expect(IDENTIFIED, "target_account"),
        _expect(BETWEEN, "amount_minor", min_value=0),
        _expect(IDENTIFIED, "occurred_at"),
        _expect(MATCHES, "currency", regex=r"^[A-Z]{3}$"),
    ),
    "labels": (_expect(AMONG, "use", value_set=["training", "truth"]),),
    "usage_events": (_expect(UNIQUE, "event_id"), _expect(BETWEEN, "quantity", min_value=0)),
}


def _make_check(asset: str, expectations: Sequence[Expectation]) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset,
        name="rows_are_as_expected",
        blocking=True,
        description=f"Great Expectations: {', '.join(str(e) for e in expectations)}.",
    )
    def check(rows: pa.Table) -> dg.AssetCheckResult:
        return _judge(validate(rows, expectations))

    return check


def _judge(outcomes: Sequence[ExpectationOutcome]) -> dg.AssetCheckResult:
    broken = [f"{o.expectation}: {o.n_unexpected} of {o.n_values}" for o in outcomes if not o.is_met]
    return dg.AssetCheckResult(
        passed=not broken,
        description="; ".join(broken) or f"{len(outcomes)} expectations met",
        metadata={"n_expectations": len(outcomes), "broken": broken},
    )


entity_records_check = _make_check("entity_records", SUITES["entity_records"])
accounts_check = _make_check("accounts", SUITES["accounts"])
transfers_check = _make_check("transfers", SUITES["transfers"])
labels_check = _make_check("labels", SUITES["labels"])
usage_events_check = _make_check("usage_events", SUITES["usage_events"])
