"""The questions that the platform itself serves, with subjects drawn from the tables that were loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
import pyarrow as pa

from terag_pipelines.entities.model import ACCOUNTS, TRANSFERS
from terag_pipelines.graph.ports import GraphStore
from terag_pipelines.linking.model import ENTITIES

Question = Callable[[GraphStore], object]


@dataclass(frozen=True)
class WorkloadParams:
    """`n_subjects` drawn for each kind of question, `n_rounds` of asking all, and the draw's seed."""

    n_subjects: int = 8
    n_rounds: int = 3
    seed: int = 7


@dataclass(frozen=True)
class AnalystWorkload:
    """Questions, asked in rounds: the first round warms caches up, the median is of the others."""

    questions: tuple[Question, ...]
    n_rounds: int

    def ask(self, store: GraphStore) -> None:
        """Asks all questions of the store, `n_rounds` times."""
        for _ in range(self.n_rounds):
            for question in self.questions:
                question(store)


def analyst_workload(tables: Mapping[str, pa.Table], params: WorkloadParams | None = None) -> AnalystWorkload:
    """Entity by id, by name prefix, its neighbourhood; accounts of a bank; large flows out of a bank.

    Subjects are drawn from entities, accounts and transfers; the same tables in any order give the same
    questions.
    """
    chosen = params or WorkloadParams()
    entity_ids = _drawn(tables, ENTITIES.name, "entity_id", chosen)
    names = _drawn(tables, ENTITIES.name, "display_name", chosen)
    banks = _drawn(tables, ACCOUNTS.name, "bank", chosen)
    amount = _large_amount(tables)
    questions: list[Question] = []
    questions += [partial(_find_entity, entity_id=entity_id) for entity_id in entity_ids]
    questions += [partial(_entities_near, entity_id=entity_id) for entity_id in entity_ids]
    questions += [partial(_find_by_name, prefix=name[: max(4, len(name) // 2)]) for name in names]
    questions += [partial(_accounts_at, bank=bank) for bank in banks]
    questions += [partial(_transfers_above, bank=bank, amount_minor=amount) for bank in banks]
    return AnalystWorkload(tuple(questions), chosen.n_rounds)


def _find_entity(store: GraphStore, entity_id: str) -> object:
    return store.find_entity(entity_id)


def _entities_near(store: GraphStore, entity_id: str) -> object:
    return store.entities_near(entity_id)


def _find_by_name(store: GraphStore, prefix: str) -> object:
    return store.find_by_name(prefix)


def _accounts_at(store: GraphStore, bank: str) -> object:
    return store.accounts_at(bank)


def _transfers_above(store: GraphStore, bank: str, amount_minor: int) -> object:
    return store.transfers_above(bank, amount_minor)


def _drawn(tables: Mapping[str, pa.Table], table: str, column: str, params: WorkloadParams) -> list[str]:
    values = _column(tables, table, column).unique().sort()
    n_drawn = min(params.n_subjects, values.len())
    places = np.random.default_rng(params.seed).permutation(values.len())[:n_drawn]
    return [str(value) for value in values.gather(np.sort(places))]


def _large_amount(tables: Mapping[str, pa.Table]) -> int:
    """The amount that one transfer in a hundred exceeds."""
    amounts = _column(tables, TRANSFERS.name, "amount_minor")
    return int(amounts.cast(pl.Int64).quantile(0.99, "lower") or 0)


def _column(tables: Mapping[str, pa.Table], table: str, column: str) -> pl.Series:
    if table not in tables:
        return pl.Series(column, [], dtype=pl.String)
    found = pl.from_arrow(tables[table][column])
    assert isinstance(found, pl.Series)  # noqa: S101 - one column is a series
    return found.drop_nulls()
