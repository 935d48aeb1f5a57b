"""Row 39 of the fault model: the platform asks nobody outside for anything."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import LonelyRun

pytestmark = pytest.mark.stores


def test_the_main_job_opens_no_outbound_connection(lonely_run: LonelyRun) -> None:
    assert lonely_run.outcome["digests"]
    assert lonely_run.n_without_route == 0
