"""Great Expectations 1.x over an Arrow table, without its project folder or progress bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class Expectation:
    """One expectation: its name in Great Expectations (`ExpectColumnValuesToBeUnique`) and its arguments."""

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        column = self.arguments.get("column")
        return f"{self.kind}({column})" if column else self.kind


@dataclass(frozen=True)
class ExpectationOutcome:
    """Whether a table met an expectation: how many values there were, and how many were not as expected."""

    expectation: str
    is_met: bool
    n_values: int
    n_unexpected: int


def validate(table: pa.Table, expectations: Sequence[Expectation]) -> list[ExpectationOutcome]:
    """Checks a table against each expectation, in order. Values themselves are never in the outcome."""
    batch = _batch_of(
        table, sorted({str(e.arguments["column"]) for e in expectations if "column" in e.arguments})
    )
    import great_expectations as gx

    made = [_made(expectation, place) for place, expectation in enumerate(expectations)]
    suite = gx.ExpectationSuite(table_suite_name(expectations), expectations=made)
    results = {result.expectation_config.meta["place"]: result for result in batch.validate(suite).results}
    return [_outcome(expectation, results[place]) for place, expectation in enumerate(expectations)]


def table_suite_name(expectations: Sequence[Expectation]) -> str:
    """A name for a suite, made of the columns that it looks at."""
    return "-".join(sorted({str(e.arguments.get("column", "table")) for e in expectations}))


def _batch_of(table: pa.Table, columns: list[str]) -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("lake").add_dataframe_asset("table")
    frame = table.select(columns or table.column_names[:1]).to_pandas()
    return asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})


def _made(expectation: Expectation, place: int) -> Any:
    """The expectation, marked with its place: results come in an order of their own."""
    import great_expectations.expectations as gxe

    return getattr(gxe, expectation.kind)(**expectation.arguments, meta={"place": place})


def _outcome(expectation: Expectation, result: Any) -> ExpectationOutcome:
    counts = result.result
    return ExpectationOutcome(
        expectation=str(expectation),
        is_met=bool(result.success),
        n_values=int(counts.get("element_count", counts.get("observed_value", 0)) or 0),
        n_unexpected=int(counts.get("unexpected_count", 0)),
    )
