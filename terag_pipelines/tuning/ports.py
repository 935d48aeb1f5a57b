"""What tuning asks of a store: queries observed, plans measured, indexes made and dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from terag_pipelines.graph.ports import GraphStore

AUTO_PREFIX = "terag_auto_"
"""Names of indexes made here start with this; no other index is ever dropped."""
NODE, RELATIONSHIP = "node", "relationship"


@dataclass(frozen=True)
class SampledCall:
    """A query as it was called: what a trial replays. It may name a person, so ``repr`` shows nothing."""

    query: str = field(repr=False)
    parameters: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class SeenCall:
    """A sampled call of a shape, and when it was last seen."""

    shape_id: str
    call: SampledCall
    seen_at: datetime


@dataclass(frozen=True)
class PlanOperator:
    """One operator of an executed plan; `details` is the store's own text of it."""

    name: str
    details: str
    db_hits: int
    n_rows: int


@dataclass(frozen=True)
class PlanProfile:
    """An executed plan: operators from the result down to the leaves, and what they cost in all."""

    operators: tuple[PlanOperator, ...]
    db_hits: int
    n_rows: int


@dataclass(frozen=True)
class IndexSpec:
    """An index of the properties of a label, or of a relationship type (`element`).

    `kind`: "range", "text", "point" or "full-text"; `is_constraint` for one that a constraint owns.
    """

    name: str
    kind: str
    label: str
    properties: tuple[str, ...]
    is_constraint: bool = False
    element: str = NODE

    @property
    def is_ours(self) -> bool:
        """Made by tuning, so tuning may drop it."""
        return self.name.startswith(AUTO_PREFIX) and not self.is_constraint

    @property
    def covers(self) -> tuple[str, str, str, tuple[str, ...]]:
        """What it indexes and how: two of the same are one index under two names."""
        return (self.element, self.kind, self.label, self.properties)


@dataclass(frozen=True)
class IndexUse:
    """How often the store itself says that it read an index, and since when it counts."""

    n_reads: int
    last_read_at: datetime | None
    counted_since: datetime | None


class IndexLab(Protocol):
    """Where an index is tried. Raises StoreUnavailableError and StoreError like every store."""

    def alone(self) -> AbstractContextManager[IndexLab]:
        """The lab on the server that readers ask now, whoever is sent elsewhere meanwhile; nobody else tries.

        It waits for the turn of a trial that another process makes.
        """

    def profile(self, call: SampledCall) -> PlanProfile:
        """Runs the call, reading only, and gives its plan with db hits and rows."""

    def time_call(self, call: SampledCall) -> float:
        """Runs the call, reading only; milliseconds until its last row."""

    def n_distinct(self, index: IndexSpec) -> int:
        """How many values the properties have together, at least 1; of the first rows where they are many."""

    def create_index(self, index: IndexSpec) -> None:
        """Notes that its trial began and asks for the index; it fills in the background.

        Raises: StoreError where there is such an index, or another one of that name.
        """

    def keep_index(self, name: str) -> None:
        """Notes that the trial of an index ended and that it stays."""

    def drop_unfinished(self) -> tuple[str, ...]:
        """Drops the indexes whose trial never ended, by a kill or a failing store; gives their names."""

    def await_online(self, name: str) -> None:
        """Returns when the index serves queries."""

    def drop_index(self, name: str) -> None:
        """Drops an index by name; nothing happens where there is none."""

    def list_indexes(self) -> tuple[IndexSpec, ...]:
        """Every range, text, point and full-text index, those of constraints too, by name."""

    def index_uses(self) -> Mapping[str, IndexUse]:
        """By name, how the store itself says that its indexes are read."""


class ObservedQueries(Protocol):
    """What a store's clients asked of it so far."""

    def snapshot(self) -> pa.Table:
        """QUERY_SHAPES of all calls so far."""

    def samples(self) -> Mapping[str, Sequence[SampledCall]]:
        """A few calls of each reading shape, by shape_id."""


class QueryHistory(Protocol):
    """The past of the queries, window by window. Raises StoreUnavailableError and StoreError."""

    def append(self, windows: pa.Table) -> None:
        """Adds QUERY_WINDOWS; a row that is there already stays as it is."""

    def windows(self, since: datetime | None = None) -> pa.Table:
        """QUERY_WINDOWS that ended at `since` or later; without it, all that are kept."""


class CallHistory(Protocol):
    """A few calls of each shape, of whoever asked, kept for a while and so that nobody else can read them.

    Raises StoreUnavailableError and StoreError.
    """

    def append(self, calls: Iterable[SeenCall]) -> None:
        """Keeps the calls; of each shape only the last few distinct ones that were seen.

        A call with a parameter of a type that would not come back as it was is not kept.
        """

    def calls(self) -> Mapping[str, Sequence[SampledCall]]:
        """All that are kept, by shape_id, the one that was seen last first."""


class TuningLog(Protocol):
    """What tuning decided and saw, kept from run to run. Raises StoreUnavailableError and StoreError."""

    def append(self, decisions: pa.Table) -> None:
        """Adds INDEX_DECISIONS; a row that is there already stays as it is."""

    def decisions(self) -> pa.Table:
        """INDEX_DECISIONS, all that were ever made."""

    def note_uses(self, used_at: Mapping[str, datetime]) -> None:
        """Notes when indexes were last seen to serve a query; an earlier instant changes nothing."""

    def uses(self) -> Mapping[str, datetime]:
        """When each index, by name, was last seen to serve a query, on whichever server."""


class TunableStore(GraphStore, Protocol):
    """A graph store whose queries are observed and whose indexes can be tried."""

    @property
    def observed(self) -> ObservedQueries:
        """Its queries so far."""

    @property
    def index_lab(self) -> IndexLab:
        """Its plans and indexes."""


class Workload(Protocol):
    """Questions that people ask, to be asked of a store while it is observed."""

    def ask(self, store: GraphStore) -> None:
        """Asks all of them."""


def find_index(indexes: Iterable[IndexSpec], wanted: IndexSpec) -> IndexSpec | None:
    """The index that already covers what `wanted` would."""
    return next((index for index in indexes if index.covers == wanted.covers), None)
