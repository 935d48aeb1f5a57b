"""Decisions on indexes as tables: of one run, and of all runs so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from terag_pipelines.tuning.model import INDEX_DECISIONS, INDEX_TRIALS
from terag_pipelines.tuning.ports import TuningLog
from terag_pipelines.tuning.trials import IndexTrial
from terag_pipelines.tuning.upkeep import Past, PastTrial


@dataclass
class DecisionWriter:
    """Adds each change of one run to the log as soon as it is made; `queries` are texts by shape_id."""

    log: TuningLog
    now: datetime
    queries: Mapping[str, str]
    _n_written: int = field(default=0, init=False)

    def write(self, trial: IndexTrial) -> None:
        """Raises: StoreUnavailableError, StoreError."""
        asked = sorted(self.queries[shape] for shape in trial.shapes if shape in self.queries)
        row = {
            **_row(trial),
            "decided_at": self.now,
            "step": self._n_written,
            "queries": asked,
        }
        self.log.append(INDEX_DECISIONS.from_columns(**{name: [value] for name, value in row.items()}))
        self._n_written += 1


def trials_table(trials: Iterable[IndexTrial]) -> pa.Table:
    """INDEX_TRIALS of one run; of several rows on an index with one decision the first stands."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in map(_row, trials):
        rows.setdefault((row["trial_id"], row["decision"]), row)
    columns = {name: [row[name] for row in rows.values()] for name in INDEX_TRIALS.schema.names}
    return INDEX_TRIALS.from_columns(**columns)


def past_of(log: TuningLog) -> Past:
    """What the log knows of each index. Raises: StoreUnavailableError, StoreError."""
    last: dict[str, PastTrial] = {}
    for row in INDEX_DECISIONS.conform(log.decisions()).to_pylist():
        told = (row[name] for name in ("decision", "decided_at", "reason", "n_entries"))
        last[row["trial_id"]] = PastTrial(*told)
    return Past(last, log.uses())


def told_decisions(decisions: pa.Table) -> Iterator[str]:
    """INDEX_DECISIONS or INDEX_TRIALS, a line each, for people."""
    for row in decisions.to_pylist():
        index = f"index on {row['label']}.{row['property']} " if row["label"] else ""
        kind = f"({row['index_kind']}) " if row["index_kind"] not in (None, "range") else ""
        yield f"{index}{kind}{row['decision'].replace('_', ' ')}: {row['reason']}"


def _row(trial: IndexTrial) -> dict[str, Any]:
    index, hits, latency = trial.index, trial.hits, trial.latency
    return {
        "trial_id": index.name if index else "none",
        "label": index.label if index else None,
        "property": ",".join(index.properties) if index else None,
        "index_kind": index.kind if index else None,
        "element": index.element if index else None,
        "decision": trial.decision,
        "db_hits_before": trial.before and trial.before.db_hits,
        "db_hits_after": trial.after and trial.after.db_hits,
        "latency_before_ms": trial.before and trial.before.latency_ms,
        "latency_after_ms": trial.after and trial.after.latency_ms,
        "reason": trial.reason,
        "n_entries": trial.n_entries,
        "hits_ratio_low": hits and hits.low,
        "hits_ratio_high": hits and hits.high,
        "latency_ratio_low": latency and latency.low,
        "latency_ratio_high": latency and latency.high,
    }
