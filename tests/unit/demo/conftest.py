from __future__ import annotations

import pytest

from terag_pipelines.demo.bank import DemoBank, DemoParams, make_bank


@pytest.fixture(scope="session")
def bank() -> DemoBank:
    return make_bank(DemoParams(people=5000, seed=7))
