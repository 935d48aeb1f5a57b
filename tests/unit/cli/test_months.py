"""Which month is invoiced where the user names none, and which may be named."""

from __future__ import annotations

import pytest

from assets.partitions import MONTHS
from terag_pipelines.cli.run import busiest_month, run_source
from terag_pipelines.errors import ConfigurationError
from tests.unit.cli.consoles import listening_console

OVER = MONTHS.get_partition_keys()


def test_the_month_with_most_usage_is_invoiced_the_latest_of_several() -> None:
    assert busiest_month(["2026-02", "2026-03", "2026-02"]) == "2026-02"
    assert busiest_month(["2026-02", "2026-03"]) == "2026-03"


def test_only_a_month_that_is_over_is_invoiced() -> None:
    assert busiest_month(["2999-01", "2999-01", "2019-01", "2019-01", "2026-02"]) == "2026-02"
    assert busiest_month(["2999-01"]) is None
    assert busiest_month([]) is None


@pytest.mark.parametrize("month", ["2026-13", "0000-01", "2999-01", "[/b]"])
def test_a_month_that_cannot_be_invoiced_is_named_before_anything_starts(month: str) -> None:
    console, _ = listening_console()
    with pytest.raises(ConfigurationError) as caught:
        run_source(None, None, month, console)
    assert month in str(caught.value)
    assert f"{OVER[0]} to {OVER[-1]}" in str(caught.value)
