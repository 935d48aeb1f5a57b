"""Great Expectations over Arrow tables: what is met, what is not, and how often."""

from __future__ import annotations

import pyarrow as pa
import pytest

from resources.expectations import Expectation, validate

TABLE = pa.table({"id": ["a", "b", "b"], "share": [0.1, 1.5, None]})


@pytest.mark.parametrize(
    ("expectation", "is_met", "n_unexpected"),
    [
        (Expectation("ExpectColumnValuesToBeUnique", {"column": "id"}), False, 2),
        (Expectation("ExpectColumnValuesToNotBeNull", {"column": "id"}), True, 0),
        (Expectation("ExpectColumnValuesToBeBetween", {"column": "share", "max_value": 1}), False, 1),
        (Expectation("ExpectTableRowCountToBeBetween", {"min_value": 3}), True, 0),
    ],
)
def test_an_expectation_says_how_many_values_break_it(expectation, is_met, n_unexpected) -> None:
    [outcome] = validate(TABLE, [expectation])
    assert (outcome.is_met, outcome.n_values, outcome.n_unexpected) == (is_met, 3, n_unexpected)


def test_each_outcome_is_of_its_own_expectation() -> None:
    wanted = [
        Expectation("ExpectTableRowCountToBeBetween", {"min_value": 4}),
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "id"}),
        Expectation("ExpectColumnValuesToBeUnique", {"column": "id"}),
        Expectation("ExpectColumnValuesToBeUnique", {"column": "share"}),
    ]
    outcomes = validate(TABLE, wanted)
    assert [o.expectation for o in outcomes] == [str(e) for e in wanted]
    assert [o.is_met for o in outcomes] == [False, True, False, True]


def test_an_empty_table_breaks_an_expected_row_count() -> None:
    [outcome] = validate(TABLE.slice(0, 0), [Expectation("ExpectTableRowCountToBeBetween", {"min_value": 1})])
    assert not outcome.is_met
