"""A lab whose plans follow from the indexes it has: written by hand, for tests of callers of IndexLab."""

from __future__ import annotations

from dataclasses import dataclass, field

from terag_pipelines.tuning.ports import IndexSpec, PlanOperator, PlanProfile, SampledCall

KEY = IndexSpec("terag_entity_key", "range", "Entity", ("key",), is_constraint=True)
FOREIGN = IndexSpec("by_hand", "range", "Account", ("iban",))


def scan_plan(
    predicate: str, n_scanned: int = 1_000, n_found: int = 10, label: str = "Entity"
) -> PlanProfile:
    """A label scan under a filter."""
    operators = (
        PlanOperator("ProduceResults", "x", 0, n_found),
        PlanOperator("Filter", f"{predicate} AND cache[x.batch_id] = cache[p.batch_id]", n_scanned, n_found),
        PlanOperator("NodeByLabelScan", f"x:{label}", n_scanned + 1, n_scanned),
    )
    return PlanProfile(operators, 2 * n_scanned + 1, n_found)


def seek_plan(index: IndexSpec, n_found: int = 10) -> PlanProfile:
    """A lookup in an index."""
    details = f"RANGE INDEX x:{index.label}({', '.join(index.properties)}) WHERE {index.properties[0]} = $a"
    return PlanProfile((PlanOperator("NodeIndexSeek", details, n_found + 1, n_found),), n_found + 1, n_found)


@dataclass
class FakeLab:
    """`plans`: by query, the plan without an index and the index that would serve it (None: none does).

    `slows_down`: queries that cost ten times as much once an index was made. `noise`: queries that take a
    second longer then, by the same plan. `fails_online`: awaiting raises.
    """

    plans: dict[str, tuple[PlanProfile, IndexSpec | None]]
    slows_down: frozenset[str] = frozenset()
    noise: frozenset[str] = frozenset()
    fails_online: bool = False
    indexes: list[IndexSpec] = field(default_factory=lambda: [KEY, FOREIGN])
    log: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    def profile(self, call: SampledCall) -> PlanProfile:
        plan, helper = self.plans[call.query]
        if helper in self.indexes:
            return seek_plan(helper)
        factor = 10 if self._is_slowed(call) else 1
        return PlanProfile(plan.operators, factor * plan.db_hits, plan.n_rows)

    def time_call(self, call: SampledCall) -> float:
        late = 1_000 if call.query in self.noise and self._has_ours() else 0
        return late + self.profile(call).db_hits / 100

    def create_index(self, index: IndexSpec) -> None:
        self.log.append(f"create {index.name}")
        self.indexes.append(index)
        self.unfinished.append(index.name)

    def keep_index(self, name: str) -> None:
        self.unfinished.remove(name)

    def drop_unfinished(self) -> tuple[str, ...]:
        names = tuple(self.unfinished)
        for name in names:
            self.drop_index(name)
        return names

    def await_online(self, name: str) -> None:
        if self.fails_online:
            raise TimeoutError(name)

    def drop_index(self, name: str) -> None:
        self.log.append(f"drop {name}")
        self.indexes = [index for index in self.indexes if index.name != name]
        self.unfinished = [other for other in self.unfinished if other != name]

    def list_indexes(self) -> tuple[IndexSpec, ...]:
        return tuple(self.indexes)

    def _is_slowed(self, call: SampledCall) -> bool:
        return call.query in self.slows_down and self._has_ours()

    def _has_ours(self) -> bool:
        return any(index.is_ours for index in self.indexes)
