"""A lab whose plans follow from the indexes it has: written by hand, for tests of callers of IndexLab."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from terag_pipelines.errors import StoreError, StoreUnavailableError
from terag_pipelines.tuning.ports import (
    IndexSpec,
    IndexUse,
    PlanOperator,
    PlanProfile,
    SampledCall,
    find_index,
)

KEY = IndexSpec("terag_entity_key", "range", "Entity", ("key",), is_constraint=True)
FOREIGN = IndexSpec("by_hand", "range", "Account", ("iban",))


def scan_plan(
    predicate: str, n_scanned: int = 1_000, n_found: int = 10, label: str = "Entity"
) -> PlanProfile:
    """A label scan under a filter."""
    operators = (
        PlanOperator("ProduceResults", "x", 0, n_found),
        PlanOperator("Filter", f"{predicate} AND cache[x.valid_to] > promoted", n_scanned, n_found),
        PlanOperator("NodeByLabelScan", f"x:{label}", n_scanned + 1, n_scanned),
    )
    return PlanProfile(operators, 2 * n_scanned + 1, n_found)


def seek_plan(index: IndexSpec, n_found: int = 10, condition: str = "", n_kept: int = 0) -> PlanProfile:
    """A lookup in an index, and a filter of what it finds where there is a condition."""
    names = ", ".join(index.properties)
    asked = " AND ".join(f"{name} = $a" for name in index.properties)
    seek = f"{index.kind.upper()} INDEX x:{index.label}({names}) WHERE {asked}"
    operators = (PlanOperator("NodeIndexSeek", seek, n_found + 1, n_found),)
    if condition:
        operators = (PlanOperator("Filter", condition, n_found, n_kept), *operators)
    return PlanProfile(operators, sum(o.db_hits for o in operators), n_kept or n_found)


@dataclass
class FakeLab:
    """`plans`: by query, the plan without an index and the indexes that would serve it, the best one last.

    `slows_down`: queries that cost ten times as much once an index was made. `noise`: queries that take a
    second longer then, by the same plan. `fails_online`: awaiting raises. `refuses`: making raises.
    `refused`: queries that are none to the store. `too_slow`: queries that it ends. `is_away`: it answers
    nothing. `is_emptied`: once an index was made no query finds a row.
    """

    plans: dict[str, tuple[PlanProfile, tuple[tuple[IndexSpec, PlanProfile], ...]]]
    slows_down: frozenset[str] = frozenset()
    noise: frozenset[str] = frozenset()
    fails_online: bool = False
    refuses: bool = False
    refused: frozenset[str] = frozenset()
    too_slow: frozenset[str] = frozenset()
    is_away: bool = False
    is_emptied: bool = False
    distinct: int = 100
    indexes: list[IndexSpec] = field(default_factory=lambda: [KEY, FOREIGN])
    uses: dict[str, IndexUse] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    n_alone: int = 0

    @contextmanager
    def alone(self) -> Iterator[FakeLab]:
        assert self.n_alone == 0
        self.n_alone += 1
        try:
            yield self
        finally:
            self.n_alone -= 1

    def profile(self, call: SampledCall) -> PlanProfile:
        if self.is_away or call.query in self.too_slow:
            raise StoreUnavailableError("no answer in time")
        if self.is_emptied and self._has_ours():
            return PlanProfile((), 2, 0)
        if call.query in self.refused:
            raise StoreError("the store refused a query")
        plan, helpers = self.plans[call.query]
        for index, served in reversed(helpers):
            if find_index(self.indexes, index) is not None:
                return served
        factor = 10 if call.query in self.slows_down and self._has_ours() else 1
        return PlanProfile(plan.operators, factor * plan.db_hits, plan.n_rows)

    def time_call(self, call: SampledCall) -> float:
        late = 1_000 if call.query in self.noise and self._has_ours() else 0
        return late + self.profile(call).db_hits / 100

    def n_distinct(self, index: IndexSpec) -> int:
        return self.distinct ** len(index.properties)

    def create_index(self, index: IndexSpec) -> None:
        assert self.n_alone == 1
        self.unfinished.append(index.name)
        if self.refuses or find_index(self.indexes, index) is not None:
            raise StoreError("there is such an index")
        self.log.append(f"create {index.name}")
        self.indexes.append(index)

    def keep_index(self, name: str) -> None:
        self.unfinished.remove(name)

    def drop_unfinished(self) -> tuple[str, ...]:
        assert self.n_alone == 1
        names = tuple(self.unfinished)
        for name in names:
            self.drop_index(name)
        return names

    def await_online(self, name: str) -> None:
        if self.fails_online:
            raise TimeoutError(name)

    def drop_index(self, name: str) -> None:
        assert self.n_alone == 1
        self.log.append(f"drop {name}")
        self.indexes = [index for index in self.indexes if index.name != name]
        self.unfinished = [other for other in self.unfinished if other != name]

    def list_indexes(self) -> tuple[IndexSpec, ...]:
        if self.is_away:
            raise StoreUnavailableError("no answer in time")
        return tuple(self.indexes)

    def index_uses(self) -> Mapping[str, IndexUse]:
        return self.uses

    def _has_ours(self) -> bool:
        return any(index.is_ours for index in self.indexes)
