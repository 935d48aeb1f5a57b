"""`terag graph tune` and `terag graph history`: which indexes slow queries ask for, and what was decided."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from resources.bindings import GraphResource, LakeResource
from resources.promoted_tables import PromotedTables
from resources.query_recorder import utc_now
from terag_pipelines.entities.model import ACCOUNTS, TRANSFERS
from terag_pipelines.linking.model import ENTITIES
from terag_pipelines.tuning.autopilot import Autopilot
from terag_pipelines.tuning.pictures import draw_trials
from terag_pipelines.tuning.policy import TuningPolicy
from terag_pipelines.tuning.workload import AnalystWorkload, analyst_workload

DRY_RUN = "nothing was changed: --apply tries these indexes and keeps those that pay"


def tune(may_change: bool, as_json: bool, console: Console) -> None:
    """Asks the analysts' questions of the graph and prints which indexes they want; with leave, tries them.

    Raises: StoreError, IncompleteBatchError where nothing is promoted.
    """
    graph = GraphResource()
    workload, policy = _workload(), TuningPolicy(may_change=may_change)
    with graph.open() as store, graph.tuning_log() as log:
        asked = graph.past_queries(), graph.past_calls()
        tuned = Autopilot(policy=policy, log=log).run(store, workload, utc_now(), *asked)
    _print(tuned.trials, as_json, console)
    if not may_change and not as_json:
        console.print(DRY_RUN)


def print_history(picture: Path | None, as_json: bool, console: Console) -> None:
    """Prints every decision on an index, the last one first; draws what each did where a file is given."""
    with GraphResource().tuning_log() as log:
        decisions = log.decisions()
    if picture is not None:
        picture.write_bytes(draw_trials(decisions))
    _print(decisions.take(list(reversed(range(decisions.num_rows)))), as_json, console)


def _workload() -> AnalystWorkload:
    schemas = (ENTITIES, ACCOUNTS, TRANSFERS)
    tables = PromotedTables(LakeResource().open()).tables(*schemas)
    return analyst_workload({schema.name: table for schema, table in zip(schemas, tables, strict=True)})


def _print(decisions: pa.Table, as_json: bool, console: Console) -> None:
    if as_json:
        click.echo(json.dumps(decisions.to_pylist(), default=str, indent=2))
        return
    is_history = "decided_at" in decisions.column_names
    titles = ("when", "index", "kind", "decision", "db hits", "ms", "why")
    table = Table(*(titles if is_history else titles[1:]), show_edge=False)
    for row in decisions.to_pylist():
        when = (f"{row['decided_at']:%Y-%m-%d %H:%M} UTC",) if is_history else ()
        table.add_row(*when, *(escape(cell) for cell in _cells(row)))
    console.print(table)


def _cells(row: dict[str, object]) -> tuple[str, ...]:
    index = f"{row['label']}.{row['property']}" if row["label"] else ""
    decision = str(row["decision"]).replace("_", " ")
    hits = _before_and_after(row["db_hits_before"], row["db_hits_after"], ",d")
    latency = _before_and_after(row["latency_before_ms"], row["latency_after_ms"], ".1f")
    return (index, str(row["index_kind"] or ""), decision, hits, latency, str(row["reason"]))


def _before_and_after(before: object, after: object, form: str) -> str:
    return "" if before is None or after is None else f"{before:{form}} to {after:{form}}"
