"""The probe workload asks the same questions for the same tables."""

from __future__ import annotations

from collections import Counter

import numpy as np

from terag_pipelines.tuning.workload import WorkloadParams, analyst_workload
from tests.unit.graph.tables import small_tables


class AskedStore:
    """Notes what it is asked; knows nothing."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        return lambda *values, **named: self.asked.append((name, values, tuple(named.items())))


def asked_of(tables, **params):
    store = AskedStore()
    analyst_workload(tables, WorkloadParams(**params)).ask(store)
    return store.asked


def test_every_kind_of_question_is_asked_in_each_round():
    names = Counter(name for name, *_ in asked_of(small_tables(), n_rounds=2))
    assert names == {
        "find_entity": 6,
        "entities_near": 6,
        "find_by_name": 6,
        "accounts_at": 4,
        "transfers_above": 4,
    }


def test_questions_do_not_depend_on_row_order():
    random = np.random.default_rng(3)
    shuffled = {
        name: table.take(random.permutation(table.num_rows)) for name, table in small_tables().items()
    }
    assert asked_of(shuffled, n_subjects=2) == asked_of(small_tables(), n_subjects=2)


def test_no_tables_no_questions():
    assert asked_of({}) == []
