"""Great Expectations over what a source gave: a batch that breaks them goes no further."""

from collections.abc import Sequence

import dagster as dg
import pyarrow as pa

from assets.metadata import described, picture, rows_as_markdown
from resources.expectations import Expectation, ExpectationOutcome, validate
from terag_pipelines.entities.vocabulary import PARTY_HOLDS
from terag_pipelines.linking.decisions import settle_decisions
from terag_pipelines.linking.encoding import encode_records
from terag_pipelines.linking.parity import ParityParams, measure_parity, say_parity
from terag_pipelines.linking.parity_pictures import draw_parity
from terag_pipelines.linking.quality import LinkCalibration, link_calibration
from terag_pipelines.linking.supervision import leave_out_copies

MAX_ECE = 0.1  # of calibrated links, beyond what chance does with so few labels
IDENTIFIED = "ExpectColumnValuesToNotBeNull"
UNIQUE = "ExpectColumnValuesToBeUnique"
AMONG = "ExpectColumnValuesToBeInSet"
BETWEEN = "ExpectColumnValuesToBeBetween"
MATCHES = "ExpectColumnValuesToMatchRegex"


def _expect(kind: str, column: str, **arguments: object) -> Expectation:
    return Expectation(kind, {"column": column} | arguments)


SUITES: dict[str, Sequence[Expectation]] = {
    "entity_records": (
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
    "usage_events": (  # one id of one tenant, as its key says
        _expect(IDENTIFIED, "event_id"),
        _expect(IDENTIFIED, "tenant_id"),
        _expect(BETWEEN, "quantity", min_value=0),
    ),
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


@dg.asset_check(
    asset="entity_records",
    additional_ins={"source_files": dg.AssetIn("source_files")},
    blocking=True,
    description="A source that names files of people or organisations has at least one record of them.",
)
def parties_are_there(entity_records: pa.Table, source_files: pa.Table) -> dg.AssetCheckResult:
    """A source of usage or of a panel alone has none and goes on; files of parties without any do not."""
    named = [row["file"] for row in source_files.to_pylist() if row["holds"] in PARTY_HOLDS]
    empty = bool(named) and not entity_records.num_rows
    told = f"no row of {', '.join(named)} can be used" if empty else f"{entity_records.num_rows:,} records"
    return dg.AssetCheckResult(passed=not empty, description=told, metadata={"files": named})


@dg.asset_check(
    asset="pair_decisions",
    description="No two records are decided different that other decisions make the same.",
)
def decisions_agree(pair_decisions: pa.Table) -> dg.AssetCheckResult:
    """Where some contradict, the batch goes on without those that would merge; people are told which."""
    clashes = [str(clash) for clash in settle_decisions(pair_decisions).clashes]
    return dg.AssetCheckResult(
        passed=not clashes,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(clashes) or f"{pair_decisions.num_rows:,} decisions agree",
        metadata={"clashes": clashes},
    )


accounts_check = _make_check("accounts", SUITES["accounts"])
transfers_check = _make_check("transfers", SUITES["transfers"])
labels_check = _make_check("labels", SUITES["labels"])
usage_events_check = _make_check("usage_events", SUITES["usage_events"])


@dg.asset_check(
    asset="links",
    additional_ins={"labels": dg.AssetIn("labels"), "entity_records": dg.AssetIn("entity_records")},
    blocking=True,
    description=f"Calibrated links are right as often as they say: ECE at most {MAX_ECE} beyond chance.",
)
def links_are_calibrated(links: pa.Table, labels: pa.Table, entity_records: pa.Table) -> dg.AssetCheckResult:
    """Judged by truth labels, those of many copies of one record once; links marked uncalibrated pass."""
    found = link_calibration(links, leave_out_copies(labels, encode_records(entity_records)))
    figures = described(ece=found.ece, ece_by_chance=found.chance_ece, share_right=found.share_right)
    return dg.AssetCheckResult(
        passed=found.is_within(MAX_ECE),
        description=_say_calibration(found),
        metadata={"n_labelled": found.n_labelled, "is_calibrated": found.is_calibrated} | figures,
    )


def _say_calibration(found: LinkCalibration) -> str:
    marked = "calibrated" if found.is_calibrated else "marked uncalibrated"
    if found.ece is None:
        return f"links are {marked}; no truth label judges one of them"
    by_chance = f"{found.chance_ece:.3f} by chance"
    return f"links are {marked}; ECE {found.ece:.3f} over {found.n_labelled:,} of them, {by_chance}"


@dg.asset_check(
    asset="entity_members",
    additional_ins={"entity_records": dg.AssetIn("entity_records"), "labels": dg.AssetIn("labels")},
    description=(
        "Name parity: no script, name origin or region is merged or missed surely more than "
        f"{ParityParams().max_factor:g} times as often as the rest."
    ),
)
def name_parity(entity_members: pa.Table, entity_records: pa.Table, labels: pa.Table) -> dg.AssetCheckResult:
    """Judged by truth labels; it warns and blocks nothing."""
    rates = measure_parity(entity_records, entity_members, labels)
    return dg.AssetCheckResult(
        passed=not any(rate.is_worse for rate in rates),
        severity=dg.AssetCheckSeverity.WARN,
        description=say_parity(rates),
        metadata={"groups": rows_as_markdown(rates), "picture": picture(draw_parity(rates))},
    )
